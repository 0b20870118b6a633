//! Timeouts, sizes, pools and the end of connections.

use std::rc::Rc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use novaedge_proto::v1;
use novaedge_proxy::Config;
use novaedge_proxy::config::{DownstreamLimits, UpstreamLimits};
use novaedge_proxy::pressure::Level;
use novaedge_proxy::reason::Reason;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::support::client::{Http1, get, get2, http2, send2};
use crate::support::origin::{Origin, raw, read_head, slow, text, write};
use crate::support::resources::*;
use crate::support::{Bed, run};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn hasty() -> Config {
    Config {
        downstream: DownstreamLimits {
            tick: Duration::from_millis(20),
            header_read_timeout: Duration::from_millis(100),
            keep_alive_idle: Duration::from_millis(300),
            ..DownstreamLimits::default()
        },
        upstream: UpstreamLimits {
            idle_timeout: Duration::from_millis(100),
            ..UpstreamLimits::default()
        },
        ..Config::default()
    }
}

#[test]
fn a_request_head_must_come_in_time_but_an_answer_and_a_pause_may_take_longer() {
    run(async {
        let origin = slow(Duration::from_millis(250)).await;
        let bed = Bed::with(hasty(), |port| simple(port, &[origin.port])).await;
        let mut silent = Http1::connect(&bed).await;
        let mut trickling = Http1::connect(&bed).await;
        let mut second = Http1::connect(&bed).await;
        trickling.write("GET / HT").await;
        let begun = Instant::now();
        assert_eq!(second.send(GET).await.status, 200);
        sleep(Duration::from_millis(150)).await;
        assert_eq!(
            second.send(GET).await.status,
            200,
            "a pause between requests is no slow head"
        );
        assert!(silent.is_closed().await && trickling.is_closed().await);
        second.write("GET / HTTP/1.1\r\n").await;
        let part = Instant::now();
        assert!(second.is_closed().await);
        assert!(
            part.elapsed() < Duration::from_millis(290)
                && begun.elapsed() > Duration::from_millis(100)
        );
        assert_eq!(bed.metrics.connections_timed_out.get(), 3);
    });
}

#[test]
fn idle_connections_are_closed_on_both_sides() {
    run(async {
        let origin = Origin::http1(|_| text("ok")).await;
        let bed = Bed::with(hasty(), |port| simple(port, &[origin.port])).await;
        let mut one = Http1::connect(&bed).await;
        assert_eq!(one.send(GET).await.status, 200);
        let stream = TcpStream::connect(bed.address).await.unwrap();
        let mut two = http2(stream).await;
        assert_eq!(send2(&mut two, get2("http://a/")).await.status, 200);
        assert!(one.is_closed().await);
        while !two.is_closed() {
            sleep(Duration::from_millis(5)).await;
        }
        let mut again = Http1::connect(&bed).await;
        let connections = origin.connections.get();
        assert_eq!(again.send(GET).await.status, 200);
        assert_eq!(
            origin.connections.get(),
            connections + 1,
            "the kept connection was swept"
        );
        assert_eq!(bed.worker.open_connections(), 1);
    });
}

#[test]
fn a_connection_whose_answer_pauses_is_not_idle() {
    run(async {
        let port = raw(|mut stream| async move {
            while !read_head(&mut stream).await.is_empty() {
                write(
                    &mut stream,
                    "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab",
                )
                .await;
                sleep(Duration::from_millis(700)).await;
                write(&mut stream, "cd").await;
            }
        })
        .await;
        let bed = Bed::with(hasty(), |listener| simple(listener, &[port])).await;
        let stream = TcpStream::connect(bed.address).await.unwrap();
        let mut client = http2(stream).await;
        let paused = client.send_request(get2("http://a/")).await.unwrap();
        sleep(Duration::from_millis(500)).await;
        assert_eq!(send2(&mut client, get2("http://a/")).await.body, "abcd");
        let whole = paused.into_body().collect().await.unwrap();
        assert_eq!(whole.to_bytes(), "abcd");
    });
}

#[test]
fn large_heads_are_refused() {
    run(async {
        let origin = Origin::http1(|_| text("ok")).await;
        let bed = Bed::new(|port| simple(port, &[origin.port])).await;
        let many = "X-Many: 1\r\n".repeat(101);
        assert_eq!(get(&bed, "/", &many).await.status, 431);
        let long = format!("X-Long: {}\r\n", "x".repeat(61 * 1024));
        assert_eq!(get(&bed, "/", &long).await.status, 431);
        assert_eq!(bed.metrics.heads_refused.get(), 2);
        let fits = format!("X-Long: {}\r\n", "x".repeat(50 * 1024));
        assert_eq!(get(&bed, "/", &fits).await.status, 200);
    });
}

#[test]
fn a_backends_connection_limit_makes_requests_wait() {
    run(async {
        let origin = slow(Duration::from_millis(30)).await;
        let bed = Bed::new(|port| {
            let mut resources = simple(port, &[origin.port]);
            resources[3] = backend_with("a", |backend| backend.max_connections = 2);
            resources
        })
        .await;
        let mut pending = Vec::new();
        for _ in 0..8 {
            let bed = Rc::clone(&bed);
            pending.push(tokio::task::spawn_local(async move {
                get(&bed, "/", "").await.status
            }));
        }
        for request in pending {
            assert_eq!(request.await.unwrap(), 200);
        }
        assert_eq!(origin.connections.get(), 2);
    });
}

#[test]
fn when_memory_is_short_idle_connections_go_first_and_then_requests() {
    run(async {
        let origin = slow(Duration::from_millis(300)).await;
        let config = Config {
            downstream: DownstreamLimits {
                tick: Duration::from_millis(20),
                ..DownstreamLimits::default()
            },
            ..Config::default()
        };
        let pressure = config.pressure.clone();
        let bed = Bed::with(config, |port| simple(port, &[origin.port])).await;
        let mut idle = Http1::connect(&bed).await;
        assert_eq!(idle.send(GET).await.status, 200);
        let mut busy = Http1::connect(&bed).await;
        busy.write(GET).await;
        pressure.set(Level::High);
        assert!(idle.is_closed().await);
        assert_eq!(busy.read().await.status, 200, "it was under way");
        assert!(busy.is_closed().await);
        assert_eq!(get(&bed, "/", "").await.status, 200);
        pressure.set(Level::Critical);
        let mut refused = Http1::connect(&bed).await;
        let got = refused.send(GET).await;
        assert_eq!((got.status, got.header("connection")), (503, Some("close")));
        assert!(refused.is_closed().await);
        assert_eq!(bed.metrics.traffic().own_answers(Reason::Overloaded), 1);
        pressure.set(Level::None);
        assert_eq!(get(&bed, "/", "").await.status, 200);
    });
}

/// The statuses of so many requests at a time to a backend whose origin takes 50 ms.
async fn at_once(count: usize, change: fn(&mut v1::Backend)) -> (Rc<Bed>, Vec<u16>) {
    let origin = slow(Duration::from_millis(50)).await;
    let bed = Bed::new(|port| {
        let mut resources = simple(port, &[origin.port]);
        resources[3] = backend_with("a", change);
        resources
    })
    .await;
    let requests = (0..count).map(|_| {
        let bed = Rc::clone(&bed);
        tokio::task::spawn_local(async move { get(&bed, "/", "").await.status })
    });
    let mut statuses = Vec::new();
    for request in requests.collect::<Vec<_>>() {
        statuses.push(request.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(get(&bed, "/", "").await.status, 200, "there is room again");
    (bed, statuses)
}

#[test]
fn a_backend_gets_no_more_requests_than_it_may_have() {
    run(async {
        let (bed, statuses) = at_once(5, |backend| backend.max_requests = 2).await;
        assert_eq!(statuses, [200, 200, 503, 503, 503]);
        assert_eq!(bed.metrics.traffic().own_answers(Reason::Overflow), 3);
    });
}

#[test]
fn no_more_requests_wait_for_a_backend_than_may() {
    run(async {
        let limit = |backend: &mut v1::Backend| {
            backend.max_connections = 1;
            backend.max_pending_requests = 2;
        };
        let (_, statuses) = at_once(5, limit).await;
        assert_eq!(statuses, [200, 200, 200, 503, 503]);
    });
}

/// A bed whose rule takes bodies of 1000 bytes, with a body read timeout of 200 ms.
async fn of_1000_bytes(origin: u16) -> Rc<Bed> {
    let config = Config {
        downstream: DownstreamLimits {
            body_read_timeout: Duration::from_millis(200),
            ..DownstreamLimits::default()
        },
        ..Config::default()
    };
    let mut rule = route();
    rule.max_request_body_bytes = Some(1000);
    Bed::with(config, |port| with_route(port, &[origin], rule)).await
}

fn post(length: usize) -> String {
    let body = "x".repeat(length);
    format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}")
}

#[test]
fn a_body_that_is_too_long_is_refused_before_it_is_forwarded() {
    run(async {
        let origin = Origin::http1(|seen| text(seen.body.len().to_string())).await;
        let bed = of_1000_bytes(origin.port).await;
        let mut client = Http1::connect(&bed).await;
        assert_eq!(client.send(&post(1000)).await.body, "1000");
        assert_eq!(client.send(&post(1001)).await.status, 413);
        assert_eq!(origin.seen.borrow().len(), 1);
        let stream = TcpStream::connect(bed.address).await.unwrap();
        let mut sender = http2(stream).await;
        for (length, expect) in [(1000, 200), (1001, 413)] {
            let body = http_body_util::Full::from(vec![b'x'; length]);
            let request = http::Request::post("http://a/").body(body).unwrap();
            assert_eq!(send2(&mut sender, request).await.status, expect);
        }
        assert_eq!(origin.seen.borrow().len(), 2);
        assert_eq!(bed.metrics.traffic().own_answers(Reason::BodyTooLarge), 2);
    });
}

#[test]
fn a_body_of_unknown_length_is_counted_as_it_comes() {
    run(async {
        let origin = Origin::http1(|seen| text(seen.body.len().to_string())).await;
        let bed = of_1000_bytes(origin.port).await;
        let chunked = |chunks: usize| {
            let chunk = format!("64\r\n{}\r\n", "x".repeat(100));
            let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
            format!("{head}{}0\r\n\r\n", chunk.repeat(chunks))
        };
        let mut client = Http1::connect(&bed).await;
        assert_eq!(client.send(&chunked(10)).await.body, "1000");
        assert_eq!(client.send(&chunked(11)).await.status, 413);
        let whole = origin.seen.borrow().len();
        assert_eq!(whole, 1, "what came of it is no whole request");
    });
}

#[test]
fn a_client_that_stops_within_its_body_is_not_waited_for() {
    run(async {
        let origin = Origin::http1(|seen| text(seen.body.len().to_string())).await;
        let bed = of_1000_bytes(origin.port).await;
        let all = post(500);
        let (most, rest) = all.split_at(all.len() - 100);
        let mut client = Http1::connect(&bed).await;
        client.write(most).await;
        let began = Instant::now();
        assert_eq!(client.read().await.status, 408);
        let took = began.elapsed();
        assert!((200..1000).contains(&took.as_millis()), "{took:?}");
        assert!(client.is_closed().await);
        // One that is slow, and goes on, is served.
        let mut client = Http1::connect(&bed).await;
        client.write(most).await;
        for at in 0..rest.len() / 20 {
            sleep(Duration::from_millis(60)).await;
            client.write(&rest[at * 20..][..20]).await;
        }
        assert_eq!(client.read().await.body, "500");
        assert_eq!(bed.metrics.traffic().own_answers(Reason::BodyTimeout), 1);
    });
}

#[test]
fn a_connection_is_not_used_again_before_its_answer_is_read() {
    run(async {
        let origin = Origin::http1(|_| text("x".repeat(8 * 1024 * 1024))).await;
        let bed = Bed::new(|port| simple(port, &[origin.port])).await;
        let mut one = Http1::connect(&bed).await;
        one.write(GET).await;
        assert_eq!(one.read_head().await.status, 200);
        let mut two = Http1::connect(&bed).await;
        assert_eq!(two.send(GET).await.body.len(), 8 * 1024 * 1024);
        assert_eq!(origin.connections.get(), 2);
        assert_eq!(one.take(8 * 1024 * 1024).await.len(), 8 * 1024 * 1024);
        drop(one);
        sleep(Duration::from_millis(10)).await;
        let mut three = Http1::connect(&bed).await;
        assert_eq!(three.send(GET).await.status, 200);
        assert_eq!(origin.connections.get(), 2);
    });
}

#[test]
fn what_a_client_gives_up_is_given_up_at_the_backend() {
    run(async {
        let origin = slow(Duration::from_secs(20)).await;
        let bed = Bed::new(|port| simple(port, &[origin.port])).await;
        let mut client = Http1::connect(&bed).await;
        client.write(GET).await;
        while origin.seen.borrow().is_empty() {
            sleep(Duration::from_millis(2)).await;
        }
        drop(client);
        while bed.worker.open_connections() > 0 {
            sleep(Duration::from_millis(2)).await;
        }
    });
}

#[test]
fn expect_100_continue_and_pipelining_work() {
    run(async {
        let origin = Origin::http1(|seen| text(seen.head.uri.path().to_owned())).await;
        let bed = Bed::new(|port| simple(port, &[origin.port])).await;
        let mut client = Http1::connect(&bed).await;
        client
            .write(
                "POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
            )
            .await;
        assert_eq!(client.read_head().await.status, 100);
        client.write("hi").await;
        assert_eq!(client.read().await.body, "/e");
        assert_eq!(origin.last().body, "hi");
        client
            .write("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
            .await;
        assert_eq!(
            (client.read().await.body, client.read().await.body),
            ("/1".into(), "/2".into())
        );
        client.write("HEAD /h HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.read_head().await.header("content-length"), Some("2"));
        assert_eq!(
            client.send("GET /3 HTTP/1.1\r\nHost: a\r\n\r\n").await.body,
            "/3"
        );
    });
}

#[test]
fn requests_on_a_socket_without_listeners_end_their_connection() {
    run(async {
        let origin = Origin::http1(|_| text("ok")).await;
        let bed = Bed::new(|port| simple(port, &[origin.port])).await;
        let mut client = Http1::connect(&bed).await;
        assert_eq!(client.send(GET).await.status, 200);
        bed.apply(vec![], &["listener/d/g/http"]);
        let got = client.send(GET).await;
        assert_eq!((got.status, got.header("connection")), (404, Some("close")));
    });
}

#[test]
fn a_change_of_endpoints_keeps_connections_to_those_that_stay() {
    run(async {
        let a = Origin::http1(|_| text("a")).await;
        let b = Origin::http1(|_| text("b")).await;
        let bed = Bed::new(|port| simple(port, &[a.port])).await;
        assert_eq!(get(&bed, "/", "").await.body, "a");
        bed.apply(vec![endpoints("a", &[a.port, b.port])], &[]);
        let bodies: Vec<String> = [get(&bed, "/", "").await, get(&bed, "/", "").await]
            .map(|got| got.body)
            .into();
        assert!(
            bodies.contains(&"a".to_owned()) && bodies.contains(&"b".to_owned()),
            "{bodies:?}"
        );
        assert_eq!(a.connections.get(), 1);
        bed.apply(vec![endpoints("a", &[b.port])], &[]);
        for _ in 0..3 {
            assert_eq!(get(&bed, "/", "").await.body, "b");
        }
    });
}

#[test]
fn a_preface_that_comes_in_pieces_is_understood() {
    run(async {
        let origin = Origin::http1(|_| text("ok")).await;
        let bed = Bed::new(|port| simple(port, &[origin.port])).await;
        let mut client = Http1::connect(&bed).await;
        client.write("PRI * HT").await;
        sleep(Duration::from_millis(20)).await;
        client
            .write("TP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
            .await;
        let mut frame = [0; 9];
        client.stream.read_exact(&mut frame).await.unwrap();
        assert_eq!(frame[3], 4, "SETTINGS come first");
        let mut other = Http1::connect(&bed).await;
        other.write("P").await;
        sleep(Duration::from_millis(20)).await;
        let got = other
            .send("ATCH / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
            .await;
        assert_eq!(got.status, 200);
    });
}
