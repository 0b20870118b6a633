//! What both sides of HTTP/1.x share: reading bytes for the codec, and writing messages.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{BufMut as _, BytesMut};
use novaedge_http1::BodyLimits;
use novaedge_splice::{Pipe, Pipes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

mod spare;
mod writer;

pub(crate) use spare::head_buffer;
pub(crate) use writer::{Form, MessageWriter, WriteError};

/// Limits of what surrounds chunks, on both sides.
pub(crate) const BODY_LIMITS: BodyLimits = BodyLimits {
    chunk_line: 256,
    extensions: 16 * 1024,
    trailers: novaedge_http1::HeadLimits {
        bytes: 16 * 1024,
        fields: 100,
    },
};

/// Bytes that are read at once while a head is waited for.
const HEAD_READ: usize = 8 * 1024;

/// A body with so many bytes left goes through a pipe, if it can: that saves the copies and costs a little more for each
/// turn.
pub(crate) const LONG: u64 = 256 * 1024;

/// Bytes that are read at once of a body whose length is not known.
const OPEN_READ: usize = 16 * 1024;

/// Where a message goes. It is not borrowed between two calls, because the body of a message may come
/// from the same connection.
pub(crate) trait Sink {
    /// Writes some of the bytes.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>>;

    /// Passes on what the layers below keep.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// The pipes for bodies that need not be copied, if this is a plain socket.
    fn pipes(&self) -> Option<&Pipes> {
        None
    }

    /// Writes some of what is in the pipe. Called only where there are [`Sink::pipes`].
    fn poll_drain(&mut self, _cx: &mut Context<'_>, _pipe: &mut Pipe) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }
}

/// Writes slices to a stream: one slice without the detour over a vector.
pub(crate) fn poll_write_slices<S: AsyncWrite + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    bytes: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    let stream = Pin::new(stream);
    match bytes {
        [one] => stream.poll_write(cx, one),
        many => stream.poll_write_vectored(cx, many),
    }
}

/// Reads what has come. The buffer grows only when something has, so that a connection that waits for
/// a head holds no memory for it.
pub(crate) fn poll_fill<S: AsyncRead + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    buffer: &mut BytesMut,
) -> Poll<io::Result<usize>> {
    let mut space = [const { MaybeUninit::uninit() }; HEAD_READ];
    let mut read = ReadBuf::uninit(&mut space);
    ready!(Pin::new(stream).poll_read(cx, &mut read))?;
    buffer.extend_from_slice(read.filled());
    Poll::Ready(Ok(read.filled().len()))
}

/// Reads bytes of a body of which so many are left, at most about `most`, straight into the buffer that
/// is passed on.
pub(crate) fn poll_fill_body<S: AsyncRead + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    buffer: &mut BytesMut,
    left: Option<u64>,
    most: usize,
) -> Poll<io::Result<usize>> {
    let wanted = left.map_or(OPEN_READ, |left| {
        usize::try_from(left).map_or(most, |left| left.min(most))
    });
    // The memory is used again when what was read into it is gone; growing it would read more at once.
    if buffer.is_empty() && !buffer.try_reclaim(wanted) {
        *buffer = BytesMut::with_capacity(wanted);
    }
    buffer.reserve(wanted.max(1));
    let mut limited = (&mut *buffer).limit(wanted.max(1));
    let polled = tokio_util::io::poll_read_buf(Pin::new(stream), cx, &mut limited);
    if polled.is_pending() && buffer.is_empty() {
        // Who waits holds no memory.
        *buffer = BytesMut::new();
    }
    polled
}
