//! TLS connections: one look at the ClientHello decides who ends TLS.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use novaedge_router::client_hello::{ClientHello, ClientHelloReader, Progress};
use novaedge_router::{Socket, SocketKey, TlsListener, TlsTarget};
use novaedge_turns::Turn;
use rustls::{ProtocolVersion, ServerConfig, ServerConnection};
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::client::Client;
use crate::error::Error;
use crate::flow::{Account, Flow};
use crate::source::{Source, View};
use crate::trail::Trail;
use crate::upstream::{Payload, Upstream};
use crate::worker::Worker;

/// Most ClientHellos come with one read; larger ones take more.
const FIRST_READ: usize = 2048;

/// A connection whose server name belongs to an HTTPS listener: TLS has yet to begin.
#[derive(Debug)]
pub struct HttpsConnection {
    /// The connection, with `received` missing at its front.
    pub stream: TcpStream,
    /// What was read from the connection: the ClientHello, and perhaps more.
    pub received: Vec<u8>,
    /// What the ClientHello says.
    pub hello: ClientHello,
    /// The turn to begin the handshake.
    pub turn: Turn,
}

/// A connection whose ClientHello has been read.
struct Greeted {
    stream: TcpStream,
    received: Vec<u8>,
    hello: ClientHello,
}

enum Choice {
    Https,
    Terminate(Upstream, Arc<ServerConfig>),
    Passthrough(Upstream),
}

impl<S: Source> Worker<S> {
    /// Serves a connection of a TLS socket to its end, unless it belongs to an HTTPS listener: then
    /// it is given back.
    ///
    /// A connection that nobody wants is closed without a TLS alert.
    pub async fn serve_tls(
        &self,
        stream: TcpStream,
        client: Client,
        key: SocketKey,
    ) -> Option<HttpsConnection> {
        let trail = self.trail("tls", client.address);
        let trail = trail.as_deref();
        let mut stream = stream;
        let read = self.hello(&mut stream).await;
        let (flow, result) = match read {
            Ok(None) => {
                forget(trail);
                return None;
            }
            Err(error) => (self.nowhere(), Err(error)),
            Ok(Some((received, hello))) => {
                let sni = hello.sni.as_deref();
                if let Some(trail) = trail {
                    trail.names(sni);
                }
                let (flow, choice) = self.source.with(|view| {
                    self.tidy(view);
                    self.choose_target(view, key, sni, trail)
                });
                let greeted = Greeted {
                    stream,
                    received,
                    hello,
                };
                let account = Account { flow: &flow, trail };
                let result = self.tls(greeted, client, account, choice).await;
                (flow, result)
            }
        };
        if let Some(trail) = trail {
            trail.end(&result);
        }
        match result {
            Ok(https) => https,
            Err(error) => {
                self.failed(&flow, &error, client.address, key);
                None
            }
        }
    }

    /// What the client says first. `None`: nothing at all.
    async fn hello(&self, stream: &mut TcpStream) -> Result<Option<(Vec<u8>, ClientHello)>, Error> {
        let reading = read_client_hello(stream);
        let read = timeout(self.limits.client_hello_timeout, reading).await;
        read.map_err(|_| Error::ClientHelloTimeout)?
    }

    async fn tls(
        &self,
        greeted: Greeted,
        client: Client,
        account: Account<'_>,
        choice: Result<Choice, Error>,
    ) -> Result<Option<HttpsConnection>, Error> {
        let Greeted {
            stream,
            received,
            hello,
        } = greeted;
        match choice {
            Ok(Choice::Https) => {
                forget(account.trail);
                return Ok(Some(HttpsConnection {
                    stream,
                    received,
                    hello,
                    turn: self.turn().await?,
                }));
            }
            Ok(Choice::Terminate(upstream, config)) => {
                let _open = self.open(account.flow);
                let inside = self.accept(stream, received, config).await?;
                if let Some(trail) = account.trail {
                    trail.shook_hands(inside.get_ref().1.protocol_version());
                }
                self.forward(inside, client, account, &upstream, Vec::new())
                    .await?;
            }
            Ok(Choice::Passthrough(upstream)) => {
                let _open = self.open(account.flow);
                let counters = &account.flow.counters;
                counters.tls_passthrough_total.increment();
                self.forward(stream, client, account, &upstream, received)
                    .await?;
            }
            Err(error) => {
                match error {
                    Error::NoListener(_) | Error::NoRoute => {
                        let counters = &account.flow.counters;
                        counters.sni_routing_errors_total.increment();
                    }
                    Error::NoCertificate => {
                        self.counters.handshakes.without_certificate.increment();
                    }
                    _ => {}
                }
                return Err(error);
            }
        }
        Ok(None)
    }

    /// Ends the client's TLS.
    async fn accept(
        &self,
        stream: TcpStream,
        received: Vec<u8>,
        config: Arc<ServerConfig>,
    ) -> Result<TlsStream<TcpStream>, Error> {
        let handshakes = &self.counters.handshakes;
        let turn = self.turn().await?;
        let accept = pin!(async move {
            TlsAcceptor::from(config)
                .accept_with(stream, |connection| feed(connection, &received))
                .await
        });
        let accepted = timeout(self.limits.handshake_timeout, turn.begin(accept)).await;
        let accepted = accepted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let version = accepted.as_ref().ok();
        let version = version.and_then(|stream| stream.get_ref().1.protocol_version());
        match version {
            Some(ProtocolVersion::TLSv1_2) => handshakes.tls12.increment(),
            Some(_) => handshakes.tls13.increment(),
            None => handshakes.failed.increment(),
        }
        accepted.map_err(Error::ClientHandshake)
    }

    /// Waits for the turn to begin a handshake.
    async fn turn(&self) -> Result<Turn, Error> {
        let turn = timeout(self.limits.handshake_timeout, self.turns.next()).await;
        turn.map_err(|_| Error::NoTurn)
    }

    /// Who ends TLS, and what to count the connection by.
    fn choose_target(
        &self,
        view: View<'_>,
        key: SocketKey,
        sni: Option<&str>,
        trail: Option<&Trail>,
    ) -> (Rc<Flow>, Result<Choice, Error>) {
        let Some(Socket::Tls(socket)) = view.tables.sockets.get(&key).map(|socket| &**socket)
        else {
            return (self.nowhere(), Err(Error::NoRoute));
        };
        let choose = |listener: &TlsListener, payload| {
            self.choose(view, listener.route(sni), &listener.info, payload, trail)
        };
        match socket.select(sni) {
            None => {
                let error = Error::NoListener(sni.map(str::to_owned));
                (self.nowhere(), Err(error))
            }
            Some(TlsTarget::Https(_)) => (self.nowhere(), Ok(Choice::Https)),
            Some(TlsTarget::Terminate(listener)) => {
                let (flow, upstream) = choose(listener, Payload::Plain);
                let choice = upstream.and_then(|upstream| {
                    let config = view.tls.server(&listener.info.name);
                    let config = config.ok_or(Error::NoCertificate)?;
                    Ok(Choice::Terminate(upstream, config))
                });
                (flow, choice)
            }
            Some(TlsTarget::Passthrough(listener)) => {
                let (flow, upstream) = choose(listener, Payload::ClientTls);
                (flow, upstream.map(Choice::Passthrough))
            }
        }
    }
}

/// HTTPS is told request by request, and a client that said nothing not at all.
fn forget(trail: Option<&Trail>) {
    if let Some(trail) = trail {
        trail.forget();
    }
}

/// Everything read until the ClientHello was complete. `None`: the client said nothing at all, as
/// port checks do.
async fn read_client_hello(
    stream: &mut TcpStream,
) -> Result<Option<(Vec<u8>, ClientHello)>, Error> {
    let mut received = Vec::new();
    let mut reader = ClientHelloReader::new();
    loop {
        match poll_fn(|task| poll_some(stream, task, &mut received)).await {
            Ok(0) | Err(_) if received.is_empty() => return Ok(None),
            Ok(0) | Err(_) => return Err(Error::ClientHelloEnd),
            Ok(_) => {}
        }
        match reader.advance(&received) {
            Progress::Incomplete => {}
            Progress::Complete(hello) => return Ok(Some((received, hello))),
            Progress::Invalid(error) => return Err(Error::ClientHello(error)),
        }
    }
}

/// Reads what has come. No buffer is held for a client that has yet to say its first byte.
fn poll_some(
    stream: &mut TcpStream,
    task: &mut Context<'_>,
    received: &mut Vec<u8>,
) -> Poll<io::Result<usize>> {
    let mut space = [const { MaybeUninit::uninit() }; FIRST_READ];
    let mut read = ReadBuf::uninit(&mut space);
    ready!(Pin::new(stream).poll_read(task, &mut read))?;
    received.extend_from_slice(read.filled());
    Poll::Ready(Ok(read.filled().len()))
}

/// Gives the connection what was read before it existed. What goes wrong shows in the handshake.
fn feed(connection: &mut ServerConnection, mut received: &[u8]) {
    while !received.is_empty() {
        match connection.read_tls(&mut received) {
            Ok(read) if read > 0 && connection.process_new_packets().is_ok() => {}
            _ => return,
        }
    }
}
