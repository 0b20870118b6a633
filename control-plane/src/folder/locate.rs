//! Finds the line of a field in YAML text, by its layout.
//!
//! The parser keeps no positions of values, and a person who looks for `spec.rules[1].backendRefs[0]`
//! deserves a line. Flow style (`{a: b}`) ends the search at the line that it stands on.

/// A key or a dash, with the column where it stands.
struct Token<'a> {
    column: usize,
    /// From 0.
    line: u32,
    /// Absent for the dash of a list item.
    key: Option<&'a str>,
}

/// A step of a path.
enum Step<'a> {
    Key(&'a str),
    Item(usize),
}

/// The line, from 0, of the deepest part of `path` that can be found.
pub(super) fn locate(text: &str, path: &str) -> Option<u32> {
    let tokens = tokens(text);
    let mut rest = tokens.as_slice();
    let mut line = None;
    for step in steps(path) {
        let Some(level) = rest.iter().map(|token| token.column).min() else {
            return line;
        };
        let mut candidates = rest
            .iter()
            .enumerate()
            .filter(|(_, token)| token.column == level);
        let found = match step {
            Step::Key(key) => candidates.find(|(_, token)| token.key == Some(key)),
            Step::Item(index) => candidates
                .filter(|(_, token)| token.key.is_none())
                .nth(index),
        };
        let Some((at, token)) = found else {
            return line;
        };
        line = Some(token.line);
        rest = inside(&rest[at + 1..], token);
    }
    line
}

/// The tokens that belong to a key or an item. A list may stand in the column of its key.
fn inside<'t, 'a>(after: &'t [Token<'a>], owner: &Token<'a>) -> &'t [Token<'a>] {
    let ends = |token: &Token<'_>| {
        token.column < owner.column
            || (token.column == owner.column && (token.key.is_some() || owner.key.is_none()))
    };
    let end = after.iter().position(ends).unwrap_or(after.len());
    &after[..end]
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    for (line, content) in (0..).zip(text.lines()) {
        let mut rest = content.trim_start_matches(' ');
        while let Some(item) = rest.strip_prefix('-') {
            if !item.is_empty() && !item.starts_with(' ') {
                break;
            }
            tokens.push(Token {
                column: content.len() - rest.len(),
                line,
                key: None,
            });
            rest = item.trim_start_matches(' ');
        }
        if let Some(key) = key(rest) {
            tokens.push(Token {
                column: content.len() - rest.len(),
                line,
                key: Some(key),
            });
        }
    }
    tokens
}

fn key(text: &str) -> Option<&str> {
    let (key, value) = text.split_once(':')?;
    let is_key = !key.starts_with('#') && (value.is_empty() || value.starts_with([' ', '\r']));
    is_key.then(|| key.trim_matches(['"', '\'', ' ']))
}

fn steps(path: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    for part in path.split('.') {
        let mut parts = part.split('[');
        steps.extend(parts.next().filter(|key| !key.is_empty()).map(Step::Key));
        for index in parts {
            let index = index.trim_end_matches(']').parse();
            steps.extend(index.ok().map(Step::Item));
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::locate;

    const ROUTE: &str = "\
kind: HTTPRoute
spec:
  parentRefs:
  - name: a
    sectionName: b
  rules:
    - matches:
        - path:
            value: /x
    # rules: no
    - filters: [{type: X}]
      backendRefs:
      - name: c
        port: 80
";

    #[test]
    fn fields_are_found_in_either_layout_of_lists() {
        let check = |path, line| assert_eq!(locate(ROUTE, path), Some(line), "{path}");
        check("spec", 1);
        check("spec.parentRefs[0].sectionName", 4);
        check("spec.rules[0].matches[0].path.value", 8);
        check("spec.rules[1].backendRefs[0].port", 13);
        check("spec.rules[1].filters[0].type", 10);
        check("spec.rules[1].absent", 10);
        check("spec.rules[7]", 5);
        assert_eq!(locate(ROUTE, "nothing"), None);
        assert_eq!(locate("", "spec"), None);
    }
}
