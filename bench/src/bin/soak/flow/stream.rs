//! Flows over TCP and over TLS that is passed through.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::rustls::ClientConfig;

use super::{Flow, Lasting, http1, payload, tls};
use crate::random::Random;

/// The longest message.
const LONGEST: u64 = 16 * 1_024;

/// An open flow, which the other end sends back.
pub struct Echo<S>(S);

/// A flow for each exchange.
pub struct Anew {
    to: SocketAddr,
    /// Host and settings of those over TLS.
    tls: Option<(String, Arc<ClientConfig>)>,
}

/// Opens one over TCP.
pub async fn tcp(to: SocketAddr) -> anyhow::Result<Echo<TcpStream>> {
    Ok(Echo(http1::connect(to).await?))
}

/// Opens one over TLS.
pub async fn tls(
    to: SocketAddr,
    host: &str,
    config: &Arc<ClientConfig>,
) -> anyhow::Result<Echo<tls::Stream>> {
    Ok(Echo(tls::connect(to, host, config).await?))
}

impl Anew {
    /// Over TCP.
    pub fn tcp(to: SocketAddr) -> Self {
        Self { to, tls: None }
    }

    /// Over TLS.
    pub fn tls(to: SocketAddr, host: impl Into<String>, config: &Arc<ClientConfig>) -> Self {
        let tls = Some((host.into(), Arc::clone(config)));
        Self { to, tls }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Flow for Echo<S> {
    async fn exchange(&mut self, random: &mut Random) -> anyhow::Result<()> {
        let sent = payload(random, LONGEST);
        let (mut read, mut write) = tokio::io::split(&mut self.0);
        let mut came = vec![0; sent.len()];
        let send = async {
            write.write_all(&sent).await?;
            write.flush().await
        };
        tokio::try_join!(send, async { read.read_exact(&mut came).await.map(drop) })?;
        anyhow::ensure!(came == sent, "other bytes came back");
        Ok(())
    }

    fn lasts(&self) -> Lasting {
        Lasting::Connection
    }
}

impl Flow for Anew {
    async fn exchange(&mut self, random: &mut Random) -> anyhow::Result<()> {
        match &self.tls {
            None => tcp(self.to).await?.exchange(random).await,
            Some((host, config)) => tls(self.to, host, config).await?.exchange(random).await,
        }
    }

    fn lasts(&self) -> Lasting {
        Lasting::Client
    }
}
