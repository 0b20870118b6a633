//! Measuring functions by the layout that rustfmt gives them.

/// A function and its length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Line of the `fn`, from 1.
    pub line: usize,
    /// Lines from the `fn` to the closing brace.
    pub length: usize,
}

/// The functions of formatted Rust text.
///
/// rustfmt puts a function's closing brace alone on a line with the indentation of its `fn`, so no
/// parser is needed. Raw strings that imitate that layout would fool it; none of ours does.
pub fn functions(text: &str) -> Vec<Function> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let body = line.trim_start();
        if !is_function_head(body) {
            continue;
        }
        let indent = line.len() - body.len();
        let closing = format!("{}}}", " ".repeat(indent));
        let opened = lines[start..]
            .iter()
            .position(|l| l.ends_with('{') || l.ends_with("{}"));
        let ended = lines[start..]
            .iter()
            .position(|l| l.ends_with(';') || l.ends_with("{}"));
        // A declaration in a trait, or a body on one line.
        if opened.is_none_or(|opened| ended.is_some_and(|ended| ended <= opened)) {
            continue;
        }
        if let Some(length) = lines[start..].iter().position(|l| *l == closing) {
            found.push(Function {
                line: start + 1,
                length: length + 1,
            });
        }
    }
    found
}

fn is_function_head(line: &str) -> bool {
    let mut words = line.split_whitespace().peekable();
    while let Some(word) = words.next() {
        match word {
            "fn" => return true,
            "async" | "const" | "unsafe" | "extern" => {}
            word if word.starts_with("pub") || word.starts_with('"') => {}
            // `pub(in path)` spans two words.
            word if word.ends_with(')') && words.peek() == Some(&"fn") => {}
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_measured_from_its_head_to_its_brace() {
        let text =
            "impl X {\n    pub async fn f(\n        a: u8,\n    ) -> u8 {\n        a\n    }\n}\n";
        assert_eq!(functions(text), [Function { line: 2, length: 5 }]);
    }

    #[test]
    fn declarations_and_empty_bodies_are_no_functions_to_measure() {
        let text = "trait T {\n    fn f(&self) -> u8;\n    fn g() {}\n}\nfn h() {\n}\n";
        assert_eq!(functions(text), [Function { line: 5, length: 2 }]);
    }
}
