//! Values of annotations.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use novaedge_api::native::ProxyHeader;

use super::annotation::PREFIX;
use crate::filter::{is_header_value, is_token};
use crate::route::fault::Fault;

/// The annotations of an object, and what is wrong with them. A value that cannot be read counts as absent.
pub(super) struct Values<'a> {
    annotations: Option<&'a BTreeMap<String, String>>,
    pub(super) faults: Vec<Fault>,
}

impl<'a> Values<'a> {
    pub(super) fn of(metadata: &'a ObjectMeta) -> Self {
        Self {
            annotations: metadata.annotations.as_ref(),
            faults: Vec::new(),
        }
    }

    /// Every annotation with our prefix, by its name without.
    pub(super) fn ours(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let all = self.annotations.into_iter().flatten();
        all.filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?, value.as_str())))
    }

    /// The text of an annotation, without spaces around it.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        let all = self.annotations?;
        all.get(&format!("{PREFIX}{name}")).map(|text| text.trim())
    }

    /// Notes what is wrong with an annotation.
    pub(super) fn fault(&mut self, name: &str, message: impl Into<String>) {
        self.faults.push(fault(name, message));
    }

    /// What `read` makes of an annotation; `wanted` says what it should be.
    pub(super) fn read<T>(
        &mut self,
        name: &str,
        wanted: &str,
        read: impl FnOnce(&'a str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(name)?;
        let found = read(text);
        if found.is_none() {
            self.fault(name, format!("\"{text}\" is no {wanted}"));
        }
        found
    }

    /// Whether an annotation says `true`.
    pub(super) fn flag(&mut self, name: &str) -> Option<bool> {
        self.read(name, "answer here; write \"true\" or \"false\"", |text| {
            text.parse().ok()
        })
    }

    /// A number in a range.
    pub(super) fn number(
        &mut self,
        name: &str,
        range: std::ops::RangeInclusive<u32>,
    ) -> Option<u32> {
        let wanted = format!("number from {} to {}", range.start(), range.end());
        self.read(name, &wanted, |text| {
            text.parse().ok().filter(|number| range.contains(number))
        })
    }

    /// A time in milliseconds: seconds, or a number with `ms`, `s`, `m` or `h` behind it.
    pub(super) fn millis(&mut self, name: &str) -> Option<u64> {
        let wanted = "time; write seconds, or a number with ms, s, m or h behind it";
        self.read(name, wanted, |text| millis(text).filter(|time| *time > 0))
    }

    /// Names with commas between them.
    pub(super) fn names(&mut self, name: &str) -> Vec<String> {
        let wanted = "list of header names; put commas between them";
        let names = self.read(name, wanted, |text| {
            let names: Vec<&str> = list(text).collect();
            let good = !names.is_empty() && names.iter().all(|name| is_token(name));
            good.then(|| names.into_iter().map(str::to_owned).collect())
        });
        names.unwrap_or_default()
    }

    /// Headers as a JSON object of texts.
    pub(super) fn headers(&mut self, name: &str) -> Vec<ProxyHeader> {
        let wanted =
            "JSON object of header names and values; write it like {\"X-Name\": \"value\"}";
        let headers = self.read(name, wanted, |text| {
            let map: BTreeMap<String, String> = serde_json::from_str(text).ok()?;
            let good = map
                .iter()
                .all(|(name, value)| is_token(name) && is_header_value(value));
            let headers = map.into_iter();
            good.then(|| {
                headers
                    .map(|(name, value)| ProxyHeader { name, value })
                    .collect()
            })
        });
        headers.unwrap_or_default()
    }
}

/// A fault of an annotation.
pub(super) fn fault(name: &str, message: impl Into<String>) -> Fault {
    Fault::unsupported(format!("metadata.annotations[{PREFIX}{name}]"), message)
}

/// The parts between commas, without spaces.
pub(super) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
}

fn millis(text: &str) -> Option<u64> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
    let unit = units
        .iter()
        .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, *unit)));
    let (digits, unit) = unit.unwrap_or((text, 1_000));
    digits_of(digits)?.checked_mul(unit)
}

/// Bytes: a number, with `k`, `m` or `g` behind it for powers of 1024 in either case, as nginx has it, or `Ki`, `Mi`, `Gi`.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let lower = lower.strip_suffix('i').unwrap_or(&lower);
    let units = [('k', 1 << 10), ('m', 1 << 20), ('g', 1 << 30)];
    let unit = units
        .iter()
        .find_map(|(suffix, unit)| Some((lower.strip_suffix(*suffix)?, *unit)));
    let (digits, unit) = unit.unwrap_or((lower, 1));
    digits_of(digits)?.checked_mul(unit)
}

fn digits_of(text: &str) -> Option<u64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests {
    use super::{bytes, millis};

    #[test]
    fn times_are_seconds_unless_they_say_otherwise() {
        for (text, expect) in [
            ("60", Some(60_000)),
            ("60s", Some(60_000)),
            ("250ms", Some(250)),
            ("2m", Some(120_000)),
            ("1h", Some(3_600_000)),
            ("", None),
            ("s", None),
            ("1.5s", None),
            ("-1", None),
            ("+1", None),
            ("18446744073709551615h", None),
        ] {
            assert_eq!(millis(text), expect, "{text:?}");
        }
    }

    #[test]
    fn sizes_are_those_of_nginx() {
        for (text, expect) in [
            ("0", Some(0)),
            ("100", Some(100)),
            ("8k", Some(8 << 10)),
            ("8M", Some(8 << 20)),
            ("8Mi", Some(8 << 20)),
            ("1g", Some(1 << 30)),
            ("", None),
            ("m", None),
            ("8mb", None),
            ("1.5m", None),
        ] {
            assert_eq!(bytes(text), expect, "{text:?}");
        }
    }
}
