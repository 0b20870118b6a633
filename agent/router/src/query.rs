//! Query parameters.

use std::borrow::Cow;

use crate::conditions::{NameValue, ValueMatch};

/// Whether the first parameter of a name has the value. Names and values are percent-decoded, and `+` is a space, as in
/// the URL standard's parser (<https://url.spec.whatwg.org/#urlencoded-parsing>).
///
/// HTTPQueryParamMatch.name: of a repeated parameter the first value counts.
pub(crate) fn meets(query: &str, condition: &NameValue) -> bool {
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find(|(name, _)| !name.is_empty() && equals(name, &condition.name))
        .is_some_and(|(_, value)| match &condition.value {
            ValueMatch::Exact(expected) => equals(value, expected),
            ValueMatch::Regex(regex) => decoded(value).is_some_and(|value| regex.is_match(&value)),
        })
}

/// Compares without an allocation.
fn equals(encoded: &str, plain: &str) -> bool {
    Decoder {
        rest: encoded.as_bytes(),
    }
    .eq(plain.bytes())
}

/// None if it is no UTF-8.
fn decoded(encoded: &str) -> Option<Cow<'_, str>> {
    if !encoded.contains(['%', '+']) {
        return Some(Cow::Borrowed(encoded));
    }
    String::from_utf8(
        Decoder {
            rest: encoded.as_bytes(),
        }
        .collect(),
    )
    .ok()
    .map(Cow::Owned)
}

/// The bytes of an encoded text. What is no escape stands for itself.
struct Decoder<'a> {
    rest: &'a [u8],
}

impl Iterator for Decoder<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (byte, rest) = match self.rest {
            [b'%', high, low, rest @ ..] => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, rest),
                _ => self.rest.split_first().map(|(byte, rest)| (*byte, rest))?,
            },
            [b'+', rest @ ..] => (b' ', rest),
            [byte, rest @ ..] => (*byte, rest),
            [] => return None,
        };
        self.rest = rest;
        Some(byte)
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(query: &str, name: &str, value: &str) -> bool {
        meets(
            query,
            &NameValue {
                name: name.into(),
                value: ValueMatch::Exact(value.into()),
            },
        )
    }

    #[test]
    fn names_and_values_are_decoded_and_the_first_value_counts() {
        for (query, name, value, expected) in [
            ("animal=whale", "animal", "whale", true),
            ("animal=whale&animal=dog", "animal", "whale", true),
            ("animal=dog&animal=whale", "animal", "whale", false),
            ("a=1&animal=whale", "animal", "whale", true),
            ("Animal=whale", "animal", "whale", false),
            ("%61nimal=wh%61le", "animal", "whale", true),
            ("a=b+c%2Bd", "a", "b c+d", true),
            ("a=100%", "a", "100%", true),
            ("a=%zz%4", "a", "%zz%4", true),
            ("a=x=y", "a", "x=y", true),
            ("a", "a", "", true),
            ("", "a", "", false),
            ("=x", "", "x", false),
            ("a=%C3%BC", "a", "ü", true),
            ("a=whales", "a", "whale", false),
        ] {
            assert_eq!(
                matches(query, name, value),
                expected,
                "{query} {name}={value}"
            );
        }
    }
}
