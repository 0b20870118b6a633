//! Bytes between two streams, both ways, until both directions have ended.
//!
//! The end of one direction is passed on (half-close) while the other goes on. A direction reads no
//! further while the bytes it has read wait to be written, so a slow reader slows its writer down.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

use crate::buffers::Buffers;
use crate::counters::Counter;

/// Why forwarding ended before both directions did.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RelayError {
    /// Reading from or writing to the client failed.
    #[error("client connection broke")]
    Client(#[source] io::Error),
    /// Reading from or writing to the endpoint failed.
    #[error("backend connection broke")]
    Backend(#[source] io::Error),
    /// No byte came for the idle timeout.
    #[error("no byte in either direction for the idle timeout")]
    Idle,
}

/// What forwarding needs besides the streams.
#[derive(Clone, Copy)]
pub(crate) struct RelayContext<'a> {
    pub(crate) buffers: &'a Buffers,
    pub(crate) idle_timeout: Duration,
    /// Bytes read from the client and written to the backend.
    pub(crate) received: &'a Counter,
    /// Bytes read from the backend and written to the client.
    pub(crate) sent: &'a Counter,
}

/// Forwards until both directions have ended.
pub(crate) async fn relay<C, B>(
    client: &mut C,
    backend: &mut B,
    context: RelayContext<'_>,
) -> Result<(), RelayError>
where
    C: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let mut up = Direction::default();
    let mut down = Direction::default();
    let mut last = Instant::now();
    let mut timer = pin!(sleep_until(last + context.idle_timeout));
    poll_fn(|task| {
        let up_before = up.bytes;
        let up_done = up.poll(task, client, backend, context.buffers);
        context.received.add(up.bytes - up_before);
        let down_before = down.bytes;
        let down_done = down.poll(task, backend, client, context.buffers);
        context.sent.add(down.bytes - down_before);
        let up_done =
            up_done.map_err(|error| error.into_relay(RelayError::Client, RelayError::Backend))?;
        let down_done =
            down_done.map_err(|error| error.into_relay(RelayError::Backend, RelayError::Client))?;
        if up_done.is_ready() && down_done.is_ready() {
            return Poll::Ready(Ok(()));
        }
        if up.bytes != up_before || down.bytes != down_before {
            last = Instant::now();
        }
        // The timer is moved only when it fires, not with each byte.
        while timer.as_mut().poll(task).is_ready() {
            let deadline = last + context.idle_timeout;
            if deadline <= Instant::now() {
                return Poll::Ready(Err(RelayError::Idle));
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    })
    .await
}

/// A failed direction: which of its two ends failed.
enum DirectionError {
    Read(io::Error),
    Write(io::Error),
}

impl DirectionError {
    fn into_relay(
        self,
        reader: fn(io::Error) -> RelayError,
        writer: fn(io::Error) -> RelayError,
    ) -> RelayError {
        match self {
            Self::Read(error) => reader(error),
            Self::Write(error) => writer(error),
        }
    }
}

#[derive(Default)]
struct Direction {
    /// Set while `start..end` of it wait to be written.
    buffer: Option<Box<[u8]>>,
    start: usize,
    end: usize,
    /// Bytes written.
    bytes: u64,
    /// The writer may hold bytes back (TLS records) until it is flushed.
    unflushed: bool,
    state: State,
}

#[derive(Default)]
enum State {
    #[default]
    Open,
    /// The reader has ended, the writer does not know yet.
    Ending,
    Ended,
}

impl Direction {
    fn poll<R, W>(
        &mut self,
        task: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
        buffers: &Buffers,
    ) -> Poll<Result<(), DirectionError>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            match self.state {
                State::Open => {
                    ready!(self.poll_write(task, writer, buffers))?;
                    if self.poll_read(task, reader, buffers)?.is_pending() {
                        ready!(self.poll_flush(task, writer))?;
                        return Poll::Pending;
                    }
                }
                State::Ending => {
                    let ended = ready!(Pin::new(&mut *writer).poll_shutdown(task));
                    self.state = State::Ended;
                    match ended {
                        // The peer is gone already: it can't miss the end.
                        Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
                        other => other.map_err(DirectionError::Write)?,
                    }
                }
                State::Ended => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Ready when nothing waits to be written.
    fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        task: &mut Context<'_>,
        writer: &mut W,
        buffers: &Buffers,
    ) -> Poll<Result<(), DirectionError>> {
        let Some(buffer) = &self.buffer else {
            return Poll::Ready(Ok(()));
        };
        while let Some(waiting) = buffer
            .get(self.start..self.end)
            .filter(|part| !part.is_empty())
        {
            let written = ready!(Pin::new(&mut *writer).poll_write(task, waiting))
                .map_err(DirectionError::Write)?;
            if written == 0 {
                let error = io::Error::from(io::ErrorKind::WriteZero);
                return Poll::Ready(Err(DirectionError::Write(error)));
            }
            self.start += written;
            self.bytes += written as u64;
            self.unflushed = true;
        }
        if let Some(buffer) = self.buffer.take() {
            buffers.give(buffer);
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when there are bytes to write, or the end was read.
    fn poll_read<R: AsyncRead + Unpin>(
        &mut self,
        task: &mut Context<'_>,
        reader: &mut R,
        buffers: &Buffers,
    ) -> Result<Poll<()>, DirectionError> {
        let mut buffer = buffers.take();
        let mut target = ReadBuf::new(&mut buffer);
        let polled = Pin::new(reader).poll_read(task, &mut target);
        let read = target.filled().len();
        match polled {
            Poll::Ready(Ok(())) if read > 0 => {
                self.buffer = Some(buffer);
                (self.start, self.end) = (0, read);
                return Ok(Poll::Ready(()));
            }
            _ => buffers.give(buffer),
        }
        match polled {
            Poll::Ready(Ok(())) => {
                self.state = State::Ending;
                Ok(Poll::Ready(()))
            }
            // TLS without a close_notify: common in clients that just close, and what came
            // before it was authentic. Whoever needs to know the end frames its messages.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.state = State::Ending;
                Ok(Poll::Ready(()))
            }
            Poll::Ready(Err(error)) => Err(DirectionError::Read(error)),
            Poll::Pending => Ok(Poll::Pending),
        }
    }

    fn poll_flush<W: AsyncWrite + Unpin>(
        &mut self,
        task: &mut Context<'_>,
        writer: &mut W,
    ) -> Poll<Result<(), DirectionError>> {
        if self.unflushed {
            ready!(Pin::new(writer).poll_flush(task)).map_err(DirectionError::Write)?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
