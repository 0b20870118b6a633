//! TLS connections, and clients that make one for each request.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context as _;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector, client,
    rustls::{ClientConfig, pki_types::ServerName},
};

use super::{Flow, Lasting, http1};
use crate::{random::Random, wire::Wire};

/// A connection after its handshake.
pub type Stream = client::TlsStream<TcpStream>;

/// A connection for each request.
pub struct Anew {
    to: SocketAddr,
    host: String,
    config: Arc<ClientConfig>,
}

impl Anew {
    /// A client of one host.
    pub fn new(to: SocketAddr, host: impl Into<String>, config: &Arc<ClientConfig>) -> Self {
        Self {
            to,
            host: host.into(),
            config: Arc::clone(config),
        }
    }
}

/// Connects and shakes hands.
pub async fn connect(
    to: SocketAddr,
    host: &str,
    config: &Arc<ClientConfig>,
) -> anyhow::Result<Stream> {
    let stream = http1::connect(to).await?;
    let name = ServerName::try_from(host.to_owned())?;
    let connector = TlsConnector::from(Arc::clone(config));
    connector.connect(name, stream).await.context("handshake")
}

/// Sends a request on a connection, and judges the answer.
pub async fn ask(wire: &mut Wire<Stream>, host: &str, id: &str) -> anyhow::Result<()> {
    wire.send(&http1::request("GET", host, id, &[])).await?;
    let head = wire.head().await?.context("closed without an answer")?;
    let body = wire.body(&head).await?;
    let status = head.status();
    http1::Answer { status, body }.must_be_to(id)
}

impl Flow for Anew {
    async fn exchange(&mut self, random: &mut Random) -> anyhow::Result<()> {
        let id = random.next().to_string();
        let mut wire = Wire::new(connect(self.to, &self.host, &self.config).await?);
        ask(&mut wire, &self.host, &id).await
    }

    fn lasts(&self) -> Lasting {
        Lasting::Client
    }
}
