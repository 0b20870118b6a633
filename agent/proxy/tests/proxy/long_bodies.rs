//! Bodies that are long enough to go from socket to socket without being copied.

use std::future::Future;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::client::Http1;
use crate::support::origin::{Origin, raw, read_head, text, write};
use crate::support::resources::*;
use crate::support::{Bed, run};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const LENGTH: usize = 3_000_000;

/// Text that differs from place to place.
fn long() -> String {
    (b'a'..=b'w').cycle().take(LENGTH).map(char::from).collect()
}

/// An origin that answers every request with this head and these bytes, then goes on.
async fn answering(head: String, body: String) -> u16 {
    let answer = head + &body;
    raw(move |mut stream: TcpStream| {
        let answer = answer.clone();
        async move {
            while !read_head(&mut stream).await.is_empty() {
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    })
    .await
}

fn head(length: usize) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")
}

#[test]
fn they_arrive_unchanged_through_a_pipe_and_connections_are_kept() {
    run(async {
        let origin = Origin::http1(|_| text(long())).await;
        let bed = Bed::new(|port| simple(port, &[origin.port])).await;
        let mut client = Http1::connect(&bed).await;
        for _ in 0..3 {
            let got = client.send(GET).await;
            assert!(got.body == long());
        }
        assert_eq!(bed.worker.open_pipes(), 1);
        assert_eq!(origin.connections.get(), 1);
    });
}

#[test]
fn they_wait_for_a_slow_client() {
    run(async {
        let origin = Origin::http1(|_| text(long())).await;
        let bed = Bed::new(|port| simple(port, &[origin.port])).await;
        let mut client = Http1::connect(&bed).await;
        client.write(GET).await;
        while bed.worker.open_pipes() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(client.read().await.body == long());
    });
}

#[test]
fn what_comes_after_them_belongs_to_nobody() {
    run(async {
        let port = answering(head(LENGTH), long() + "HTTP/1.1 200 OK\r\n\r\n").await;
        let bed = Bed::new(|listener| simple(listener, &[port])).await;
        let mut client = Http1::connect(&bed).await;
        for _ in 0..3 {
            let got = client.send(GET).await;
            assert!(got.body == long());
        }
    });
}

/// An origin that sends half of a long body, then does this.
async fn stopping<F: Future<Output = ()> + 'static>(then: impl Fn() -> F + 'static) -> u16 {
    raw(move |mut stream: TcpStream| {
        let then = then();
        async move {
            read_head(&mut stream).await;
            write(&mut stream, &head(LENGTH)).await;
            write(&mut stream, &long()[..LENGTH / 2]).await;
            then.await;
        }
    })
    .await
}

/// Asks for a body that came through a pipe and is not whole when the connection ends.
async fn ask_for_a_part(bed: &Bed) {
    let mut client = Http1::connect(bed).await;
    client.write(GET).await;
    client.read_head().await;
    let mut got = Vec::new();
    let _ = client.stream.read_to_end(&mut got).await;
    assert!(got.len() < LENGTH);
    assert_eq!(bed.worker.open_pipes(), 1);
}

#[test]
fn one_that_ends_early_ends_the_connection() {
    run(async {
        let port = stopping(|| std::future::ready(())).await;
        let bed = Bed::new(|listener| simple(listener, &[port])).await;
        ask_for_a_part(&bed).await;
    });
}

#[test]
fn one_that_takes_too_long_is_broken_off() {
    run(async {
        // The origin never ends by itself.
        let port = stopping(std::future::pending).await;
        let mut limited = route();
        limited.request_timeout_ms = Some(200);
        let bed = Bed::new(|listener| with_route(listener, &[port], limited)).await;
        ask_for_a_part(&bed).await;
    });
}

#[test]
fn they_are_copied_when_no_pipe_is_left() {
    run(async {
        let origin = Origin::http1(|_| text(long())).await;
        let config = novaedge_proxy::Config {
            pipes: 0,
            ..novaedge_proxy::Config::default()
        };
        let bed = Bed::with(config, |port| simple(port, &[origin.port])).await;
        let mut client = Http1::connect(&bed).await;
        assert!(client.send(GET).await.body == long());
        assert_eq!(bed.worker.open_pipes(), 0);
    });
}
