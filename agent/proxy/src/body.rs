//! The body type of the forwarder: requests and responses in both directions carry it.
//!
//! It hides which codec the bytes come from, so that a protocol can move to another codec without a
//! change to the forwarder.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use novaedge_splice::Pipe;
use tokio::time::{Instant, Sleep};

use crate::downstream::{ClientBody, InFlight};
use crate::ending::{Ending, How};
use crate::error::BodyError;
use crate::trail::{Trail, Way};
use crate::upstream::AnswerBody;

/// A stream of data frames and trailers.
#[derive(Default)]
pub struct Body {
    kind: Kind,
}

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Full(Bytes),
    Incoming(Incoming),
    Client(ClientBody),
    Answer(Box<AnswerBody>),
    Guarded(Box<Guarded>),
    Boxed(Pin<Box<dyn HttpBody<Data = Bytes, Error = BodyError>>>),
}

/// Learns how a body ended. It is dropped unused when the body is given up early.
pub(crate) trait OnEnd {
    /// The body was read to its end.
    fn ended(self: Box<Self>);
}

struct Guarded {
    body: Body,
    on_end: Option<Box<dyn OnEnd>>,
    deadline: Option<Pin<Box<Sleep>>>,
    in_flight: Option<InFlight>,
    /// The request that this is the answer to.
    ending: Option<Ending>,
    /// Who is told what passes.
    trail: Option<(Rc<Trail>, Way)>,
}

impl Body {
    /// No bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// These bytes, then the end.
    #[must_use]
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let kind = if bytes.is_empty() {
            Kind::Empty
        } else {
            Kind::Full(bytes)
        };
        Self { kind }
    }

    /// Any body.
    #[must_use]
    pub fn boxed(body: impl HttpBody<Data = Bytes, Error = BodyError> + 'static) -> Self {
        Self {
            kind: Kind::Boxed(Box::pin(body)),
        }
    }

    pub(crate) fn incoming(body: Incoming) -> Self {
        let kind = if body.is_end_stream() {
            Kind::Empty
        } else {
            Kind::Incoming(body)
        };
        Self { kind }
    }

    /// The body of a request that is read by this worker's own codec.
    pub(crate) fn client(body: ClientBody) -> Self {
        let kind = if body.is_end_stream() {
            Kind::Empty
        } else {
            Kind::Client(body)
        };
        Self { kind }
    }

    /// The body of a response that is read by this worker's own codec.
    pub(crate) fn answer(body: Box<AnswerBody>) -> Self {
        Self {
            kind: Kind::Answer(body),
        }
    }

    /// Tells `on_end` when the body has been read to its end. An empty body tells it at once.
    pub(crate) fn on_end(self, on_end: Box<dyn OnEnd>) -> Self {
        if self.is_end_stream() {
            on_end.ended();
            return self;
        }
        self.guarded(Some(on_end), None)
    }

    /// Fails the body when `deadline` passes before its end.
    pub(crate) fn deadline(self, deadline: Instant) -> Self {
        if self.is_end_stream() {
            return self;
        }
        self.guarded(None, Some(Box::pin(tokio::time::sleep_until(deadline))))
    }

    /// Counts the request as in flight until the body is gone, and tells how it ended. One that is all there is too short to
    /// matter.
    pub(crate) fn holding(self, in_flight: InFlight, ending: Option<Ending>) -> Self {
        if matches!(self.kind, Kind::Full(_)) || self.is_end_stream() {
            if let Some(ending) = ending {
                ending.end(How::Complete);
            }
            return self;
        }
        let mut guarded = self.guarded(None, None);
        if let Kind::Guarded(guarded) = &mut guarded.kind {
            guarded.in_flight = Some(in_flight);
            guarded.ending = ending;
        }
        guarded
    }

    /// Tells the trail what passes, and holds it until the body is gone.
    pub(crate) fn watched(self, trail: Rc<Trail>, way: Way) -> Self {
        let mut guarded = self.guarded(None, None);
        if let Kind::Guarded(guarded) = &mut guarded.kind {
            guarded.trail = Some((trail, way));
        }
        guarded
    }

    /// Reads at most so many bytes for one frame, where this worker's own codec reads.
    fn read_at_most(&mut self, bytes: usize) {
        match &mut self.kind {
            Kind::Answer(body) => body.read_at_most(bytes),
            Kind::Guarded(guarded) => guarded.body.read_at_most(bytes),
            Kind::Empty | Kind::Full(_) | Kind::Incoming(_) | Kind::Client(_) | Kind::Boxed(_) => {}
        }
    }

    /// Goes on with what the body does besides yielding frames: the request of a response is sent
    /// while the response comes.
    pub(crate) fn poll_progress(&mut self, cx: &mut Context<'_>) {
        match &mut self.kind {
            Kind::Answer(body) => body.poll_progress(cx),
            Kind::Guarded(guarded) => guarded.body.poll_progress(cx),
            Kind::Empty | Kind::Full(_) | Kind::Incoming(_) | Kind::Client(_) | Kind::Boxed(_) => {}
        }
    }

    /// Moves bytes straight from the connection into a pipe, which is empty: some of those that `poll_frame` would yield.
    /// `None` if they do not come from a plain socket, or are too few: then `poll_frame` has them.
    pub(crate) fn poll_pipe(&mut self, cx: &mut Context<'_>, pipe: &mut Pipe) -> Option<Piped> {
        match &mut self.kind {
            Kind::Answer(body) => body.poll_pipe(cx, pipe),
            Kind::Guarded(guarded) => guarded.poll_pipe(cx, pipe),
            Kind::Empty | Kind::Full(_) | Kind::Incoming(_) | Kind::Client(_) | Kind::Boxed(_) => {
                None
            }
        }
    }

    fn guarded(self, on_end: Option<Box<dyn OnEnd>>, deadline: Option<Pin<Box<Sleep>>>) -> Self {
        match self.kind {
            Kind::Guarded(mut guarded) if guarded.on_end.is_none() || on_end.is_none() => {
                guarded.on_end = guarded.on_end.or(on_end);
                guarded.deadline = guarded.deadline.or(deadline);
                Self {
                    kind: Kind::Guarded(guarded),
                }
            }
            kind => Self {
                kind: Kind::Guarded(Box::new(Guarded {
                    body: Self { kind },
                    on_end,
                    deadline,
                    in_flight: None,
                    ending: None,
                    trail: None,
                })),
            },
        }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body")
            .field("size", &self.size_hint())
            .finish_non_exhaustive()
    }
}

// === impl HttpBody for Body ===

/// How many bytes came into a pipe: at least one.
pub(crate) type Piped = Poll<Result<u64, BodyError>>;

type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = self.get_mut();
        match &mut this.kind {
            Kind::Empty => Poll::Ready(None),
            Kind::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                this.kind = Kind::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Kind::Incoming(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|error| BodyError::Transport(error.into())),
            Kind::Client(body) => body.poll_frame(cx),
            Kind::Answer(body) => body.poll_frame(cx),
            Kind::Guarded(guarded) => guarded.poll_frame(cx),
            Kind::Boxed(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Empty => true,
            Kind::Full(_) => false,
            Kind::Incoming(body) => body.is_end_stream(),
            Kind::Client(body) => body.is_end_stream(),
            Kind::Answer(body) => body.is_end_stream(),
            Kind::Guarded(guarded) => guarded.body.is_end_stream(),
            Kind::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Incoming(body) => body.size_hint(),
            Kind::Client(body) => body.size_hint(),
            Kind::Answer(body) => body.size_hint(),
            Kind::Guarded(guarded) => guarded.body.size_hint(),
            Kind::Boxed(body) => body.size_hint(),
        }
    }
}

impl Guarded {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
        if let Some(in_flight) = &self.in_flight {
            self.body.read_at_most(in_flight.share());
        }
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Pending if self.is_late(cx) => {
                return Poll::Ready(Some(Err(BodyError::Timeout)));
            }
            Poll::Pending => {}
            Poll::Ready(Some(Ok(frame))) => {
                self.passed(frame.data_ref().map_or(0, |data| data.len() as u64));
                // Nothing comes behind trailers, and codecs do not ask.
                if frame.is_trailers() {
                    self.tell_complete();
                }
            }
            Poll::Ready(None) => self.end(),
            Poll::Ready(Some(Err(error))) => self.failed(error),
        }
        polled
    }

    fn poll_pipe(&mut self, cx: &mut Context<'_>, pipe: &mut Pipe) -> Option<Piped> {
        let polled = self.body.poll_pipe(cx, pipe)?;
        match &polled {
            Poll::Pending if self.is_late(cx) => {
                return Some(Poll::Ready(Err(BodyError::Timeout)));
            }
            Poll::Pending => {}
            Poll::Ready(Ok(bytes)) => self.passed(*bytes),
            Poll::Ready(Err(error)) => self.failed(error),
        }
        Some(polled)
    }

    /// Whether the deadline has passed. Then the body fails.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let late = self
            .deadline
            .as_mut()
            .is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready());
        if late {
            self.failed(&BodyError::Timeout);
        }
        late
    }

    /// Bytes came. The codecs stop asking when a body of known length is complete, without the last `None`.
    fn passed(&mut self, bytes: u64) {
        if let Some((trail, way)) = &self.trail {
            trail.passed(*way, bytes);
        }
        if self.body.is_end_stream() {
            self.end();
        }
    }

    fn tell_complete(&self) {
        if let Some((trail, Way::Sent)) = &self.trail {
            trail.completed();
        }
    }

    fn failed(&mut self, error: &BodyError) {
        self.on_end = None;
        if let Some(ending) = self.ending.take() {
            ending.end(How::BackendGone);
        }
        if let Some((trail, Way::Sent)) = &self.trail {
            trail.body_failed(error);
        }
    }

    fn end(&mut self) {
        self.deadline = None;
        self.tell_complete();
        if let Some(on_end) = self.on_end.take() {
            on_end.ended();
        }
        if let Some(ending) = self.ending.take() {
            ending.end(How::Complete);
        }
    }
}
