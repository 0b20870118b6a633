//! Origins over TCP. Each accepts at most [`MAX_CONNECTIONS`] connections at a time.

use std::{convert::Infallible, net::SocketAddr, path::Path, sync::Arc};

use anyhow::Context as _;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

const MAX_CONNECTIONS: usize = 1024;

/// Answers each request with a JSON object that tells what arrived, and who answers.
pub async fn http(name: String, address: SocketAddr) -> anyhow::Result<()> {
    let name: Arc<str> = name.into();
    accept(address, move |stream| serve_http(name.clone(), stream)).await
}

/// The same over TLS.
pub async fn tls(address: SocketAddr, folder: &Path) -> anyhow::Result<()> {
    let chain = CertificateDer::pem_file_iter(folder.join("server.crt"))
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .context("reading server.crt")?;
    let key =
        PrivateKeyDer::from_pem_file(folder.join("server.key")).context("reading server.key")?;
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("using server.crt and server.key")?;
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    accept(address, move |stream| {
        let acceptor = acceptor.clone();
        async move {
            // A client that does not speak TLS is its own problem.
            if let Ok(stream) = acceptor.accept(stream).await {
                serve_http("passthrough".into(), stream).await;
            }
        }
    })
    .await
}

/// Sends back what arrives.
pub async fn tcp(address: SocketAddr) -> anyhow::Result<()> {
    accept(address, |mut stream| async move {
        let (mut read, mut write) = stream.split();
        // The client may close at any time; that ends the echo.
        let _ = tokio::io::copy(&mut read, &mut write).await;
    })
    .await
}

/// gRPC health and reflection services.
pub async fn grpc(address: SocketAddr) -> anyhow::Result<()> {
    let (_reporter, health) = tonic_health::server::health_reporter();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .context("describing the health service")?;
    tonic::transport::Server::builder()
        .add_service(health)
        .add_service(reflection)
        .serve(address)
        .await
        .with_context(|| format!("serving gRPC on {address}"))
}

async fn accept<F, T>(address: SocketAddr, handle: F) -> anyhow::Result<()>
where
    F: Fn(TcpStream) -> T,
    T: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("listening on {address}"))?;
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let place = places
            .clone()
            .acquire_owned()
            .await
            .context("the semaphore is never closed")?;
        let (stream, _) = listener.accept().await.context("accepting")?;
        let connection = handle(stream);
        tokio::spawn(async move {
            connection.await;
            drop(place);
        });
    }
}

async fn serve_http<S>(name: Arc<str>, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let answer = describe(&name, &request);
        async move { Ok::<_, Infallible>(answer) }
    });
    // A broken connection concerns its client alone.
    let _ = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
        .serve_connection_with_upgrades(TokioIo::new(stream), service)
        .await;
}

fn describe(name: &str, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let headers: serde_json::Map<String, serde_json::Value> = request
        .headers()
        .iter()
        .map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes())
                    .into_owned()
                    .into(),
            )
        })
        .collect();
    let host = request
        .headers()
        .get(http::header::HOST)
        .and_then(|host| host.to_str().ok());
    let host = host.or_else(|| request.uri().host()).unwrap_or_default();
    let body = json!({
        "backend": name,
        "method": request.method().as_str(),
        "host": host,
        "path": request.uri().path_and_query().map_or("/", |p| p.as_str()),
        "headers": headers,
    });
    let mut response = Response::new(Full::new(Bytes::from(format!("{body}\n"))));
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    response
}
