//! What steps do to the tables: refusals, identity, sockets.

#[path = "support/resources.rs"]
#[allow(dead_code)] // Shared with other tests.
mod resources;

use std::sync::Arc;

use novaedge_proto::v1;
use novaedge_router::{Authority, HttpSocket, Socket, Tables, TablesBuilder, Target, TlsTarget};
use v1::{PathMatchType, Protocol, resource::Body};

use self::resources::{
    LISTENER, Request, exact, gateway, http_gateway, listener, path, prefix, resource, route, rule,
    strings,
};

fn http(tables: &Tables) -> &HttpSocket {
    let socket = tables.sockets.values().find_map(|socket| match &**socket {
        Socket::Http(socket) => Some(socket),
        _ => None,
    });
    socket.expect("an HTTP socket")
}

fn winner(tables: &Tables, request: &Request) -> Option<String> {
    let matched = http(tables).listener(&request.host)?.route(request)?;
    Some(matched.rule.id.name().to_owned())
}

fn with_path(name: &str, own: &str, matched: v1::HttpMatch) -> v1::Route {
    v1::Route {
        hostnames: strings(&[own]),
        http_matches: vec![matched],
        ..rule(name, 0)
    }
}

fn bad_filter() -> v1::Filter {
    let remove = strings(&["bad header"]);
    let modifier = v1::HeaderModifier {
        remove,
        ..v1::HeaderModifier::default()
    };
    v1::Filter {
        kind: Some(v1::filter::Kind::RequestHeaders(modifier)),
    }
}

#[test]
fn a_match_with_a_bad_expression_never_matches_and_the_others_stay() {
    let mut builder = TablesBuilder::new();
    builder.apply(http_gateway(), &[]);
    let mut bad = rule("bad", 0);
    bad.http_matches = vec![path(PathMatchType::RegularExpression, "/a("), exact("/b")];
    let (tables, rejected) = builder.apply(vec![route(&bad)], &[]);

    assert_eq!(rejected.len(), 1);
    assert!(
        rejected[0].error.contains("unclosed group"),
        "{}",
        rejected[0].error
    );
    assert_eq!(winner(&tables, &Request::get("x", "/a(")), None);
    assert_eq!(
        winner(&tables, &Request::get("x", "/b")).as_deref(),
        Some("bad")
    );
}

#[test]
fn a_rule_with_a_bad_filter_wins_its_traffic_and_is_invalid() {
    let mut builder = TablesBuilder::new();
    builder.apply(http_gateway(), &[]);
    let mut bad = rule("bad", 0);
    bad.http_matches = vec![prefix("/a")];
    bad.filters = vec![bad_filter()];
    let (tables, rejected) = builder.apply(vec![route(&bad), route(&rule("broad", 0))], &[]);

    assert_eq!(
        rejected[0].error,
        "\"bad header\" is not a valid header name"
    );
    let request = Request::get("x", "/a");
    let matched = http(&tables)
        .listener("x")
        .unwrap()
        .route(&request)
        .unwrap();
    assert_eq!(matched.rule.id.name(), "bad");
    assert_eq!(
        &*matched.rule.invalid.as_ref().unwrap().reason,
        "UnsupportedValue"
    );
}

#[test]
fn a_backend_with_a_bad_filter_loses_its_share_only() {
    let backend = |weight, filters| v1::WeightedBackend {
        weight,
        target: Some(v1::weighted_backend::Target::Backend("backend/a/b".into())),
        filters,
    };
    let mut builder = TablesBuilder::new();
    builder.apply(http_gateway(), &[]);
    let mut half = rule("half", 0);
    half.backends = vec![backend(1, Vec::new()), backend(1, vec![bad_filter()])];
    let (tables, rejected) = builder.apply(vec![route(&half)], &[]);

    assert_eq!(rejected.len(), 1);
    let request = Request::get("x", "/");
    let matched = http(&tables)
        .listener("x")
        .unwrap()
        .route(&request)
        .unwrap();
    assert!(matched.rule.invalid.is_none());
    let refused = |target: &Target| matches!(target, Target::Invalid(_));
    let shares: Vec<bool> = matched
        .rule
        .backends
        .iter()
        .map(|(_, each)| refused(&each.target))
        .collect();
    assert_eq!(shares, [false, true]);
}

#[test]
fn a_refused_route_keeps_its_last_good_version() {
    let mut builder = TablesBuilder::new();
    builder.apply(http_gateway(), &[]);
    let good = with_path("one", "a.com", prefix("/"));
    let (before, _) = builder.apply(vec![route(&good)], &[]);
    let mut bad = good.clone();
    bad.filters = vec![bad_filter()];
    let (after, rejected) = builder.apply(vec![route(&bad)], &[]);

    assert_eq!(rejected.len(), 1);
    assert!(Arc::ptr_eq(&before, &after));
    let (gone, _) = builder.apply(Vec::new(), &[resources::route_name(&good)]);
    assert_eq!(winner(&gone, &Request::get("a.com", "/")), None);
}

#[test]
fn a_route_with_no_valid_hostname_does_not_become_one_for_every_host() {
    let mut builder = TablesBuilder::new();
    builder.apply(http_gateway(), &[]);
    let (tables, rejected) =
        builder.apply(vec![route(&with_path("bad", "a..com", prefix("/")))], &[]);
    assert_eq!(rejected.len(), 1);
    assert_eq!(winner(&tables, &Request::get("x", "/")), None);
}

#[test]
fn children_without_parents_are_reported_and_served_when_the_parents_come() {
    let mut builder = TablesBuilder::new();
    let one = route(&rule("one", 0));
    let mut parents = http_gateway();
    let (tables, rejected) = builder.apply(vec![one.clone(), parents.pop().unwrap()], &[]);
    let names: Vec<&str> = rejected
        .iter()
        .map(|rejected| rejected.name.as_str())
        .collect();
    assert_eq!(names, [LISTENER]);
    assert!(
        rejected[0]
            .error
            .contains("gateway \"gateway/infra/gw\" is not part of the snapshot")
    );
    assert!(tables.sockets.is_empty());

    let (tables, rejected) = builder.apply(parents, &[]);
    assert!(rejected.is_empty());
    assert_eq!(
        winner(&tables, &Request::get("x", "/")).as_deref(),
        Some("one")
    );
}

#[test]
fn of_two_listeners_that_clash_the_later_by_name_stays_out_until_the_socket_is_free() {
    let mut builder = TablesBuilder::new();
    let tcp = "listener/infra/gw/tcp";
    let mut first = http_gateway();
    first.push(listener(tcp, Protocol::Tcp, 80, ""));
    first.push(listener(
        "listener/infra/gw/http-too",
        Protocol::Http,
        80,
        "",
    ));
    let (tables, rejected) = builder.apply(first, &[]);
    let errors: Vec<&str> = rejected
        .iter()
        .map(|rejected| rejected.error.as_str())
        .collect();
    assert_eq!(
        errors,
        [
            "hostname \"*\" on tcp://0.0.0.0:80 belongs to listener \"listener/infra/gw/http\"",
            "the socket on tcp://0.0.0.0:80 belongs to listener \"listener/infra/gw/http\"",
        ]
    );
    assert_eq!(http(&tables).listeners().len(), 1);

    let freed = strings(&[LISTENER, "listener/infra/gw/http-too"]);
    let (tables, rejected) = builder.apply(Vec::new(), &freed);
    assert!(rejected.is_empty());
    assert!(
        matches!(&**tables.sockets.values().next().unwrap(), Socket::Tcp(socket) if &*socket.info.name == tcp)
    );
}

#[test]
fn http3_has_a_socket_of_its_own_with_those_that_want_it() {
    let https = |name: &str, host: &str, http3: u32| {
        let made = listener(name, Protocol::Https, 443, host);
        let Some(Body::Listener(mut body)) = made.body else {
            panic!("a listener");
        };
        body.http3_bind_port = http3;
        resource(name, Body::Listener(body))
    };
    let (one, two) = ("listener/infra/gw/one", "listener/infra/gw/two");
    let mut builder = TablesBuilder::new();
    let step = vec![
        gateway("gateway/infra/gw"),
        https(one, "a.test", 8443),
        https(two, "b.test", 0),
    ];
    let (tables, rejected) = builder.apply(step, &[]);
    assert_eq!(rejected, []);
    let keys: Vec<String> = tables.sockets.keys().map(ToString::to_string).collect();
    assert_eq!(keys, ["tcp://0.0.0.0:443", "quic://0.0.0.0:8443"]);
    let Socket::Quic(socket) = &**tables.sockets.values().next_back().unwrap() else {
        panic!("a socket of QUIC");
    };
    let names: Vec<&str> = socket
        .https_listeners()
        .map(|listener| &*listener.info.name)
        .collect();
    assert_eq!(names, [one]);
    let info = &socket.https_listeners().next().unwrap().info;
    let alt_svc = info.alt_svc.as_ref().unwrap();
    assert_eq!(alt_svc, &format!("h3=\":{}\"; ma=86400", info.port));
    let positions = socket.positions();
    assert_eq!(positions.select(Some("a.test")), Some(0));
    assert_eq!(positions.select(Some("b.test")), None);

    let (tables, rejected) = builder.apply(
        vec![https(two, "b.test", 8443), https(one, "a.test", 0)],
        &[],
    );
    assert_eq!(rejected, []);
    let Socket::Quic(socket) = &**tables.sockets.values().next_back().unwrap() else {
        panic!("a socket of QUIC");
    };
    assert!(!socket.positions().is_same(&positions));
    let plain = listener("listener/infra/gw/plain", Protocol::Http, 80, "");
    let Some(Body::Listener(mut body)) = plain.body else {
        panic!("a listener");
    };
    body.http3_bind_port = 80;
    let (_, rejected) = builder.apply(
        vec![resource("listener/infra/gw/plain", Body::Listener(body))],
        &[],
    );
    assert!(
        rejected[0].error.contains("http3_bind_port"),
        "{rejected:?}"
    );
}

#[test]
fn what_is_refused_is_refused_again_when_it_comes_again() {
    let tcp = "listener/infra/gw/tcp";
    let mut bad_filter_route = rule("bad-filter", 0);
    bad_filter_route.filters = vec![bad_filter()];
    let orphan = listener("listener/x/y/z", Protocol::Http, 81, "");
    let Some(Body::Listener(mut of_nobody)) = orphan.body else {
        panic!("a listener");
    };
    of_nobody.gateway = "gateway/x/y".into();
    let endpoints = v1::Endpoints {
        backend: "backend/x/y".into(),
        ..v1::Endpoints::default()
    };
    let mut step = http_gateway();
    step.push(listener(tcp, Protocol::Tcp, 80, ""));
    step.push(resource("listener/x/y/z", Body::Listener(of_nobody)));
    step.push(resource("endpoints/x/y", Body::Endpoints(endpoints)));
    step.push(route(&bad_filter_route));
    step.push(route(&with_path("bad-host", "a..com", prefix("/"))));
    for resource in &mut step {
        resource.version = "1".into();
    }
    let mut builder = TablesBuilder::new();
    let (before, first) = builder.apply(step.clone(), &[]);
    let names: Vec<&str> = first.iter().map(|one| one.name.as_str()).collect();
    let bad = [
        "endpoints/x/y",
        tcp,
        "listener/x/y/z",
        "route/HTTPRoute/default/bad-filter/0",
        "route/HTTPRoute/default/bad-host/0",
    ];
    assert_eq!(names, bad);
    let (after, again) = builder.apply(step.clone(), &[]);
    assert_eq!(again, first);
    assert_eq!(before.sockets.len(), after.sockets.len());
    let only_tcp: Vec<_> = step.into_iter().filter(|one| one.name == tcp).collect();
    let (_, again) = builder.apply(only_tcp, &[]);
    assert_eq!(again, [first[1].clone()]);
}

#[test]
fn a_name_that_does_not_fit_its_body_is_refused() {
    let (_, rejected) = TablesBuilder::new().apply(vec![gateway("listener/a/b")], &[]);
    assert!(rejected[0].error.contains("\"gateway/\""));
}

#[test]
fn what_a_step_does_not_touch_keeps_its_identity() {
    let mut builder = TablesBuilder::new();
    let mut all = http_gateway();
    all.push(listener("listener/infra/gw/other", Protocol::Http, 81, ""));
    all.push(resource(
        "backend/a/one",
        Body::Backend(v1::Backend::default()),
    ));
    all.push(resource(
        "backend/a/two",
        Body::Backend(v1::Backend::default()),
    ));
    let (before, rejected) = builder.apply(all, &[]);
    assert!(rejected.is_empty(), "{rejected:?}");

    let endpoint = v1::Endpoint {
        address: "10.0.0.1".into(),
        port: 80,
        ..v1::Endpoint::default()
    };
    let endpoints = v1::Endpoints {
        backend: "backend/a/one".into(),
        endpoints: vec![endpoint],
    };
    let upserts = vec![
        route(&rule("one", 0)),
        resource("endpoints/a/one", Body::Endpoints(endpoints)),
    ];
    let (after, rejected) = builder.apply(upserts, &[]);

    assert!(rejected.is_empty(), "{rejected:?}");
    let same: Vec<bool> = before
        .sockets
        .iter()
        .map(|(key, socket)| Arc::ptr_eq(socket, &after.sockets[key]))
        .collect();
    assert_eq!(same, [false, true]);
    let backend = |tables: &Tables, name| Arc::clone(tables.backends.get(name).unwrap());
    assert!(Arc::ptr_eq(
        &backend(&before, "backend/a/two"),
        &backend(&after, "backend/a/two")
    ));
    assert_eq!(backend(&after, "backend/a/one").endpoints.len(), 1);
    assert!(backend(&before, "backend/a/one").endpoints.is_empty());
}

#[test]
fn a_server_name_chooses_the_listener_and_a_foreign_host_is_misdirected() {
    let mut builder = TablesBuilder::new();
    let mut all = vec![gateway("gateway/infra/gw")];
    all.push(listener(
        "listener/infra/gw/exact",
        Protocol::Https,
        443,
        "a.example.com",
    ));
    all.push(listener(
        "listener/infra/gw/wild",
        Protocol::Https,
        443,
        "*.example.com",
    ));
    let (tables, rejected) = builder.apply(all, &[]);
    assert!(rejected.is_empty(), "{rejected:?}");
    let Socket::Tls(socket) = &**tables.sockets.values().next().unwrap() else {
        panic!("no TLS socket")
    };

    let Some(TlsTarget::Https(own)) = socket.select(Some("b.example.com")) else {
        panic!("no listener")
    };
    assert_eq!(&*own.info.name, "listener/infra/gw/wild");
    assert_eq!(socket.authority(own, "c.example.com"), Authority::Same);
    assert_eq!(
        socket.authority(own, "a.example.com"),
        Authority::Misdirected
    );
    assert_eq!(socket.authority(own, "example.com"), Authority::NotFound);
    assert!(socket.select(Some("example.org")).is_none());
    assert!(socket.select(None).is_none());
}

#[test]
fn a_specific_hosts_unmatched_traffic_falls_through_to_the_less_specific_host() {
    let mut builder = TablesBuilder::new();
    builder.apply(http_gateway(), &[]);
    let routes = [
        with_path("exact", "a.example.com", prefix("/a")),
        with_path("wild", "*.example.com", exact("/a/deep")),
        with_path("wild-all", "*.example.com", prefix("/")),
    ];
    let (tables, _) = builder.apply(routes.iter().map(route), &[]);
    for (host, path, expected) in [
        // The host comes before the path, even before an exact one.
        ("a.example.com", "/a/deep", "exact"),
        ("a.example.com", "/b", "wild-all"),
        ("b.example.com", "/a/deep", "wild"),
    ] {
        assert_eq!(
            winner(&tables, &Request::get(host, path)).as_deref(),
            Some(expected),
            "{host}{path}"
        );
    }
}

#[test]
fn a_binding_serves_only_the_hosts_that_it_names() {
    let mut builder = TablesBuilder::new();
    builder.apply(http_gateway(), &[]);
    let mut narrow = with_path("narrow", "*.example.com", prefix("/"));
    narrow.bindings[0].hostnames = strings(&["a.example.com", "*.b.example.com"]);
    let (tables, rejected) = builder.apply(vec![route(&narrow)], &[]);
    assert!(rejected.is_empty());
    for (host, served) in [
        ("a.example.com", true),
        ("c.b.example.com", true),
        ("b.example.com", false),
        ("x.example.com", false),
    ] {
        assert_eq!(
            winner(&tables, &Request::get(host, "/")).is_some(),
            served,
            "{host}"
        );
    }
}

#[test]
fn a_wildcard_of_an_ingress_is_one_label_and_the_rest_falls_through() {
    let mut builder = TablesBuilder::new();
    builder.apply(http_gateway(), &[]);
    let mut one = with_path("one", "*.example.com", prefix("/"));
    one.single_label_wildcards = true;
    let any = v1::Route {
        http_matches: vec![prefix("/")],
        ..rule("any", 0)
    };
    let (tables, rejected) = builder.apply(vec![route(&one), route(&any)], &[]);
    assert!(rejected.is_empty());
    for (host, expected) in [
        ("a.example.com", "one"),
        ("a.example.com.", "one"),
        ("a.b.example.com", "any"),
        ("example.com", "any"),
    ] {
        let found = winner(&tables, &Request::get(host, "/"));
        assert_eq!(found.as_deref(), Some(expected), "{host}");
    }
}

#[test]
fn what_a_binding_leaves_of_a_wildcard_of_one_label_has_one_label() {
    let mut builder = TablesBuilder::new();
    builder.apply(http_gateway(), &[]);
    let mut narrow = with_path("narrow", "*.example.com", prefix("/"));
    narrow.single_label_wildcards = true;
    let hosts = ["a.example.com", "*.b.example.com", "x.c.example.com"];
    narrow.bindings[0].hostnames = strings(&hosts);
    let (tables, rejected) = builder.apply(vec![route(&narrow)], &[]);
    assert!(rejected.is_empty());
    for (host, served) in [
        ("a.example.com", true),
        ("b.example.com", false),
        ("y.b.example.com", false),
        ("x.c.example.com", false),
    ] {
        let found = winner(&tables, &Request::get(host, "/"));
        assert_eq!(found.is_some(), served, "{host}");
    }
}
