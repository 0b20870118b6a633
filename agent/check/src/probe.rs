//! One question to one endpoint, on a connection of its own: who can't accept a connection is not well.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Request, Response, StatusCode, Uri, uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use novaedge_proxy::Resolve;
use novaedge_proxy::tls::BackendClient;
use novaedge_router::proxy_protocol::{Header, encode};
use novaedge_router::{Backend, BackendProtocol, Endpoint, HealthCheck, Host, HttpProbe, Probe};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use crate::grpc::{self, ServingStatus};

/// Bytes of the head of an answer.
const MAX_HEAD: u32 = 64 * 1024;

/// Bytes of the body of a gRPC answer: a message has two.
const MAX_MESSAGE: usize = 1024;

const USER_AGENT: HeaderValue = HeaderValue::from_static("novaedge-health-check");

/// Why an endpoint is not well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("its name cannot be resolved")]
    Dns(#[source] io::Error),
    #[error("it cannot be connected")]
    Connect(#[source] io::Error),
    #[error("the tls handshake failed")]
    Tls(#[source] io::Error),
    #[error("the backend has no usable tls configuration")]
    TlsConfiguration,
    #[error("no answer of http")]
    Http(#[source] hyper::Error),
    #[error("it answers {0}")]
    Status(StatusCode),
    #[error("it answers with gRPC status {0:?}")]
    GrpcStatus(HeaderValue),
    #[error("its answer is not one of gRPC")]
    NotGrpc,
    #[error("it says {0:?}")]
    NotServing(ServingStatus),
    #[error("no answer in time")]
    TimedOut,
}

/// What is asked, and how.
pub(crate) struct Question<'a> {
    pub backend: &'a Backend,
    pub endpoint: &'a Endpoint,
    pub check: &'a HealthCheck,
    /// How to speak TLS, if the backend wants it and it can be had.
    pub tls: Option<Arc<BackendClient>>,
    pub resolver: &'a dyn Resolve,
}

/// A stream that is plain or encrypted.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Question<'_> {
    /// Asks, and judges the answer.
    pub(crate) async fn ask(&self) -> Result<(), Failure> {
        let asking = async {
            let stream = self.connect().await?;
            match &self.check.probe {
                Probe::Tcp => Ok(()),
                Probe::Http(probe) => self.http(stream, probe).await,
                Probe::Grpc(service) => self.grpc(stream, service).await,
            }
        };
        tokio::time::timeout(self.check.timeout, asking)
            .await
            .unwrap_or(Err(Failure::TimedOut))
    }

    fn port(&self) -> u16 {
        self.check.port.unwrap_or(self.endpoint.port)
    }

    fn http2(&self) -> bool {
        match self.check.probe {
            Probe::Grpc(_) => true,
            Probe::Http(_) => self.backend.protocol == BackendProtocol::Http2,
            Probe::Tcp => false,
        }
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, Failure> {
        let mut stream = self.connect_tcp().await?;
        // Another port is another server, which need not know the protocol.
        if let Some(version) = self.backend.send_proxy_protocol
            && self.check.port.is_none()
        {
            let header = encode(version, &Header::Local);
            stream.write_all(&header).await.map_err(Failure::Connect)?;
        }
        if self.backend.tls.is_none() {
            return Ok(Box::new(stream));
        }
        let tls = self.tls.as_ref().ok_or(Failure::TlsConfiguration)?;
        let config = match &self.check.probe {
            Probe::Tcp => &tls.tcp,
            _ if self.http2() => &tls.http2,
            _ => &tls.http1,
        };
        let stream = TlsConnector::from(Arc::clone(config))
            .connect(tls.server_name.clone(), stream)
            .await
            .map_err(Failure::Tls)?;
        Ok(Box::new(stream))
    }

    async fn connect_tcp(&self) -> Result<TcpStream, Failure> {
        let addresses: Vec<IpAddr> = match &self.endpoint.address {
            Host::Ip(address) => vec![*address],
            Host::Dns(name) => self.resolver.resolve(name).await.map_err(Failure::Dns)?,
        };
        let mut last = io::ErrorKind::NotFound.into();
        for address in addresses {
            match TcpStream::connect(SocketAddr::new(address, self.port())).await {
                Ok(stream) => {
                    stream.set_nodelay(true).map_err(Failure::Connect)?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(Failure::Connect(last))
    }

    async fn http(&self, stream: Box<dyn Stream>, probe: &HttpProbe) -> Result<(), Failure> {
        let mut request = Request::new(Full::default());
        let mut target = uri::Parts::default();
        target.path_and_query = Some(probe.path.clone());
        let host = probe.host.clone().or_else(|| self.default_host());
        self.address(&mut request, target, host);
        let answer = self.send(stream, request).await.map_err(Failure::Http)?;
        let status = answer.response.status();
        if probe.expects(status.as_u16()) {
            Ok(())
        } else {
            Err(Failure::Status(status))
        }
    }

    async fn grpc(&self, stream: Box<dyn Stream>, service: &str) -> Result<(), Failure> {
        let mut request = Request::new(Full::new(grpc::request(service)));
        *request.method_mut() = http::Method::POST;
        let headers = request.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/grpc"),
        );
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        let mut target = uri::Parts::default();
        target.path_and_query = Some(uri::PathAndQuery::from_static(grpc::PATH));
        self.address(&mut request, target, self.default_host());
        let answer = self.send(stream, request).await.map_err(Failure::Http)?;
        judge_grpc(answer).await
    }

    /// The server name of TLS, or where the question goes.
    fn default_host(&self) -> Option<HeaderValue> {
        if let Some(tls) = &self.backend.tls {
            return HeaderValue::try_from(&*tls.server_name).ok();
        }
        let port = self.port();
        let host = match &self.endpoint.address {
            Host::Ip(address) => SocketAddr::new(*address, port).to_string(),
            Host::Dns(name) => format!("{name}:{port}"),
        };
        HeaderValue::try_from(host).ok()
    }

    /// Gives a request its target and its host, as its protocol has them.
    fn address<B>(
        &self,
        request: &mut Request<B>,
        mut target: uri::Parts,
        host: Option<HeaderValue>,
    ) {
        let headers = request.headers_mut();
        headers.insert(header::USER_AGENT, USER_AGENT);
        if self.http2() {
            let tls = self.backend.tls.is_some();
            let scheme = if tls { "https" } else { "http" };
            target.scheme = scheme.try_into().ok();
            target.authority = host.and_then(|host| host.as_bytes().try_into().ok());
        } else if let Some(host) = host {
            headers.insert(header::HOST, host);
        }
        *request.uri_mut() = Uri::from_parts(target).unwrap_or_default();
    }

    async fn send(
        &self,
        stream: Box<dyn Stream>,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, hyper::Error> {
        let stream = TokioIo::new(stream);
        if self.http2() {
            let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_header_list_size(MAX_HEAD)
                .handshake(stream)
                .await?;
            let driver = drive(connection);
            let response = sender.send_request(request).await?;
            Ok(Answer { response, driver })
        } else {
            let (mut sender, connection) = http1::Builder::new()
                .max_buf_size(MAX_HEAD as usize)
                .handshake(stream)
                .await?;
            let driver = drive(connection);
            let response = sender.send_request(request).await?;
            Ok(Answer { response, driver })
        }
    }
}

/// An answer, and the task of its connection, which ends with it.
struct Answer {
    response: Response<Incoming>,
    driver: AbortOnDropHandle<()>,
}

fn drive(
    connection: impl Future<Output = hyper::Result<()>> + Send + 'static,
) -> AbortOnDropHandle<()> {
    let driver = async {
        // What goes wrong is seen by who waits for the answer.
        let _ = connection.await;
    };
    AbortOnDropHandle::new(tokio::spawn(driver))
}

async fn judge_grpc(answer: Answer) -> Result<(), Failure> {
    let Answer { response, driver } = answer;
    if response.status() != StatusCode::OK {
        return Err(Failure::Status(response.status()));
    }
    let (head, body) = response.into_parts();
    let body = Limited::new(body, MAX_MESSAGE).collect().await;
    drop(driver);
    let body = body.map_err(|_| Failure::NotGrpc)?;
    // Without a message the status is in the head (gRPC over HTTP/2, "Trailers-Only").
    let fields = body.trailers().unwrap_or(&head.headers);
    let status = fields.get("grpc-status").ok_or(Failure::NotGrpc)?;
    if status != "0" {
        return Err(Failure::GrpcStatus(status.clone()));
    }
    match grpc::response(&body.to_bytes()).ok_or(Failure::NotGrpc)? {
        ServingStatus::Serving => Ok(()),
        other => Err(Failure::NotServing(other)),
    }
}
