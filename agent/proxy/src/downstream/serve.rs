//! Takes client connections, finds out what they speak, and drives their codecs.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use novaedge_router::client_hello::ClientHello;
use novaedge_router::{Scheme, SocketKey, TlsTarget};
use novaedge_turns::{Place, Turns};
use rustls::ProtocolVersion;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::http1::Session;
use super::stream::{Rewound, Watched, sniff};
use super::streams::{Manners, Streams};
use super::transport::ClientStream;
use super::wire::Wire;
use super::{Connection, Crowded, End, Protocol};
use crate::body::Body;
use crate::client::Client;
use crate::drain::{Drain, DrainWatch, Wish};
use crate::exchange::{self, Inbound, Served};
use crate::upgrade::{self, PendingUpgrade};
use crate::websocket::{self, WEBSOCKET};
use crate::worker::Worker;

/// Bytes of an answer that wait for the client's window, besides those read last.
const SEND_BUFFER: usize = 8 * 1024;

/// Streams of a connection that end by the client's own fault before the connection does (CVE-2025-8671).
const RESETS: usize = 64;

impl Worker {
    /// Serves a cleartext connection, which has no delay (`TCP_NODELAY`): HTTP/1.1, or HTTP/2 by prior knowledge. Ends with the
    /// connection; upgraded ones go on as tasks of the worker.
    pub async fn serve_http(
        self: Rc<Self>,
        mut stream: TcpStream,
        peer: SocketAddr,
        key: SocketKey,
        drain: Drain,
    ) {
        let _counted = Counted::new(&self);
        let limit = self.config.downstream.header_read_timeout;
        let sniffed = tokio::select! {
            sniffed = sniff(&mut stream, limit) => sniffed,
            () = drain.idle_ended() => return,
        };
        let (protocol, received) = match sniffed {
            Ok(sniffed) => sniffed,
            Err(error) => {
                if error.kind() == io::ErrorKind::TimedOut {
                    self.metrics.connections_timed_out.increment();
                }
                return;
            }
        };
        let client = Client::new(key, peer, Scheme::Http, None);
        if protocol == Protocol::Http1 {
            let stream = ClientStream::Tcp(stream);
            self.serve_http1(stream, received, client, drain).await;
        } else {
            // Boxed, so that connections of HTTP/1.1 do not hold the memory of this one.
            let stream = Rewound::new(received, stream);
            Box::pin(self.serve_http2(stream, client, drain)).await;
        }
    }

    /// Serves an HTTPS connection, which has no delay, whose ClientHello has been read: `received` are the bytes read so
    /// far. The certificate is that of the listener which `hello` selects.
    pub async fn serve_https(
        self: Rc<Self>,
        stream: TcpStream,
        received: Vec<u8>,
        hello: ClientHello,
        peer: SocketAddr,
        key: SocketKey,
        drain: Drain,
    ) {
        let _counted = Counted::new(&self);
        let Some(config) = self.server_config(key, hello.sni.as_deref()) else {
            // Without a usable certificate there is nothing to say, not even an alert.
            self.metrics.handshakes.without_certificate.increment();
            return;
        };
        let limit = self.config.downstream.handshake_timeout;
        // The key is used as soon as it begins, which takes long: one at a time, however many come at once.
        let handshake = async {
            let accept = TlsAcceptor::from(config).accept(Rewound::new(received, stream));
            self.turns.next().await.begin(pin!(accept)).await
        };
        let handshake = tokio::select! {
            handshake = tokio::time::timeout(limit, handshake) => handshake,
            () = drain.idle_ended() => return,
        };
        let stream = match handshake.map_err(io::Error::from).flatten() {
            Ok(stream) => stream,
            Err(error) => {
                self.metrics.handshakes.failed.increment();
                tracing::debug!(%error, %peer, "tls handshake failed");
                return;
            }
        };
        let mut client = Client::new(key, peer, Scheme::Https, hello.sni.as_deref());
        let handshakes = &self.metrics.handshakes;
        let (counter, version) = match stream.get_ref().1.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => (&handshakes.tls12, "1.2"),
            _ => (&handshakes.tls13, "1.3"),
        };
        counter.increment();
        client.tls = Some(version);
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        if is_http2 {
            Box::pin(self.serve_http2(stream, client, drain)).await;
        } else {
            let stream = ClientStream::Tls(Box::new(stream));
            self.serve_http1(stream, BytesMut::new(), client, drain)
                .await;
        }
    }

    fn server_config(
        &self,
        key: SocketKey,
        sni: Option<&str>,
    ) -> Option<Arc<rustls::ServerConfig>> {
        let current = self.current();
        let socket = current.runtime.tables.sockets.get(&key)?;
        let novaedge_router::Socket::Tls(socket) = &**socket else {
            return None;
        };
        match socket.select(sni)? {
            TlsTarget::Https(listener) => current.runtime.tls.server(&listener.info.name),
            TlsTarget::Terminate(_) | TlsTarget::Passthrough(_) => None,
        }
    }

    /// Serves HTTP/1.x with the codec of our own.
    async fn serve_http1(
        self: &Rc<Self>,
        stream: ClientStream,
        received: BytesMut,
        mut client: Client,
        drain: Drain,
    ) {
        let registered = self.connections.register(Protocol::Http1);
        let connection = registered.connection();
        client.connection = Some(Rc::clone(connection));
        let traffic = Arc::clone(connection.traffic());
        let finishing = Cell::new(false);
        let session = Session {
            worker: self,
            client,
            wire: Wire::new(stream, received, traffic, Rc::clone(&self.pipes)),
            connection,
            drain: drain.clone(),
            finishing: &finishing,
        };
        let codec = Own {
            session: pin!(session.run()),
            finishing: &finishing,
        };
        drive(codec, connection, drain, &self.turns).await;
    }

    /// Serves HTTP/2 with hyper's codec.
    async fn serve_http2<S>(self: &Rc<Self>, stream: S, mut client: Client, drain: Drain)
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let registered = self.connections.register(Protocol::Http2);
        let connection = Rc::clone(registered.connection());
        client.connection = Some(Rc::clone(&connection));
        let io = TokioIo::new(Watched::new(stream, Arc::clone(connection.traffic())));
        let requests = Requests {
            worker: Rc::clone(self),
            client: Rc::new(client),
            connection: Rc::clone(&connection),
            manners: Rc::default(),
        };
        let limits = &self.config.downstream;
        let codec = http2::Builder::new(Streams::new(&self.turns, &self.tasks))
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.http2_streams)
            .initial_stream_window_size(limits.http2_stream_window)
            .initial_connection_window_size(limits.http2_connection_window)
            .max_header_list_size(limits.http2_header_list)
            .max_local_error_reset_streams(RESETS)
            .max_send_buf_size(SEND_BUFFER)
            .enable_connect_protocol()
            .serve_connection(io, requests);
        if let Some(Err(error)) = drive(codec, &connection, drain, &self.turns).await {
            if error.is_parse() || error.is_parse_too_large() {
                self.metrics.heads_refused.increment();
            }
            tracing::trace!(%error, "client connection ended");
        }
    }
}

/// Counts a connection from its start to its end.
pub(super) struct Counted<'a>(&'a Worker);

impl<'a> Counted<'a> {
    pub(super) fn new(worker: &'a Worker) -> Self {
        worker.metrics.connections_opened.increment();
        Self(worker)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.metrics.connections_closed.increment();
    }
}

/// A codec that can be told to finish.
pub(super) trait Codec: Future {
    /// HTTP/1.1: no request after those in flight. HTTP/2: GOAWAY.
    fn finish(self: Pin<&mut Self>);
}

impl<S> Codec for http2::Connection<S, Requests, Streams>
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// A codec of our own making.
pub(super) struct Own<'a, F> {
    pub session: Pin<&'a mut F>,
    pub finishing: &'a Cell<bool>,
}

impl<F: Future<Output = ()>> Future for Own<'_, F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.session.as_mut().poll(cx)
    }
}

impl<F: Future<Output = ()>> Codec for Own<'_, F> {
    fn finish(self: Pin<&mut Self>) {
        self.finishing.set(true);
    }
}

/// Runs a codec to its end, or to that which timeouts or a drain set.
pub(super) async fn drive<C: Codec>(
    codec: C,
    connection: &Connection,
    drain: Drain,
    turns: &Turns,
) -> Option<C::Output> {
    let mut codec = pin!(codec);
    let mut place = Place::new(turns.clone());
    let mut drain = DrainWatch::new(drain);
    let mut finishing = false;
    poll_fn(|cx| {
        let waker = connection.register_waker(cx.waker());
        let end = connection.end();
        let wish = drain.poll(cx, waker);
        if end == Some(End::Abort) || wish == Wish::Cut {
            if end != Some(End::Abort) {
                connection.cut();
            }
            return Poll::Ready(None);
        }
        loop {
            if !finishing && (end.is_some() || connection.is_to_finish(wish)) {
                finishing = true;
                codec.as_mut().finish();
            }
            let polled = place.poll(cx, |cx| codec.as_mut().poll(cx));
            // A first request may have come in.
            if polled.is_ready() || finishing || !connection.is_to_finish(wish) {
                return polled.map(Some);
            }
        }
    })
    .await
}

/// The wish of a request that opens a WebSocket over HTTP/2 (RFC 8441). It goes on as the request that it stands for.
fn websocket_wish(request: &mut Request<Incoming>) -> Option<upgrade::Wish> {
    let protocol = request.extensions().get::<hyper::ext::Protocol>()?;
    if request.method() != Method::CONNECT || protocol.as_str() != websocket::NAME {
        return None;
    }
    *request.method_mut() = Method::GET;
    Some(upgrade::Wish {
        protocol: WEBSOCKET,
        io: PendingUpgrade::of(hyper::upgrade::on(request)),
    })
}

/// The requests of one HTTP/2 connection.
struct Requests {
    worker: Rc<Worker>,
    client: Rc<Client>,
    connection: Rc<Connection>,
    manners: Rc<Manners>,
}

impl Service<Request<Incoming>> for Requests {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>>>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let worker = Rc::clone(&self.worker);
        let limits = &worker.config.downstream;
        let Ok(in_flight) = self.connection.begin_with(&request, limits) else {
            let response = Crowded::refuse(&worker, &self.client, &request);
            return Box::pin(std::future::ready(Ok(response)));
        };
        let mut beginning = self.manners.begin(self.connection.in_flight.get());
        let client = Rc::clone(&self.client);
        let mut request = request;
        let upgrade = websocket_wish(&mut request).map(|mut wish| {
            // The tunnel is in flight as long as it lives.
            wish.io = wish.io.holding(self.connection.begin());
            wish
        });
        Box::pin(async move {
            let turn = beginning.turn(&worker.turns).await;
            let inbound = Inbound {
                request: Box::new(request.map(Body::incoming)),
                upgrade,
            };
            let serving = pin!(exchange::serve(&worker, &client, inbound, None));
            let Served { response, ending } = match turn {
                Some(turn) => turn.begin(serving).await,
                None => serving.await,
            };
            beginning.answered();
            Ok(response.map(|body| body.holding(in_flight, Some(ending))))
        })
    }
}
