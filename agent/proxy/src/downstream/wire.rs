//! A client's HTTP/1.x connection: the loop writes answers on it, and bodies of requests read from it.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use http::{Response, Version};
use http_body::{Frame, SizeHint};
use novaedge_http1::encode::Length;
use novaedge_http1::{
    BodyDecoder, BodyLength, HeadError, HeadLimits, Piece, RequestHead, RequestReader, encode,
};
use novaedge_splice::{Pipe, Pipes};
use novaedge_turns::comes_in_pieces;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use super::Traffic;
use super::transport::ClientStream;
use crate::error::BodyError;
use crate::http1::{self, BODY_LIMITS, Sink};

/// Bytes of a request body that are read at once: a mirror must be able to keep up with them.
const REQUEST_READ: usize = 16 * 1024;

/// Parts of a body with fewer bytes are pieces.
const FEW: usize = 512;

/// Bytes of informational answers that wait for a slow client; others are left out.
const MOST_INTERIM: usize = 16 * 1024;

/// A connection. Nobody holds a borrow of it over an await.
pub(crate) struct Wire {
    stream: RefCell<ClientStream>,
    inbound: RefCell<Inbound>,
    traffic: Arc<Traffic>,
    pipes: Rc<Pipes>,
}

/// What comes from the client.
struct Inbound {
    /// Bytes that have come and belong to nothing yet.
    buffer: BytesMut,
    reader: RequestReader,
    /// The body of the request under way.
    decoder: BodyDecoder,
    /// Counts requests: a body that is still held when its request is over must not read on.
    turn: u64,
    /// The client waits for `100 Continue`.
    waits: bool,
    /// What is left to write of informational answers.
    interim: BytesMut,
    /// Whom to wake when the body has been read: until then the body alone reads.
    watcher: Option<Waker>,
    /// Who waits for more of the body: it may be another task, that of an HTTP/2 backend.
    reading: Option<Waker>,
}

/// The turn of a request. At its end the body of the request cannot be read any more, whoever still
/// holds it: it would otherwise keep the connection, or read into the next request.
pub(super) struct Turn<'a>(&'a Wire);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.end_turn();
    }
}

/// What the client sent.
pub(super) enum Received {
    Request(Box<RequestHead>),
    Refused(HeadError),
    /// The connection has ended, or is to end while it is idle.
    End,
}

/// What is left of a request's body after its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    Nothing,
    Some,
    /// It broke, or the client still waits for a word to send it: nobody can tell where the next
    /// request will begin.
    Lost,
}

/// The body of the request under way.
pub(crate) struct ClientBody {
    wire: Rc<Wire>,
    turn: u64,
    ended: bool,
}

// === impl Wire ===

impl Wire {
    pub(super) fn new(
        stream: ClientStream,
        received: BytesMut,
        traffic: Arc<Traffic>,
        pipes: Rc<Pipes>,
    ) -> Rc<Self> {
        Rc::new(Self {
            stream: RefCell::new(stream),
            inbound: RefCell::new(Inbound {
                buffer: received,
                reader: RequestReader::default(),
                decoder: BodyDecoder::new(BodyLength::None, BODY_LIMITS),
                turn: 0,
                waits: false,
                interim: BytesMut::new(),
                watcher: None,
                reading: None,
            }),
            traffic,
            pipes,
        })
    }

    /// Reads the next request head. `is_finishing`: an idle connection is to end.
    pub(super) fn poll_head(
        &self,
        cx: &mut Context<'_>,
        limits: HeadLimits,
        is_finishing: bool,
    ) -> Poll<Received> {
        let mut inbound = self.inbound.borrow_mut();
        let Inbound { buffer, reader, .. } = &mut *inbound;
        loop {
            match reader.read(buffer, limits) {
                Ok(Some(head)) => return Poll::Ready(Received::Request(Box::new(head))),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Received::Refused(error)),
            }
            if buffer.is_empty() {
                if is_finishing {
                    return Poll::Ready(Received::End);
                }
                // An idle connection gives its buffer back.
                *buffer = BytesMut::new();
            }
            let filled = self.poll_fill(cx, buffer);
            if filled.is_pending() && !buffer.is_empty() {
                comes_in_pieces();
            }
            match ready!(filled) {
                Ok(0) | Err(_) => return Poll::Ready(Received::End),
                Ok(_) => {}
            }
        }
    }

    /// Begins the turn of a request whose head has been read.
    pub(super) fn begin(self: &Rc<Self>, head: &RequestHead) -> (Turn<'_>, ClientBody) {
        let mut inbound = self.inbound.borrow_mut();
        inbound.turn += 1;
        inbound.decoder = BodyDecoder::new(head.body, BODY_LIMITS);
        inbound.waits = head.expects_continue() && !inbound.decoder.is_done();
        let body = ClientBody {
            wire: Rc::clone(self),
            turn: inbound.turn,
            ended: inbound.decoder.is_done(),
        };
        (Turn(self), body)
    }

    /// Ready when the client has gone. Bytes that come instead are kept for the next request; then, and
    /// while a body is read, nobody can tell.
    pub(super) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inbound = self.inbound.borrow_mut();
        if !inbound.decoder.is_done() {
            let known = inbound.watcher.as_ref();
            if known.is_none_or(|known| !known.will_wake(cx.waker())) {
                inbound.watcher = Some(cx.waker().clone());
            }
            return Poll::Pending;
        }
        if !inbound.buffer.is_empty() {
            return Poll::Pending;
        }
        match ready!(self.poll_fill(cx, &mut inbound.buffer)) {
            Ok(0) | Err(_) => Poll::Ready(()),
            Ok(_) => Poll::Pending,
        }
    }

    /// Writes an informational answer, as far as that goes now.
    pub(super) fn tell(&self, cx: &mut Context<'_>, interim: &Response<()>) {
        let mut inbound = self.inbound.borrow_mut();
        if inbound.interim.len() < MOST_INTERIM {
            encode_interim(&mut inbound.interim, interim);
        }
        // A connection that is broken shows when the answer is written.
        let _ = inbound.poll_interim(self, cx);
    }

    /// An answer begins: the client is not told any more to send its body. What is left of informational answers goes
    /// first.
    pub(super) fn end_interim(&self, out: &mut BytesMut) -> Unread {
        let mut inbound = self.inbound.borrow_mut();
        out.extend_from_slice(&inbound.interim);
        inbound.interim = BytesMut::new();
        if std::mem::take(&mut inbound.waits) || inbound.decoder.has_failed() {
            return Unread::Lost;
        }
        if inbound.decoder.is_done() {
            Unread::Nothing
        } else {
            Unread::Some
        }
    }

    /// Ends the turn of a request: its body cannot be read any more.
    pub(super) fn end_turn(&self) {
        let mut inbound = self.inbound.borrow_mut();
        inbound.turn += 1;
        inbound.watcher = None;
        if !inbound.buffer.is_empty() {
            self.traffic.begun();
        }
        let reading = inbound.reading.take();
        drop(inbound);
        if let Some(reading) = reading {
            reading.wake();
        }
    }

    /// Whether bytes have come that nobody has read.
    pub(super) fn has_unread(&self) -> bool {
        let inbound = self.inbound.borrow();
        !inbound.buffer.is_empty() || !inbound.decoder.is_done()
    }

    /// Reads what is left of the body, and drops it. Ready with whether that was all, at most `limit`
    /// bytes.
    pub(super) fn poll_discard(&self, cx: &mut Context<'_>, limit: &mut usize) -> Poll<bool> {
        let mut inbound = self.inbound.borrow_mut();
        let inbound = &mut *inbound;
        loop {
            match inbound.decoder.decode(&mut inbound.buffer) {
                Ok(Piece::End | Piece::Trailers(_)) => return Poll::Ready(true),
                Ok(Piece::Data(data)) => {
                    let Some(left) = limit.checked_sub(data.len()) else {
                        return Poll::Ready(false);
                    };
                    *limit = left;
                }
                Ok(Piece::Incomplete) => match ready!(self.poll_fill(cx, &mut inbound.buffer)) {
                    Ok(0) | Err(_) => return Poll::Ready(false),
                    Ok(_) => {}
                },
                Err(_) => return Poll::Ready(false),
            }
        }
    }

    /// Reads and drops whatever comes, to the end of the connection or at most `limit` bytes.
    pub(super) fn poll_drop_all(&self, cx: &mut Context<'_>, limit: &mut usize) -> Poll<()> {
        let mut inbound = self.inbound.borrow_mut();
        loop {
            inbound.buffer.clear();
            match ready!(self.poll_fill(cx, &mut inbound.buffer)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(count) => match limit.checked_sub(count) {
                    Some(left) => *limit = left,
                    None => return Poll::Ready(()),
                },
            }
        }
    }

    /// Reads what the client sends after it has left HTTP: first what was read ahead.
    pub(super) fn poll_tunnelled(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut inbound = self.inbound.borrow_mut();
        if inbound.buffer.is_empty() {
            inbound.buffer = BytesMut::new();
            let polled = Pin::new(&mut *self.stream.borrow_mut()).poll_read(cx, buf);
            return polled;
        }
        let count = inbound.buffer.len().min(buf.remaining());
        buf.put_slice(inbound.buffer.get(..count).unwrap_or_default());
        inbound.buffer.advance(count);
        Poll::Ready(Ok(()))
    }

    /// Whether dropping this says to the client that nothing more is written.
    pub(super) fn ends_by_itself(self: &Rc<Self>) -> bool {
        Rc::strong_count(self) == 1 && self.stream.borrow().plain().is_some()
    }

    /// Says that nothing more is written.
    pub(super) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream.borrow_mut()).poll_shutdown(cx)
    }

    fn poll_fill(&self, cx: &mut Context<'_>, buffer: &mut BytesMut) -> Poll<io::Result<usize>> {
        let mut stream = self.stream.borrow_mut();
        let filled = ready!(http1::poll_fill(&mut *stream, cx, buffer));
        self.traffic.read();
        Poll::Ready(filled)
    }
}

/// Writes the head of an informational answer, which is all of it.
fn encode_interim(out: &mut BytesMut, interim: &Response<()>) {
    let (status, fields) = (interim.status(), interim.headers());
    encode::response_head(out, Version::HTTP_11, status, fields, Length::Unsaid);
}

impl Sink for Rc<Wire> {
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut stream = self.stream.borrow_mut();
        let written = ready!(http1::poll_write_slices(&mut *stream, cx, bytes));
        self.traffic.written();
        Poll::Ready(written)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream.borrow_mut()).poll_flush(cx)
    }

    fn pipes(&self) -> Option<&Pipes> {
        let plain = self.stream.borrow().plain().is_some();
        plain.then_some(&*self.pipes)
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>, pipe: &mut Pipe) -> Poll<io::Result<usize>> {
        let stream = self.stream.borrow();
        let Some(socket) = stream.plain() else {
            return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
        };
        let drained = ready!(pipe.poll_drain(cx, socket));
        self.traffic.written();
        Poll::Ready(drained)
    }
}

// === impl ClientBody ===

type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

impl ClientBody {
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
        if self.ended {
            return Poll::Ready(None);
        }
        let wire = Rc::clone(&self.wire);
        let mut inbound = wire.inbound.borrow_mut();
        if inbound.turn != self.turn {
            let error = BodyError::Transport("the request is over".into());
            return Poll::Ready(Some(Err(error)));
        }
        let Poll::Ready(piece) = inbound.poll_piece(&wire, cx) else {
            inbound.reading = Some(cx.waker().clone());
            return Poll::Pending;
        };
        inbound.reading = None;
        self.ended = inbound.decoder.is_done();
        if self.ended
            && let Some(watcher) = inbound.watcher.take()
            && !watcher.will_wake(cx.waker())
        {
            watcher.wake();
        }
        if let Ok(Piece::Data(data)) = &piece
            && data.len() < FEW
            && !self.ended
        {
            comes_in_pieces();
        }
        Poll::Ready(match piece {
            Ok(Piece::Data(data)) => Some(Ok(Frame::data(data))),
            Ok(Piece::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Ok(Piece::End | Piece::Incomplete) => None,
            Err(error) => Some(Err(error)),
        })
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.ended
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        let inbound = self.wire.inbound.borrow();
        match inbound.decoder.remaining() {
            _ if self.ended => SizeHint::with_exact(0),
            Some(left) if inbound.turn == self.turn => SizeHint::with_exact(left),
            _ => SizeHint::default(),
        }
    }
}

impl Inbound {
    /// The next piece of the body: anything but [`Piece::Incomplete`].
    fn poll_piece(&mut self, wire: &Wire, cx: &mut Context<'_>) -> Poll<Result<Piece, BodyError>> {
        let failed = |error: io::Error| BodyError::Transport(error.into());
        if std::mem::take(&mut self.waits) {
            // Somebody wants the body (RFC 9110 section 10.1.1).
            self.interim.extend_from_slice(encode::CONTINUE);
        }
        ready!(self.poll_interim(wire, cx)).map_err(failed)?;
        loop {
            let piece = self.decoder.decode(&mut self.buffer);
            let piece = piece.map_err(|error| BodyError::Transport(error.into()))?;
            if piece != Piece::Incomplete {
                return Poll::Ready(Ok(piece));
            }
            let mut stream = wire.stream.borrow_mut();
            let left = self.decoder.remaining();
            let filled =
                http1::poll_fill_body(&mut *stream, cx, &mut self.buffer, left, REQUEST_READ);
            let count = ready!(filled).map_err(failed)?;
            wire.traffic.read();
            if count == 0 {
                let ended = self.decoder.end_of_input();
                ended.map_err(|error| BodyError::Transport(error.into()))?;
            }
        }
    }

    /// Writes what is left of informational answers.
    fn poll_interim(&mut self, wire: &Wire, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.interim.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let mut stream = wire.stream.borrow_mut();
        while !self.interim.is_empty() {
            let count = ready!(Pin::new(&mut *stream).poll_write(cx, &self.interim))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.interim.advance(count);
        }
        self.interim = BytesMut::new();
        wire.traffic.written();
        Pin::new(&mut *stream).poll_flush(cx)
    }
}
