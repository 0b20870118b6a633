//! A small client and a small origin over HTTP/1.1, on threads.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;

/// A connection that was idle for longer is made anew: who serves may have closed it.
const IDLE: Duration = Duration::from_secs(5);

/// A connection that is kept.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    stream: BufReader<TcpStream>,
    used: Instant,
}

/// Status and headers of an answer; names are lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Headers in order.
    pub headers: Vec<(String, String)>,
}

impl Client {
    /// Connects; every read waits at most ten seconds.
    pub fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream =
            TcpStream::connect(address).with_context(|| format!("connecting {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self {
            address,
            stream: BufReader::new(stream),
            used: Instant::now(),
        })
    }

    /// Asks for `path` at `host`.
    pub fn get(&mut self, host: &str, path: &str) -> anyhow::Result<Answer> {
        if self.used.elapsed() > IDLE {
            *self = Self::connect(self.address)?;
        }
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
        self.stream.get_mut().write_all(request.as_bytes())?;
        let head = read_head(&mut self.stream)?.context("the connection was closed")?;
        let mut lines = head.lines();
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let answer = Answer {
            status: status.context("no status line")?,
            headers: lines.filter_map(header).collect(),
        };
        let length = answer.header("content-length").map_or(Ok(0), str::parse)?;
        io::copy(&mut (&mut self.stream).take(length), &mut io::sink())?;
        self.used = Instant::now();
        Ok(answer)
    }
}

impl Answer {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(held, _)| held == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Answers every request with `ok`, a thread per connection, as long as the process lives.
pub fn origin() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("binding an origin")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().filter_map(Result::ok) {
            thread::spawn(move || serve(stream));
        }
    });
    Ok(address)
}

/// An address that was free a moment ago.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("looking for a free port")?;
    Ok(listener.local_addr()?)
}

fn serve(stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while read_head(&mut stream)?.is_some() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        stream.get_mut().write_all(answer)?;
    }
    Ok(())
}

/// A head up to its empty line; none at the end of the connection.
fn read_head(stream: &mut BufReader<TcpStream>) -> io::Result<Option<String>> {
    let mut head = String::new();
    loop {
        let before = head.len();
        if stream.read_line(&mut head)? == 0 {
            return Ok(None);
        }
        if head[before..].trim_end().is_empty() {
            return Ok(Some(head));
        }
    }
}

fn header(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    Some((name.to_ascii_lowercase(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a panic is how a test fails

    use super::*;

    #[test]
    fn a_connection_serves_many_requests() {
        let mut client = Client::connect(origin().unwrap()).unwrap();
        for _ in 0..3 {
            let answer = client.get("example.com", "/").unwrap();
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("content-length"), Some("2"));
        }
    }
}
