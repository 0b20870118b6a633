//! Copies of requests.

use std::rc::Rc;
use std::time::Duration;

use novaedge_proto::v1;
use novaedge_proxy::Config;
use novaedge_proxy::config::MirrorLimits;
use tokio::time::sleep;
use v1::filter::Kind;

use crate::support::client::{Http1, get};
use crate::support::origin::{Origin, raw, read_head, refusing, text};
use crate::support::resources::*;
use crate::support::{Bed, run};

fn mirror(backend: &str, numerator: u32, denominator: u32) -> v1::Filter {
    filter(Kind::Mirror(v1::Mirror {
        backend: format!("backend/d/{backend}"),
        numerator,
        denominator,
    }))
}

async fn mirrored(
    config: Config,
    origin: u16,
    copies: &[(&str, u16)],
    filters: Vec<v1::Filter>,
) -> Rc<Bed> {
    let mut rule = route();
    rule.filters = filters;
    Bed::with(config, |port| {
        let mut resources = with_route(port, &[origin], rule);
        for (name, port) in copies {
            resources.extend([backend(name), endpoints(name, &[*port])]);
        }
        resources
    })
    .await
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        sleep(Duration::from_millis(2)).await;
    }
}

#[test]
fn every_mirror_gets_the_request_after_the_header_filters() {
    run(async {
        let origin = Origin::http1(|_| text("origin")).await;
        let one = Origin::http1(|_| text("one")).await;
        let two = Origin::http1(|_| text("two")).await;
        let set = filter(Kind::RequestHeaders(v1::HeaderModifier {
            set: vec![header("x-set", "1")],
            ..Default::default()
        }));
        let filters = vec![set, mirror("one", 100, 100), mirror("two", 100, 100)];
        let bed = mirrored(
            Config::default(),
            origin.port,
            &[("one", one.port), ("two", two.port)],
            filters,
        )
        .await;
        let body = "y".repeat(100_000);
        let request =
            format!("POST /p?q HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n{body}");
        assert_eq!(
            Http1::connect(&bed).await.send(&request).await.body,
            "origin"
        );
        until(|| one.seen.borrow().len() + two.seen.borrow().len() == 2).await;
        for copy in [&one, &two] {
            let seen = copy.last();
            assert_eq!(
                (seen.head.uri.to_string().as_str(), seen.header("host")),
                ("/p?q", Some("a"))
            );
            assert_eq!(seen.header("x-set"), Some("1"));
            assert_eq!(seen.body.len(), 100_000);
        }
    });
}

#[test]
fn a_share_is_copied() {
    run(async {
        let origin = Origin::http1(|_| text("origin")).await;
        let copy = Origin::http1(|_| text("copy")).await;
        let bed = mirrored(
            Config::default(),
            origin.port,
            &[("one", copy.port)],
            vec![mirror("one", 20, 100)],
        )
        .await;
        let mut client = Http1::connect(&bed).await;
        for _ in 0..50 {
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        }
        assert_eq!(bed.metrics.mirrored.get(), 10);
        until(|| copy.seen.borrow().len() == 10).await;
    });
}

#[test]
fn dead_and_slow_mirrors_do_not_touch_the_request() {
    run(async {
        let origin = Origin::http1(|_| text("origin")).await;
        let dead = refusing().await;
        let stuck = raw(|mut stream| async move {
            read_head(&mut stream).await;
            sleep(Duration::from_secs(20)).await;
        })
        .await;
        let mirror_limits = MirrorLimits {
            concurrency: 2,
            lag: 64 * 1024,
            ..MirrorLimits::default()
        };
        let config = Config {
            mirror: mirror_limits,
            ..Config::default()
        };
        let filters = vec![
            mirror("dead", 1, 1),
            mirror("stuck", 1, 1),
            mirror("none", 1, 1),
        ];
        let bed = mirrored(
            config,
            origin.port,
            &[("dead", dead), ("stuck", stuck)],
            filters,
        )
        .await;
        let size = 20_000_000;
        let request = format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n{}",
            "z".repeat(size)
        );
        assert_eq!(
            Http1::connect(&bed).await.send(&request).await.body,
            "origin"
        );
        assert_eq!(origin.last().body.len(), size);
        for _ in 0..5 {
            assert_eq!(get(&bed, "/", "").await.body, "origin");
        }
        assert!(
            bed.metrics.mirrors_dropped.get() > 0,
            "no more than two are in flight"
        );
        assert_eq!(bed.metrics.mirrors_lagging.get(), 1);
        assert!(bed.metrics.mirrors_failed.get() > 0);
    });
}
