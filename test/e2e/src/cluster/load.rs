//! Load that keeps its connections, each asking one thing after the other.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::task::JoinSet;

use super::within;
use crate::clients::{Answer, Http1, Http2};

/// Between two requests of a connection.
const PAUSE: Duration = Duration::from_millis(10);

/// Clients of HTTP/1.1, HTTP/2 and gRPC, until [`Load::finish`].
pub struct Load {
    begin: Instant,
    over: Arc<AtomicBool>,
    answers: Arc<AtomicUsize>,
    failures: Arc<Mutex<Vec<String>>>,
    clients: JoinSet<()>,
}

impl Load {
    /// Starts `connections` clients of HTTP/1.1 and as many of HTTP/2, each asking about every 10 ms.
    pub fn start(address: SocketAddr, host: &'static str, connections: usize) -> Self {
        let mut load = Self {
            begin: Instant::now(),
            over: Arc::default(),
            answers: Arc::default(),
            failures: Arc::default(),
            clients: JoinSet::new(),
        };
        load.add(address, host, connections);
        load
    }

    /// As many clients more at another address or host.
    pub fn add(&mut self, address: SocketAddr, host: &'static str, connections: usize) {
        for _ in 0..connections {
            let client = self.client(address, host);
            self.clients.spawn(client.http1());
            let client = self.client(address, host);
            self.clients.spawn(client.http2(Kind::Http));
        }
    }

    /// Clients that make gRPC calls.
    pub fn add_grpc(&mut self, address: SocketAddr, host: &'static str, connections: usize) {
        for _ in 0..connections {
            let client = self.client(address, host);
            self.clients.spawn(client.http2(Kind::Grpc));
        }
    }

    /// Answers so far.
    pub fn answers(&self) -> usize {
        self.answers.load(Ordering::Relaxed)
    }

    /// Ends the clients: how many answers came, and what went wrong.
    pub async fn finish(mut self) -> (usize, Vec<String>) {
        self.over.store(true, Ordering::Relaxed);
        while let Some(client) = self.clients.join_next().await {
            if let Err(error) = client {
                let mut failures = self.failures.lock().expect("it is never held for long");
                failures.push(format!("a client: {error}"));
            }
        }
        let failures = std::mem::take(&mut *self.failures.lock().expect("all clients ended"));
        (self.answers(), failures)
    }

    /// Ends the clients; panics if anything went wrong, and tells how many answers came.
    pub async fn finish_without_failure(self) {
        let (answers, failures) = self.finish().await;
        eprintln!("{answers} answers, {} failures", failures.len());
        assert_eq!(failures, Vec::<String>::new());
        assert!(answers > 0);
    }

    fn client(&self, address: SocketAddr, host: &'static str) -> Client {
        Client {
            address,
            host,
            begin: self.begin,
            over: Arc::clone(&self.over),
            answers: Arc::clone(&self.answers),
            failures: Arc::clone(&self.failures),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Http,
    Grpc,
}

struct Client {
    address: SocketAddr,
    host: &'static str,
    begin: Instant,
    over: Arc<AtomicBool>,
    answers: Arc<AtomicUsize>,
    failures: Arc<Mutex<Vec<String>>>,
}

impl Client {
    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    async fn http1(self) {
        while self.goes_on() {
            match Http1::try_connect(self.address).await {
                // A connection that the server has announced to end is not used again.
                Ok(mut client) => {
                    while self.goes_on() && client.is_open() {
                        let answer = client.get(self.host, "/").await;
                        self.take("HTTP/1.1", answer, Kind::Http).await;
                    }
                }
                Err(error) => {
                    let what = format!("HTTP/1.1: cannot connect: {error}");
                    self.failed(&what).await;
                }
            }
        }
    }

    async fn http2(self, kind: Kind) {
        while self.goes_on() {
            let mut client = Http2::connect(self.address).await;
            while self.goes_on() && client.is_open() {
                match kind {
                    Kind::Http => {
                        let answer = client.get(self.host, "/").await;
                        self.take("HTTP/2", answer, kind).await;
                    }
                    Kind::Grpc => {
                        let answer = client.send(call(self.host)).await;
                        self.take("gRPC", answer, kind).await;
                    }
                }
            }
        }
    }

    async fn take(&self, protocol: &str, answer: Result<Answer, hyper::Error>, kind: Kind) {
        match answer {
            Ok(answer) if answer.status != 200 => {
                self.failed(&format!("{protocol}: {}", answer.status)).await;
            }
            Ok(answer) if matches!(kind, Kind::Grpc) && grpc_status(&answer) != "0" => {
                let status = grpc_status(&answer);
                self.failed(&format!("{protocol}: grpc-status {status:?}"))
                    .await;
            }
            Ok(_) => {
                self.answers.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) if never_processed(&error) => tokio::time::sleep(PAUSE).await,
            Err(error) => self.failed(&format!("{protocol}: {error:?}")).await,
        }
    }

    async fn failed(&self, what: &str) {
        self.note(what);
        tokio::time::sleep(PAUSE).await;
    }

    fn note(&self, what: &str) {
        let when = self.begin.elapsed().as_millis();
        let mut failures = self.failures.lock().expect("no client panics here");
        // The first ones tell enough.
        if failures.len() < 100 {
            failures.push(format!("{when} ms, {}: {what}", self.address));
        }
    }
}

/// Whether a request crossed the server's GOAWAY: it was not sent, or the server says that it did not process it. Every
/// client of HTTP/2 asks again then, on a new connection (RFC 9113, section 6.8); what was processed never ends so.
fn never_processed(error: &hyper::Error) -> bool {
    let cause =
        std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<h2::Error>());
    let refused = cause.is_some_and(|cause| {
        cause.is_go_away() && cause.is_remote() && cause.reason() == Some(h2::Reason::NO_ERROR)
    });
    refused || error.is_canceled()
}

/// Waits until a gRPC call for `host` succeeds.
pub async fn serves_grpc(address: SocketAddr, host: &str) {
    within(Duration::from_mins(1), "a gRPC answer", async || {
        let mut client = Http2::connect(address).await;
        let answer = client.send(call(host)).await.ok()?;
        (grpc_status(&answer) == "0").then_some(())
    })
    .await;
}

/// A unary call with an empty message.
fn call(host: &str) -> Request<Full<Bytes>> {
    Request::post(format!("http://{host}/hello.Hello/Hello"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::from(Bytes::from_static(&[0; 5])))
        .expect("a request")
}

fn grpc_status(answer: &Answer) -> &str {
    // A call that fails at once has its status in the head.
    let trailers = answer.trailers.as_ref().unwrap_or(&answer.headers);
    let status = trailers.get("grpc-status");
    status
        .and_then(|status| status.to_str().ok())
        .unwrap_or("none")
}
