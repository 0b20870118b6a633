//! Long-lived streams: WebSockets and gRPC calls.

use std::{io, net::SocketAddr, sync::Arc};

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _};
use http::Request;
use rustls::ClientConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

use super::{connect_tls, within};

/// A connection with or without TLS.
trait Transport: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Transport for T {}

async fn transport(
    address: SocketAddr,
    host: &str,
    tls: Option<Arc<ClientConfig>>,
) -> io::Result<Box<dyn Transport>> {
    Ok(match tls {
        None => Box::new(TcpStream::connect(address).await?),
        Some(tls) => Box::new(connect_tls(address, host, tls).await?),
    })
}

/// A WebSocket to an echoing origin.
pub struct WebSocket {
    stream: WebSocketStream<Box<dyn Transport>>,
}

impl WebSocket {
    /// Opens one at `host` and `path`. Panics when the gateway refuses.
    pub async fn connect(address: SocketAddr, host: &str, path: &str) -> Self {
        Self::open(address, host, path, None).await
    }

    /// The same inside TLS.
    pub async fn connect_tls(
        address: SocketAddr,
        host: &str,
        path: &str,
        tls: Arc<ClientConfig>,
    ) -> Self {
        Self::open(address, host, path, Some(tls)).await
    }

    async fn open(
        address: SocketAddr,
        host: &str,
        path: &str,
        tls: Option<Arc<ClientConfig>>,
    ) -> Self {
        within("a WebSocket handshake", async {
            let stream = transport(address, host, tls).await.expect("a connection");
            let url = format!("ws://{host}{path}");
            let (stream, _) = tokio_tungstenite::client_async(url, stream)
                .await
                .expect("a WebSocket");
            Self { stream }
        })
        .await
    }

    /// Sends `text` and reads it back; the error that ended the socket otherwise.
    pub async fn echo(&mut self, text: &str) -> Result<(), String> {
        within("a WebSocket echo", async {
            let message = Message::text(text.to_owned());
            self.stream
                .send(message)
                .await
                .map_err(|error| error.to_string())?;
            match self.stream.next().await {
                Some(Ok(Message::Text(back))) if back.as_str() == text => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await
    }
}

/// A bidirectional gRPC call to an echoing origin, on a connection of its own.
pub struct GrpcStream {
    send: h2::SendStream<Bytes>,
    receive: h2::RecvStream,
    received: BytesMut,
    task: JoinHandle<()>,
}

impl GrpcStream {
    /// Opens a call of `method`, for instance `/echo.Echo/Stream`, at `host`.
    pub async fn open(address: SocketAddr, host: &str, method: &str) -> Self {
        Self::call(address, host, method, None).await
    }

    /// The same inside TLS.
    pub async fn open_tls(
        address: SocketAddr,
        host: &str,
        method: &str,
        tls: Arc<ClientConfig>,
    ) -> Self {
        Self::call(address, host, method, Some(tls)).await
    }

    async fn call(
        address: SocketAddr,
        host: &str,
        method: &str,
        tls: Option<Arc<ClientConfig>>,
    ) -> Self {
        within("a gRPC call", async {
            let stream = transport(address, host, tls).await.expect("a connection");
            let (client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
            let task = tokio::spawn(async move {
                let _ = connection.await;
            });
            let mut client = client.ready().await.expect("a free stream");
            let request = Request::post(format!("http://{host}{method}"))
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .body(())
                .expect("a request");
            let (response, send) = client.send_request(request, false).expect("a stream");
            // An echoing origin answers the head at once; the gateway must not wait for the body.
            let receive = response.await.expect("an answer").into_body();
            Self {
                send,
                receive,
                received: BytesMut::new(),
                task,
            }
        })
        .await
    }

    /// Sends one message and reads it back; the error that ended the stream otherwise.
    pub async fn echo(&mut self, text: &str) -> Result<(), String> {
        let mut message = BytesMut::new();
        message.put_u8(0);
        message.put_u32(u32::try_from(text.len()).expect("a short text"));
        message.put_slice(text.as_bytes());
        let message = message.freeze();
        within("a gRPC message", async {
            self.send
                .send_data(message.clone(), false)
                .map_err(|error| error.to_string())?;
            while self.received.len() < message.len() {
                let Some(data) = self.receive.data().await else {
                    return Err("the stream ended".to_owned());
                };
                let data = data.map_err(|error| error.to_string())?;
                self.receive
                    .flow_control()
                    .release_capacity(data.len())
                    .map_err(|error| error.to_string())?;
                self.received.extend_from_slice(&data);
            }
            let back = self.received.split_to(message.len());
            (back == message)
                .then_some(())
                .ok_or_else(|| format!("got {back:?}"))
        })
        .await
    }

    /// Ends the call; its grpc-status.
    pub async fn finish(mut self) -> Result<String, String> {
        within("the end of a gRPC call", async {
            self.send
                .send_data(Bytes::new(), true)
                .map_err(|error| error.to_string())?;
            let trailers = self
                .receive
                .trailers()
                .await
                .map_err(|error| error.to_string())?;
            let status = trailers.as_ref().and_then(|t| t.get("grpc-status"));
            Ok(status
                .and_then(|s| s.to_str().ok())
                .unwrap_or_default()
                .to_owned())
        })
        .await
    }
}

impl Drop for GrpcStream {
    fn drop(&mut self) {
        self.task.abort();
    }
}
