//! HTTP/3: QUIC connections, and their requests with the codec of h3.

use std::cell::Cell;
use std::future::{Future as _, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h3::error::{Code, StreamError};
use h3::server::{RequestResolver, RequestStream};
use http::{Request, Response, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use novaedge_router::{Scheme, SocketKey};
use quinn::crypto::rustls::HandshakeData;
use quinn::{Endpoint, EndpointConfig, TokioRuntime, TransportConfig, VarInt};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::http3_body::RequestBody;
use super::quic_id::{Seat, SeatIds};
use super::serve::{Counted, Own, drive};
use super::{Connection, Crowded, InFlight, Protocol};
use crate::body::Body;
use crate::client::Client;
use crate::config::DownstreamLimits;
use crate::drain::Drain;
use crate::ending::{Ending, How};
use crate::exchange::{self, Inbound, Served};
use crate::headers;
use crate::interim::Interims;
use crate::worker::Worker;

type Quic = h3_quinn::Connection;
type Stream = h3_quinn::BidiStream<Bytes>;
type Sender = RequestStream<h3_quinn::SendStream<Bytes>, Bytes>;

/// Handshakes under way on a worker beyond which clients must show that their address is theirs (RFC 9000 section 8.1.2).
const UNPROVEN_HANDSHAKES: usize = 256;

/// Streams of a connection that are not requests: control and QPACK, and what extensions may add.
const OTHER_STREAMS: u32 = 8;

/// How long a client may take to leave after its last answer has been sent: what is not acknowledged by then is lost.
const LEAVE: Duration = Duration::from_secs(2);

/// A UDP socket on which QUIC is spoken.
pub struct QuicListener {
    worker: Rc<Worker>,
    endpoint: Endpoint,
    key: SocketKey,
    transport: Arc<TransportConfig>,
}

/// A connection that a client has begun.
pub struct QuicIncoming {
    incoming: quinn::Incoming,
    config: Arc<quinn::ServerConfig>,
}

impl QuicListener {
    /// Serves the socket of a worker. Call it within the worker's runtime.
    pub fn new(
        worker: &Rc<Worker>,
        socket: std::net::UdpSocket,
        key: SocketKey,
        seat: Seat,
    ) -> io::Result<Self> {
        let runtime = Arc::new(TokioRuntime);
        let mut config = EndpointConfig::default();
        config.cid_generator(move || Box::new(SeatIds::new(seat)));
        let endpoint = Endpoint::new(config, None, socket, runtime)?;
        let listener = Self {
            worker: Rc::clone(worker),
            endpoint,
            key,
            transport: Arc::new(transport(&worker.config.downstream)),
        };
        let config = listener.config();
        listener.endpoint.set_server_config(config);
        Ok(listener)
    }

    /// The next connection; `None` after [`QuicListener::close`].
    pub async fn accept(&self) -> Option<QuicIncoming> {
        loop {
            let incoming = self.endpoint.accept().await?;
            let Some(config) = self.config() else {
                let handshakes = &self.worker.metrics.quic_handshakes;
                handshakes.without_certificate.increment();
                incoming.refuse();
                continue;
            };
            let busy = self.worker.quic_handshakes.get() >= UNPROVEN_HANDSHAKES;
            if busy && !incoming.remote_address_validated() && incoming.may_retry() {
                // It comes back with a token, or it was never there.
                let _ = incoming.retry();
                continue;
            }
            let config = Arc::new(config);
            return Some(QuicIncoming { incoming, config });
        }
    }

    /// Takes no more connections, and closes the socket when those that there are have ended, or at this time.
    pub async fn close(self, until: Instant) {
        self.endpoint.set_server_config(None);
        let _ = timeout_at(until, self.endpoint.wait_idle()).await;
        let code = Code::H3_NO_ERROR.value();
        self.endpoint
            .close(VarInt::from_u64(code).unwrap_or_default(), b"");
    }

    /// The configuration by the tables in force; `None` where there is no usable certificate.
    fn config(&self) -> Option<quinn::ServerConfig> {
        let current = self.worker.current();
        let crypto = current.runtime.tls.quic(self.key)?;
        let mut config = quinn::ServerConfig::with_crypto(crypto);
        config.transport_config(Arc::clone(&self.transport));
        Some(config)
    }
}

fn transport(limits: &DownstreamLimits) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(limits.http2_streams.into())
        .max_concurrent_uni_streams(OTHER_STREAMS.into())
        .stream_receive_window(limits.http2_stream_window.into())
        .receive_window(limits.http2_connection_window.into())
        .send_window(limits.http2_connection_window.into())
        .max_idle_timeout(limits.keep_alive_idle.try_into().ok())
        .datagram_receive_buffer_size(None);
    transport
}

impl Worker {
    /// Serves a connection of HTTP/3. Ends with the connection.
    pub async fn serve_http3(self: Rc<Self>, incoming: QuicIncoming, key: SocketKey, drain: Drain) {
        let _counted = Counted::new(&self);
        let QuicIncoming { incoming, config } = incoming;
        let peer = incoming.remote_address();
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let connected = self.shake_hands(incoming, config, &drain).await;
        let Some(quic) = connected else {
            self.metrics.quic_handshakes.failed.increment();
            return;
        };
        // RFC 9001 section 4.2: there is no older version.
        self.metrics.quic_handshakes.tls13.increment();
        let data = quic.handshake_data();
        let data = data.and_then(|data| data.downcast::<HandshakeData>().ok());
        let sni = data.and_then(|data| data.server_name);
        let sni = sni.map(|name| name.to_ascii_lowercase());
        let registered = self.connections.register(Protocol::Http3);
        let connection = registered.connection();
        let finishing = Cell::new(false);
        let mut client = Client::new(key, peer, Scheme::Https, sni.as_deref());
        client.tls = Some("1.3"); // QUIC has no other
        client.connection = Some(Rc::clone(connection));
        let session = Session {
            worker: &self,
            client: Rc::new(client),
            connection,
            finishing: &finishing,
        };
        let codec = Own {
            session: pin!(session.run(quic.clone())),
            finishing: &finishing,
        };
        drive(codec, connection, drain, &self.turns).await;
        let code = Code::H3_NO_ERROR.value();
        quic.close(VarInt::from_u64(code).unwrap_or_default(), b"");
    }

    async fn shake_hands(
        &self,
        incoming: quinn::Incoming,
        config: Arc<quinn::ServerConfig>,
        drain: &Drain,
    ) -> Option<quinn::Connection> {
        let _counted = Handshake::new(&self.quic_handshakes);
        let connecting = incoming.accept_with(config).ok()?;
        let limit = self.config.downstream.handshake_timeout;
        let shaken = tokio::select! {
            shaken = timeout(limit, connecting) => shaken,
            () = drain.idle_ended() => return None,
        };
        match shaken {
            Ok(Ok(quic)) => Some(quic),
            Ok(Err(error)) => {
                tracing::debug!(%error, "quic handshake failed");
                None
            }
            Err(_) => None,
        }
    }
}

/// Counts a handshake under way.
struct Handshake<'a>(&'a Cell<usize>);

impl<'a> Handshake<'a> {
    fn new(count: &'a Cell<usize>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Handshake<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// One connection.
struct Session<'a> {
    worker: &'a Rc<Worker>,
    client: Rc<Client>,
    connection: &'a Rc<Connection>,
    /// Whether the client is to be asked to go elsewhere.
    finishing: &'a Cell<bool>,
}

/// What happens next on a connection.
enum Next {
    Request(Box<RequestResolver<Quic, Bytes>>),
    /// The client is to be told that no more requests are taken.
    Finish,
    /// Nothing more.
    End,
}

// === impl Session ===

impl Session<'_> {
    async fn run(&self, quic: quinn::Connection) {
        let limits = &self.worker.config.downstream;
        let built = h3::server::builder()
            .max_field_section_size(limits.http2_header_list.into())
            .send_grease(false)
            .build(Quic::new(quic.clone()))
            .await;
        let Ok(mut h3) = built else { return };
        // Its requests end with the connection.
        let mut requests = JoinSet::new();
        let mut told = false;
        loop {
            match self.next(&mut h3, &mut requests, told).await {
                Next::Request(resolver) => {
                    let request = InboundRequest {
                        worker: Rc::clone(self.worker),
                        client: Rc::clone(&self.client),
                        connection: Rc::clone(self.connection),
                    };
                    requests.spawn_local(request.serve(*resolver));
                }
                Next::Finish => {
                    told = true;
                    if h3.shutdown(0).await.is_err() {
                        break;
                    }
                }
                Next::End => break,
            }
        }
        if told {
            // What has been sent is not there yet.
            let _ = timeout(LEAVE, quic.closed()).await;
        }
    }

    async fn next(
        &self,
        h3: &mut h3::server::Connection<Quic, Bytes>,
        requests: &mut JoinSet<()>,
        told: bool,
    ) -> Next {
        let mut accept = pin!(h3.accept());
        poll_fn(|cx| {
            while let Poll::Ready(Some(_)) = requests.poll_join_next(cx) {}
            if self.finishing.get() && !told {
                return Poll::Ready(Next::Finish);
            }
            match accept.as_mut().poll(cx) {
                Poll::Ready(Ok(Some(resolver))) => Poll::Ready(Next::Request(Box::new(resolver))),
                Poll::Ready(Ok(None) | Err(_)) => Poll::Ready(Next::End),
                Poll::Pending if told && requests.is_empty() => Poll::Ready(Next::End),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}

/// A request as it begins.
struct InboundRequest {
    worker: Rc<Worker>,
    client: Rc<Client>,
    connection: Rc<Connection>,
}

impl InboundRequest {
    async fn serve(self, resolver: RequestResolver<Quic, Bytes>) {
        let limit = self.worker.config.downstream.header_read_timeout;
        let resolved = timeout(limit, resolver.resolve_request()).await;
        self.connection.traffic().read();
        let (request, stream) = match resolved {
            Ok(Ok(resolved)) => resolved,
            Ok(Err(_)) => {
                self.worker.metrics.heads_refused.increment();
                return;
            }
            Err(_) => {
                self.worker.metrics.connections_timed_out.increment();
                return;
            }
        };
        let limits = &self.worker.config.downstream;
        let ended = if let Ok(in_flight) = self.connection.begin_with(&request, limits) {
            self.exchange(request, stream, in_flight).await
        } else {
            let refused = Crowded::refuse(&self.worker, &self.client, &request);
            self.answer(&mut stream.split().0, refused, None).await
        };
        if let Err(error) = ended {
            tracing::trace!(%error, "request of HTTP/3 ended early");
        }
    }

    async fn exchange(
        &self,
        request: Request<()>,
        stream: RequestStream<Stream, Bytes>,
        in_flight: InFlight,
    ) -> Result<(), StreamError> {
        let (mut send, mut receive) = stream.split();
        let length = headers::content_length(request.headers());
        // RFC 9114 sections 4.1.2 and 4.2.
        let length = match length {
            Ok(length) if !headers::has_connection_fields(request.headers()) => length,
            _ => {
                self.worker.metrics.heads_refused.increment();
                send.stop_stream(Code::H3_MESSAGE_ERROR);
                receive.stop_sending(Code::H3_MESSAGE_ERROR);
                return Ok(());
            }
        };
        if request.headers().contains_key(header::EXPECT) {
            let mut wanted = Response::new(());
            *wanted.status_mut() = http::StatusCode::CONTINUE;
            send.send_response(wanted).await?;
        }
        let traffic = Arc::clone(self.connection.traffic());
        let body = RequestBody::begin(receive, length, traffic).await;
        let inbound = Inbound {
            request: Box::new(request.map(|()| body)),
            upgrade: None,
        };
        let interims = Interims::default();
        let mut serving = pin!(exchange::serve(
            &self.worker,
            &self.client,
            inbound,
            Some(&interims)
        ));
        let served = loop {
            let next = poll_fn(|cx| match serving.as_mut().poll(cx) {
                Poll::Ready(served) => Poll::Ready(Ok(served)),
                Poll::Pending => interims
                    .take()
                    .map_or(Poll::Pending, |interim| Poll::Ready(Err(interim))),
            });
            match next.await {
                Ok(served) => break served,
                Err(interim) => send.send_response(interim).await?,
            }
        };
        while let Some(interim) = interims.take() {
            send.send_response(interim).await?;
        }
        let Served { response, ending } = served;
        let response = response.map(|body| body.holding(in_flight, None));
        self.answer(&mut send, response, Some(ending)).await
    }

    async fn answer(
        &self,
        send: &mut Sender,
        response: Response<Body>,
        ending: Option<Ending>,
    ) -> Result<(), StreamError> {
        let (head, mut body) = response.into_parts();
        let traffic = self.connection.traffic();
        send.send_response(Response::from_parts(head, ())).await?;
        traffic.written();
        while !body.is_end_stream() {
            let Some(frame) = body.frame().await else {
                break;
            };
            let Ok(frame) = frame else {
                // What is missing must not look like the end.
                send.stop_stream(Code::H3_INTERNAL_ERROR);
                if let Some(ending) = ending {
                    ending.end(How::BackendGone);
                }
                return Ok(());
            };
            match frame.into_data() {
                Ok(data) => send.send_data(data).await?,
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        send.send_trailers(trailers).await?;
                    }
                }
            }
            traffic.written();
        }
        send.finish().await?;
        if let Some(ending) = ending {
            ending.end(How::Complete);
        }
        Ok(())
    }
}
