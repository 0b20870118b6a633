//! A client of HTTP/3.

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::Arc,
};

use bytes::{Buf as _, Bytes};
use h3::client::SendRequest;
use h3_quinn::OpenStreams;
use http::Request;
use quinn::{Endpoint, crypto::rustls::QuicClientConfig};
use rustls::ClientConfig;

use super::{Answer, DEADLINE};

/// A connection.
pub struct Http3 {
    sender: SendRequest<OpenStreams, Bytes>,
    endpoint: Endpoint,
}

/// Why there is no connection or no answer.
pub type Http3Error = Box<dyn std::error::Error + Send + Sync>;

impl Http3 {
    /// Connects, with `host` as SNI; `tls` offers `h3`.
    pub async fn connect(
        address: SocketAddr,
        host: &str,
        tls: &ClientConfig,
    ) -> Result<Self, Http3Error> {
        let crypto = QuicClientConfig::try_from(tls.clone())?;
        let endpoint = Endpoint::client((Ipv4Addr::UNSPECIFIED, 0).into())?;
        let config = quinn::ClientConfig::new(Arc::new(crypto));
        let connecting = endpoint.connect_with(config, address, host)?;
        let quic = tokio::time::timeout(DEADLINE, connecting).await??;
        let (mut driver, sender) = h3::client::new(h3_quinn::Connection::new(quic)).await?;
        tokio::spawn(async move { std::future::poll_fn(|cx| driver.poll_close(cx)).await });
        Ok(Self { sender, endpoint })
    }

    /// Goes on from another port.
    pub fn move_away(&self) {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
        self.endpoint.rebind(socket).expect("a socket");
    }

    /// GET.
    pub async fn get(&mut self, host: &str, path: &str) -> Result<Answer, Http3Error> {
        tokio::time::timeout(DEADLINE, self.answer(host, path)).await?
    }

    async fn answer(&mut self, host: &str, path: &str) -> Result<Answer, Http3Error> {
        let request = Request::get(format!("https://{host}{path}")).body(())?;
        let mut stream = self.sender.send_request(request).await?;
        stream.finish().await?;
        let head = stream.recv_response().await?;
        let mut body = Vec::new();
        while let Some(mut data) = stream.recv_data().await? {
            body.extend_from_slice(&data.copy_to_bytes(data.remaining()));
        }
        Ok(Answer {
            status: head.status(),
            headers: head.headers().clone(),
            body: body.into(),
            trailers: stream.recv_trailers().await?,
        })
    }
}
