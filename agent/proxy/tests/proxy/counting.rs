//! What is counted of requests: once each, when their answers have ended.

use std::time::{Duration, Instant};

use novaedge_proxy::metrics::Traffic;
use tokio::net::TcpStream;

use crate::support::client::{Http1, get, get2, http2, send2};
use crate::support::origin::{Origin, raw, read_head, slow, status, text, write};
use crate::support::resources::*;
use crate::support::{Bed, run};

/// What a worker has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    pub requests: u64,
    pub client_errors: u64,
    pub server_errors: u64,
    pub aborted_by_client: u64,
    pub aborted_by_backend: u64,
    pub active: u64,
}

impl Counted {
    pub fn of(traffic: &Traffic) -> Self {
        let (mut counted, now) = (Self::default(), Instant::now());
        traffic.rules.each(now, |_, parts| {
            for part in parts {
                counted.requests += part.durations.count();
                counted.client_errors += part.client_errors.get();
                counted.server_errors += part.server_errors.get();
            }
        });
        traffic.listeners.each(now, |_, parts| {
            for part in parts {
                counted.aborted_by_client += part.aborted_by_client.get();
                counted.aborted_by_backend += part.aborted_by_backend.get();
                counted.active = counted.active.wrapping_add(part.active.get());
            }
        });
        counted
    }
}

/// Waits for this to be what is counted.
pub async fn counts(bed: &Bed, expected: Counted) {
    let counted = || Counted::of(bed.metrics.traffic());
    let waiting = async {
        while counted() != expected {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let reached = tokio::time::timeout(Duration::from_secs(5), waiting).await;
    assert!(reached.is_ok(), "{:?} is not {expected:?}", counted());
}

/// Rules that have served something.
fn named(traffic: &Traffic) -> Vec<(String, u64)> {
    let mut named = Vec::new();
    traffic.rules.each(Instant::now(), |key, parts| {
        let labels = key.map(|key| key.route_labels().join("/"));
        let requests = parts.map(|part| part.durations.count()).sum();
        if requests > 0 {
            named.push((labels.unwrap_or_default(), requests));
        }
    });
    named
}

#[test]
fn requests_of_each_version_are_counted_once_with_their_status() {
    run(async {
        let origin = Origin::http1(|seen| match seen.head.uri.path() {
            "/404" => status(404),
            "/503" => status(503),
            _ => text("ok"),
        })
        .await;
        let bed = Bed::new(|port| simple(port, &[origin.port])).await;
        for path in ["/", "/404", "/503"] {
            get(&bed, path, "").await;
        }
        let stream = TcpStream::connect(bed.address).await.unwrap();
        let mut client = http2(stream).await;
        for path in ["", "404", "503"] {
            let request = get2(&format!("http://a.example/{path}"));
            send2(&mut client, request).await;
        }
        let expected = Counted {
            requests: 6,
            client_errors: 2,
            server_errors: 2,
            ..Counted::default()
        };
        counts(&bed, expected).await;
        assert_eq!(named(bed.metrics.traffic()).len(), 1);
        let mut tries = 0;
        bed.metrics
            .traffic()
            .backends
            .each(Instant::now(), |_, parts| {
                for part in parts {
                    tries += part.durations.count();
                    assert_eq!(part.server_errors.get(), 2);
                }
            });
        assert_eq!(tries, 6);
    });
}

#[test]
fn a_client_that_goes_before_the_answer_is_counted_as_such() {
    run(async {
        let origin = slow(Duration::from_secs(20)).await;
        let bed = Bed::new(|port| simple(port, &[origin.port])).await;
        let mut first = Http1::connect(&bed).await;
        first
            .write("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
            .await;
        let stream = TcpStream::connect(bed.address).await.unwrap();
        let mut second = http2(stream).await;
        let sending = tokio::task::spawn_local(async move {
            send2(&mut second, get2("http://a.example/")).await;
        });
        let under_way = Counted {
            active: 2,
            ..Counted::default()
        };
        counts(&bed, under_way).await;
        drop(first);
        let one = Counted {
            requests: 1,
            aborted_by_client: 1,
            active: 1,
            ..Counted::default()
        };
        counts(&bed, one).await;
        sending.abort();
        let both = Counted {
            requests: 2,
            aborted_by_client: 2,
            ..Counted::default()
        };
        counts(&bed, both).await;
    });
}

#[test]
fn an_answer_that_its_backend_breaks_off_is_counted_as_such() {
    run(async {
        let port = raw(|mut stream| async move {
            read_head(&mut stream).await;
            write(
                &mut stream,
                "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello",
            )
            .await;
        })
        .await;
        let bed = Bed::new(|own| simple(own, &[port])).await;
        let mut client = Http1::connect(&bed).await;
        client
            .write("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
            .await;
        assert!(client.read_head().await.status == 200);
        let one = Counted {
            requests: 1,
            aborted_by_backend: 1,
            ..Counted::default()
        };
        counts(&bed, one).await;
    });
}

#[test]
fn what_no_rule_and_what_no_listener_took_is_counted_without_them() {
    run(async {
        let origin = Origin::http1(|_| text("ok")).await;
        let mut only = route();
        only.http_matches = vec![prefix("/only")];
        let bed = Bed::new(|port| {
            let mut resources = with_route(port, &[origin.port], only);
            resources[1] = listener_with(port, |listener| {
                listener.hostname = "a.example".to_owned();
            });
            resources
        })
        .await;
        for (path, host) in [
            ("/only", "a.example"),
            ("/x", "a.example"),
            ("/", "b.example"),
        ] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            Http1::connect(&bed).await.send(&request).await;
        }
        let expected = Counted {
            requests: 3,
            client_errors: 2,
            ..Counted::default()
        };
        counts(&bed, expected).await;
        let named = named(bed.metrics.traffic());
        assert_eq!(named.len(), 3, "{named:?}");
        assert_eq!(named[0], ("/////".to_owned(), 1));
        assert!(
            named.iter().all(|(_, requests)| *requests == 1),
            "{named:?}"
        );
    });
}

#[test]
fn counters_survive_steps_and_the_change_of_their_rule() {
    run(async {
        let origin = Origin::http1(|_| text("ok")).await;
        let bed = Bed::new(|port| simple(port, &[origin.port])).await;
        assert_eq!(get(&bed, "/", "").await.status, 200);
        bed.apply(vec![backend("other")], &[]);
        assert_eq!(get(&bed, "/", "").await.status, 200);
        let mut changed = route();
        changed.http_matches = vec![prefix("/")];
        bed.apply(vec![routed(changed)], &[]);
        assert_eq!(get(&bed, "/", "").await.status, 200);
        let expected = Counted {
            requests: 3,
            ..Counted::default()
        };
        counts(&bed, expected).await;
        assert_eq!(named(bed.metrics.traffic()).len(), 1);
    });
}
