//! Where messages begin and end on connections that are kept, and what happens when a side does not
//! hold to it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep};

use crate::http2::h2c_route;
use crate::support::client::{Http1, get};
use crate::support::origin::{Origin, raw, read_head, text, write};
use crate::support::resources::*;
use crate::support::{Bed, run};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// An origin that answers each request of a connection with these bytes, and how many connections it got.
async fn answering(answer: &'static str) -> (u16, Rc<Cell<usize>>) {
    let connections = Rc::new(Cell::new(0));
    let count = Rc::clone(&connections);
    let port = raw(move |mut stream| {
        count.set(count.get() + 1);
        async move {
            while !read_head(&mut stream).await.is_empty() {
                write(&mut stream, answer).await;
            }
        }
    })
    .await;
    (port, connections)
}

#[test]
fn heads_that_are_no_requests_are_told_why() {
    run(async {
        let origin = Origin::http1(|_| text("ok")).await;
        let bed = Bed::new(|port| simple(port, &[origin.port])).await;
        let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(61 * 1024));
        for (request, status) in [
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
            (long.as_str(), 414),
            ("GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/1.1\nHost: a\n\n", 400),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
            (
                "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                400,
            ),
            ("\u{16}\u{3}\u{1}", 400),
        ] {
            let mut client = Http1::connect(&bed).await;
            let got = client.send(request).await;
            assert_eq!(
                (got.status, got.header("connection")),
                (status, Some("close"))
            );
            assert!(!got.body.is_empty());
            assert!(client.is_closed().await);
        }
        assert_eq!(bed.metrics.heads_refused.get(), 7);
        assert!(origin.seen.borrow().is_empty());
    });
}

#[test]
fn chunks_that_are_broken_never_reach_the_backend_as_a_whole_request() {
    run(async {
        for chunks in [
            "5 \r\nhello\r\n0\r\n\r\n",
            "5\r\nhelloX\r\n0\r\n\r\n",
            "-1\r\n\r\n",
        ] {
            let origin = Origin::http1(|_| text("ok")).await;
            let bed = Bed::new(|port| simple(port, &[origin.port])).await;
            let mut client = Http1::connect(&bed).await;
            let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
            let got = client.send(&format!("{head}{chunks}{GET}")).await;
            assert_eq!(
                (got.status, got.header("connection")),
                (400, Some("close")),
                "{chunks:?}"
            );
            assert!(client.is_closed().await);
            sleep(Duration::from_millis(10)).await;
            let whole = origin
                .seen
                .borrow()
                .iter()
                .any(|seen| seen.body != "<broken>");
            assert!(!whole, "{chunks:?}");
        }
    });
}

#[test]
fn chunks_and_trailers_pass_in_both_directions_and_connections_are_kept() {
    run(async {
        let (port, connections) = answering(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\nHost: b\r\n\r\n",
        )
        .await;
        let bed = Bed::new(|of_bed| simple(of_bed, &[port])).await;
        let mut client = Http1::connect(&bed).await;
        for (fields, sum) in [
            ("", None),
            ("TE: trailers\r\nConnection: te\r\n", Some("5")),
        ] {
            let got = client
                .send(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
                .await;
            assert_eq!((got.status, got.body.as_str()), (200, "abcde"));
            assert_eq!((got.header("x-sum"), got.header("host")), (sum, None));
        }
        assert_eq!(connections.get(), 1);
        let origin = Origin::http1(|seen| text(seen.body)).await;
        bed.apply(vec![endpoints("a", &[origin.port])], &[]);
        let request = "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n\
                       3\r\nabc\r\n0\r\nX-Sum: 3\r\nContent-Length: 9\r\n\r\n";
        for _ in 0..2 {
            assert_eq!(client.send(request).await.body, "abc");
            let trailers = origin.last().trailers.unwrap();
            assert_eq!(
                (trailers.len(), &trailers["x-sum"]),
                (1, &"3".parse().unwrap())
            );
        }
        assert_eq!(origin.connections.get(), 1);
    });
}

#[test]
fn an_origin_that_sends_more_than_its_answer_gets_no_second_request() {
    run(async {
        let (port, connections) =
            answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n")
                .await;
        let bed = Bed::new(|of_bed| simple(of_bed, &[port])).await;
        let mut client = Http1::connect(&bed).await;
        for _ in 0..3 {
            let got = client.send(GET).await;
            assert_eq!((got.status, got.body.as_str()), (200, "ok"));
        }
        assert_eq!(connections.get(), 3);
    });
}

#[test]
fn bytes_that_come_on_an_idle_connection_end_it() {
    run(async {
        let connections = Rc::new(Cell::new(0));
        let count = Rc::clone(&connections);
        let port = raw(move |mut stream| {
            count.set(count.get() + 1);
            async move {
                read_head(&mut stream).await;
                write(
                    &mut stream,
                    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                )
                .await;
                sleep(Duration::from_millis(10)).await;
                write(
                    &mut stream,
                    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong",
                )
                .await;
                read_head(&mut stream).await;
            }
        })
        .await;
        let bed = Bed::new(|of_bed| simple(of_bed, &[port])).await;
        for _ in 0..3 {
            assert_eq!(get(&bed, "/", "").await.body, "ok");
            sleep(Duration::from_millis(30)).await;
        }
        assert_eq!(connections.get(), 3);
    });
}

#[test]
fn a_connection_that_the_origin_closed_while_idle_costs_no_request() {
    run(async {
        let port = raw(|mut stream| async move {
            read_head(&mut stream).await;
            write(
                &mut stream,
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            )
            .await;
        })
        .await;
        let bed = Bed::new(|of_bed| simple(of_bed, &[port])).await;
        let mut client = Http1::connect(&bed).await;
        for _ in 0..5 {
            // Nothing that could be sent twice.
            let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
            assert_eq!(client.send(post).await.status, 200);
            sleep(Duration::from_millis(10)).await;
        }
    });
}

#[test]
fn an_answer_may_come_before_the_request_is_sent() {
    run(async {
        let port = raw(|mut stream| async move {
            read_head(&mut stream).await;
            write(
                &mut stream,
                "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig",
            )
            .await;
            sleep(Duration::from_secs(5)).await;
        })
        .await;
        let bed = Bed::new(|of_bed| simple(of_bed, &[port])).await;
        // The rest is small and comes: the connection goes on.
        let mut client = Http1::connect(&bed).await;
        client
            .write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf")
            .await;
        let got = client.read().await;
        assert_eq!((got.status, got.body.as_str()), (413, "big"));
        client.write("half").await;
        client
            .write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n")
            .await;
        assert_eq!(client.read().await.status, 413);
        drop(client);
        // It is large, or does not come: the connection ends, and the answer is not lost.
        let mut client = Http1::connect(&bed).await;
        client
            .write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n")
            .await;
        let sending = "x".repeat(512 * 1024);
        let _ = tokio::io::AsyncWriteExt::write_all(&mut client.stream, sending.as_bytes()).await;
        assert_eq!(client.read().await.body, "big");
        assert!(client.is_closed().await);
    });
}

#[test]
fn both_directions_stream_at_the_same_time() {
    run(async {
        // An origin that sends back what it gets as it gets it.
        let port = raw(|mut stream| async move {
            read_head(&mut stream).await;
            write(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n").await;
            let mut three = [0; 3];
            for _ in 0..3 {
                stream.read_exact(&mut three).await.unwrap();
                write(&mut stream, std::str::from_utf8(&three).unwrap()).await;
            }
            sleep(Duration::from_secs(5)).await;
        })
        .await;
        let bed = Bed::new(|of_bed| simple(of_bed, &[port])).await;
        let mut client = Http1::connect(&bed).await;
        client
            .write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
            .await;
        assert_eq!(client.read_head().await.status, 200);
        for piece in ["one", "two", "six"] {
            client.write(piece).await;
            assert_eq!(client.take(3).await, piece.as_bytes());
        }
    });
}

#[test]
fn answers_that_break_the_framing_are_not_passed_on() {
    run(async {
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 2\r\n\r\nok",
            "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
            "SSH-2.0-OpenSSH\r\n\r\n",
        ] {
            let (port, _) = answering(answer).await;
            let bed = Bed::new(|of_bed| simple(of_bed, &[port])).await;
            assert_eq!(get(&bed, "/", "").await.status, 502, "{answer:?}");
        }
    });
}

#[test]
fn a_client_that_was_not_told_to_go_on_gets_a_closed_connection() {
    run(async {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let heads = Rc::clone(&seen);
        let origin = Origin::http1(move |request| {
            heads.borrow_mut().push(request.head.method.clone());
            text("ok")
        })
        .await;
        let mut only = route();
        only.http_matches = vec![prefix("/only")];
        let bed = Bed::new(|port| with_route(port, &[origin.port], only)).await;
        let mut client = Http1::connect(&bed).await;
        // Whether what comes now is the body or a request, nobody can tell.
        let head =
            "PUT /other HTTP/1.1\r\nHost: a\r\nContent-Length: 47\r\nExpect: 100-continue\r\n\r\n";
        let got = client.send(head).await;
        assert_eq!((got.status, got.header("connection")), (404, Some("close")));
        assert!(client.is_closed().await);
        assert!(seen.borrow().is_empty());
    });
}

#[test]
fn a_body_that_a_backend_still_waits_for_ends_with_its_connection() {
    run(async {
        let origin = Origin::http2(|_| text("ok")).await;
        let bed = Bed::new(|port| h2c_route(port, origin.port, route())).await;
        let mut client = Http1::connect(&bed).await;
        client
            .write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf")
            .await;
        sleep(Duration::from_millis(50)).await;
        bed.drain.begin(Instant::now() + Duration::from_millis(50));
        assert!(client.is_closed().await);
        while origin.seen.borrow().is_empty() {
            sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(origin.last().body, "<broken>");
    });
}

#[test]
fn a_client_may_send_all_before_it_reads() {
    run(async {
        // An origin that answers at once with more than sockets hold, and reads meanwhile.
        const SIZE: usize = 16 * 1024 * 1024;
        let port = raw(|mut stream| async move {
            read_head(&mut stream).await;
            let (mut reader, mut writer) = stream.split();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n");
            let answer = [answer.into_bytes(), vec![b'a'; SIZE]].concat();
            let mut taken = vec![0; SIZE];
            let (sent, read) = tokio::join!(
                tokio::io::AsyncWriteExt::write_all(&mut writer, &answer),
                reader.read_exact(&mut taken)
            );
            sent.unwrap();
            read.unwrap();
        })
        .await;
        let bed = Bed::new(|of_bed| simple(of_bed, &[port])).await;
        let mut client = Http1::connect(&bed).await;
        let body = "b".repeat(SIZE);
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n");
        client.write(&head).await;
        client.write(&body).await;
        assert_eq!(client.read().await.body.len(), SIZE);
    });
}
