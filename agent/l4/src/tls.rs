//! TLS connections: one look at the ClientHello decides who ends TLS.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use novaedge_router::client_hello::{ClientHello, ClientHelloReader, Progress};
use novaedge_router::{Socket, SocketKey, TlsTarget};
use novaedge_turns::Turn;
use rustls::{ServerConfig, ServerConnection};
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::client::Client;
use crate::error::Error;
use crate::source::{Source, View};
use crate::upstream::{Payload, Upstream, choose};
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
        match self.tls(stream, client, key).await {
            Ok(https) => https,
            Err(error) => {
                self.failed(&error, client.address, key);
                None
            }
        }
    }

    async fn tls(
        &self,
        mut stream: TcpStream,
        client: Client,
        key: SocketKey,
    ) -> Result<Option<HttpsConnection>, Error> {
        let reading = read_client_hello(&mut stream);
        let read = timeout(self.limits.client_hello_timeout, reading).await;
        let Some((received, hello)) = read.map_err(|_| Error::ClientHelloTimeout)?? else {
            return Ok(None);
        };
        let choice = self.source.with(|view| {
            self.tidy(view);
            choose_target(view, key, hello.sni.as_deref())
        });
        match choice {
            Ok(Choice::Https) => {
                return Ok(Some(HttpsConnection {
                    stream,
                    received,
                    hello,
                    turn: self.turn().await?,
                }));
            }
            Ok(Choice::Terminate(upstream, config)) => {
                let _open = self.open();
                let turn = self.turn().await?;
                let accept = pin!(async move {
                    TlsAcceptor::from(config)
                        .accept_with(stream, |connection| feed(connection, &received))
                        .await
                });
                let accepted = timeout(self.limits.handshake_timeout, turn.begin(accept)).await;
                let inside = accepted
                    .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
                    .map_err(Error::ClientHandshake)?;
                self.forward(inside, client, &upstream, Vec::new()).await?;
            }
            Ok(Choice::Passthrough(upstream)) => {
                let _open = self.open();
                self.counters.tls_passthrough_total.add(1);
                self.forward(stream, client, &upstream, received).await?;
            }
            Err(error) => {
                if matches!(error, Error::NoListener(_) | Error::NoRoute) {
                    self.counters.sni_routing_errors_total.add(1);
                }
                return Err(error);
            }
        }
        Ok(None)
    }

    /// Waits for the turn to begin a handshake.
    async fn turn(&self) -> Result<Turn, Error> {
        let turn = timeout(self.limits.handshake_timeout, self.turns.next()).await;
        turn.map_err(|_| Error::NoTurn)
    }
}

fn choose_target(view: View<'_>, key: SocketKey, sni: Option<&str>) -> Result<Choice, Error> {
    let Some(Socket::Tls(socket)) = view.tables.sockets.get(&key).map(|socket| &**socket) else {
        return Err(Error::NoRoute);
    };
    let target = socket
        .select(sni)
        .ok_or_else(|| Error::NoListener(sni.map(str::to_owned)))?;
    match target {
        TlsTarget::Https(_) => Ok(Choice::Https),
        TlsTarget::Terminate(listener) => {
            let rule = listener.route(sni).map(|rule| &**rule);
            let upstream = choose(view, rule, &listener.info, Payload::Plain)?;
            let config = view
                .tls
                .server(&listener.info.name)
                .ok_or(Error::NoCertificate)?;
            Ok(Choice::Terminate(upstream, config))
        }
        TlsTarget::Passthrough(listener) => {
            let rule = listener.route(sni).map(|rule| &**rule);
            choose(view, rule, &listener.info, Payload::ClientTls).map(Choice::Passthrough)
        }
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
