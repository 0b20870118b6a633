//! HTTP/2 connections: many requests at a time.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, StatusCode, header};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::ext::Protocol;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use super::connect::{Connector, Stream};
use super::endpoint::Active;
use super::pool::{Pool, Slot};
use super::{Answer, SendFailure};
use crate::body::{Body, OnEnd};
use crate::error::ForwardError;
use crate::headers;
use crate::upgrade::PendingUpgrade;
use crate::websocket::WEBSOCKET;

/// Bytes that a backend may send on a stream before they are read. The window of a connection has room for all its
/// streams at once: else clients that do not read would stop answers to others.
const STREAM_WINDOW: u32 = 64 * 1024;

/// RFC 9113 section 6.9.1.
const MAX_WINDOW: u32 = 0x7fff_ffff;

/// Stands for a limit of streams that the peer has not told yet.
const UNKNOWN: usize = 0x7fff_fffd;

/// An open connection.
pub(super) struct Connection {
    sender: SendRequest<Body>,
    /// Requests under way.
    streams: Cell<usize>,
    /// Streams that the peer allows now.
    allowed: Rc<Cell<usize>>,
    used: Cell<bool>,
    _slot: Slot,
}

/// One stream of a connection.
pub(crate) struct Lease {
    stream: Stream2,
    reused: bool,
    _active: Active,
}

struct Stream2 {
    connection: Rc<Connection>,
    pool: Rc<Pool>,
}

impl Connection {
    /// Starts HTTP/2 on a stream and a task that drives it, and waits for the peer's settings.
    pub(super) async fn open(
        stream: Stream,
        slot: Slot,
        streams: usize,
        limit: Duration,
        connector: &Connector,
    ) -> Result<Rc<Self>, ForwardError> {
        let reads = Rc::new(Notify::new());
        let window = u32::try_from(streams)
            .map_or(u32::MAX, |streams| streams.saturating_mul(STREAM_WINDOW));
        let (sender, connection) = Builder::new(Spawner(connector.tasks.clone()))
            .timer(TokioTimer::new())
            .initial_max_send_streams(UNKNOWN)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(window.min(MAX_WINDOW))
            .max_header_list_size(u32::try_from(connector.head_limits.bytes).unwrap_or(u32::MAX))
            .handshake(TokioIo::new(Noted {
                stream,
                reads: Rc::downgrade(&reads),
            }))
            .await
            .map_err(|error| ForwardError::Protocol(error.into()))?;
        let mut connection = Box::pin(connection);
        // Requests sent before the peer has said how many it takes at once could wait for each other.
        let settings = async {
            while connection.current_max_send_streams() == UNKNOWN {
                tokio::select! {
                    ended = &mut connection => return Err(ended.err()),
                    () = reads.notified() => {}
                }
            }
            Ok(())
        };
        let settings = tokio::time::timeout(limit, settings)
            .await
            .map_err(|_| ForwardError::ConnectTimeout)?;
        settings.map_err(|error| {
            let error = error.map_or_else(
                || "the connection ended before its settings".into(),
                Into::into,
            );
            ForwardError::Protocol(error)
        })?;
        let allowed = Rc::new(Cell::new(
            streams.min(connection.current_max_send_streams()),
        ));
        let shared = Rc::clone(&allowed);
        connector.tasks.spawn_local(std::future::poll_fn(move |cx| {
            let polled = connection.as_mut().poll(cx);
            shared.set(streams.min(connection.current_max_send_streams()));
            polled.map(drop)
        }));
        Ok(Rc::new(Self {
            sender,
            streams: Cell::new(0),
            allowed,
            used: Cell::new(false),
            _slot: slot,
        }))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    pub(super) fn has_room(&self) -> bool {
        self.streams.get() < self.allowed.get()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.streams.get() == 0
    }
}

impl Lease {
    pub(super) fn new(connection: &Rc<Connection>, pool: &Rc<Pool>, active: Active) -> Self {
        connection.streams.set(connection.streams.get() + 1);
        Self {
            stream: Stream2 {
                connection: Rc::clone(connection),
                pool: Rc::clone(pool),
            },
            reused: connection.used.replace(true),
            _active: active,
        }
    }

    pub(super) fn is_reused(&self) -> bool {
        self.reused
    }

    pub(super) async fn send(
        self,
        request: Box<Request<Body>>,
    ) -> Result<Answer, Box<SendFailure>> {
        // The codec keeps a request of which it has sent something; on a connection that may be stale
        // it may have to be sent again.
        let again = self.reused && headers::is_idempotent(request.method());
        let copy = again.then(|| duplicate(&request));
        let lost_body = !request.body().is_end_stream();
        let opening = request.extensions().get::<Protocol>().is_some();
        let response = self
            .stream
            .connection
            .sender
            .clone()
            .try_send_request(*request)
            .await;
        let response = response.map_err(|mut failure| {
            let unsent = failure.take_message().map(Box::new);
            Box::new(SendFailure::new(
                failure.into_error(),
                unsent,
                copy,
                lost_body,
            ))
        })?;
        if opening && response.status().is_success() {
            return Ok(self.opened(response));
        }
        let response = response.map(|body| Body::incoming(body).on_end(Box::new(self)));
        Ok(Answer {
            response: Box::new(response),
            upgrade: None,
        })
    }

    /// A WebSocket that the backend has opened: as over HTTP/1.1, but for the proof.
    fn opened(self, mut response: Response<Incoming>) -> Answer {
        let io = PendingUpgrade::of(hyper::upgrade::on(&mut response));
        let mut response = response.map(|_| Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().insert(header::UPGRADE, WEBSOCKET);
        Answer {
            response: Box::new(response),
            upgrade: Some(io.holding(self)),
        }
    }
}

/// A request once more, without its body.
fn duplicate(request: &Request<Body>) -> Box<Request<Body>> {
    let mut copy = Box::new(Request::new(Body::empty()));
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    copy
}

impl OnEnd for Lease {
    fn ended(self: Box<Self>) {}
}

impl Drop for Stream2 {
    fn drop(&mut self) {
        let connection = &self.connection;
        connection
            .streams
            .set(connection.streams.get().saturating_sub(1));
        self.pool.stream_ended();
    }
}

/// Spawns the tasks of a connection on this core.
#[derive(Clone)]
struct Spawner(TaskTracker);

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Spawner {
    fn execute(&self, future: F) {
        self.0.spawn_local(future);
    }
}

/// Tells of reads as long as somebody wants to know: the codec reads in a task of its own.
struct Noted {
    stream: Stream,
    reads: Weak<Notify>,
}

impl AsyncRead for Noted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if polled.is_ready()
            && let Some(reads) = self.reads.upgrade()
        {
            reads.notify_one();
        }
        polled
    }
}

impl AsyncWrite for Noted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
