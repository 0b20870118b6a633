//! HTTP/1.1 in, HTTP/1.1 out.

use crate::support::client::{Http1, get};
use crate::support::origin::{Origin, status, text};
use crate::support::resources::*;
use crate::support::{Bed, run};

#[test]
fn a_routed_request_reaches_its_backend_and_the_answer_comes_back() {
    run(async {
        let origin =
            Origin::http1(|seen| text(format!("{} {}", seen.head.method, seen.head.uri))).await;
        let bed = Bed::new(|port| simple(port, &[origin.port])).await;
        let got = get(&bed, "/x?y=1", "X-Own: 1\r\n").await;
        assert_eq!((got.status, got.body.as_str()), (200, "GET /x?y=1"));
        let seen = origin.last();
        assert_eq!(seen.header("host"), Some("a.example"));
        assert_eq!(seen.header("x-own"), Some("1"));
        assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
        assert_eq!(seen.header("x-forwarded-host"), Some("a.example"));
        assert_eq!(seen.header("via"), Some("1.1 novaedge"));
    });
}

#[test]
fn who_speaks_something_else_gets_no_answer() {
    run(async {
        let bed = Bed::new(|port| simple(port, &[1])).await;
        let mut client = Http1::connect(&bed).await;
        client.write("INVALID CONNECTION PREFACE\r\n\r\n").await;
        assert!(client.is_closed().await);
        assert_eq!(bed.metrics.heads_refused.get(), 1);
    });
}

#[test]
fn connections_are_kept_on_both_sides() {
    run(async {
        let origin = Origin::http1(|_| text("ok")).await;
        let bed = Bed::new(|port| simple(port, &[origin.port])).await;
        let mut client = Http1::connect(&bed).await;
        for _ in 0..5 {
            let got = client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            assert_eq!(got.status, 200);
        }
        assert_eq!(origin.connections.get(), 1);
    });
}

#[test]
fn what_matches_nothing_is_not_found() {
    run(async {
        let origin = Origin::http1(|_| text("ok")).await;
        let mut only = route();
        only.http_matches = vec![prefix("/only")];
        let bed = Bed::new(|port| with_route(port, &[origin.port], only)).await;
        let got = get(&bed, "/other", "").await;
        assert_eq!(
            (got.status, got.body.as_str()),
            (404, "no route for this request\n")
        );
        assert_eq!(get(&bed, "/only/this", "").await.status, 200);
    });
}

#[test]
fn a_host_that_is_missing_repeated_or_invalid_is_refused_before_routing() {
    run(async {
        let origin = Origin::http1(|_| status(200)).await;
        let bed = Bed::new(|port| simple(port, &[origin.port])).await;
        for (target, fields) in [
            ("/", ""),
            ("/", "Host: a\r\nHost: a\r\n"),
            ("/", "Host: a b\r\n"),
            ("/", "Host: \r\n"),
            ("http://b.example/", "Host: a.example\r\n"),
        ] {
            let mut client = Http1::connect(&bed).await;
            let got = client
                .send(&format!("GET {target} HTTP/1.1\r\n{fields}\r\n"))
                .await;
            assert_eq!(got.status, 400, "{target} {fields}");
            assert_eq!(got.header("connection"), Some("close"));
            assert!(client.is_closed().await);
        }
        let mut client = Http1::connect(&bed).await;
        let got = client
            .send("GET http://a.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n")
            .await;
        assert_eq!(got.status, 200);
        assert_eq!(origin.last().head.uri, "/x");
    });
}
