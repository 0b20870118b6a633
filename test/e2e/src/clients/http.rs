//! HTTP clients on connections of their own, so that tests know which connection they use.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Version, header};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinHandle,
};

use super::{connect_tls, within};
use crate::origins::Echo;

/// A body of any kind.
pub type RequestBody = UnsyncBoxBody<Bytes, Infallible>;

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// Trailers, if any came.
    pub trailers: Option<HeaderMap>,
}

impl Answer {
    /// What the origin saw. Panics when the answer is not an origin's.
    pub fn echo(&self) -> Echo {
        assert!(
            self.headers.contains_key("x-origin"),
            "{} is the gateway's own answer: {}",
            self.status,
            String::from_utf8_lossy(&self.body)
        );
        Echo::parse(&self.body)
    }

    /// The origin that answered; empty for the gateway's own answers.
    pub fn origin(&self) -> &str {
        self.headers
            .get("x-origin")
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
    }
}

/// One HTTP/1.1 connection.
pub struct Http1 {
    sender: http1::SendRequest<Full<Bytes>>,
    task: JoinHandle<()>,
}

impl Http1 {
    /// Connects as soon as somebody listens.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::over(listening(address).await)
            .await
            .expect("a handshake")
    }

    /// Connects if somebody listens.
    pub async fn try_connect(address: SocketAddr) -> io::Result<Self> {
        Self::over(TcpStream::connect(address).await?).await
    }

    /// Connects over TLS with the SNI `host`, if somebody listens and can be trusted.
    pub async fn try_connect_tls(
        address: SocketAddr,
        host: &str,
        tls: Arc<ClientConfig>,
    ) -> io::Result<Self> {
        Self::over(connect_tls(address, host, tls).await?).await
    }

    async fn over<T>(stream: T) -> io::Result<Self>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        let task = tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Self { sender, task })
    }

    /// Whether it takes another request: neither side has ended the connection or said that it will.
    pub fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Sends a request and reads the whole answer, or the error that ended the connection.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, hyper::Error> {
        within("an HTTP/1.1 answer", async {
            self.sender.ready().await?;
            read(self.sender.send_request(request).await?).await
        })
        .await
    }

    /// GET of `path` at `host`.
    pub async fn get(&mut self, host: &str, path: &str) -> Result<Answer, hyper::Error> {
        self.send(request(host, path)).await
    }
}

impl Drop for Http1 {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One HTTP/2 connection, cleartext with prior knowledge or over TLS.
pub struct Http2 {
    sender: http2::SendRequest<RequestBody>,
    task: JoinHandle<()>,
}

impl Http2 {
    /// Connects in cleartext.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = listening(address).await;
        Self::over(TokioIo::new(stream)).await
    }

    /// Connects over TLS with the SNI `host`.
    pub async fn connect_tls(address: SocketAddr, host: &str, tls: Arc<ClientConfig>) -> Self {
        let connected = Self::try_connect_tls(address, host, tls).await;
        connected.expect("a TLS handshake")
    }

    /// The same, where nobody may listen yet.
    pub async fn try_connect_tls(
        address: SocketAddr,
        host: &str,
        tls: Arc<ClientConfig>,
    ) -> io::Result<Self> {
        let stream = connect_tls(address, host, tls).await?;
        Ok(Self::over(TokioIo::new(stream)).await)
    }

    async fn over<T>(io: T) -> Self
    where
        T: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io)
            .await
            .expect("a handshake");
        let task = tokio::spawn(async move {
            let _ = connection.await;
        });
        Self { sender, task }
    }

    /// Whether it takes another request.
    pub fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Sends a request; its URI must be absolute.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, hyper::Error> {
        self.stream(request.map(BodyExt::boxed_unsync)).await
    }

    /// The same with a body of many frames.
    pub async fn stream(&mut self, request: Request<RequestBody>) -> Result<Answer, hyper::Error> {
        within("an HTTP/2 answer", async {
            self.sender.ready().await?;
            read(self.sender.send_request(request).await?).await
        })
        .await
    }

    /// GET of `path` at `host`.
    pub async fn get(&mut self, host: &str, path: &str) -> Result<Answer, hyper::Error> {
        let request = Request::builder()
            .version(Version::HTTP_2)
            .uri(format!("http://{host}{path}"))
            .body(Full::default())
            .expect("a request");
        self.send(request).await
    }
}

impl Drop for Http2 {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Connects as soon as somebody listens: a gateway opens its ports when it has read its manifests.
async fn listening(address: SocketAddr) -> TcpStream {
    within("a listener", async {
        loop {
            if let Ok(stream) = TcpStream::connect(address).await {
                stream.set_nodelay(true).expect("a TCP socket");
                return stream;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

fn request(host: &str, path: &str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(Method::GET)
        .uri(path)
        .header(header::HOST, host)
        .body(Full::default())
        .expect("a request")
}

async fn read(response: http::Response<hyper::body::Incoming>) -> Result<Answer, hyper::Error> {
    let (parts, body) = response.into_parts();
    let collected = body.collect().await?;
    let trailers = collected.trailers().cloned();
    Ok(Answer {
        status: parts.status,
        headers: parts.headers,
        body: collected.to_bytes(),
        trailers,
    })
}

/// GET on a new connection.
pub async fn get(address: SocketAddr, host: &str, path: &str) -> Answer {
    Http1::connect(address)
        .await
        .get(host, path)
        .await
        .expect("an answer")
}

/// Any request on a new connection.
pub async fn send(address: SocketAddr, request: Request<Full<Bytes>>) -> Answer {
    Http1::connect(address)
        .await
        .send(request)
        .await
        .expect("an answer")
}

/// GET over HTTP/2 on a new TLS connection whose SNI is `host`.
pub async fn get_tls(
    address: SocketAddr,
    host: &str,
    path: &str,
    tls: Arc<ClientConfig>,
) -> Answer {
    let mut client = Http2::connect_tls(address, host, tls).await;
    client.get(host, path).await.expect("an answer")
}
