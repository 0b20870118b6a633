use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use novaedge_api::meta::{Kind, ObjectKey};
use proptest::prelude::*;

use super::*;

const ROUTES: [Kind; 6] = [
    Kind::HttpRoute,
    Kind::GrpcRoute,
    Kind::TlsRoute,
    Kind::TcpRoute,
    Kind::UdpRoute,
    Kind::Ingress,
];

fn route(kind: Kind, name: &str) -> String {
    proxy_route(kind, &ObjectKey::new("web", name)).name
}

fn backend(service: &str, port: u16, traffic: Traffic) -> String {
    let service = ObjectKey::new("web", service);
    let key = BackendKey {
        service,
        port,
        traffic,
        tuned_by: None,
    };
    proxy_backend(&key).name
}

/// RFC 1123 subdomain, as the API server checks it.
fn is_name(name: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let label = |label: &str| {
        let bytes = label.as_bytes();
        let ends = bytes.first().zip(bytes.last());
        ends.is_some_and(|(first, last)| alphanumeric(*first) && alphanumeric(*last))
            && bytes
                .iter()
                .all(|byte| alphanumeric(*byte) || *byte == b'-')
    };
    name.len() <= NAME_LIMIT && name.split('.').all(label)
}

#[test]
fn a_backend_of_an_ingress_is_told_from_those_of_services() {
    let key = |ingress: Option<&str>, service: &str| BackendKey {
        service: ObjectKey::new("web", service),
        port: 80,
        traffic: Traffic::Http,
        tuned_by: ingress.map(Box::from),
    };
    assert_eq!(proxy_backend(&key(None, "api")).name, "api-80");
    assert_eq!(proxy_backend(&key(Some("shop"), "api")).name, "shop.api-80");
    let long = "x".repeat(250);
    let name = proxy_backend(&key(Some(&long), "api")).name;
    assert!(is_name(&name), "{name}");
}

#[test]
fn an_httproute_keeps_its_name_and_other_kinds_add_theirs() {
    assert_eq!(route(Kind::HttpRoute, "web"), "web");
    assert_eq!(route(Kind::GrpcRoute, "web"), "web-grpcroute");
    assert_eq!(route(Kind::TcpRoute, "web"), "web-tcproute");
    assert_eq!(
        route(Kind::HttpRoute, "example-httproute"),
        "example-httproute"
    );
}

#[test]
fn an_httproute_named_like_the_native_of_a_tcproute_moves_out_of_the_way() {
    assert_eq!(
        route(Kind::HttpRoute, "web-tcproute"),
        "web-tcproute-httproute"
    );
    assert_eq!(
        route(Kind::HttpRoute, "web-tcproute-httproute"),
        "web-tcproute-httproute-httproute"
    );
}

#[test]
fn names_of_253_characters_are_shortened_to_names() {
    let long = "x".repeat(253);
    let dotted = format!("{}.{}", "x".repeat(231), "y".repeat(21));
    assert_eq!(route(Kind::HttpRoute, &long), long);
    for kind in ROUTES {
        for name in [&long, &dotted] {
            let native = route(kind, name);
            assert!(is_name(&native), "{native}");
        }
    }
    let other = format!("{}y", "x".repeat(252));
    assert_ne!(route(Kind::TcpRoute, &long), route(Kind::TcpRoute, &other));
    assert!(is_name(&backend(&long, 65_535, Traffic::Udp)));
    assert!(is_name(&set_listener(&ObjectKey::new("n", &long), &long)));
    assert!(is_name(&gateway_listener(&long)));
}

#[test]
fn a_name_that_looks_shortened_is_not_mistaken_for_one() {
    let long = "x".repeat(253);
    let native = route(Kind::TcpRoute, &long);
    let stem = native.strip_suffix("-tcproute").unwrap();
    assert_ne!(route(Kind::TcpRoute, stem), native);

    let reserved = format!("{}-tcproute", "x".repeat(244));
    let native = route(Kind::HttpRoute, &reserved);
    assert!(native.ends_with("-httproute"), "{native}");
    assert_ne!(route(Kind::HttpRoute, &native), native);

    let native = backend(&long, 80, Traffic::Http);
    let stem = native.strip_suffix("-80").unwrap();
    assert_ne!(backend(stem, 80, Traffic::Http), native);

    let dotted = format!("{}.b.c", "x".repeat(249));
    let native = gateway_listener(&dotted);
    assert_ne!(gateway_listener(&native), native);
}

#[test]
fn ports_and_traffic_keep_backends_apart() {
    assert_eq!(backend("web", 80, Traffic::Http), "web-80");
    assert_eq!(backend("web", 80, Traffic::Tcp), "web-80-tcp");
    assert_eq!(backend("web", 80, Traffic::Udp), "web-80-udp");
    assert_eq!(backend("web-80", 90, Traffic::Http), "web-80-90");
}

#[test]
fn labels_are_at_most_63_characters_and_tell_owners_apart() {
    let long = |end: &str| format!("HTTPRoute.web.{}{end}", "x".repeat(252));
    let (a, b) = (label_value(&long("a")), label_value(&long("b")));
    assert_eq!((a.len(), b.len()), (LABEL_LIMIT, LABEL_LIMIT));
    assert_ne!(a, b);
    assert_eq!(label_value("HTTPRoute.web.site"), "HTTPRoute.web.site");
}

#[test]
fn an_object_without_a_uid_gets_one_that_stays() {
    let mut object = ObjectMeta {
        name: Some("web".to_owned()),
        namespace: Some("infra".to_owned()),
        ..ObjectMeta::default()
    };
    let made = uid(Kind::HttpRoute, &object);
    assert_eq!(made, uid(Kind::HttpRoute, &object));
    assert_ne!(made, uid(Kind::TcpRoute, &object));
    let lengths: Vec<usize> = made.split('-').map(str::len).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 12]);
    assert_eq!(
        made.as_bytes().get(14),
        Some(&b'8'),
        "RFC 9562 version 8: {made}"
    );
    object.uid = Some("given".to_owned());
    assert_eq!(uid(Kind::HttpRoute, &object), "given");
}

/// Names put together from the parts that names of natives are told apart by.
fn names() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "a",
        "b",
        "80",
        "tcp",
        "httproute",
        "tcproute",
        "grpcroute",
        "0123456789",
    ]);
    let joint = prop::sample::select(vec!["-", "-", "."]);
    let parts = prop::collection::vec((part, joint), 1..5);
    let run = prop::sample::select(vec![0usize, 0, 0, 200, 231, 232, 233, 242, 244]);
    (parts, run).prop_map(|(parts, run)| {
        let mut name = "x".repeat(run);
        for (part, joint) in parts {
            if !name.is_empty() {
                name.push_str(joint);
            }
            name.push_str(part);
        }
        name.truncate(NAME_LIMIT);
        name.trim_end_matches(['-', '.']).to_owned()
    })
}

/// Fails when two owners get one name, or one gets what is no name.
fn check_apart<O: Clone + Ord + std::fmt::Debug>(
    owners: impl IntoIterator<Item = O>,
    name: impl Fn(&O) -> String,
) -> Result<(), TestCaseError> {
    let mut taken: BTreeMap<String, O> = BTreeMap::new();
    for owner in owners {
        let native = name(&owner);
        prop_assert!(is_name(&native), "{owner:?} gets {native}");
        if let Some(other) = taken.insert(native.clone(), owner.clone()) {
            prop_assert_eq!(other, owner, "both get {}", native);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_two_routes_share_a_native_name(given in prop::collection::vec(names(), 1..12)) {
        // Names of natives are names that users may give, too, with their endings and without.
        let natives = given.iter().flat_map(|name| ROUTES.map(|kind| route(kind, name)));
        let natives: Vec<String> = natives.collect();
        let cut = natives.iter().filter_map(|name| name.rsplit_once('-')).map(|(stem, _)| stem.to_owned());
        let cut: Vec<String> = cut.filter(|name| is_name(name)).collect();
        let all = given.iter().chain(&natives).chain(&cut);
        let owners = all.flat_map(|name| ROUTES.map(|kind| (kind, name.clone())));
        check_apart(owners, |(kind, name)| route(*kind, name))?;
    }

    #[test]
    fn no_two_ports_share_a_native_name(given in prop::collection::vec(names(), 1..12)) {
        let keys = given.iter().flat_map(|name| {
            let ports = [80, 8080, 1].into_iter();
            ports.flat_map(move |port| {
                [Traffic::Http, Traffic::Tcp, Traffic::Udp].map(|traffic| (name.clone(), port, traffic))
            })
        });
        check_apart(keys, |(name, port, traffic)| backend(name, *port, *traffic))?;
    }

    #[test]
    fn no_two_listeners_of_a_gateway_share_a_native_name(given in prop::collection::vec(names(), 1..12)) {
        let own = given.iter().map(|name| (None, name.clone()));
        let sets = given.iter().zip(given.iter().rev());
        let sets = sets.flat_map(|(set, section)| {
            ["web", "tcp"].map(|namespace| (Some(ObjectKey::new(namespace, set)), section.clone()))
        });
        check_apart(own.chain(sets), |(set, section)| match set {
            Some(set) => set_listener(set, section),
            None => gateway_listener(section),
        })?;
    }
}
