//! Connections that leave HTTP behind, such as WebSockets: bytes are copied both ways.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::HeaderValue;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::trail::{Trail, Way};

/// Bytes in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

/// A connection that will leave HTTP as soon as its codec lets go of it.
pub struct PendingUpgrade(Upgrading);

type Upgrading = Pin<Box<dyn Future<Output = io::Result<Box<dyn Duplex>>>>>;

/// A client's wish to leave HTTP.
pub(crate) struct Wish {
    /// For what, as the field `Upgrade` names it.
    pub protocol: HeaderValue,
    /// Its connection.
    pub io: PendingUpgrade,
}

/// Keeps a promised upgrade. Dropped, it breaks it.
pub(crate) struct Promise(oneshot::Sender<Box<dyn Duplex>>);

impl Promise {
    /// The connection has left HTTP.
    pub(crate) fn keep(self, io: impl Duplex + 'static) {
        // Nobody waits any more when the tunnel has been given up.
        let _ = self.0.send(Box::new(io));
    }
}

impl PendingUpgrade {
    /// A connection that leaves HTTP when the promise is kept.
    pub(crate) fn promised() -> (Promise, Self) {
        let (promise, kept) = oneshot::channel();
        let upgrade = Self(Box::pin(
            async move { kept.await.map_err(io::Error::other) },
        ));
        (Promise(promise), upgrade)
    }

    /// A stream that leaves HTTP when hyper lets go of it.
    pub(crate) fn of(upgrade: OnUpgrade) -> Self {
        Self(Box::pin(async move {
            let upgraded = upgrade.await.map_err(io::Error::other)?;
            Ok(Box::new(TokioIo::new(upgraded)) as Box<dyn Duplex>)
        }))
    }

    /// A connection that has left HTTP.
    pub(crate) fn ready(io: impl Duplex + 'static) -> Self {
        let io: Box<dyn Duplex> = Box::new(io);
        Self(Box::pin(std::future::ready(Ok(io))))
    }

    /// Keeps `held` for as long as the connection lives.
    pub(crate) fn holding(self, held: impl Unpin + 'static) -> Self {
        Self(Box::pin(async move {
            let io = self.0.await?;
            Ok(Box::new(Holding { io, _held: held }) as Box<dyn Duplex>)
        }))
    }
}

impl std::fmt::Debug for PendingUpgrade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PendingUpgrade")
    }
}

/// Copies both ways until both ends have closed, or nothing moved for `idle`. One end may close its
/// direction and go on reading.
pub(crate) async fn tunnel(
    client: PendingUpgrade,
    backend: PendingUpgrade,
    idle: Duration,
    trail: Option<Rc<Trail>>,
) -> io::Result<()> {
    let (client, backend) = futures_util::future::try_join(client.0, backend.0).await?;
    if let Some(trail) = &trail {
        trail.upgraded();
    }
    let moved = Rc::new(Cell::new(Instant::now()));
    let mut client = Watched {
        io: client,
        moved: Rc::clone(&moved),
        trail,
    };
    let mut backend = Watched {
        io: backend,
        moved: Rc::clone(&moved),
        trail: None,
    };
    let copy = tokio::io::copy_bidirectional(&mut client, &mut backend);
    let idle = async {
        loop {
            let end = moved.get() + idle;
            if Instant::now() >= end {
                break;
            }
            tokio::time::sleep_until(end).await;
        }
    };
    tokio::select! {
        copied = copy => copied.map(drop),
        () = idle => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Notes when bytes last moved.
struct Watched {
    io: Box<dyn Duplex>,
    moved: Rc<Cell<Instant>>,
    /// Told of the bytes of the client.
    trail: Option<Rc<Trail>>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        if polled.is_ready() {
            self.moved.set(Instant::now());
            if let Some(trail) = &self.trail {
                trail.passed(Way::Received, (buf.filled().len() - before) as u64);
            }
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, buf);
        if polled.is_ready() {
            self.moved.set(Instant::now());
        }
        if let (Some(trail), Poll::Ready(Ok(written))) = (&self.trail, &polled) {
            trail.passed(Way::Sent, *written as u64);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

struct Holding<T> {
    io: Box<dyn Duplex>,
    _held: T,
}

impl<T: Unpin> AsyncRead for Holding<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: Unpin> AsyncWrite for Holding<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
