//! Random worlds from small pools, so that routes and requests meet often.

use novaedge_proto::v1;
use proptest::{collection::vec, option, prelude::*, sample::select};
use v1::{PathMatchType, StringMatchType};

use super::resources::{Request, gateway, listener, route, route_name, strings};

/// The listeners of the HTTP socket, with their hostnames.
pub const LISTENERS: [(&str, &str); 3] = [
    ("listener/infra/gw/any", ""),
    ("listener/infra/gw/exact", "a.example.com"),
    ("listener/infra/gw/wild", "*.example.com"),
];

/// The listeners of the TLS socket, with their hostnames.
pub const SECURE_LISTENERS: [(&str, &str); 2] = [
    ("listener/infra/gw/tls", ""),
    ("listener/infra/gw/tls-wild", "*.example.com"),
];

const L4_LISTENERS: [&str; 2] = ["listener/infra/gw/tcp", "listener/infra/gw/udp"];

const HOSTNAMES: [&str; 7] = [
    "*.com",
    "*.example.com",
    "*.a.example.com",
    "example.com",
    "a.example.com",
    "b.a.example.com",
    "example.org",
];

/// Routes on the listeners of one Gateway.
#[derive(Clone, Debug)]
pub struct World {
    pub routes: Vec<v1::Route>,
}

/// A step for a builder.
#[derive(Clone, Debug, Default)]
pub struct Step {
    pub upserts: Vec<v1::Resource>,
    pub removed: Vec<String>,
}

impl World {
    pub fn resources(&self) -> Vec<v1::Resource> {
        let mut resources = vec![gateway("gateway/infra/gw")];
        resources.extend(
            LISTENERS.map(|(name, hostname)| listener(name, v1::Protocol::Http, 80, hostname)),
        );
        resources.extend(
            SECURE_LISTENERS
                .map(|(name, hostname)| listener(name, v1::Protocol::Tls, 443, hostname)),
        );
        resources.push(listener(L4_LISTENERS[0], v1::Protocol::Tcp, 90, ""));
        resources.push(listener(L4_LISTENERS[1], v1::Protocol::Udp, 90, ""));
        resources.extend(self.routes.iter().map(route));
        resources
    }
}

pub fn world() -> impl Strategy<Value = World> {
    vec(any_route(), 1..48).prop_map(|mut routes| {
        // Names are unique in a snapshot.
        routes.sort_by_key(route_name);
        routes.dedup_by_key(|route| route_name(route));
        World { routes }
    })
}

/// Steps that lead to a world: its resources in any order and any portions, among them others that vanish again.
pub fn steps(world: &World) -> impl Strategy<Value = Vec<Step>> + use<> {
    let wanted = Just(world.resources()).prop_shuffle();
    (
        wanted,
        vec(any_route(), 0..12),
        vec(1_usize..9, 40),
        any::<bool>(),
    )
        .prop_map(|(wanted, strangers, sizes, late)| {
            let mut steps = Vec::new();
            // The strangers come first: some are replaced by a wanted resource of the same name, the others removed.
            let names: Vec<String> = wanted
                .iter()
                .map(|resource| resource.name.clone())
                .collect();
            let removed: Vec<String> = strangers
                .iter()
                .map(route_name)
                .filter(|name| !names.contains(name))
                .collect();
            steps.push(Step {
                upserts: strangers.iter().map(route).collect(),
                removed: Vec::new(),
            });
            let mut rest = wanted.into_iter();
            for size in sizes {
                steps.push(Step {
                    upserts: rest.by_ref().take(size).collect(),
                    removed: Vec::new(),
                });
            }
            steps.push(Step {
                upserts: rest.collect(),
                removed: Vec::new(),
            });
            let at = if late { steps.len() - 1 } else { 1 };
            steps[at].removed = removed;
            steps
        })
}

pub fn requests(count: usize) -> impl Strategy<Value = Vec<Request>> {
    let hosts = [
        "example.com",
        "a.example.com",
        "b.example.com",
        "b.a.example.com",
        "c.b.a.example.com",
        "example.org",
        "x.com",
        "com",
        "a.example.com.",
        "",
    ];
    let paths = [
        "/", "/a", "/a/", "/a/b", "/a/b/", "/a/b/c", "/ab", "/b", "/S", "/S/M", "/T/M", "/S/N",
        "/S/M/x", "//M", "*", "/a//b",
    ];
    let queries = [
        "q=1",
        "q=2",
        "%71=%31",
        "q=2&q=1",
        "x=1&q=1",
        "q=a+b",
        "q=a%20b&r=1",
        "r=1&q",
        "r=1",
        "",
    ];
    let header = (select(&["x", "y"][..]), select(&["1", "2", "12"][..]));
    let headers = vec(
        header.prop_map(|(name, value)| (name.to_owned(), value.to_owned())),
        0..3,
    );
    let request = (
        select(&["GET", "POST"][..]),
        select(hosts.to_vec()),
        select(paths.to_vec()),
        option::of(select(queries.to_vec())),
        headers,
        any::<bool>(),
    );
    let request = request.prop_map(|(method, host, path, query, headers, grpc)| Request {
        method: method.to_owned(),
        host: host.to_owned(),
        path: path.to_owned(),
        query: query.map(str::to_owned),
        headers,
        grpc,
    });
    vec(request, count)
}

fn any_route() -> impl Strategy<Value = v1::Route> {
    use v1::RouteKind::{Grpc, Http, Tcp, Tls, Udp};
    let object = (
        select(&["a", "a-b"][..]),
        select(&["x", "x-y", "z", "x.y"][..]),
        0_u32..4,
        0_i64..3,
    );
    let kind = select(vec![Http, Http, Http, Http, Grpc, Grpc, Tls, Tls, Tcp, Udp]);
    let hostnames = vec(select(&HOSTNAMES[..]), 0..3);
    (
        kind,
        object,
        hostnames,
        (vec(any::<bool>(), 3), any::<bool>()),
        vec(http_match(), 0..4),
        vec(grpc_match(), 0..3),
    )
        .prop_map(
            |(
                kind,
                (namespace, name, rule_index, created),
                hostnames,
                (on, single_label_wildcards),
                http_matches,
                grpc_matches,
            )| {
                let listeners: Vec<(&str, &str)> = match kind {
                    Tls => SECURE_LISTENERS.to_vec(),
                    Tcp => vec![(L4_LISTENERS[0], "")],
                    Udp => vec![(L4_LISTENERS[1], "")],
                    _ => LISTENERS.to_vec(),
                };
                let bindings = listeners
                    .into_iter()
                    .zip(on)
                    .filter(|(_, on)| *on)
                    .filter_map(|((listener, hostname), _)| binding(listener, hostname, &hostnames))
                    .collect();
                v1::Route {
                    r#ref: Some(v1::ObjectRef {
                        kind: format!("{kind:?}Route"),
                        namespace: namespace.to_owned(),
                        name: name.to_owned(),
                    }),
                    kind: kind.into(),
                    rule_index,
                    created,
                    hostnames: strings(&hostnames),
                    single_label_wildcards,
                    bindings,
                    http_matches: if kind == Http {
                        http_matches
                    } else {
                        Vec::new()
                    },
                    grpc_matches: if kind == Grpc {
                        grpc_matches
                    } else {
                        Vec::new()
                    },
                    ..v1::Route::default()
                }
            },
        )
}

/// The binding that the control plane would make: the intersection of both sides' hostnames, if there is one.
fn binding(listener: &str, hostname: &str, own: &[&str]) -> Option<v1::Binding> {
    let bound = |hostnames| {
        Some(v1::Binding {
            listener: listener.to_owned(),
            hostnames,
        })
    };
    match (hostname, own) {
        ("", []) => bound(Vec::new()),
        ("", own) => bound(strings(own)),
        (hostname, []) => bound(strings(&[hostname])),
        (hostname, own) => {
            let both: Vec<&str> = own
                .iter()
                .filter_map(|own| intersection(hostname, own))
                .collect();
            if both.is_empty() {
                None
            } else {
                bound(strings(&both))
            }
        }
    }
}

fn intersection<'a>(a: &'a str, b: &'a str) -> Option<&'a str> {
    let within = |narrow: &str, wide: &str| {
        narrow == wide
            || wide.strip_prefix('*').is_some_and(|suffix| {
                narrow.strip_prefix('*').unwrap_or(narrow).ends_with(suffix)
                    && narrow.len() > suffix.len()
            })
    };
    if within(b, a) {
        Some(b)
    } else if within(a, b) {
        Some(a)
    } else {
        None
    }
}

fn http_match() -> impl Strategy<Value = v1::HttpMatch> {
    use PathMatchType::{Exact, Prefix, RegularExpression};
    let paths = [
        (Exact, "/"),
        (Exact, "/a"),
        (Exact, "/a/"),
        (Exact, "/a/b"),
        (Exact, "/S/M"),
        (Prefix, "/"),
        (Prefix, "/a"),
        (Prefix, "/a/"),
        (Prefix, "/a/b"),
        (Prefix, "/a/b/c"),
        (Prefix, "/S"),
        (Prefix, "/b"),
        (RegularExpression, "/a.*"),
        (RegularExpression, "/[ab]"),
        (RegularExpression, ".*/b?"),
        (RegularExpression, "/a|/b"),
    ];
    let path = option::weighted(0.9, select(paths.to_vec()));
    let method = select(&["", "", "GET", "POST"][..]);
    (path, method, headers(), params()).prop_map(|(path, method, headers, query_params)| {
        v1::HttpMatch {
            path: path.map(|(kind, value)| v1::PathMatch {
                r#type: kind.into(),
                value: value.to_owned(),
            }),
            method: method.to_owned(),
            headers,
            query_params,
        }
    })
}

fn grpc_match() -> impl Strategy<Value = v1::GrpcMatch> {
    use StringMatchType::{Exact, RegularExpression};
    let targets = [
        (Exact, "S", "M"),
        (Exact, "S", ""),
        (Exact, "", "M"),
        (Exact, "T", "M"),
        (Exact, "", ""),
        (RegularExpression, "[ST]", "M"),
        (RegularExpression, "S", ""),
        (RegularExpression, "", ".*"),
    ];
    (select(targets.to_vec()), headers()).prop_map(|((kind, service, method), headers)| {
        v1::GrpcMatch {
            r#type: kind.into(),
            service: service.to_owned(),
            method: method.to_owned(),
            headers,
        }
    })
}

fn headers() -> impl Strategy<Value = Vec<v1::NameValueMatch>> {
    use StringMatchType::{Exact, RegularExpression};
    let pairs = [
        (Exact, "x", "1"),
        (Exact, "X", "2"),
        (Exact, "y", "1,2"),
        (RegularExpression, "y", "1.*"),
        (Exact, "y", "2"),
    ];
    named(pairs.to_vec())
}

fn params() -> impl Strategy<Value = Vec<v1::NameValueMatch>> {
    use StringMatchType::{Exact, RegularExpression};
    let pairs = [
        (Exact, "q", "1"),
        (Exact, "q", "a b"),
        (RegularExpression, "q", "[12]"),
        (Exact, "r", "1"),
        (Exact, "q", ""),
    ];
    named(pairs.to_vec())
}

fn named(
    pairs: Vec<(StringMatchType, &'static str, &'static str)>,
) -> impl Strategy<Value = Vec<v1::NameValueMatch>> {
    let one = select(pairs).prop_map(|(kind, name, value)| v1::NameValueMatch {
        r#type: kind.into(),
        name: name.to_owned(),
        value: value.to_owned(),
    });
    prop_oneof![3 => Just(Vec::new()), 2 => vec(one, 1..3)]
}
