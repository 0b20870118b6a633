//! The stream below a client connection: bytes that were read ahead come first.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut as _, Bytes, BytesMut};
use novaedge_turns::give_way;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::io::poll_read_buf;

use super::frames::Frames;
use super::{Protocol, Traffic};
use crate::http1;

/// The start of every HTTP/2 connection (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream of which the first bytes have been read already.
#[derive(Debug)]
pub struct Rewound<S> {
    received: Bytes,
    stream: S,
}

impl<S> Rewound<S> {
    /// `received` comes before what `stream` yields.
    pub fn new(received: impl Into<Bytes>, stream: S) -> Self {
        Self {
            received: received.into(),
            stream,
        }
    }
}

/// Reads until it is clear what the client speaks: what has come until then. Idle connections hold no buffer meanwhile.
pub(super) async fn sniff(
    stream: &mut TcpStream,
    limit: Duration,
) -> io::Result<(Protocol, BytesMut)> {
    let sniffing = async {
        let mut received = BytesMut::new();
        loop {
            let read = poll_fn(|cx| http1::poll_fill(stream, cx, &mut received));
            if read.await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if received.starts_with(PREFACE) {
                return Ok((Protocol::Http2, received));
            }
            if !PREFACE.starts_with(&received) {
                return Ok((Protocol::Http1, received));
            }
        }
    };
    tokio::time::timeout(limit, sniffing).await?
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.received.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let count = self.received.len().min(buf.remaining());
        buf.put_slice(self.received.get(..count).unwrap_or_default());
        self.received.advance(count);
        if self.received.is_empty() {
            // Gives the buffer back.
            self.received = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// What a connection may have before others have their turn: a codec would read on as long as there is more.
const TURN: Turn = Turn {
    bytes: 32 * 1024,
    time: Duration::from_micros(100),
};

/// Bytes that are read at once at first, and at least.
const READ: usize = 256;

/// So few bytes take no time that needs to be measured.
const FEW: usize = 512;

struct Turn {
    bytes: usize,
    time: Duration,
}

/// What a connection has had in this turn.
#[derive(Debug, Default)]
struct Spent {
    bytes: usize,
    since: Option<Instant>,
}

/// Notes that bytes move, sees to it that others have their turn, and ends floods of control frames.
pub(super) struct Watched<S> {
    stream: S,
    traffic: Arc<Traffic>,
    frames: Frames,
    /// Bytes sent.
    sent: u64,
    spent: Spent,
    /// Bytes that are read at once: the fewer the longer they take.
    most: usize,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, traffic: Arc<Traffic>) -> Self {
        Self {
            stream,
            traffic,
            frames: Frames::new(PREFACE.len()),
            sent: 0,
            spent: Spent::default(),
            most: READ,
        }
    }

    /// Whether others are to have their turn.
    fn is_over(&mut self) -> bool {
        let Some(since) = self.spent.since else {
            return false;
        };
        let took = since.elapsed();
        if took > TURN.time * 3 / 2 {
            self.most = (self.most / 2).max(READ);
        } else if took < TURN.time / 4 {
            self.most = (self.most * 2).min(TURN.bytes);
        }
        took > TURN.time || self.spent.bytes >= TURN.bytes
    }

    fn wrote(&mut self, polled: &Poll<io::Result<usize>>) {
        if let Poll::Ready(written) = polled {
            self.traffic.written();
            self.sent += *written.as_ref().unwrap_or(&0) as u64;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_over() {
            self.spent = Spent::default();
            return give_way(cx);
        }
        let before = buf.filled().len();
        let mut limited = (&mut *buf).limit(self.most);
        let polled = poll_read_buf(Pin::new(&mut self.stream), cx, &mut limited);
        let polled = polled.map_ok(|_| ());
        if polled.is_pending() {
            self.spent = Spent::default();
            return polled;
        }
        self.traffic.read();
        let read = buf.filled().get(before..).unwrap_or_default();
        self.spent.bytes += read.len();
        self.frames.take(read);
        if self.spent.since.is_none() && self.spent.bytes >= FEW {
            self.spent.since = Some(Instant::now());
        }
        if self.frames.is_flood(self.sent) {
            let flood = io::Error::new(io::ErrorKind::InvalidData, "a flood of control frames");
            return Poll::Ready(Err(flood));
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(&polled);
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
