//! How long request bodies may be: an annotation of the route, for the Gateway API has no field for it.

use novaedge_api::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use novaedge_api::native::MAX_REQUEST_BODY_SIZE;

use super::fault::Fault;

/// Bytes, if there is a limit; or what is wrong with it.
pub(super) type Limit = Result<Option<u64>, Fault>;

/// Suffixes of quantities, and what they stand for.
const UNITS: [(&str, u64); 8] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
];

/// The limit that a route's annotation sets for all of its rules.
pub(super) fn limit(metadata: &ObjectMeta) -> Limit {
    let annotations = metadata.annotations.as_ref();
    let Some(text) = annotations.and_then(|all| all.get(MAX_REQUEST_BODY_SIZE)) else {
        return Ok(None);
    };
    bytes(text).map(Some).ok_or_else(|| {
        let field = format!("metadata.annotations[{MAX_REQUEST_BODY_SIZE}]");
        let message = format!("\"{text}\" is no size; write bytes, or a quantity such as 10Mi");
        Fault::unsupported(field, message)
    })
}

fn bytes(text: &str) -> Option<u64> {
    let unit = UNITS
        .iter()
        .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, *unit)));
    let (digits, unit) = unit.unwrap_or((text, 1));
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = digits.parse().ok().filter(|_| is_number)?;
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bytes_or_quantities() {
        for (text, expect) in [
            ("0", Some(0)),
            ("1000", Some(1_000)),
            ("8k", Some(8_000)),
            ("10Mi", Some(10 << 20)),
            ("16Ti", Some(16 << 40)),
            ("", None),
            ("Mi", None),
            ("+1", None),
            ("1.5Mi", None),
            ("1 Mi", None),
            ("10MB", None),
            ("99999999999999999999", None),
            ("99999999999Ti", None),
        ] {
            assert_eq!(bytes(text), expect, "{text:?}");
        }
    }
}
