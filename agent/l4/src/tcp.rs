//! TCP connections, and what TLS connections become once it is clear where they go.

use std::time::Duration;

use novaedge_router::proxy_protocol::{Header, Inet, encode};
use novaedge_router::{Backend, Socket, SocketKey};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::Client;
use crate::error::Error;
use crate::flow::Account;
use crate::relay::{RelayContext, RelayError, Stream, relay};
use crate::source::Source;
use crate::upstream::{BackendStream, Payload, Upstream};
use crate::worker::Worker;

/// One side of a forwarded connection.
pub(crate) trait Side: Stream {
    /// The socket underneath.
    fn socket(&self) -> &TcpStream;

    /// Makes the close that follows a reset: the peer learns that the stream was cut off.
    fn abort(&self) {
        // Failing is harmless: the peer then sees an orderly end instead.
        let _ = self.socket().set_zero_linger();
    }
}

impl Stream for TcpStream {
    fn plain(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

impl Stream for tokio_rustls::server::TlsStream<TcpStream> {}

impl Stream for tokio_rustls::client::TlsStream<TcpStream> {}

impl Side for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Side for tokio_rustls::server::TlsStream<TcpStream> {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

impl Side for tokio_rustls::client::TlsStream<TcpStream> {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

impl<S: Source> Worker<S> {
    /// Serves a connection of a TCP socket to its end.
    pub async fn serve_tcp(&self, stream: TcpStream, client: Client, key: SocketKey) {
        let trail = self.trail("tcp", client.address);
        let trail = trail.as_deref();
        let (flow, upstream) = self.source.with(|view| {
            self.tidy(view);
            match view.tables.sockets.get(&key).map(|socket| &**socket) {
                Some(Socket::Tcp(socket)) => {
                    let rule = socket.rule.as_ref();
                    self.choose(view, rule, &socket.info, Payload::Plain, trail)
                }
                _ => (self.nowhere(), Err(Error::NoRoute)),
            }
        });
        let _open = self.open(&flow);
        let account = Account { flow: &flow, trail };
        let served = match upstream {
            Ok(upstream) => {
                self.forward(stream, client, account, &upstream, Vec::new())
                    .await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = &served {
            self.failed(&flow, error, client.address, key);
        }
        if let Some(trail) = trail {
            trail.end(&served);
        }
    }

    /// Connects to the backend, sends it `head`, then forwards.
    pub(crate) async fn forward<C: Side>(
        &self,
        stream: C,
        client: Client,
        account: Account<'_>,
        upstream: &Upstream,
        head: Vec<u8>,
    ) -> Result<(), Error> {
        let mut slot = self.balance.enter(&upstream.backend)?;
        let header = header(&upstream.backend, client, stream.socket());
        let address = client.address.ip();
        let connecting = self.connect(upstream, address, &header, &mut slot, account.trail);
        match connecting.await? {
            BackendStream::Plain(backend) => self.exchange(stream, backend, account, head).await,
            BackendStream::Tls(backend) => self.exchange(stream, *backend, account, head).await,
        }
    }

    async fn exchange<C: Side, B: Side>(
        &self,
        mut client: C,
        mut backend: B,
        account: Account<'_>,
        head: Vec<u8>,
    ) -> Result<(), Error> {
        let received = account.received(&self.counters);
        let sent = send_head(&mut backend, &head, self.limits.idle_timeout).await;
        let result = match sent {
            Ok(()) => {
                received.add(head.len() as u64);
                drop(head);
                let context = RelayContext {
                    buffers: &self.buffers,
                    pipes: &self.pipes,
                    idle_timeout: self.limits.idle_timeout,
                    received,
                    sent: account.sent(&self.counters),
                };
                relay(&mut client, &mut backend, context).await
            }
            Err(error) => Err(error),
        };
        match &result {
            Err(RelayError::Client(_)) => backend.abort(),
            Err(RelayError::Backend(_)) => client.abort(),
            Ok(()) | Err(RelayError::Idle) => {}
        }
        Ok(result?)
    }
}

/// The header of the PROXY protocol that the backend's connections begin with; empty for none. An
/// address that cannot be told any more is that of a client who has gone.
fn header(backend: &Backend, client: Client, stream: &TcpStream) -> Vec<u8> {
    let Some(version) = backend.send_proxy_protocol else {
        return Vec::new();
    };
    let destination = client.destination.or_else(|| stream.local_addr().ok());
    let header = destination.map_or(Header::Unknown, |destination| {
        Header::Inet(Inet::stream(client.address, destination))
    });
    encode(version, &header)
}

async fn send_head<B: Side>(
    backend: &mut B,
    head: &[u8],
    limit: Duration,
) -> Result<(), RelayError> {
    if head.is_empty() {
        return Ok(());
    }
    let sent = timeout(limit, backend.write_all(head))
        .await
        .map_err(|_| RelayError::Idle)?;
    sent.map_err(RelayError::Backend)
}
