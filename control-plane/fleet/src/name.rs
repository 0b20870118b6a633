//! Names and labels of what the fleet makes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use novaedge_api::meta::ObjectKey;
use novaedge_translate::names;
use sha2::{Digest as _, Sha256};

/// The label that tells the Services of the fleet from others.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The label that tells the EndpointSlices of the fleet from those of other controllers.
pub const SLICE_MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// The value of both.
pub const MANAGER: &str = "novaedge";
/// The label that names the Gateway, shortened with a hash where it is too long for a label.
pub const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";
/// The label by which EndpointSlices belong to Services.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// The annotation that names the Gateway in full.
pub const GATEWAY: &str = "novaedge.io/gateway";
/// The annotation that holds a hash of what was written, so that what is no longer wanted is seen.
pub const WRITTEN: &str = "novaedge.io/written";

/// The longest name of a Service (RFC 1035 label).
const NAME_LIMIT: usize = 63;
/// Digits of a hash in a name.
const HASH_DIGITS: usize = 10;

/// Names for the Service of a Gateway, the best first: the Gateway's own where a Service can have it, then the
/// beginning of it with a hash.
pub(crate) fn service_names(gateway: &str) -> impl Iterator<Item = String> {
    let own = is_service_name(gateway).then(|| gateway.to_owned());
    own.into_iter().chain((0_u32..).map(|attempt| {
        let hash = hex(&[gateway, &attempt.to_string()], HASH_DIGITS);
        let mut stem: String = gateway
            .chars()
            .map(|c| if c == '.' { '-' } else { c })
            .collect();
        if !stem.starts_with(|c: char| c.is_ascii_lowercase()) {
            stem.insert_str(0, "gw-");
        }
        stem.truncate(NAME_LIMIT - HASH_DIGITS - 1);
        format!("{}-{hash}", stem.trim_end_matches('-'))
    }))
}

fn is_service_name(text: &str) -> bool {
    text.len() <= NAME_LIMIT
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && text
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// The labels of everything that is made for a Gateway.
pub(crate) fn labels(gateway: &ObjectKey) -> BTreeMap<String, String> {
    BTreeMap::from([
        (MANAGED_BY.to_owned(), MANAGER.to_owned()),
        (GATEWAY_NAME.to_owned(), names::label_value(&gateway.name)),
    ])
}

/// The beginning of a hash of several texts, in hexadecimal digits.
pub(crate) fn hex(parts: &[&str], digits: usize) -> String {
    let mut text = String::with_capacity(64);
    for byte in digest(parts) {
        write!(text, "{byte:02x}").expect("writing to a String never fails");
    }
    text.truncate(digits);
    text
}

/// A number that follows from several texts.
pub(crate) fn number(parts: &[&str]) -> u64 {
    let bytes = digest(parts).into_iter().take(8);
    bytes.fold(0, |number, byte| number << 8 | u64::from(byte))
}

fn digest(parts: &[&str]) -> impl IntoIterator<Item = u8> + use<> {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.as_bytes());
        hasher.update([0]);
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::service_names;

    #[test]
    fn names_of_services_are_dns_labels() {
        let check = |gateway: &str, begins: &str| {
            let name = service_names(gateway).next().unwrap_or_default();
            assert!(super::is_service_name(&name), "{name}");
            let rest = name.strip_prefix(begins);
            let hash = rest.map(str::len);
            assert!(matches!(hash, Some(0 | 10)), "{name} begins with {begins}");
        };
        check("edge", "edge");
        check("a.b", "a-b-");
        check("8080-gateway", "gw-8080-gateway-");
        check(&"a".repeat(63), &"a".repeat(63));
        check(&"a".repeat(253), &format!("{}-", "a".repeat(52)));
        // A dash at the end of the beginning would make two in a row.
        check(
            &format!("{}.bbbbbbbbbbbb", "a".repeat(51)),
            &format!("{}-", "a".repeat(51)),
        );
    }

    #[test]
    fn the_next_name_is_another_one() {
        let names: Vec<String> = service_names("edge").take(3).collect();
        assert_eq!(names.len(), 3);
        assert_eq!(names[0], "edge");
        assert!(names[1] != names[2] && names[1].starts_with("edge-"));
    }
}
