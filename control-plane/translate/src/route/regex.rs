//! Regular expressions of matches, compiled once here so that a bad one is refused with its route.

/// Checks an expression as the agents will use it: over the whole value. The error is one line that
/// names the position, in characters from 1, where the parser has one.
pub(crate) fn check(pattern: &str) -> Result<(), String> {
    // The expression alone first: `a)(b` is no expression, though `^(?:a)(b)$` is.
    for text in [pattern.to_owned(), format!("^(?:{pattern})$")] {
        if let Err(error) = regex::Regex::new(&text) {
            return Err(describe(&error));
        }
    }
    Ok(())
}

fn describe(error: &regex::Error) -> String {
    match error {
        regex::Error::Syntax(report) => syntax(report),
        regex::Error::CompiledTooBig(limit) => {
            format!("it needs more than {limit} bytes once compiled")
        }
        _ => "it cannot be compiled".to_owned(),
    }
}

/// The report is drawn for a terminal: the pattern behind four spaces, carets below, then
/// `error: reason`.
fn syntax(report: &str) -> String {
    let reason = report.lines().find_map(|line| line.strip_prefix("error: "));
    let reason = reason.unwrap_or("it does not parse");
    let carets = |line: &&str| line.contains('^') && line.trim_matches(&[' ', '^'][..]).is_empty();
    let drawn: Vec<&str> = report.lines().collect();
    let position = (drawn.len() >= 4)
        .then(|| drawn.iter().skip(2).find(|line| carets(line)))
        .flatten()
        .and_then(|line| line.find('^'))
        .and_then(|column| column.checked_sub(3));
    match position {
        Some(position) => format!("{reason}, at character {position}"),
        None => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn errors_are_one_line_with_a_position() {
        for good in [
            "",
            "/v[0-9]+",
            "^/a$",
            "(?i)prod|staging",
            r"\d{1,3}",
            r"/users/[^/]+",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let bad = |pattern: &str, expect: &str| {
            assert_eq!(check(pattern).unwrap_err(), expect, "{pattern}");
        };
        bad("/a(b", "unclosed group, at character 3");
        bad("a)(b", "unopened group, at character 2");
        bad(
            "[z-a]",
            "invalid character class range, the start must be <= the end, at character 2",
        );
        bad(
            r"(?=x)",
            "look-around, including look-ahead and look-behind, is not supported, at character 1",
        );
        bad(
            "(a{500}){500}{500}",
            "it needs more than 10485760 bytes once compiled",
        );
    }
}
