//! From the bytes of a file to JSON values with the lines where they start.

use std::path::Path;

use serde_json::Value;

use crate::problem::Problem;

/// A document of a file.
pub(super) struct Piece<'a> {
    /// Line of its first content, from 1.
    pub line: u32,
    /// Its text, to look for lines of fields.
    pub text: &'a str,
    /// What it holds.
    pub value: Value,
}

/// Reads all documents, or says why the file as a whole cannot be read.
pub(super) fn pieces<'a>(file: &str, bytes: &'a [u8]) -> Result<Vec<Piece<'a>>, Box<Problem>> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let message = "not UTF-8 text; the last good objects of this file stay in force";
        let line = before.split(|byte| *byte == b'\n').count();
        let line = u32::try_from(line).ok();
        Box::new(Problem::in_file(file, line, "Unreadable", message))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if Path::new(file).extension().is_some_and(|end| end == "json") {
        return json(file, text);
    }
    let mut pieces = Vec::new();
    for (line, text) in documents(text) {
        let value = serde_saphyr::from_str::<Value>(text)
            .map_err(|error| yaml_problem(file, line, &error))?;
        if !value.is_null() {
            pieces.push(Piece { line, text, value });
        }
    }
    Ok(pieces)
}

fn json<'a>(file: &str, text: &'a str) -> Result<Vec<Piece<'a>>, Box<Problem>> {
    let mut pieces = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let value = value.map_err(|error| {
            let line = u32::try_from(error.line()).ok();
            let message = format!("{error}; the last good objects of this file stay in force");
            Box::new(Problem::in_file(file, line, "Syntax", message))
        })?;
        pieces.push(Piece {
            line: 1,
            text: "",
            value,
        });
    }
    Ok(pieces)
}

fn yaml_problem(file: &str, start: u32, error: &serde_saphyr::Error) -> Box<Problem> {
    let line = error.location().map_or(start, |location| {
        start
            + u32::try_from(location.line())
                .unwrap_or(1)
                .saturating_sub(1)
    });
    let text = error.without_snippet().to_string();
    let text = text.lines().next().unwrap_or_default();
    // The parser counts lines from the start of the document.
    let text = text.split(" at line ").next().unwrap_or_default();
    let message = format!("{text}; the last good objects of this file stay in force");
    Box::new(Problem::in_file(file, Some(line), "Syntax", message))
}

/// Cuts YAML at its document markers: at the start of a line `---` is one wherever it stands (YAML
/// 1.2.2, section 9.1.2), so that lines and faults can be told document by document. Each begins with its
/// first content; those without any are left out.
pub(super) fn documents(text: &str) -> Vec<(u32, &str)> {
    let mut found = Vec::new();
    let (mut start, mut start_line) = (0, 1);
    let (mut offset, mut line) = (0, 1);
    for content in text.split_inclusive('\n') {
        if is_marker(content) && offset > start {
            found.extend(trimmed(start_line, &text[start..offset]));
            (start, start_line) = (offset, line);
        }
        offset += content.len();
        line += 1;
    }
    found.extend(trimmed(start_line, &text[start..]));
    found
}

/// A document from its first line that is no comment, directive or marker.
fn trimmed(mut line: u32, mut document: &str) -> Option<(u32, &str)> {
    loop {
        let (first, rest) = document.split_once('\n').unwrap_or((document, ""));
        if !is_blank(first) {
            return Some((line, document));
        }
        if rest.is_empty() {
            return None;
        }
        (line, document) = (line + 1, rest);
    }
}

fn is_marker(line: &str) -> bool {
    line.strip_prefix("---")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

/// Whether a line is no more than a comment, a directive or a marker.
fn is_blank(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line == "---" || line == "..." || line.starts_with(['#', '%'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_keep_their_lines() {
        let text = b"# head\n---\na: 1\n---\n# nothing\n--- \nb: |\n  ---\n  x\n...\n";
        let pieces = pieces("x.yaml", text).unwrap();
        let found: Vec<_> = pieces
            .iter()
            .map(|piece| (piece.line, piece.value.clone()))
            .collect();
        assert_eq!(
            found,
            [
                (3, serde_json::json!({"a": 1})),
                (7, serde_json::json!({"b": "---\nx\n"})),
            ]
        );
    }

    #[test]
    fn faults_name_their_line() {
        let check = |file, text: &[u8], line| {
            let problem = pieces(file, text).map(|_| ()).unwrap_err();
            assert_eq!(problem.line, Some(line), "{problem}");
            assert!(!problem.message.contains('\n'), "{problem}");
        };
        check("x.yaml", b"a: 1\n---\nb: [1\n", 3);
        check("x.yaml", b"a: 1\n\xff", 2);
        check("x.json", b"{\"a\":\n1,}", 2);
    }

    #[test]
    fn scalars_are_what_kubernetes_takes_them_for() {
        let value = |text: &str| pieces("x.yaml", text.as_bytes()).unwrap().remove(0).value;
        assert_eq!(value("a: yes"), serde_json::json!({"a": true}));
        assert_eq!(value("a: \"80\""), serde_json::json!({"a": "80"}));
        assert_eq!(
            value("a: 80\nb: true\nc: ~\nd: 1.5"),
            serde_json::json!({"a": 80, "b": true, "c": null, "d": 1.5})
        );
        assert_eq!(
            value("x: &x {p: 1}\ny: *x"),
            serde_json::json!({"x": {"p": 1}, "y": {"p": 1}})
        );
    }
}
