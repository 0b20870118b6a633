//! Bytes between two streams, both ways, until both directions have ended.
//!
//! The end of one direction is passed on (half-close) while the other goes on. A direction reads no
//! further while the bytes it has read wait to be written, so a slow reader slows its writer down.
//!
//! Where both streams are plain sockets and much is sent, bytes stay in the kernel and go through a pipe.

use std::future::{Future, poll_fn};
use std::io;
use std::ops::Range;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use novaedge_splice::{Pipe, Pipes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use crate::buffers::Buffers;
use crate::counters::Tally;

/// Bytes that a direction moves before other connections have their turn.
const TURN: u64 = 1024 * 1024;

/// What comes at once when so little is sent that copying it costs less than a pipe.
const FEW: usize = 4 * 1024;

/// A stream to forward from or to.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// The socket, if bytes pass through this stream unchanged.
    fn plain(&self) -> Option<&TcpStream> {
        None
    }
}

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
    pub(crate) pipes: &'a Pipes,
    pub(crate) idle_timeout: Duration,
    /// Bytes read from the client and written to the backend.
    pub(crate) received: Tally<'a>,
    /// Bytes read from the backend and written to the client.
    pub(crate) sent: Tally<'a>,
}

/// Forwards until both directions have ended.
pub(crate) async fn relay<C, B>(
    client: &mut C,
    backend: &mut B,
    context: RelayContext<'_>,
) -> Result<(), RelayError>
where
    C: Stream,
    B: Stream,
{
    let mut up = Direction::default();
    let mut down = Direction::default();
    let mut last = Instant::now();
    let mut timer = pin!(sleep_until(last + context.idle_timeout));
    poll_fn(|task| {
        let up_before = up.bytes;
        let up_done = up.poll(task, client, backend, context, down.has_ended());
        context.received.add(up.bytes - up_before);
        let down_before = down.bytes;
        let down_done = down.poll(task, backend, client, context, up.has_ended());
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
    held: Held,
    /// So much comes at once that a pipe pays.
    bulk: bool,
    /// Bytes written.
    bytes: u64,
    /// The writer may hold bytes back (TLS records) until it is flushed.
    unflushed: bool,
    state: State,
}

/// What has been read and waits to be written.
#[derive(Default)]
enum Held {
    #[default]
    Nothing,
    /// These bytes of the buffer.
    Buffer(Box<[u8]>, Range<usize>),
    /// The content of the pipe.
    Pipe(Pipe),
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
    fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Moves what can be moved, until the reader has ended and the writer knows. `is_last`: the other direction has ended.
    fn poll<R: Stream, W: Stream>(
        &mut self,
        task: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
        context: RelayContext<'_>,
        is_last: bool,
    ) -> Poll<Result<(), DirectionError>> {
        let turn = self.bytes + TURN;
        loop {
            match self.state {
                State::Open => {
                    ready!(self.poll_write(task, writer, context))?;
                    if self.bytes >= turn {
                        task.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    if self.poll_read(task, reader, writer, context)?.is_pending() {
                        ready!(self.poll_flush(task, writer))?;
                        return Poll::Pending;
                    }
                }
                // The sockets are closed next, which tells the end as well.
                State::Ending if is_last && writer.plain().is_some() => self.state = State::Ended,
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
    fn poll_write<W: Stream>(
        &mut self,
        task: &mut Context<'_>,
        writer: &mut W,
        context: RelayContext<'_>,
    ) -> Poll<Result<(), DirectionError>> {
        loop {
            let written = match &mut self.held {
                Held::Nothing => return Poll::Ready(Ok(())),
                Held::Buffer(buffer, waiting) => {
                    let bytes = buffer.get(waiting.clone()).unwrap_or_default();
                    let written = ready!(Pin::new(&mut *writer).poll_write(task, bytes));
                    waiting.start += *written.as_ref().unwrap_or(&0);
                    written
                }
                Held::Pipe(pipe) => match writer.plain() {
                    Some(socket) => ready!(pipe.poll_drain(task, socket)),
                    None => Err(io::ErrorKind::Unsupported.into()),
                },
            };
            let written = written.map_err(DirectionError::Write)?;
            if written == 0 {
                let error = io::Error::from(io::ErrorKind::WriteZero);
                return Poll::Ready(Err(DirectionError::Write(error)));
            }
            self.bytes += written as u64;
            self.unflushed = true;
            self.held = match std::mem::take(&mut self.held) {
                Held::Buffer(buffer, waiting) if waiting.is_empty() => {
                    context.buffers.give(buffer);
                    Held::Nothing
                }
                Held::Pipe(pipe) if pipe.is_empty() => {
                    context.pipes.give(pipe);
                    Held::Nothing
                }
                held => held,
            };
        }
    }

    /// Ready when there are bytes to write, or the end was read.
    fn poll_read<R: Stream, W: Stream>(
        &mut self,
        task: &mut Context<'_>,
        reader: &mut R,
        writer: &W,
        context: RelayContext<'_>,
    ) -> Result<Poll<()>, DirectionError> {
        let polled = match (reader.plain(), writer.plain()) {
            (Some(from), Some(_)) if self.bulk => match context.pipes.take() {
                Some(pipe) => self.poll_fill(task, from, pipe, context.pipes),
                None => self.poll_copy(task, reader, context.buffers),
            },
            _ => self.poll_copy(task, reader, context.buffers),
        };
        match polled {
            Poll::Ready(Ok(0)) => self.state = State::Ending,
            Poll::Ready(Ok(_)) => {}
            // TLS without a close_notify: common in clients that just close, and what came
            // before it was authentic. Whoever needs to know the end frames its messages.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.state = State::Ending;
            }
            Poll::Ready(Err(error)) => return Err(DirectionError::Read(error)),
            Poll::Pending => return Ok(Poll::Pending),
        }
        Ok(Poll::Ready(()))
    }

    fn poll_copy<R: Stream>(
        &mut self,
        task: &mut Context<'_>,
        reader: &mut R,
        buffers: &Buffers,
    ) -> Poll<io::Result<usize>> {
        let mut buffer = buffers.take();
        let mut target = ReadBuf::new(&mut buffer);
        let polled = Pin::new(reader).poll_read(task, &mut target);
        let read = target.filled().len();
        if read == 0 {
            buffers.give(buffer);
        } else {
            self.bulk = read == buffer.len();
            self.held = Held::Buffer(buffer, 0..read);
        }
        polled.map_ok(|()| read)
    }

    fn poll_fill(
        &mut self,
        task: &mut Context<'_>,
        from: &TcpStream,
        mut pipe: Pipe,
        pipes: &Pipes,
    ) -> Poll<io::Result<usize>> {
        let polled = pipe.poll_fill(task, from, u64::MAX);
        if pipe.is_empty() {
            pipes.give(pipe);
        } else {
            self.held = Held::Pipe(pipe);
        }
        if let Poll::Ready(Ok(moved)) = polled {
            self.bulk = moved > FEW;
        }
        polled
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
