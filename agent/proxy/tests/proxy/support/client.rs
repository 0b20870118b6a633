//! Clients: bytes for HTTP/1.1, hyper for HTTP/2.

use std::future::Future;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Bed;

/// A response, read to its end.
#[derive(Debug)]
pub struct Got {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Got {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// An HTTP/1.1 connection on which a test writes what it likes.
pub struct Http1<S = TcpStream> {
    pub stream: S,
    buffer: Vec<u8>,
}

impl Http1 {
    pub async fn connect(bed: &Bed) -> Self {
        Self::over(TcpStream::connect(bed.address).await.unwrap())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Http1<S> {
    pub fn over(stream: S) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    pub async fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Sends a request and reads the response, which needs a length or chunks.
    pub async fn send(&mut self, text: &str) -> Got {
        self.write(text).await;
        self.read().await
    }

    pub async fn read(&mut self) -> Got {
        let mut got = self.read_head().await;
        if got.status < 200 || got.status == 204 || got.status == 304 {
            return got;
        }
        let body = if got.header("transfer-encoding") == Some("chunked") {
            self.read_chunks(&mut got.headers).await
        } else {
            let length = got
                .header("content-length")
                .map_or(0, |length| length.parse().unwrap());
            self.take(length).await
        };
        got.body = String::from_utf8(body).unwrap();
        got
    }

    pub async fn read_head(&mut self) -> Got {
        let head = self.take_until(b"\r\n\r\n").await;
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let mut headers = HeaderMap::new();
        add_fields(lines, &mut headers);
        Got {
            status,
            headers,
            body: String::new(),
        }
    }

    async fn read_chunks(&mut self, trailers: &mut HeaderMap) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = String::from_utf8(self.take_until(b"\r\n").await).unwrap();
            let length = usize::from_str_radix(line.trim(), 16).unwrap();
            if length == 0 {
                loop {
                    let line = String::from_utf8(self.take_until(b"\r\n").await).unwrap();
                    if line == "\r\n" {
                        return body;
                    }
                    add_fields([line.trim()].into_iter(), trailers);
                }
            }
            body.extend(self.take(length).await);
            self.take(2).await;
        }
    }

    async fn fill(&mut self) {
        let count = self.stream.read_buf(&mut self.buffer).await.unwrap();
        let text = String::from_utf8_lossy(&self.buffer).into_owned();
        assert!(count > 0, "the connection ended after {text:?}");
    }

    async fn take_until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self
                .buffer
                .windows(end.len())
                .position(|window| window == end)
            {
                return self.buffer.drain(..at + end.len()).collect();
            }
            self.fill().await;
        }
    }

    pub async fn take(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            self.fill().await;
        }
        self.buffer.drain(..count).collect()
    }

    /// Whether the peer closes without another byte.
    pub async fn is_closed(&mut self) -> bool {
        assert!(
            self.buffer.is_empty(),
            "{:?}",
            String::from_utf8_lossy(&self.buffer)
        );
        self.stream.read_u8().await.is_err()
    }
}

fn add_fields<'a>(lines: impl Iterator<Item = &'a str>, headers: &mut HeaderMap) {
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        headers.append(
            http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
            value.trim().parse().unwrap(),
        );
    }
}

/// One GET on a connection of its own.
pub async fn get(bed: &Bed, path: &str, fields: &str) -> Got {
    let request = format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n");
    Http1::connect(bed).await.send(&request).await
}

#[derive(Clone)]
pub struct Spawn;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Spawn {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// An HTTP/2 connection.
pub async fn http2<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    stream: S,
) -> SendRequest<Full<Bytes>> {
    let (sender, connection) = hyper::client::conn::http2::handshake(Spawn, TokioIo::new(stream))
        .await
        .unwrap();
    tokio::task::spawn_local(connection);
    sender
}

/// Sends a request on an HTTP/2 connection; trailers are among the headers.
pub async fn send2(sender: &mut SendRequest<Full<Bytes>>, request: Request<Full<Bytes>>) -> Got {
    let response: Response<_> = sender.send_request(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap();
    let mut headers = head.headers;
    headers.extend(body.trailers().cloned().unwrap_or_default());
    let body = String::from_utf8(body.to_bytes().to_vec()).unwrap();
    Got {
        status: StatusCode::as_u16(&head.status),
        headers,
        body,
    }
}

/// A GET for HTTP/2.
pub fn get2(uri: &str) -> Request<Full<Bytes>> {
    Request::get(uri).body(Full::default()).unwrap()
}
