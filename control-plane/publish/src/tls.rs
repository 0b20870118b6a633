//! TLS on the server's connections.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{Stream, StreamExt as _};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::WebPkiClientVerifier,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::watch,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tonic::transport::server::Connected;

use crate::publisher::Publisher;

/// Handshakes at one time; further connections wait for one to end.
const MAX_HANDSHAKES: usize = 512;

/// How long a handshake may take.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);

/// The server's certificates, as they change; `None` until there are some. A change holds for
/// connections that are made after it.
pub type TlsSettings = watch::Receiver<Option<Arc<ServerConfig>>>;

/// Why there are no TLS settings.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate or its key cannot be used.
    #[error("the server's certificate and key cannot be used")]
    Certificate(#[source] rustls::Error),
    /// The authorities of client certificates cannot be used.
    #[error("the authorities of client certificates cannot be used")]
    ClientAuthorities(#[source] rustls::server::VerifierBuilderError),
}

/// TLS settings of a server: TLS 1.3 with HTTP/2. With `client_authorities` a client may show a
/// certificate of theirs, or none; one of somebody else ends the handshake.
pub fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    client_authorities: Option<RootCertStore>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Certificate)?;
    let builder = match client_authorities {
        Some(roots) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(TlsError::ClientAuthorities)?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(TlsError::Certificate)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// A connection after its handshake.
#[derive(Debug)]
pub struct TlsConnection {
    io: TlsStream<TcpStream>,
    peer: Peer,
}

/// The other end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its address.
    pub address: Option<SocketAddr>,
    /// The certificate that it has shown.
    pub certificate: Option<CertificateDer<'static>>,
}

/// Does the handshakes of accepted connections, many at a time. Those that fail are counted, and
/// disturb no other.
pub(crate) fn handshakes(
    accepted: impl Stream<Item = io::Result<TcpStream>>,
    settings: TlsSettings,
    publisher: Publisher,
) -> impl Stream<Item = io::Result<TlsConnection>> {
    accepted
        .map(move |stream| handshake(stream, settings.clone()))
        .buffer_unordered(MAX_HANDSHAKES)
        .filter_map(move |made| {
            let made = match made {
                Ok(connection) => Some(Ok(connection)),
                Err(error) => {
                    publisher.metrics().handshakes_failed.add(1);
                    tracing::debug!(%error, "a TLS handshake failed");
                    None
                }
            };
            std::future::ready(made)
        })
}

async fn handshake(
    stream: io::Result<TcpStream>,
    settings: TlsSettings,
) -> io::Result<TlsConnection> {
    let stream = stream?;
    let address = stream.peer_addr().ok();
    let config = settings.borrow().clone();
    let config = config.ok_or_else(|| io::Error::other("there is no certificate yet"))?;
    let accept = TlsAcceptor::from(config).accept(stream);
    let io = tokio::time::timeout(HANDSHAKE_LIMIT, accept).await??;
    let certificates = io.get_ref().1.peer_certificates();
    let certificate = certificates.and_then(|chain| chain.first()).cloned();
    Ok(TlsConnection {
        io,
        peer: Peer {
            address,
            certificate: certificate.map(CertificateDer::into_owned),
        },
    })
}

impl Connected for TlsConnection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.peer.clone()
    }
}

impl AsyncRead for TlsConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl AsyncWrite for TlsConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
