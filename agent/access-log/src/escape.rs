//! Bytes of clients and backends as parts of a line, which they can neither end nor leave.

use std::io::Write as _;

/// Bytes of one value; the rest is cut off.
const LONGEST: usize = 8 * 1024;

/// What stands for what was cut off.
const CUT: &[u8] = b"...";

const HEX: [u8; 16] = *b"0123456789abcdef";

/// As the inside of a JSON string (RFC 8259 section 7). What is no UTF-8 becomes U+FFFD; control characters are escaped, those
/// of C1 and the line separators of Unicode, too.
pub(crate) fn json(out: &mut Vec<u8>, value: &[u8]) {
    let (value, is_cut) = bounded(value);
    if is_plain(value) {
        out.extend_from_slice(value);
    } else {
        json_characters(out, value);
    }
    if is_cut {
        out.extend_from_slice(CUT);
    }
}

fn json_characters(out: &mut Vec<u8>, value: &[u8]) {
    for chunk in value.utf8_chunks() {
        for character in chunk.valid().chars() {
            json_character(out, character);
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

fn json_character(out: &mut Vec<u8>, character: char) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        ' '..='~' => out.push(u8::try_from(character).unwrap_or(b'?')),
        '\u{2028}' | '\u{2029}' => {
            let _ = write!(out, "\\u{:04x}", u32::from(character));
        }
        _ if character.is_control() => {
            let _ = write!(out, "\\u{:04x}", u32::from(character));
        }
        _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// For lines of text: printable ASCII stays, but for quotes and backslashes; all else is written as `\xHH`.
pub(crate) fn text(out: &mut Vec<u8>, value: &[u8]) {
    let (value, is_cut) = bounded(value);
    if is_plain(value) {
        out.extend_from_slice(value);
    } else {
        text_bytes(out, value);
    }
    if is_cut {
        out.extend_from_slice(CUT);
    }
}

fn text_bytes(out: &mut Vec<u8>, value: &[u8]) {
    for byte in value {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b' '..=b'~' => out.push(*byte),
            _ => {
                let digit = |half: u8| HEX.get(usize::from(half)).copied().unwrap_or(b'?');
                out.extend_from_slice(&[b'\\', b'x', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
}

/// Whether nothing of it needs to be escaped, as is so for almost all values. It looks at all bytes, many at once: branches
/// would make that one by one.
#[allow(clippy::needless_bitwise_bool)]
fn is_plain(value: &[u8]) -> bool {
    let plain = |byte: u8| (b' '..=b'~').contains(&byte) & (byte != b'"') & (byte != b'\\');
    value.iter().fold(true, |all, byte| all & plain(*byte))
}

fn bounded(value: &[u8]) -> (&[u8], bool) {
    match value.get(..LONGEST) {
        Some(start) if value.len() > LONGEST => (start, true),
        _ => (value, false),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(write: fn(&mut Vec<u8>, &[u8]), value: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, value);
        out
    }

    /// The value that a line of text stands for.
    fn unescaped(line: &[u8]) -> Vec<u8> {
        let mut value = Vec::new();
        let mut rest = line;
        while let [first, tail @ ..] = rest {
            rest = match (first, tail) {
                (b'\\', [b'x', high, low, tail @ ..]) => {
                    let digits = [*high, *low];
                    let digits = std::str::from_utf8(&digits).unwrap();
                    value.push(u8::from_str_radix(digits, 16).unwrap());
                    tail
                }
                (b'\\', [byte, tail @ ..]) => {
                    value.push(*byte);
                    tail
                }
                _ => {
                    value.push(*first);
                    tail
                }
            };
        }
        value
    }

    #[test]
    fn long_values_are_cut() {
        let long = vec![b'a'; LONGEST + 1];
        assert_eq!(written(text, &long).len(), LONGEST + CUT.len());
        assert_eq!(written(json, &long).len(), LONGEST + CUT.len());
        assert_eq!(written(text, &long[1..]).len(), LONGEST);
    }

    proptest! {
        #[test]
        fn text_is_printable_and_tells_the_value(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let line = written(text, &value);
            prop_assert!(line.iter().all(|byte| (b' '..=b'~').contains(byte)));
            // No quote but escaped ones: the value stays within its quotes.
            let quotes = line.windows(2).filter(|pair| pair[1] == b'"' && pair[0] != b'\\').count();
            prop_assert_eq!(quotes, 0);
            prop_assert!(line.first() != Some(&b'"'));
            prop_assert_eq!(unescaped(&line), value);
        }

        #[test]
        fn json_has_no_control_characters_and_tells_the_value(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let line = [b"\"".to_vec(), written(json, &value), b"\"".to_vec()].concat();
            let shown = String::from_utf8(line).unwrap();
            let ends_lines = |one: char| one.is_control() || ['\u{2028}', '\u{2029}'].contains(&one);
            prop_assert!(!shown.chars().any(ends_lines));
            let read: String = serde_json::from_str(&shown).unwrap();
            prop_assert_eq!(read, String::from_utf8_lossy(&value));
        }

        #[test]
        fn json_keeps_text(value in ".{0,100}") {
            let line = [b"\"".to_vec(), written(json, value.as_bytes()), b"\"".to_vec()].concat();
            let read: String = serde_json::from_slice(&line).unwrap();
            prop_assert_eq!(read, value);
        }
    }
}
