//! Drives client connections with hyper's codecs, and hands their requests to the forwarder.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use http::{HeaderValue, Request, Response, Version, header};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use novaedge_router::client_hello::ClientHello;
use novaedge_router::{Scheme, SocketKey, TlsTarget};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::stream::{Rewound, Watched, sniff};
use super::{Connection, End, Protocol};
use crate::body::Body;
use crate::client::Client;
use crate::drain::{Drain, DrainWatch, Stage, Wish};
use crate::exchange::{self, Inbound};
use crate::headers;
use crate::upgrade::PendingUpgrade;
use crate::upstream::Spawner;
use crate::worker::Worker;

impl Worker {
    /// Serves a cleartext connection: HTTP/1.1, or HTTP/2 by prior knowledge. Ends with the
    /// connection; upgraded ones go on as tasks of the worker.
    pub async fn serve_http(
        self: Rc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        key: SocketKey,
        drain: Drain,
    ) {
        let _counted = Counted::new(&self);
        // The kernel refuses this for a connection that is already gone, which the first read shows.
        let _ = stream.set_nodelay(true);
        let limit = self.config.downstream.header_read_timeout;
        let sniffed = tokio::select! {
            sniffed = sniff(stream, limit) => sniffed,
            () = drain.idle_ended() => return,
        };
        let (protocol, stream) = match sniffed {
            Ok(sniffed) => sniffed,
            Err(error) => {
                if error.kind() == io::ErrorKind::TimedOut {
                    self.metrics.connections_timed_out.increment();
                }
                return;
            }
        };
        let client = Client::new(key, peer, Scheme::Http, None);
        self.serve(stream, protocol, client, drain).await;
    }

    /// Serves an HTTPS connection whose ClientHello has been read: `received` are the bytes read so
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
        let _ = stream.set_nodelay(true);
        let Some(config) = self.server_config(key, hello.sni.as_deref()) else {
            // Without a usable certificate there is nothing to say, not even an alert.
            self.metrics.handshakes_failed.increment();
            return;
        };
        let limit = self.config.downstream.handshake_timeout;
        let accept = TlsAcceptor::from(config).accept(Rewound::new(received, stream));
        let handshake = tokio::select! {
            handshake = tokio::time::timeout(limit, accept) => handshake,
            () = drain.idle_ended() => return,
        };
        let stream = match handshake.map_err(io::Error::from).flatten() {
            Ok(stream) => stream,
            Err(error) => {
                self.metrics.handshakes_failed.increment();
                tracing::debug!(%error, %peer, "tls handshake failed");
                return;
            }
        };
        let protocol = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Protocol::Http2,
            _ => Protocol::Http1,
        };
        let client = Client::new(key, peer, Scheme::Https, hello.sni.as_deref());
        self.serve(stream, protocol, client, drain).await;
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

    async fn serve<S>(self: &Rc<Self>, stream: S, protocol: Protocol, client: Client, drain: Drain)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let registered = self.connections.register(protocol);
        let connection = Rc::clone(registered.connection());
        let io = TokioIo::new(Watched::new(stream, Arc::clone(connection.traffic())));
        let requests = Requests {
            worker: Rc::clone(self),
            client: Rc::new(client),
            connection: Rc::clone(&connection),
            drain: drain.clone(),
        };
        let limits = &self.config.downstream;
        match protocol {
            Protocol::Http1 => {
                let codec = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(None)
                    .max_headers(limits.max_headers)
                    .max_header_size(limits.max_head_bytes)
                    .serve_connection(io, requests)
                    .with_upgrades();
                self.drive(codec, &connection, drain).await;
            }
            Protocol::Http2 => {
                let codec = http2::Builder::new(Spawner(self.tasks.clone()))
                    .timer(TokioTimer::new())
                    .max_concurrent_streams(limits.http2_streams)
                    .initial_stream_window_size(limits.http2_stream_window)
                    .initial_connection_window_size(limits.http2_connection_window)
                    .max_header_list_size(limits.http2_header_list)
                    .serve_connection(io, requests);
                self.drive(codec, &connection, drain).await;
            }
        }
    }

    async fn drive<C: Codec>(&self, codec: C, connection: &Connection, drain: Drain) {
        if let Err(error) = drive(codec, connection, drain).await {
            if error.is_parse() || error.is_parse_too_large() {
                self.metrics.heads_refused.increment();
            }
            tracing::trace!(%error, "client connection ended");
        }
    }
}

/// Counts a connection from its start to its end.
struct Counted<'a>(&'a Worker);

impl<'a> Counted<'a> {
    fn new(worker: &'a Worker) -> Self {
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
trait Codec: Future<Output = Result<(), hyper::Error>> {
    /// HTTP/1.1: no request after those in flight. HTTP/2: GOAWAY.
    fn finish(self: Pin<&mut Self>);
}

impl<S> Codec for http1::UpgradeableConnection<S, Requests>
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S> Codec for http2::Connection<S, Requests, Spawner>
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Runs a codec to its end, or to that which timeouts or a drain set.
async fn drive<C: Codec>(
    codec: C,
    connection: &Connection,
    drain: Drain,
) -> Result<(), hyper::Error> {
    let mut codec = std::pin::pin!(codec);
    let mut drain = DrainWatch::new(drain);
    let mut finishing = false;
    poll_fn(|cx| {
        let waker = connection.register_waker(cx.waker());
        let end = connection.end();
        let wish = drain.poll(cx, waker);
        if end == Some(End::Abort) || wish == Wish::Cut {
            return Poll::Ready(Ok(()));
        }
        loop {
            if !finishing && (end.is_some() || connection.is_to_finish(wish)) {
                finishing = true;
                codec.as_mut().finish();
            }
            let polled = codec.as_mut().poll(cx);
            // A first request may have come in.
            if polled.is_ready() || finishing || !connection.is_to_finish(wish) {
                return polled;
            }
        }
    })
    .await
}

/// The requests of one connection.
struct Requests {
    worker: Rc<Worker>,
    client: Rc<Client>,
    connection: Rc<Connection>,
    drain: Drain,
}

impl Service<Request<Incoming>> for Requests {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>>>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let in_flight = self.connection.begin();
        let worker = Rc::clone(&self.worker);
        let client = Rc::clone(&self.client);
        let drain = self.drain.clone();
        // Boxed, so that an idle connection does not hold the memory of a request.
        Box::pin(async move {
            let upgrade = headers::upgrade_protocol(request.version(), request.headers())
                .map(|_| PendingUpgrade::hyper(hyper::upgrade::on(&mut request)));
            let request = request.map(Body::incoming);
            // An answer to an upgrade says `Connection: upgrade`, if anything.
            let persists = request.version() < Version::HTTP_2 && upgrade.is_none();
            let mut response =
                exchange::serve(&worker, &client, Inbound { request, upgrade }).await;
            if persists && drain.stage() != Stage::Serving {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            Ok(response.map(|body| body.holding(in_flight)))
        })
    }
}
