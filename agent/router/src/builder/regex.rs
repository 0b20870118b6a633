//! Regular expressions of matches.

use regex::{Regex, RegexBuilder};

use crate::error::Fault;

/// No field of the API takes a longer pattern.
const MAX_PATTERN_LEN: usize = 4096;
/// Bytes that a compiled program, and its cache, may take.
const MAX_PROGRAM_SIZE: usize = 1 << 20;
/// Groups within groups.
const MAX_NESTING: u32 = 64;

/// Compiles an expression that must match the whole value.
pub(super) fn compile(pattern: &str) -> Result<Regex, Fault> {
    let refuse = |cause: String| Fault::Regex {
        pattern: shortened(pattern),
        cause,
    };
    if pattern.len() > MAX_PATTERN_LEN {
        return Err(refuse(format!("it is longer than {MAX_PATTERN_LEN} bytes")));
    }
    // The pattern must be one by itself: `a)|(b` would be one within the anchors only.
    build(pattern).map_err(&refuse)?;
    build(&format!(r"\A(?:{pattern})\z")).map_err(&refuse)
}

fn build(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .size_limit(MAX_PROGRAM_SIZE)
        .dfa_size_limit(MAX_PROGRAM_SIZE)
        .nest_limit(MAX_NESTING)
        .build()
        .map_err(|error| {
            // The last line of a syntax error names it; those before draw where it is.
            let text = error.to_string();
            text.lines().last().unwrap_or_default().trim().to_owned()
        })
}

fn shortened(pattern: &str) -> String {
    match pattern.char_indices().nth(80) {
        Some((end, _)) => format!("{}...", pattern.get(..end).unwrap_or_default()),
        None => pattern.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_matches_the_whole_value() {
        let regex = compile("/v[0-9]+|/latest").unwrap();
        for (value, expected) in [
            ("/v1", true),
            ("/latest", true),
            ("/v1/x", false),
            ("x/latest", false),
            ("/v1\n", false),
        ] {
            assert_eq!(regex.is_match(value), expected, "{value}");
        }
    }

    #[test]
    fn a_bad_expression_is_refused_with_its_cause_on_one_line() {
        for (pattern, cause) in [
            ("a(b", "error: unclosed group"),
            ("a)|(b", "error: unopened group"),
            ("(?=x)", "look-around"),
            (&"a".repeat(5000), "longer than"),
            ("(?:a{1000}){1000}", "size limit"),
            (&format!("{}a{}", "(".repeat(100), ")".repeat(100)), "nest"),
        ] {
            let Err(Fault::Regex { cause: found, .. }) = compile(pattern) else {
                panic!("{pattern} was taken")
            };
            assert!(found.contains(cause), "{pattern}: {found}");
            assert_eq!(found.lines().count(), 1);
        }
    }
}
