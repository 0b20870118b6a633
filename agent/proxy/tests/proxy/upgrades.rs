//! Connections that leave HTTP.

use std::time::Duration;

use novaedge_proxy::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use crate::support::client::Http1;
use crate::support::origin::{Origin, raw, read_head, text, write};
use crate::support::resources::*;
use crate::support::{Bed, run};

const ASK: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Key: x\r\n\r\n";

/// Switches, says what head it saw, and echoes until its peer closes.
async fn echo() -> u16 {
    raw(|mut stream| async move {
        let head = read_head(&mut stream).await.to_lowercase();
        assert!(head.contains("upgrade: websocket\r\n") && head.contains("connection: upgrade\r\n"), "{head}");
        write(
            &mut stream,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: y\r\n\r\nhello",
        )
        .await;
        let mut buffer = [0; 1024];
        loop {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(count) => stream.write_all(&buffer[..count]).await.unwrap(),
            }
        }
        stream.write_all(b"bye").await.unwrap();
    })
    .await
}

#[test]
fn a_websocket_is_tunnelled_with_half_close_and_survives_swaps_and_timeouts() {
    run(async {
        let port = echo().await;
        let mut rule = route();
        rule.request_timeout_ms = Some(100);
        let bed = Bed::new(|of_bed| with_route(of_bed, &[port], rule)).await;
        let mut client = Http1::connect(&bed).await;
        client.write(ASK).await;
        let got = client.read_head().await;
        assert_eq!(
            (got.status, got.header("upgrade")),
            (101, Some("websocket"))
        );
        assert_eq!(got.header("connection"), Some("upgrade"));
        assert_eq!(got.header("sec-websocket-accept"), Some("y"));
        assert_eq!(client.take(5).await, b"hello");
        client.write("one").await;
        assert_eq!(client.take(3).await, b"one");

        bed.apply(
            vec![],
            &["route/HTTPRoute/d/r/0", "endpoints/d/a", "backend/d/a"],
        );
        sleep(Duration::from_millis(150)).await;
        client.write("two").await;
        assert_eq!(client.take(3).await, b"two");
        client.stream.shutdown().await.unwrap();
        assert_eq!(client.take(3).await, b"bye");
        assert!(client.is_closed().await);
        assert_eq!(bed.metrics.upgrades.get(), 1);
    });
}

#[test]
fn an_upgrade_that_the_backend_ignores_is_an_ordinary_answer() {
    run(async {
        let origin = Origin::http1(|_| text("no websocket here")).await;
        let bed = Bed::new(|port| simple(port, &[origin.port])).await;
        let mut client = Http1::connect(&bed).await;
        assert_eq!(client.send(ASK).await.body, "no websocket here");
        assert_eq!(
            client
                .send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                .await
                .status,
            200
        );
    });
}

#[test]
fn h2c_is_never_asked_of_a_backend() {
    run(async {
        let origin = Origin::http1(|_| text("ok")).await;
        let bed = Bed::new(|port| simple(port, &[origin.port])).await;
        let ask = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n\r\n";
        assert_eq!(Http1::connect(&bed).await.send(ask).await.status, 200);
        let seen = origin.last();
        for name in ["upgrade", "connection", "http2-settings"] {
            assert_eq!(seen.header(name), None);
        }
    });
}

#[test]
fn a_switch_that_nobody_asked_for_is_an_error() {
    run(async {
        let port = raw(|mut stream| async move {
            read_head(&mut stream).await;
            write(
                &mut stream,
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            )
            .await;
            sleep(Duration::from_secs(5)).await;
        })
        .await;
        let bed = Bed::new(|of_bed| simple(of_bed, &[port])).await;
        let got = Http1::connect(&bed)
            .await
            .send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .await;
        assert_eq!(got.status, 502);
    });
}

#[test]
fn an_idle_tunnel_is_closed() {
    run(async {
        let port = echo().await;
        let config = Config {
            tunnel_idle: Duration::from_millis(100),
            ..Config::default()
        };
        let bed = Bed::with(config, |of_bed| simple(of_bed, &[port])).await;
        let mut client = Http1::connect(&bed).await;
        client.write(ASK).await;
        assert_eq!(client.read_head().await.status, 101);
        assert_eq!(client.take(5).await, b"hello");
        for _ in 0..4 {
            sleep(Duration::from_millis(50)).await;
            client.write("x").await;
            assert_eq!(client.take(1).await, b"x");
        }
        sleep(Duration::from_millis(200)).await;
        assert!(client.is_closed().await);
        assert_eq!(bed.metrics.upgrades_timed_out.get(), 1);
    });
}
