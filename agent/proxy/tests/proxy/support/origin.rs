//! Backends in the same process.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::Future;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::rc::Rc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub type Answer = Response<BoxBody<Bytes, Infallible>>;
type Answering = Pin<Box<dyn Future<Output = Answer>>>;

/// An HTTP server that keeps what it was sent.
pub struct Origin {
    pub port: u16,
    pub connections: Cell<usize>,
    pub seen: RefCell<Vec<Seen>>,
}

/// A request as the origin saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub head: Rc<http::request::Parts>,
    pub body: Bytes,
    pub trailers: Option<http::HeaderMap>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head
            .headers
            .get(name)
            .map(|value| value.to_str().unwrap())
    }
}

#[derive(Clone)]
struct Spawn;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Spawn {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

pub fn text(body: impl Into<Bytes>) -> Answer {
    Response::new(Full::new(body.into()).boxed())
}

pub fn status(code: u16) -> Answer {
    let mut answer = text(code.to_string());
    *answer.status_mut() = code.try_into().unwrap();
    answer
}

impl Origin {
    /// An HTTP/1.1 server that reads each request to its end before it answers.
    pub async fn http1(answer: impl Fn(Seen) -> Answer + 'static) -> Rc<Self> {
        Self::http1_async(move |seen| Box::pin(std::future::ready(answer(seen)))).await
    }

    pub async fn http1_async(answer: impl Fn(Seen) -> Answering + 'static) -> Rc<Self> {
        Self::start(answer, |stream, origin, answer| {
            let service =
                service_fn(move |request| Rc::clone(&origin).serve(request, Rc::clone(&answer)));
            tokio::task::spawn_local(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service),
            );
        })
        .await
    }

    /// An HTTP/2 server by prior knowledge.
    pub async fn http2(answer: impl Fn(Seen) -> Answer + 'static) -> Rc<Self> {
        Self::http2_async(u32::MAX, move |seen| {
            Box::pin(std::future::ready(answer(seen)))
        })
        .await
    }

    pub async fn http2_async(
        streams: u32,
        answer: impl Fn(Seen) -> Answering + 'static,
    ) -> Rc<Self> {
        Self::start(answer, move |stream, origin, answer| {
            let service =
                service_fn(move |request| Rc::clone(&origin).serve(request, Rc::clone(&answer)));
            tokio::task::spawn_local(
                hyper::server::conn::http2::Builder::new(Spawn)
                    .max_concurrent_streams(streams)
                    .serve_connection(TokioIo::new(stream), service),
            );
        })
        .await
    }

    /// An HTTP/2 server that sends GOAWAY with its first answer.
    pub async fn http2_goaway(answer: impl Fn(Seen) -> Answer + 'static) -> Rc<Self> {
        let answer = move |seen| Box::pin(std::future::ready(answer(seen))) as Answering;
        Self::start(answer, |stream, origin, answer| {
            let answered = Rc::new(tokio::sync::Notify::new());
            let told = Rc::clone(&answered);
            let service = service_fn(move |request| {
                told.notify_one();
                Rc::clone(&origin).serve(request, Rc::clone(&answer))
            });
            tokio::task::spawn_local(async move {
                let connection = hyper::server::conn::http2::Builder::new(Spawn)
                    .serve_connection(TokioIo::new(stream), service);
                let mut connection = std::pin::pin!(connection);
                tokio::select! {
                    _ = connection.as_mut() => return,
                    () = answered.notified() => connection.as_mut().graceful_shutdown(),
                }
                let _ = connection.await;
            });
        })
        .await
    }

    async fn start<A: Fn(Seen) -> Answering + 'static>(
        answer: A,
        connected: impl Fn(TcpStream, Rc<Self>, Rc<A>) + 'static,
    ) -> Rc<Self> {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let origin = Rc::new(Self {
            port: socket.local_addr().unwrap().port(),
            connections: Cell::new(0),
            seen: RefCell::default(),
        });
        let shared = Rc::clone(&origin);
        let answer = Rc::new(answer);
        tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = socket.accept().await.unwrap();
                shared.connections.set(shared.connections.get() + 1);
                connected(stream, Rc::clone(&shared), Rc::clone(&answer));
            }
        });
        origin
    }

    async fn serve<A: Fn(Seen) -> Answering>(
        self: Rc<Self>,
        request: Request<Incoming>,
        answer: Rc<A>,
    ) -> Result<Answer, Infallible> {
        let (head, body) = request.into_parts();
        let (body, trailers) = match body.collect().await {
            Ok(body) => {
                let trailers = body.trailers().cloned();
                (body.to_bytes(), trailers)
            }
            Err(_) => (Bytes::from_static(b"<broken>"), None),
        };
        let seen = Seen {
            head: Rc::new(head),
            body,
            trailers,
        };
        self.seen.borrow_mut().push(seen.clone());
        Ok(answer(seen).await)
    }

    pub fn last(&self) -> Seen {
        self.seen
            .borrow()
            .last()
            .cloned()
            .expect("a request has come")
    }
}

/// A server of bytes: `serve` gets each connection.
pub async fn raw<F: Future<Output = ()> + 'static>(
    serve: impl Fn(TcpStream) -> F + 'static,
) -> u16 {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::task::spawn_local(async move {
        loop {
            let (stream, _) = socket.accept().await.unwrap();
            tokio::task::spawn_local(serve(stream));
        }
    });
    port
}

/// Reads a request head.
pub async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

pub async fn write(stream: &mut TcpStream, bytes: &str) {
    stream.write_all(bytes.as_bytes()).await.unwrap();
}

/// A port that refuses connections.
pub async fn refusing() -> u16 {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket.local_addr().unwrap().port()
}

/// Answers after a while.
pub async fn slow(wait: std::time::Duration) -> Rc<Origin> {
    Origin::http1_async(move |_| {
        Box::pin(async move {
            tokio::time::sleep(wait).await;
            text("ok")
        })
    })
    .await
}
