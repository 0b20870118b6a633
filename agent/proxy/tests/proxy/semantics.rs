//! What HTTP asks of a gateway beyond moving bodies (RFC 9110, RFC 9112).

use std::rc::Rc;

use novaedge_proto::v1;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::support::client::{Http1, get, get2, http2, send2};
use crate::support::origin::{Origin, raw, read_head, status, text, write};
use crate::support::resources::*;
use crate::support::{Bed, run};

/// An origin that answers each request with these bytes.
async fn answering(answer: &'static str) -> u16 {
    raw(move |mut stream| async move {
        while !read_head(&mut stream).await.is_empty() {
            write(&mut stream, answer).await;
        }
    })
    .await
}

#[test]
fn a_client_that_expects_100_is_told_to_go_on_when_its_body_is_wanted() {
    run(async {
        let origin = Origin::http1(|seen| text(seen.body)).await;
        let mut only = route();
        only.http_matches = vec![prefix("/only")];
        let bed = Bed::new(|port| with_route(port, &[origin.port], only)).await;
        let mut client = Http1::connect(&bed).await;
        let head = "Host: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
        client.write(&format!("PUT /only HTTP/1.1\r\n{head}")).await;
        assert_eq!(client.read_head().await.status, 100);
        client.write("body").await;
        let got = client.read().await;
        assert_eq!((got.status, got.body.as_str()), (200, "body"));

        // A refusal comes instead of the word to go on.
        client
            .write(&format!("PUT /other HTTP/1.1\r\n{head}"))
            .await;
        assert_eq!(client.read().await.status, 404);
    });
}

#[test]
fn other_informational_answers_come_before_the_final_one_to_clients_that_know_them() {
    run(async {
        let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: x\r\nX: y\r\n\r\n\
                     HTTP/1.1 102 Processing\r\n\r\n\
                     HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        let origin = answering(hints).await;
        let bed = Bed::new(|port| simple(port, &[origin])).await;
        let mut client = Http1::connect(&bed).await;
        for _ in 0..2 {
            let got = client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            assert_eq!(got.status, 103);
            assert_eq!(got.header("link"), Some("</a.css>; rel=preload"));
            assert_eq!((got.header("connection"), got.header("x")), (None, None));
            assert_eq!(client.read().await.status, 102);
            let got = client.read().await;
            assert_eq!((got.status, got.body.as_str()), (200, "ok"));
        }
        let old = client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n").await;
        assert_eq!(old.status, 200);
        let stream = TcpStream::connect(bed.address).await.unwrap();
        let got = send2(&mut http2(stream).await, get2("http://a/")).await;
        assert_eq!((got.status, got.body.as_str()), (200, "ok"));
    });
}

#[test]
fn an_informational_answer_does_not_wait_for_the_final_one() {
    run(async {
        let told = Rc::new(Notify::new());
        let seen = Rc::clone(&told);
        let origin = raw(move |mut stream| {
            let seen = Rc::clone(&seen);
            async move {
                read_head(&mut stream).await;
                write(&mut stream, "HTTP/1.1 103 Early Hints\r\n\r\n").await;
                seen.notified().await;
                write(&mut stream, "HTTP/1.1 204 No Content\r\n\r\n").await;
            }
        })
        .await;
        let bed = Bed::new(|port| simple(port, &[origin])).await;
        let mut client = Http1::connect(&bed).await;
        let head = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
        assert_eq!(client.send(head).await.status, 100);
        assert_eq!(client.read().await.status, 103);
        client.write("body").await;
        told.notify_one();
        assert_eq!(client.read().await.status, 204);
    });
}

#[test]
fn a_client_of_http_1_0_gets_a_body_without_chunks_and_a_closed_connection() {
    run(async {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                       5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
        let origin = answering(chunked).await;
        let bed = Bed::new(|port| simple(port, &[origin])).await;
        let mut client = Http1::connect(&bed).await;
        client.write("GET / HTTP/1.0\r\nHost: a\r\n\r\n").await;
        let got = client.read_head().await;
        assert_eq!(got.status, 200);
        assert_eq!(got.header("transfer-encoding"), None);
        assert_eq!(client.take(11).await, b"hello world");
        assert!(client.is_closed().await);

        // Hosts are what a gateway routes by, so this version must name one, too.
        let mut client = Http1::connect(&bed).await;
        client.write("GET / HTTP/1.0\r\n\r\n").await;
        assert_eq!(client.read_head().await.status, 400);
    });
}

#[test]
fn a_client_of_http_1_0_may_keep_its_connection() {
    run(async {
        let origin = Origin::http1(|_| text("ok")).await;
        let bed = Bed::new(|port| simple(port, &[origin.port])).await;
        let mut client = Http1::connect(&bed).await;
        for _ in 0..2 {
            let asked = "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n";
            let got = client.send(asked).await;
            assert_eq!((got.status, got.body.as_str()), (200, "ok"));
        }
        assert_eq!(origin.last().header("via"), Some("1.0 novaedge"));
    });
}

#[test]
fn an_answer_to_head_has_the_length_and_no_body() {
    run(async {
        let origin =
            answering("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nETag: \"a\"\r\n\r\n").await;
        let bed = Bed::new(|port| simple(port, &[origin])).await;
        let mut client = Http1::connect(&bed).await;
        for _ in 0..2 {
            client.write("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            let got = client.read_head().await;
            assert_eq!(got.status, 200);
            assert_eq!(got.header("content-length"), Some("1000"));
            assert_eq!(got.header("etag"), Some("\"a\""));
        }
    });
}

#[test]
fn answers_without_a_body_leave_the_connection_in_step() {
    run(async {
        for (answer, code) in [
            ("HTTP/1.1 204 No Content\r\nX-Own: 1\r\n\r\n", 204),
            (
                "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nX-Own: 1\r\n\r\n",
                304,
            ),
            (
                "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nX-Own: 1\r\n\r\n",
                304,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Own: 1\r\n\r\n",
                200,
            ),
        ] {
            let origin = answering(answer).await;
            let bed = Bed::new(|port| simple(port, &[origin])).await;
            let mut client = Http1::connect(&bed).await;
            for _ in 0..3 {
                let asked = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
                let got = client.send(asked).await;
                assert_eq!((got.status, got.header("x-own")), (code, Some("1")));
                assert_eq!(got.header("transfer-encoding"), None, "{answer}");
            }
            let mut client = http2(TcpStream::connect(bed.address).await.unwrap()).await;
            let got = send2(&mut client, get2("http://a/")).await;
            assert_eq!((got.status, got.body.as_str()), (code, ""));
        }
    });
}

#[test]
fn a_body_that_ends_with_its_connection_is_passed_on_to_its_end() {
    run(async {
        let origin = raw(|mut stream| async move {
            read_head(&mut stream).await;
            write(&mut stream, "HTTP/1.1 200 OK\r\n\r\nto the end").await;
        })
        .await;
        let bed = Bed::new(|port| simple(port, &[origin])).await;
        for _ in 0..2 {
            assert_eq!(get(&bed, "/", "").await.body, "to the end");
        }
    });
}

#[test]
fn the_backend_sees_the_host_as_the_client_wrote_it() {
    run(async {
        let origin = Origin::http1(|_| status(200)).await;
        let bed = Bed::new(|port| simple(port, &[origin.port])).await;
        for host in ["A.Example", "a.example:8080", "a.example.", "[::1]:80"] {
            let mut client = Http1::connect(&bed).await;
            let asked = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
            assert_eq!(client.send(&asked).await.status, 200, "{host}");
            assert_eq!(origin.last().header("host"), Some(host));
            assert_eq!(origin.last().header("x-forwarded-host"), Some(host));
        }
    });
}

#[test]
fn a_session_goes_before_weights_and_its_cookie_has_the_path_of_the_match() {
    run(async {
        let a = Origin::http1(|_| text("a")).await;
        let b = Origin::http1(|_| text("b")).await;
        let mut rule = route();
        rule.http_matches = vec![prefix("/shop")];
        rule.backends = vec![to("a"), to("b")];
        rule.session_persistence = Some(v1::SessionPersistence {
            r#type: v1::session_persistence::Type::Cookie.into(),
            session_name: "sid".into(),
            permanent_cookie: true,
            absolute_timeout_ms: 60_000,
            idle_timeout_ms: 30_000,
        });
        let bed = Bed::new(|port| {
            let mut all = with_route(port, &[a.port], rule);
            all.extend([backend("b"), endpoints("b", &[b.port])]);
            all
        })
        .await;
        for _ in 0..4 {
            let first = get(&bed, "/shop/cart", "").await;
            let cookie = first.header("set-cookie").unwrap().to_owned();
            assert!(
                cookie.contains("; Path=/shop; HttpOnly; Max-Age="),
                "{cookie}"
            );
            let pair = cookie.split(';').next().unwrap();
            for _ in 0..6 {
                let got = get(&bed, "/shop", &format!("Cookie: {pair}\r\n")).await;
                assert_eq!(got.body, first.body);
            }
        }
        let bodies: std::collections::BTreeSet<usize> =
            [a.seen.borrow().len(), b.seen.borrow().len()].into();
        assert_eq!(bodies, [14].into(), "the weights hold for new sessions");
    });
}
