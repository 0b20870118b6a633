//! Connections to the control plane: names by the caller's resolver, TLS by files that may change.

use std::{
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::{codegen::Service, transport::Uri};

/// The files of TLS towards the control plane, as PEM. They are read for each connection, so a change
/// holds from the next one on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The authorities that the control plane's certificate may come from.
    pub authorities: PathBuf,
    /// The certificate by which this agent proves itself, if not by a token.
    pub client: Option<ClientFiles>,
}

/// A client certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFiles {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Finds the addresses of a host.
pub trait Resolve: fmt::Debug + Send + Sync {
    /// The addresses of `host`, each with `port`.
    fn resolve(&self, host: String, port: u16) -> BoxFuture<'_, io::Result<Vec<SocketAddr>>>;
}

/// By the resolver of the C library, which a static binary may lack.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, host: String, port: u16) -> BoxFuture<'_, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

/// Connects for tonic.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    pub(crate) resolve: Arc<dyn Resolve>,
    /// Used for `https` alone.
    pub(crate) tls: Option<TlsFiles>,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Connection>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { Ok(TokioIo::new(connector.connect(&uri).await?)) })
    }
}

impl Connector {
    async fn connect(&self, uri: &Uri) -> io::Result<Connection> {
        let is_tls = uri.scheme_str() == Some("https");
        let host = uri.host().unwrap_or_default();
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let addresses = match host.parse() {
            Ok(ip) => vec![SocketAddr::new(ip, port)],
            Err(_) => self.resolve.resolve(host.clone(), port).await?,
        };
        let stream = first_of(&host, &addresses).await?;
        // Answers are small and wanted at once. Failing to set it costs latency alone.
        let _ = stream.set_nodelay(true);
        if !is_tls {
            return Ok(Connection::Plain(stream));
        }
        let files = self.tls.as_ref();
        let files = files.ok_or_else(|| io::Error::other("https needs a file of authorities"))?;
        let config = client_config(files).await?;
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        let stream = TlsConnector::from(config).connect(name, stream).await?;
        Ok(Connection::Tls(Box::new(stream)))
    }
}

async fn first_of(host: &str, addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address"));
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn client_config(files: &TlsFiles) -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&files.authorities).await? {
        // One that is not understood keeps no other from being used.
        let _ = roots.add(certificate);
    }
    if roots.is_empty() {
        return Err(unusable(&files.authorities, "holds no authority"));
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .with_root_certificates(roots);
    let mut config = match &files.client {
        Some(client) => {
            let chain = certificates(&client.certificate).await?;
            let key = read(&client.key).await?;
            let key = PrivateKeyDer::from_pem_slice(&key)
                .map_err(|error| unusable(&client.key, &error.to_string()))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| unusable(&client.certificate, &error.to_string()))?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

async fn certificates(file: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let pem = read(file).await?;
    CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(file, &error.to_string()))
}

/// Reads a file, with its name in the error.
pub(crate) async fn read(file: &Path) -> io::Result<Vec<u8>> {
    let bytes = tokio::fs::read(file).await;
    bytes.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))
}

fn unusable(file: &Path, why: &str) -> io::Error {
    let message = format!("{}: {why}", file.display());
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// A connection to the control plane.
#[derive(Debug)]
pub(crate) enum Connection {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(context, buffer),
            Self::Tls(io) => Pin::new(io.as_mut()).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write(context, bytes),
            Self::Tls(io) => Pin::new(io.as_mut()).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_flush(context),
            Self::Tls(io) => Pin::new(io.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(context),
            Self::Tls(io) => Pin::new(io.as_mut()).poll_shutdown(context),
        }
    }
}
