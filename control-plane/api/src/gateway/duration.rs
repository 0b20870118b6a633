//! `Duration` of the Gateway API (GEP-2257).

use serde::{Deserialize, Serialize};

/// A duration string such as `1h30m` or `500ms` (GEP-2257): one to four numbers of at most five digits, each with a
/// unit of `h`, `m`, `s` or `ms`. The text is kept until someone asks for its value, so a bad one decodes and is
/// reported where it is used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Duration(pub String);

/// A text that is not a GEP-2257 duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{text}\" is not a duration: expected one to four numbers of at most five digits with a unit of h, m, s or ms, such as 1m30s"
)]
pub struct DurationError {
    /// The text in question.
    pub text: String,
}

impl Duration {
    /// A duration of whole milliseconds, written in the largest units that fit.
    pub fn from_millis(millis: u64) -> Self {
        let (secs, ms) = (millis / 1000, millis % 1000);
        let parts = [
            (secs / 3600, "h"),
            (secs / 60 % 60, "m"),
            (secs % 60, "s"),
            (ms, "ms"),
        ];
        let parts = parts
            .iter()
            .filter(|(n, _)| *n > 0)
            .map(|(n, unit)| format!("{n}{unit}"));
        let text = parts.collect::<Vec<_>>().concat();
        Self(if text.is_empty() {
            "0s".to_owned()
        } else {
            text
        })
    }

    /// The value in milliseconds.
    pub fn as_millis(&self) -> Result<u64, DurationError> {
        parse(&self.0).ok_or_else(|| DurationError {
            text: self.0.clone(),
        })
    }

    /// The value as the standard library's duration.
    pub fn parse(&self) -> Result<std::time::Duration, DurationError> {
        self.as_millis().map(std::time::Duration::from_millis)
    }

    /// The text as it stands in JSON.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Duration {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl std::fmt::Display for Duration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// `^([0-9]{1,5}(h|m|s|ms)){1,4}$`, summed up in milliseconds.
fn parse(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total = 0;
    for _ in 0..4 {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        if !(1..=5).contains(&digits) {
            return None;
        }
        let (number, tail) = rest.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let (unit, tail) = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1000)]
            .into_iter()
            .find_map(|(word, unit)| tail.strip_prefix(word).map(|tail| (unit, tail)))?;
        total += number * unit;
        if tail.is_empty() {
            return Some(total);
        }
        rest = tail;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::Duration;

    #[test]
    fn durations_of_gep_2257() {
        let check = |text: &str, expect: Option<u64>| {
            assert_eq!(Duration::from(text).as_millis().ok(), expect, "{text}");
        };
        check("0s", Some(0));
        check("1h", Some(3_600_000));
        check("1h30m", Some(5_400_000));
        check("10ms", Some(10));
        check("1m2s3ms", Some(62_003));
        check("1h2m3s4ms", Some(3_723_004));
        check("30s30s", Some(60_000));
        check("99999h", Some(359_996_400_000));
        check("", None);
        check("1", None);
        check("1d", None);
        check("-1s", None);
        check("1.5s", None);
        check("100000s", None);
        check("1h1h1h1h1h", None);
        check("1 s", None);
        check("1\u{b5}s", None);
    }

    #[test]
    fn millis_are_written_in_the_largest_units() {
        for (millis, text) in [
            (0, "0s"),
            (250, "250ms"),
            (90_000, "1m30s"),
            (3_600_001, "1h1ms"),
        ] {
            assert_eq!(Duration::from_millis(millis).as_str(), text);
            assert_eq!(Duration::from_millis(millis).as_millis(), Ok(millis));
        }
    }
}
