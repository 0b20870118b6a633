//! Messages of HTTP/1.1, read and written by clients and origins alike.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The longest head.
const HEAD: usize = 64 * 1024;

/// A connection with what was read ahead of it.
#[derive(Debug)]
pub struct Wire<S> {
    /// The connection.
    pub stream: S,
    buffer: Vec<u8>,
}

/// The first line and the fields of a message.
#[derive(Clone, Debug, Default)]
pub struct Head {
    first: String,
    fields: Vec<(String, String)>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Over a connection of which nothing was read.
    pub fn new(stream: S) -> Self {
        let buffer = Vec::new();
        Self { stream, buffer }
    }

    /// Bytes that were read and belong to nothing yet.
    pub fn held(&self) -> usize {
        self.buffer.len()
    }

    /// Writes all.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// The next head; none where the connection ends before it. Nothing is lost when this is dropped.
    pub async fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            let end = self.buffer.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
                return Ok(Some(Head::read(&String::from_utf8_lossy(&head))));
            }
            if self.buffer.len() > HEAD {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        }
    }

    /// The body of a message.
    pub async fn body(&mut self, head: &Head) -> io::Result<Vec<u8>> {
        if head.field("transfer-encoding") != Some("chunked") {
            let length = head.field("content-length").map_or(Ok(0), str::parse);
            return self
                .exact(length.map_err(|_| io::ErrorKind::InvalidData)?)
                .await;
        }
        let mut body = Vec::new();
        loop {
            let size = self.line().await?;
            let size = usize::from_str_radix(&size, 16).map_err(|_| io::ErrorKind::InvalidData)?;
            body.extend(self.exact(size).await?);
            self.line().await?;
            if size == 0 {
                return Ok(body);
            }
        }
    }

    /// So many bytes.
    pub async fn exact(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < count {
            self.fill().await?;
        }
        let bytes = self.buffer.drain(..count).collect();
        // What is idle holds no memory for bytes.
        if self.buffer.is_empty() {
            self.buffer = Vec::new();
        }
        Ok(bytes)
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return Ok(String::from_utf8_lossy(&line).trim().to_owned());
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

impl Head {
    fn read(text: &str) -> Self {
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default().to_owned();
        let fields = lines.filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        });
        Self {
            first,
            fields: fields.collect(),
        }
    }

    /// The first field of this name, in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(held, _)| held == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The method of a request.
    pub fn method(&self) -> &str {
        self.first.split(' ').next().unwrap_or_default()
    }

    /// The status of a response, 0 if it has none.
    pub fn status(&self) -> u16 {
        let status = self.first.split(' ').nth(1);
        status.and_then(|status| status.parse().ok()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a panic is how a test fails

    use super::*;

    #[tokio::test]
    async fn messages_are_read_one_after_the_other() {
        let (near, mut far) = tokio::io::duplex(1_024);
        far.write_all(
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
              HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        )
        .await
        .unwrap();
        drop(far);
        let mut wire = Wire::new(near);
        let head = wire.head().await.unwrap().unwrap();
        assert_eq!(head.method(), "POST");
        assert_eq!(wire.body(&head).await.unwrap(), b"abc");
        let head = wire.head().await.unwrap().unwrap();
        assert_eq!(head.status(), 200);
        assert_eq!(wire.body(&head).await.unwrap(), b"ok");
        assert!(wire.head().await.unwrap().is_none());
    }
}
