//! One request and its response on an HTTP/1.1 connection, read and written by whoever wants the
//! response: there is no task of its own.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use novaedge_http1::{
    Asked, BodyDecoder, BodyError as CodecError, BodyLength, HeadLimits, Persistence, Piece,
    ResponseHead, ResponseReader,
};
use novaedge_splice::Pipe;

use super::endpoint::Active;
use super::http1::{Connection, Lease};
use crate::body::{Body, Piped};
use crate::error::{BodyError, ForwardError};
use crate::http1::{self, BODY_LIMITS, LONG, MessageWriter, WriteError};
use crate::interim::Interims;

/// Interim responses that are read before the final one; more of them are no answer.
const MAX_INTERIM: u32 = 32;

/// Bytes of a response body that are read at once, unless there is another limit.
const ANSWER_READ: usize = 64 * 1024;

/// A request under way, and what comes back.
pub(super) struct Transfer {
    lease: Lease,
    /// The request, until it has been written.
    request: Option<MessageWriter>,
    /// The request can't be written to its end. An answer may have come before.
    broken: bool,
    reader: ResponseReader,
    limits: HeadLimits,
    interim: u32,
}

/// The body of a response. While it is read, the rest of the request is written.
pub(crate) struct AnswerBody {
    /// Gone when the body has been read, or can't be.
    transfer: Option<Transfer>,
    decoder: BodyDecoder,
    /// A piece that was read together with the one before.
    ahead: Option<Piece>,
    /// Why the request could not be sent.
    failure: Option<BodyError>,
    persistence: Persistence,
    /// Bytes that are read at once.
    read: usize,
}

// === impl Transfer ===

impl Transfer {
    pub(super) fn new(lease: Lease, request: MessageWriter, limits: HeadLimits) -> Self {
        Self {
            lease,
            request: Some(request),
            broken: false,
            reader: ResponseReader::default(),
            limits,
            interim: 0,
        }
    }

    /// Writes the request and reads the head of the response, whichever comes first.
    pub(super) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        asked: Asked,
        interims: Option<&Interims>,
    ) -> Poll<Result<ResponseHead, ForwardError>> {
        self.poll_request(cx)
            .map_err(|error| ForwardError::RequestBody(error.into()))?;
        loop {
            let buffer = &mut self.lease.connection.buffer;
            let head = self.reader.read(buffer, asked, self.limits);
            match head.map_err(|error| ForwardError::Protocol(error.into()))? {
                Some(head) if !head.is_interim() => return Poll::Ready(Ok(head)),
                Some(_) if self.interim == MAX_INTERIM => {
                    let error = "too many interim responses".into();
                    return Poll::Ready(Err(ForwardError::Protocol(error)));
                }
                Some(head) => {
                    if let Some(interims) = interims {
                        interims.push(head.status, head.headers);
                    }
                    self.interim += 1;
                    continue;
                }
                None => {}
            }
            let reset = |error: io::Error| ForwardError::Reset(error.into());
            let stream = &mut self.lease.connection.stream;
            if ready!(http1::poll_fill(stream, cx, buffer)).map_err(reset)? == 0 {
                let error = io::Error::from(io::ErrorKind::UnexpectedEof);
                return Poll::Ready(Err(reset(error)));
            }
        }
    }

    /// Writes what can be written of the request. Only its body can fail: when the connection breaks,
    /// reading tells.
    fn poll_request(&mut self, cx: &mut Context<'_>) -> Result<(), BodyError> {
        let Some(request) = &mut self.request else {
            return Ok(());
        };
        match request.poll(cx, &mut self.lease.connection.stream) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => self.request = None,
            Poll::Ready(Err(WriteError::Io(error))) => {
                tracing::trace!(%error, "request broken off");
                self.broken = true;
                // What was not sent at all can be sent again, so it is kept.
                if request.has_written() {
                    self.request = None;
                }
            }
            Poll::Ready(Err(WriteError::Body(error))) => return Err(error),
            Poll::Ready(Err(WriteError::Length)) => {
                return Err(BodyError::Transport("the body has another length".into()));
            }
        }
        Ok(())
    }

    /// The body of the request, if no byte of the request was sent.
    pub(super) fn into_unsent(self) -> Option<Body> {
        self.request.and_then(MessageWriter::into_unsent)
    }

    pub(super) fn into_connection(self) -> (Connection, Active) {
        (self.lease.connection, self.lease.active)
    }

    /// The body of the response. One that is there already is taken at once, and the connection is free.
    pub(super) fn into_body(mut self, length: BodyLength, persistence: Persistence) -> Body {
        let mut decoder = BodyDecoder::new(length, BODY_LIMITS);
        if let Some(left) = decoder.remaining() {
            let buffer = &mut self.lease.connection.buffer;
            if left == 0 {
                self.finish(persistence);
                return Body::empty();
            }
            if buffer.len() as u64 >= left
                && let Ok(Piece::Data(data)) = decoder.decode(buffer)
            {
                self.finish(persistence);
                return Body::full(data);
            }
        }
        Body::answer(Box::new(AnswerBody {
            transfer: Some(self),
            decoder,
            ahead: None,
            failure: None,
            persistence,
            read: ANSWER_READ,
        }))
    }

    /// The response has been read. The connection can be used again if both sides are in step.
    fn finish(self, persistence: Persistence) {
        let sent = self.request.is_none() && !self.broken;
        if sent && persistence == Persistence::KeepAlive {
            self.lease.release();
        }
    }
}

// === impl AnswerBody ===

type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

impl AnswerBody {
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
        let polled = match (self.failure.take(), self.ahead.take()) {
            (Some(error), _) => Err(error),
            (None, Some(piece)) => Ok(piece),
            (None, None) => ready!(self.poll_piece(cx)),
        };
        let piece = match polled {
            Ok(piece) => piece,
            Err(error) => {
                self.transfer = None;
                return Poll::Ready(Some(Err(error)));
            }
        };
        self.release_if_done();
        Poll::Ready(match piece {
            Piece::Data(data) => Some(Ok(Frame::data(data))),
            Piece::Trailers(trailers) => Some(Ok(Frame::trailers(trailers))),
            Piece::End | Piece::Incomplete => None,
        })
    }

    /// Moves bytes of a long body straight into a pipe; `None` where that can't be.
    pub(crate) fn poll_pipe(&mut self, cx: &mut Context<'_>, pipe: &mut Pipe) -> Option<Piped> {
        let left = self.decoder.remaining().filter(|left| *left >= LONG)?;
        if self.failure.is_some() || self.ahead.is_some() {
            return None;
        }
        let polled = self.transfer.as_mut()?.poll_pipe(cx, pipe, left)?;
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Ok(count)) => {
                self.decoder.skip(*count);
                self.release_if_done();
            }
            Poll::Ready(Err(_)) => self.transfer = None,
        }
        Some(polled)
    }

    /// Reads at most so many bytes at once.
    pub(crate) fn read_at_most(&mut self, bytes: usize) {
        self.read = bytes.min(ANSWER_READ);
    }

    /// Goes on with the request while nobody wants more of the response.
    pub(crate) fn poll_progress(&mut self, cx: &mut Context<'_>) {
        if self.failure.is_none()
            && let Some(transfer) = &mut self.transfer
        {
            self.failure = transfer.poll_request(cx).err();
        }
    }

    fn release_if_done(&mut self) {
        if self.decoder.is_done()
            && let Some(transfer) = self.transfer.take()
        {
            transfer.finish(self.persistence);
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.ahead.is_none() && self.decoder.is_done()
    }

    /// The next piece. If more has come with it, that is looked at already: the last piece is known as
    /// the last one, so that its end can be written together with it.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece, BodyError>> {
        let Some(transfer) = &mut self.transfer else {
            return Poll::Ready(Ok(Piece::End));
        };
        let piece = ready!(transfer.poll_piece(cx, &mut self.decoder, self.read))?;
        let buffer = &mut transfer.lease.connection.buffer;
        if matches!(piece, Piece::Data(_)) && !self.decoder.is_done() && !buffer.is_empty() {
            // An error comes again with the next piece.
            self.ahead = self
                .decoder
                .decode(buffer)
                .ok()
                .filter(|piece| matches!(piece, Piece::Data(_) | Piece::Trailers(_)));
        }
        Poll::Ready(Ok(piece))
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.decoder
            .remaining()
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Transfer {
    /// Moves at most `left` bytes of the response's body into a pipe, unless some have been read ahead or the connection
    /// is no plain socket.
    fn poll_pipe(&mut self, cx: &mut Context<'_>, pipe: &mut Pipe, left: u64) -> Option<Piped> {
        if !self.lease.connection.buffer.is_empty() {
            return None;
        }
        self.lease.connection.stream.plain()?;
        if let Err(error) = self.poll_request(cx) {
            return Some(Poll::Ready(Err(error)));
        }
        let socket = self.lease.connection.stream.plain()?;
        let moved = match pipe.poll_fill(cx, socket, left) {
            Poll::Pending => return Some(Poll::Pending),
            Poll::Ready(Ok(0)) => Err(BodyError::Transport(CodecError::Incomplete.into())),
            Poll::Ready(Ok(count)) => Ok(count as u64),
            Poll::Ready(Err(error)) => Err(BodyError::Transport(error.into())),
        };
        Some(Poll::Ready(moved))
    }

    /// The next piece of the response's body: anything but [`Piece::Incomplete`].
    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
        decoder: &mut BodyDecoder,
        most: usize,
    ) -> Poll<Result<Piece, BodyError>> {
        self.poll_request(cx)?;
        let Connection { buffer, stream, .. } = &mut self.lease.connection;
        loop {
            let piece = decoder.decode(buffer);
            let piece = piece.map_err(|error| BodyError::Transport(error.into()))?;
            if piece != Piece::Incomplete {
                return Poll::Ready(Ok(piece));
            }
            let left = decoder.remaining();
            let filled = ready!(http1::poll_fill_body(stream, cx, buffer, left, most));
            if filled.map_err(|error| BodyError::Transport(error.into()))? == 0 {
                let ended = decoder.end_of_input();
                ended.map_err(|error| BodyError::Transport(error.into()))?;
            }
        }
    }
}
