//! A client over HTTP/1.1 that keeps its connection.

use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::net::TcpStream;

use super::{Flow, Lasting};
use crate::{origin::http1::ID, random::Random, wire::Wire};

/// A client of one host.
pub struct Client {
    to: SocketAddr,
    host: String,
    wire: Option<Wire<TcpStream>>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Vec<u8>,
}

impl Client {
    /// A client that connects when it is asked first.
    pub fn new(to: SocketAddr, host: impl Into<String>) -> Self {
        Self {
            to,
            host: host.into(),
            wire: None,
        }
    }

    /// Sends a request. The connection is kept unless it failed.
    pub async fn ask(&mut self, method: &str, id: &str, body: &[u8]) -> anyhow::Result<Answer> {
        let mut wire = match self.wire.take() {
            Some(wire) => wire,
            None => Wire::new(connect(self.to).await?),
        };
        wire.send(&request(method, &self.host, id, body)).await?;
        let head = wire.head().await?.context("closed without an answer")?;
        let body = wire.body(&head).await?;
        if head.field("connection") != Some("close") {
            self.wire = Some(wire);
        }
        Ok(Answer {
            status: head.status(),
            body,
        })
    }
}

impl Answer {
    /// Judges it: it must be that of the origin to the request of this id.
    pub fn must_be_to(&self, id: &str) -> anyhow::Result<()> {
        anyhow::ensure!(self.status == 200, "status {}", self.status);
        anyhow::ensure!(self.body == id.as_bytes(), "the answer to another request");
        Ok(())
    }
}

impl Flow for Client {
    async fn exchange(&mut self, random: &mut Random) -> anyhow::Result<()> {
        let id = random.next().to_string();
        self.ask("GET", &id, &[]).await?.must_be_to(&id)
    }

    fn lasts(&self) -> Lasting {
        Lasting::Client
    }
}

/// A connection without delay.
pub async fn connect(to: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(to).await.context("connecting")?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The bytes of a request.
pub fn request(method: &str, host: &str, id: &str, body: &[u8]) -> Vec<u8> {
    let length = match method {
        "POST" | "PUT" => format!("content-length: {}\r\n", body.len()),
        _ => String::new(),
    };
    let head = format!("{method} / HTTP/1.1\r\nhost: {host}\r\n{ID}: {id}\r\n{length}\r\n");
    [head.as_bytes(), body].concat()
}
