//! Bodies of requests over HTTP/3.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use h3::error::Code;
use h3::server::RequestStream;
use h3_quinn::RecvStream;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::Traffic;
use crate::body::Body;
use crate::error::BodyError;

/// What is left to read of a request.
pub(super) struct RequestBody {
    stream: RequestStream<RecvStream, Bytes>,
    traffic: Arc<Traffic>,
    /// Data that came before somebody asked for it.
    first: Option<Bytes>,
    /// Bytes that must still come, as `Content-Length` said.
    left: Option<u64>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Data,
    Trailers,
    Ended,
}

impl RequestBody {
    /// The body of a request that said this of its length. One that has ended already is empty.
    pub(super) async fn begin(
        stream: RequestStream<RecvStream, Bytes>,
        length: Option<u64>,
        traffic: Arc<Traffic>,
    ) -> Body {
        let mut body = Self {
            stream,
            traffic,
            first: None,
            left: length,
            state: State::Data,
        };
        // Most requests end with their head, and a body that may come is passed on in another form than none.
        let looked = poll_fn(|cx| Poll::Ready(body.poll(cx))).await;
        match looked {
            Poll::Ready(None) => Body::empty(),
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => {
                    // Counted again when it is read.
                    body.left = body.left.map(|left| left + data.len() as u64);
                    body.first = Some(data);
                    Body::boxed(body)
                }
                // Trailers without data are worth nothing.
                Err(_) => Body::empty(),
            },
            Poll::Ready(Some(Err(error))) => Body::boxed(Failed(Some(error))),
            Poll::Pending => Body::boxed(body),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            match self.state {
                State::Data => match ready!(self.poll_data(cx)) {
                    Some(polled) => return Poll::Ready(Some(polled.map(Frame::data))),
                    None if self.left.is_some_and(|left| left > 0) => {
                        return Poll::Ready(Some(Err(self.malformed("the body is too short"))));
                    }
                    None => self.state = State::Trailers,
                },
                State::Trailers => {
                    let trailers = ready!(self.stream.poll_recv_trailers(cx));
                    self.state = State::Ended;
                    let trailers = trailers.map_err(|error| BodyError::Transport(error.into()));
                    return Poll::Ready(trailers.transpose().map(|one| one.map(Frame::trailers)));
                }
                State::Ended => return Poll::Ready(None),
            }
        }
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let data = match self.first.take() {
            Some(first) => Some(first),
            None => match ready!(self.stream.poll_recv_data(cx)) {
                Ok(data) => data.map(|mut data| data.copy_to_bytes(data.remaining())),
                Err(error) => {
                    self.state = State::Ended;
                    return Poll::Ready(Some(Err(BodyError::Transport(error.into()))));
                }
            },
        };
        let Some(data) = data else {
            return Poll::Ready(None);
        };
        self.traffic.read();
        if let Some(left) = self.left {
            let Some(left) = left.checked_sub(data.len() as u64) else {
                return Poll::Ready(Some(Err(self.malformed("the body is too long"))));
            };
            self.left = Some(left);
        }
        Poll::Ready(Some(Ok(data)))
    }

    /// A body that is not as its head said (RFC 9114 section 4.1.2).
    fn malformed(&mut self, why: &'static str) -> BodyError {
        self.state = State::Ended;
        self.stream.stop_sending(Code::H3_MESSAGE_ERROR);
        BodyError::Transport(why.into())
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.poll(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.state == State::Ended
    }

    fn size_hint(&self) -> SizeHint {
        self.left
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if self.state != State::Ended {
            // Nobody wants the rest (RFC 9114 section 4.1).
            self.stream.stop_sending(Code::H3_NO_ERROR);
        }
    }
}

/// A body that has failed before it was asked for.
struct Failed(Option<BodyError>);

impl HttpBody for Failed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Ready(self.0.take().map(Err))
    }
}
