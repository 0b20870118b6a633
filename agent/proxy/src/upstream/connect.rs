//! Opens transport connections to endpoints.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use novaedge_balance::OwnPorts;
use novaedge_http1::HeadLimits;
use novaedge_router::{Endpoint, Host};
use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::task::TaskTracker;

use super::Protocol;
use crate::error::ForwardError;
use crate::metrics::Metrics;
use crate::resolve::DnsCache;
use crate::tls::BackendClient;
use crate::transport::Transport;

/// The transport of a connection to an endpoint.
pub(super) type Stream = Transport<TlsStream<TcpStream>>;

/// What opening and driving connections needs, once per worker.
pub(crate) struct Connector {
    pub dns: DnsCache,
    /// Owns the tasks that drive connections.
    pub tasks: TaskTracker,
    /// What is no backend.
    pub own: OwnPorts,
    /// Limits of a response head.
    pub head_limits: HeadLimits,
    pub metrics: Arc<Metrics>,
}

impl Connector {
    /// Connects within `limit`, with the TLS handshake.
    pub(super) async fn connect(
        &self,
        endpoint: &Endpoint,
        tls: Option<&Arc<BackendClient>>,
        protocol: Protocol,
        limit: Duration,
    ) -> Result<Stream, ForwardError> {
        let connecting = async {
            let stream = self.connect_tcp(endpoint).await?;
            match tls {
                None => Ok(Stream::Tcp(stream)),
                Some(tls) => handshake(stream, tls, protocol).await,
            }
        };
        let connected = tokio::time::timeout(limit, connecting)
            .await
            .unwrap_or(Err(ForwardError::ConnectTimeout));
        match &connected {
            Ok(_) => self.metrics.upstream_opened.increment(),
            Err(_) => self.metrics.upstream_failed.increment(),
        }
        connected
    }

    async fn connect_tcp(&self, endpoint: &Endpoint) -> Result<TcpStream, ForwardError> {
        let addresses: Rc<[IpAddr]> = match &endpoint.address {
            Host::Ip(address) => [*address].into(),
            Host::Dns(name) => self.dns.resolve(name).await.map_err(ForwardError::Dns)?,
        };
        let mut last = io::ErrorKind::NotFound.into();
        for address in addresses.iter() {
            match open(SocketAddr::new(*address, endpoint.port), &self.own).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(ForwardError::Connect(last))
    }
}

/// Connects. Who gives up meanwhile leaves nothing behind: clients that take their requests back at once would use up all
/// local ports otherwise, each of which a closed connection keeps for a minute.
async fn open(address: SocketAddr, own: &OwnPorts) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_zero_linger()?;
    let stream = socket.connect(address).await?;
    if own.has(address.port()) && own.are_reached(stream.local_addr()?, stream.peer_addr()?) {
        let why = "the gateway's own endpoint is no backend";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    SockRef::from(&stream).set_linger(None)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn handshake(
    stream: TcpStream,
    tls: &BackendClient,
    protocol: Protocol,
) -> Result<Stream, ForwardError> {
    let config = match protocol {
        Protocol::Http1 => &tls.http1,
        Protocol::Http2 => &tls.http2,
    };
    let stream = TlsConnector::from(Arc::clone(config))
        .connect(tls.server_name.clone(), stream)
        .await
        .map_err(ForwardError::Tls)?;
    if protocol == Protocol::Http2 && stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        let error = io::Error::new(
            io::ErrorKind::InvalidData,
            "the backend did not agree on h2",
        );
        return Err(ForwardError::Tls(error));
    }
    Ok(Stream::Tls(Box::new(stream)))
}
