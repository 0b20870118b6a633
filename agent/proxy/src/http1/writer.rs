//! Writes a message: its head and the first bytes of its body at once, then what the body yields.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use novaedge_http1::encode;
use novaedge_splice::Pipe;
use novaedge_turns::give_way;

use super::spare::give_back;
use super::{LONG, Sink};
use crate::body::Body;
use crate::error::BodyError;

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Not at all.
    Nothing,
    /// So many bytes are left.
    Fixed(u64),
    /// In chunks, with trailers.
    Chunked,
    /// In chunks, for a peer that does not want trailers.
    ChunkedAlone,
    /// Until the connection ends.
    UntilClose,
}

/// Why a message was not written to its end.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// The connection broke.
    Io(io::Error),
    /// The body failed.
    Body(BodyError),
    /// The body is shorter or longer than its head says.
    Length,
}

/// A message under way. What is to be written next stands in `lead`, `content` and `tail`, in this order, or alone in
/// `pipe`.
pub(crate) struct MessageWriter {
    lead: BytesMut,
    /// Whether that is the head of the message, or what is left of it.
    has_head: bool,
    /// Whether a short body goes behind the head: then nobody asks for what is unsent.
    joins: bool,
    content: Bytes,
    tail: &'static [u8],
    pipe: Option<Pipe>,
    body: Body,
    form: Form,
    /// Nothing more comes from the body.
    ended: bool,
    /// Whether bytes may wait in a layer below.
    unflushed: bool,
    written: bool,
    /// Bytes that are written before others have their turn.
    turn: usize,
}

/// Bytes that a write counts for at least: with what it takes to get there it costs as much as so many bytes of a large
/// one, however little it writes.
const WRITE: usize = 8 * 1024;

impl MessageWriter {
    /// Writes the head of an answer, then its body in this form. After `turn` bytes others are let before.
    pub(crate) fn answer(head: BytesMut, body: Body, form: Form, turn: usize) -> Self {
        Self {
            joins: true,
            ..Self::request(head, body, form, turn)
        }
    }

    /// The same for a request. Until a byte of it is written its body can be had back.
    pub(crate) fn request(head: BytesMut, body: Body, form: Form, turn: usize) -> Self {
        Self {
            lead: head,
            has_head: true,
            joins: false,
            content: Bytes::new(),
            tail: b"",
            pipe: None,
            body,
            form,
            ended: matches!(form, Form::Nothing | Form::Fixed(0)),
            unflushed: false,
            written: false,
            turn,
        }
    }

    /// Writes what can be written, to the end of the message.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut impl Sink,
    ) -> Poll<Result<(), WriteError>> {
        let mut left = self.turn;
        loop {
            if left == 0 && !self.ended && self.is_written() {
                return give_way(cx);
            }
            let waiting = !self.ended
                && self.content.is_empty()
                && self.tail.is_empty()
                && self.pipe.is_none()
                && self.poll_body(cx, sink)?.is_pending();
            if !self.is_written() {
                let Poll::Ready(count) = self.poll_write(cx, sink) else {
                    // The peer may want to send something before it reads on.
                    self.body.poll_progress(cx);
                    return Poll::Pending;
                };
                let count = count.map_err(WriteError::Io)?;
                left = left.saturating_sub(count.max(WRITE));
                continue;
            }
            if self.unflushed {
                ready!(sink.poll_flush(cx)).map_err(WriteError::Io)?;
                self.unflushed = false;
            }
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            if waiting {
                return Poll::Pending;
            }
        }
    }

    /// Whether a byte of the message has been written.
    pub(crate) fn has_written(&self) -> bool {
        self.written
    }

    /// The body as it was before, if no byte of the message was written.
    pub(crate) fn into_unsent(self) -> Option<Body> {
        if self.written {
            return None;
        }
        if self.content.is_empty() {
            // Trailers that have been taken from the body cannot be put back.
            let whole = self.tail.is_empty() && (!self.ended || self.body.is_end_stream());
            return whole.then_some(self.body);
        }
        Some(Body::boxed(Preceded {
            first: self.content,
            rest: self.body,
        }))
    }

    fn is_written(&self) -> bool {
        self.lead.is_empty()
            && self.content.is_empty()
            && self.tail.is_empty()
            && self.pipe.is_none()
    }

    /// Takes the next bytes from the body.
    fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        sink: &impl Sink,
    ) -> Result<Poll<()>, WriteError> {
        if let Some(polled) = self.poll_pipe(cx, sink) {
            return polled.map_err(WriteError::Body);
        }
        let frame = match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(frame) => frame.transpose().map_err(WriteError::Body)?,
        };
        match frame.map(Frame::into_data) {
            None => self.end()?,
            Some(Ok(data)) => self.data(data)?,
            Some(Err(frame)) => {
                if let Ok(trailers) = frame.into_trailers() {
                    self.trailers(&trailers)?;
                }
            }
        }
        Ok(Poll::Ready(()))
    }

    /// Takes bytes of a long body into a pipe. `None`: they have to be copied.
    fn poll_pipe(
        &mut self,
        cx: &mut Context<'_>,
        sink: &impl Sink,
    ) -> Option<Result<Poll<()>, BodyError>> {
        let Form::Fixed(left) = &mut self.form else {
            return None;
        };
        let pipes = sink
            .pipes()
            .filter(|_| *left >= LONG && self.lead.is_empty())?;
        let mut pipe = pipes.take()?;
        let polled = self.body.poll_pipe(cx, &mut pipe);
        if pipe.is_empty() {
            pipes.give(pipe);
        } else {
            self.pipe = Some(pipe);
        }
        Some(match polled? {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(count)) => {
                *left = left.saturating_sub(count);
                self.ended = *left == 0;
                Ok(Poll::Ready(()))
            }
        })
    }

    fn data(&mut self, data: Bytes) -> Result<(), WriteError> {
        if data.is_empty() {
            return Ok(());
        }
        match &mut self.form {
            Form::Nothing => return Err(WriteError::Length),
            Form::Fixed(left) => {
                *left = left
                    .checked_sub(data.len() as u64)
                    .ok_or(WriteError::Length)?;
                self.ended = *left == 0;
                if self.joins && self.has_head && data.len() <= self.room() {
                    // One slice is written sooner than two.
                    self.lead.extend_from_slice(&data);
                    return Ok(());
                }
            }
            Form::Chunked | Form::ChunkedAlone => {
                encode::chunk_head(&mut self.lead, data.len());
                self.ended = self.body.is_end_stream();
                self.tail = if self.ended {
                    encode::CHUNK_END_AND_LAST
                } else {
                    encode::CHUNK_END
                };
            }
            Form::UntilClose => {}
        }
        self.content = data;
        Ok(())
    }

    /// Bytes that fit behind the head.
    fn room(&self) -> usize {
        self.lead.capacity() - self.lead.len()
    }

    fn trailers(&mut self, trailers: &http::HeaderMap) -> Result<(), WriteError> {
        if self.form == Form::Chunked {
            encode::trailers(&mut self.lead, trailers);
            self.ended = true;
            return Ok(());
        }
        self.end()
    }

    fn end(&mut self) -> Result<(), WriteError> {
        match self.form {
            Form::Fixed(left) if left > 0 => return Err(WriteError::Length),
            Form::Chunked | Form::ChunkedAlone => self.tail = encode::LAST_CHUNK,
            Form::Fixed(_) | Form::Nothing | Form::UntilClose => {}
        }
        self.ended = true;
        Ok(())
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut impl Sink,
    ) -> Poll<io::Result<usize>> {
        if let Some(pipe) = &mut self.pipe {
            let count = ready!(sink.poll_drain(cx, pipe))?;
            if pipe.is_empty()
                && let (Some(pipe), Some(pipes)) = (self.pipe.take(), sink.pipes())
            {
                pipes.give(pipe);
            }
            return self.noted(count);
        }
        let parts = [self.lead.as_ref(), self.content.as_ref(), self.tail];
        let mut slices = [IoSlice::new(b""); 3];
        let mut count = 0;
        for (part, slice) in parts
            .iter()
            .filter(|part| !part.is_empty())
            .zip(&mut slices)
        {
            *slice = IoSlice::new(part);
            count += 1;
        }
        let slices = slices.get(..count).unwrap_or_default();
        let count = ready!(sink.poll_write(cx, slices))?;
        let lead = count.min(self.lead.len());
        self.lead.advance(lead);
        let content = (count - lead).min(self.content.len());
        self.content.advance(content);
        if self.content.is_empty() {
            // Gives the memory back, which reads may use again.
            self.content = Bytes::new();
        }
        if self.has_head && self.lead.is_empty() {
            // It is not needed any more, however long the body takes. Heads of chunks are small.
            give_back(std::mem::take(&mut self.lead));
            self.has_head = false;
        }
        let tail = count - lead - content;
        self.tail = self.tail.get(tail..).unwrap_or_default();
        self.noted(count)
    }

    /// So many bytes have been written: there is always something to write.
    fn noted(&mut self, count: usize) -> Poll<io::Result<usize>> {
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        (self.written, self.unflushed) = (true, true);
        Poll::Ready(Ok(count))
    }
}

/// Bytes that were taken from a body and belong before the rest of it.
struct Preceded {
    first: Bytes,
    rest: Body,
}

impl HttpBody for Preceded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.rest).poll_frame(cx);
        }
        Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.first)))))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.first.len() as u64;
        match self.rest.size_hint().exact() {
            Some(rest) => SizeHint::with_exact(rest.saturating_add(first)),
            None => SizeHint::default(),
        }
    }
}
