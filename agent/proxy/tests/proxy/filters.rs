//! Filters, weights, and what the gateway answers itself.

use std::collections::BTreeMap;

use novaedge_proto::v1;
use v1::filter::Kind;

use crate::support::client::{Got, Http1, get};
use crate::support::origin::{Origin, text};
use crate::support::resources::*;
use crate::support::{Bed, run};

fn path(kind: v1::path_modifier::Kind) -> v1::PathModifier {
    v1::PathModifier { kind: Some(kind) }
}

#[test]
fn headers_are_changed_by_the_rule_and_then_by_the_backend() {
    run(async {
        let origin = Origin::http1(|_| {
            let mut answer = text("ok");
            answer
                .headers_mut()
                .insert("server", "origin".parse().unwrap());
            answer
                .headers_mut()
                .insert("x-secret", "1".parse().unwrap());
            answer
                .headers_mut()
                .insert("connection", "x-hop".parse().unwrap());
            answer.headers_mut().insert("x-hop", "1".parse().unwrap());
            answer
        })
        .await;
        let mut rule = route();
        rule.filters = vec![
            filter(Kind::RequestHeaders(v1::HeaderModifier {
                set: vec![header("x-set", "rule"), header("x-forwarded-for", "mine")],
                add: vec![header("x-add", "rule")],
                remove: vec!["x-gone".into()],
            })),
            filter(Kind::ResponseHeaders(v1::HeaderModifier {
                set: vec![header("x-by", "rule")],
                add: vec![],
                remove: vec!["x-secret".into()],
            })),
        ];
        rule.backends[0].filters = vec![
            filter(Kind::RequestHeaders(v1::HeaderModifier {
                set: vec![header("x-set", "backend")],
                add: vec![header("x-add", "backend")],
                remove: vec![],
            })),
            filter(Kind::ResponseHeaders(v1::HeaderModifier {
                set: vec![],
                add: vec![header("x-by", "backend")],
                remove: vec![],
            })),
        ];
        let bed = Bed::new(|port| with_route(port, &[origin.port], rule)).await;
        let got = get(
            &bed,
            "/",
            "X-Add: client\r\nX-Gone: 1\r\nConnection: X-Hop\r\nX-Hop: 1\r\n",
        )
        .await;
        let seen = origin.last();
        let added: Vec<_> = seen.head.headers.get_all("x-add").iter().collect();
        assert_eq!(added, ["client", "rule", "backend"]);
        assert_eq!(seen.header("x-set"), Some("backend"));
        assert_eq!(seen.header("x-forwarded-for"), Some("mine"));
        assert_eq!((seen.header("x-gone"), seen.header("x-hop")), (None, None));
        let by: Vec<_> = got.headers.get_all("x-by").iter().collect();
        assert_eq!(by, ["rule", "backend"]);
        assert_eq!(
            (
                got.header("x-secret"),
                got.header("x-hop"),
                got.header("server")
            ),
            (None, None, Some("origin"))
        );
    });
}

#[test]
fn whatever_filters_do_there_is_one_host() {
    run(async {
        let origin = Origin::http1(|_| text("ok")).await;
        let set = v1::HeaderModifier {
            set: vec![header("host", "set.example")],
            ..v1::HeaderModifier::default()
        };
        let add = v1::HeaderModifier {
            add: vec![header("host", "more.example")],
            ..v1::HeaderModifier::default()
        };
        let remove = v1::HeaderModifier {
            remove: vec!["host".into()],
            ..v1::HeaderModifier::default()
        };
        for (change, host) in [
            (set, "set.example"),
            (add, "a.example"),
            (remove, "a.example"),
        ] {
            let mut rule = route();
            rule.filters = vec![filter(Kind::RequestHeaders(change))];
            let bed = Bed::new(|port| with_route(port, &[origin.port], rule)).await;
            get(&bed, "/", "").await;
            let hosts: Vec<_> = origin
                .last()
                .head
                .headers
                .get_all("host")
                .iter()
                .cloned()
                .collect();
            assert_eq!(hosts, [host]);
        }
    });
}

#[test]
fn host_and_path_are_rewritten() {
    run(async {
        let origin = Origin::http1(|_| text("ok")).await;
        let mut rule = route();
        rule.http_matches = vec![prefix("/strip")];
        rule.filters = vec![filter(Kind::UrlRewrite(v1::UrlRewrite {
            hostname: "one.example".into(),
            path: Some(path(v1::path_modifier::Kind::ReplacePrefixMatch(
                "/".into(),
            ))),
        }))];
        let bed = Bed::new(|port| with_route(port, &[origin.port], rule)).await;
        get(&bed, "/strip/me?x=%20y", "").await;
        let seen = origin.last();
        assert_eq!(seen.head.uri, "/me?x=%20y");
        assert_eq!(seen.header("host"), Some("one.example"));
        assert_eq!(seen.header("x-forwarded-host"), Some("a.example"));
        get(&bed, "/strip", "").await;
        assert_eq!(origin.last().head.uri, "/");
    });
}

#[test]
fn a_redirect_ends_the_request() {
    run(async {
        let mut rule = route();
        rule.backends = vec![];
        rule.filters = vec![filter(Kind::Redirect(v1::Redirect {
            scheme: "https".into(),
            status_code: 301,
            path: Some(path(v1::path_modifier::Kind::ReplaceFullPath(
                "/new".into(),
            ))),
            ..Default::default()
        }))];
        let bed = Bed::new(|port| with_route(port, &[], rule)).await;
        let got = get(&bed, "/old?q=1", "").await;
        assert_eq!(
            (got.status, got.header("location")),
            (301, Some("https://a.example/new?q=1"))
        );
    });
}

#[test]
fn cors_is_answered_at_the_gateway() {
    run(async {
        let origin = Origin::http1(|_| text("ok")).await;
        let mut rule = route();
        rule.filters = vec![filter(Kind::Cors(v1::Cors {
            allow_origins: vec!["https://*.shop.example".into()],
            allow_methods: vec!["PUT".into()],
            allow_headers: vec!["x-token".into()],
            max_age: 60,
            ..Default::default()
        }))];
        let mut broken = rule.clone();
        broken.http_matches = vec![prefix("/broken")];
        broken.backends = vec![];
        let bed = Bed::new(|port| {
            let mut resources = with_route(port, &[origin.port], rule);
            resources.push(routed_as("broken", broken));
            resources
        })
        .await;
        let preflight = "OPTIONS / HTTP/1.1\r\nHost: a\r\nOrigin: https://a.b.shop.example\r\n\
                         Access-Control-Request-Method: PUT\r\n\r\n";
        let got = Http1::connect(&bed).await.send(preflight).await;
        assert_eq!(got.status, 204);
        assert_eq!(
            got.header("access-control-allow-origin"),
            Some("https://a.b.shop.example")
        );
        assert_eq!(got.header("access-control-allow-methods"), Some("PUT"));
        assert!(origin.seen.borrow().is_empty());
        let allowed = |got: &Got| got.header("access-control-allow-origin").map(str::to_owned);
        let own = get(&bed, "/", "Origin: https://x.shop.example\r\n").await;
        assert_eq!(
            (own.status, allowed(&own).as_deref()),
            (200, Some("https://x.shop.example"))
        );
        let foreign = get(&bed, "/", "Origin: https://evil.example\r\n").await;
        assert_eq!((foreign.status, allowed(&foreign)), (200, None));
        let failed = get(&bed, "/broken", "Origin: https://x.shop.example\r\n").await;
        assert_eq!(
            (failed.status, allowed(&failed).as_deref()),
            (500, Some("https://x.shop.example"))
        );
    });
}

#[test]
fn weights_are_met_and_an_invalid_share_gets_500() {
    run(async {
        let a = Origin::http1(|_| text("a")).await;
        let b = Origin::http1(|_| text("b")).await;
        let mut rule = route();
        let weighted = |name: &str, weight| v1::WeightedBackend { weight, ..to(name) };
        let invalid = v1::WeightedBackend {
            weight: 10,
            target: Some(v1::weighted_backend::Target::Invalid(
                v1::InvalidConfiguration {
                    reason: "BackendNotFound".into(),
                    message: "no such Service".into(),
                },
            )),
            filters: vec![],
        };
        rule.backends = vec![
            weighted("a", 60),
            weighted("b", 30),
            weighted("none", 0),
            invalid,
        ];
        let bed = Bed::new(|port| {
            let mut resources = with_route(port, &[a.port], rule);
            resources.extend([backend("b"), endpoints("b", &[b.port])]);
            resources
        })
        .await;
        let mut client = Http1::connect(&bed).await;
        let mut counts = BTreeMap::new();
        for _ in 0..200 {
            let got = client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            *counts.entry((got.status, got.body)).or_insert(0) += 1;
        }
        let count =
            |status, body: &str| counts.get(&(status, body.to_owned())).copied().unwrap_or(0);
        assert!((115..=125).contains(&count(200, "a")), "{counts:?}");
        assert!((55..=65).contains(&count(200, "b")), "{counts:?}");
        assert!(
            (15..=25).contains(&count(500, "the backend is not valid\n")),
            "{counts:?}"
        );
    });
}

#[test]
fn each_failure_has_its_own_status_and_says_nothing_of_what_is_behind() {
    run(async {
        let refusing = crate::support::origin::refusing().await;
        let junk = crate::support::origin::raw(|mut stream| async move {
            crate::support::origin::read_head(&mut stream).await;
            crate::support::origin::write(&mut stream, "this is no HTTP\r\n\r\n").await;
        })
        .await;
        let closing = crate::support::origin::raw(|mut stream| async move {
            crate::support::origin::read_head(&mut stream).await;
        })
        .await;
        let rule = |path: &str, backends: Vec<v1::WeightedBackend>| {
            let mut rule = route();
            rule.http_matches = vec![prefix(path)];
            rule.backends = backends;
            routed_as(path.trim_start_matches('/'), rule)
        };
        let mut invalid = route();
        invalid.http_matches = vec![prefix("/invalid")];
        invalid.invalid = Some(v1::InvalidConfiguration {
            reason: "UnsupportedValue".into(),
            message: "secret".into(),
        });
        let bed = Bed::new(|port| {
            vec![
                gateway(),
                listener(port),
                rule("/none", vec![]),
                rule(
                    "/zero",
                    vec![v1::WeightedBackend {
                        weight: 0,
                        ..to("empty")
                    }],
                ),
                rule("/missing", vec![to("missing")]),
                rule("/empty", vec![to("empty")]),
                rule("/refused", vec![to("refused")]),
                rule("/junk", vec![to("junk")]),
                rule("/closing", vec![to("closing")]),
                rule("/dns", vec![to("dns")]),
                routed_as("invalid", invalid),
                backend("empty"),
                endpoints("empty", &[]),
                backend("refused"),
                endpoints("refused", &[refusing]),
                backend("junk"),
                endpoints("junk", &[junk]),
                backend("closing"),
                endpoints("closing", &[closing]),
                backend("dns"),
                endpoints_at("dns", &[("nowhere.test", 80)]),
            ]
        })
        .await;
        for (path, status, body) in [
            ("/none", 500, "the route has no backends\n"),
            ("/zero", 500, "the route has no backends\n"),
            ("/missing", 500, "the backend is not valid\n"),
            ("/invalid", 500, "the route is not valid\n"),
            ("/empty", 503, "the backend has no ready endpoints\n"),
            ("/refused", 502, "the backend cannot be reached\n"),
            ("/junk", 502, "the backend sent no valid response\n"),
            (
                "/closing",
                502,
                "the backend closed the connection without a response\n",
            ),
            ("/dns", 502, "the backend's name cannot be resolved\n"),
        ] {
            let got = get(&bed, path, "").await;
            assert_eq!((got.status, got.body.as_str()), (status, body), "{path}");
        }
        let head = Http1::connect(&bed).await;
        let mut head = head;
        head.write("HEAD /none HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(head.read_head().await.status, 500);
    });
}

#[test]
fn a_session_cookie_keeps_a_client_on_its_endpoint() {
    run(async {
        let a = Origin::http1(|_| text("a")).await;
        let b = Origin::http1(|_| text("b")).await;
        let mut rule = route();
        rule.session_persistence = Some(v1::SessionPersistence {
            r#type: v1::session_persistence::Type::Cookie.into(),
            session_name: "sid".into(),
            ..Default::default()
        });
        let bed = Bed::new(|port| with_route(port, &[a.port, b.port], rule)).await;
        let first = get(&bed, "/", "").await;
        let cookie = first
            .header("set-cookie")
            .unwrap()
            .split(';')
            .next()
            .unwrap()
            .to_owned();
        for _ in 0..6 {
            let got = get(&bed, "/", &format!("Cookie: {cookie}\r\n")).await;
            assert_eq!(got.body, first.body);
            assert_eq!(got.header("set-cookie"), None);
        }
    });
}
