//! Names, labels and owner references of native objects: readable, and never the same for two owners.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use novaedge_api::gateway::GROUP;
use novaedge_api::meta::{Kind, ObjectKey};
use novaedge_api::native;
use sha2::{Digest as _, Sha256};

use crate::plan::{BackendKey, Traffic};

/// The longest name that the API server takes (RFC 1123 subdomain).
const NAME_LIMIT: usize = 253;
/// The longest label value that the API server takes.
const LABEL_LIMIT: usize = 63;
/// Digits of a hash in a shortened name.
const HASH_DIGITS: usize = 10;

/// Endings that native names of routes are kept apart by.
const ROUTE_SUFFIXES: [(Kind, &str); 6] = [
    (Kind::HttpRoute, "-httproute"),
    (Kind::GrpcRoute, "-grpcroute"),
    (Kind::TlsRoute, "-tlsroute"),
    (Kind::TcpRoute, "-tcproute"),
    (Kind::UdpRoute, "-udproute"),
    (Kind::Ingress, "-ingress"),
];

/// Name of the ProxyGateway of a Gateway.
pub fn proxy_gateway(gateway: &ObjectKey) -> ObjectKey {
    gateway.clone()
}

/// Name of the ProxyRoute of a route. An HTTPRoute keeps its name and the other kinds get the kind behind theirs. An
/// HTTPRoute whose name ends like that of another kind gets its kind, too, so that no two routes share a name.
pub fn proxy_route(kind: Kind, route: &ObjectKey) -> ObjectKey {
    // `example-httproute` stays what it is; `x-tcproute` and then `x-tcproute-httproute` move out of the way, and so
    // do long names that look like shortened ones.
    let stem = route.name.trim_end_matches("-httproute");
    let reserved = ROUTE_SUFFIXES
        .iter()
        .any(|(kind, suffix)| *kind != Kind::HttpRoute && stem.ends_with(suffix))
        || (stem != route.name && route.name.len() >= NAME_LIMIT - 1 && ends_in_hash(stem));
    let suffix = ROUTE_SUFFIXES
        .iter()
        .find(|(candidate, _)| *candidate == kind)
        .filter(|(kind, _)| reserved || *kind != Kind::HttpRoute)
        .map_or("", |(_, suffix)| *suffix);
    ObjectKey::new(&route.namespace, fit(&route.name, suffix, kind.as_str()))
}

/// Name of the ProxyBackend of a Service's port: `service-port`, and `-tcp` or `-udp` for what is not HTTP; for an Ingress
/// that says how it is spoken to, `ingress.service-port`. Names of Services hold no dots and ports no letters, so no two
/// keys share a name.
pub fn proxy_backend(key: &BackendKey) -> ObjectKey {
    let suffix = match key.traffic {
        Traffic::Http => "",
        Traffic::Tcp => "-tcp",
        Traffic::Udp => "-udp",
    };
    let suffix = format!("-{}{suffix}", key.port);
    if let Some(ingress) = &key.tuned_by {
        let stem = format!("{ingress}.{}", key.service.name);
        let name = fit(&stem, &suffix, Kind::Ingress.as_str());
        return ObjectKey::new(&key.service.namespace, name);
    }
    let name = fit(&key.service.name, &suffix, Kind::Service.as_str());
    ObjectKey::new(&key.service.namespace, name)
}

/// Name of the ProxyGateway of an IngressClass.
pub fn ingress_gateway(namespace: &str, class: &str) -> ObjectKey {
    let name = fit(class, "-ingress", Kind::IngressClass.as_str());
    ObjectKey::new(namespace, name)
}

/// Native name of a listener for a host: as given, with a hash behind names that are too long.
pub(crate) fn listener_of_host(name: &str) -> String {
    if name.len() <= NAME_LIMIT {
        return name.to_owned();
    }
    dotted(name, &["Host", name])
}

/// Native name of a Gateway's own listener: as written, with a hash behind names that look like those of listeners of
/// ListenerSets, or as long as those with a hash.
pub fn gateway_listener(section_name: &str) -> String {
    if section_name.matches('.').count() < 2 && section_name.len() < NAME_LIMIT - 1 {
        return section_name.to_owned();
    }
    dotted(section_name, &["Gateway", section_name])
}

/// Native name of a listener of a ListenerSet: `namespace.set.section`, with a hash behind names that are too long, or
/// hold dots and so could be split in two ways.
pub fn set_listener(set: &ObjectKey, section_name: &str) -> String {
    let name = format!("{}.{}.{section_name}", set.namespace, set.name);
    let ambiguous = set.name.contains('.') || section_name.contains('.');
    if !ambiguous && name.len() <= NAME_LIMIT {
        return name;
    }
    dotted(
        &name,
        &["ListenerSet", &set.namespace, &set.name, section_name],
    )
}

/// The beginning of a name, and a hash of the parts behind a dot.
fn dotted(name: &str, parts: &[&str]) -> String {
    let keep = prefix(name, NAME_LIMIT - HASH_DIGITS - 1);
    // A dash may not stand before a dot.
    let body = keep.trim_end_matches('-');
    let padding = "x".repeat(keep.len() - body.len());
    format!("{body}{padding}.{}", hash_of(parts))
}

/// A label value that stands for `text`: itself where it fits, else its beginning and a hash.
pub fn label_value(text: &str) -> String {
    shorten(text.to_owned(), LABEL_LIMIT)
}

/// Metadata of a native object that is made for `owner`, an object of `kind`, in the same namespace.
pub fn native_metadata(key: ObjectKey, kind: Kind, owner: &ObjectMeta) -> ObjectMeta {
    let owner_key = ObjectKey::of(owner);
    // Kinds without namespaces have two parts.
    let path = format!("{kind}/{owner_key}");
    let label = label_value(&path.replace('/', "."));
    ObjectMeta {
        name: Some(key.name),
        namespace: Some(key.namespace),
        labels: Some(BTreeMap::from([(native::OWNER.to_owned(), label)])),
        annotations: Some(BTreeMap::from([(native::OWNER.to_owned(), path)])),
        owner_references: Some(vec![owner_reference(kind, owner)]),
        ..ObjectMeta::default()
    }
}

/// A reference that lets the garbage collector remove what was made for `owner`.
pub fn owner_reference(kind: Kind, owner: &ObjectMeta) -> OwnerReference {
    OwnerReference {
        api_version: api_version(kind),
        kind: kind.as_str().to_owned(),
        name: owner.name.clone().unwrap_or_default(),
        uid: uid(kind, owner),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// The object's uid, or one that follows from its kind, namespace and name where no API server gave one (RFC 9562,
/// version 8).
pub fn uid(kind: Kind, object: &ObjectMeta) -> String {
    if let Some(uid) = &object.uid {
        return uid.clone();
    }
    let key = ObjectKey::of(object);
    let digest = digest_of(&[kind.as_str(), &key.namespace, &key.name]);
    let mut hex = String::with_capacity(36);
    for (index, byte) in digest.into_iter().take(16).enumerate() {
        let byte = match index {
            6 => 0x80 | (byte & 0x0f),
            8 => 0x80 | (byte & 0x3f),
            _ => byte,
        };
        if matches!(index, 4 | 6 | 8 | 10) {
            hex.push('-');
        }
        push_hex(&mut hex, byte);
    }
    hex
}

/// The `apiVersion` of a kind that is written out.
pub fn api_version(kind: Kind) -> String {
    match kind.group() {
        "" => "v1".to_owned(),
        GROUP => format!("{GROUP}/v1"),
        native::GROUP => format!("{}/{}", native::GROUP, native::VERSION),
        group => format!("{group}/v1"),
    }
}

/// `text` where it has at most `limit` bytes, else its beginning and a hash. The limit is at least 16.
pub fn shorten(text: String, limit: usize) -> String {
    if text.len() <= limit {
        return text;
    }
    let hash = hash_of(&[&text]);
    format!("{}-{hash}", prefix(&text, limit - HASH_DIGITS - 1))
}

/// `stem` and `suffix`; where they are too long together, the beginning of the stem and a hash of all of it. A name
/// that somebody gave and that looks like one with a hash gets a hash of its own, so that it is not mistaken for it.
fn fit(stem: &str, suffix: &str, kind: &str) -> String {
    let length = stem.len() + suffix.len();
    // At a dot the beginning is a byte shorter, as a name may not go on with a dash there.
    let hashed = length >= NAME_LIMIT - 1 && ends_in_hash(stem);
    if length <= NAME_LIMIT && !hashed {
        return format!("{stem}{suffix}");
    }
    let hash = hash_of(&[kind, stem]);
    let room = NAME_LIMIT - suffix.len() - HASH_DIGITS - 1;
    format!("{}-{hash}{suffix}", prefix(stem, room))
}

fn ends_in_hash(text: &str) -> bool {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    match text.rsplit_once('-') {
        Some((_, hash)) => hash.len() == HASH_DIGITS && hash.as_bytes().iter().all(is_digit),
        None => false,
    }
}

/// At most `limit` bytes from the beginning, without a dot at their end.
fn prefix(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let start = text.get(..end).unwrap_or_default();
    start.strip_suffix('.').unwrap_or(start)
}

fn hash_of(parts: &[&str]) -> String {
    let mut hex = String::with_capacity(HASH_DIGITS);
    for byte in digest_of(parts).into_iter().take(HASH_DIGITS / 2) {
        push_hex(&mut hex, byte);
    }
    hex
}

fn digest_of(parts: &[&str]) -> impl IntoIterator<Item = u8> + use<> {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.as_bytes());
        hasher.update([0]);
    }
    hasher.finalize()
}

fn push_hex(text: &mut String, byte: u8) {
    write!(text, "{byte:02x}").expect("writing to a String never fails");
}

#[cfg(test)]
mod tests;
