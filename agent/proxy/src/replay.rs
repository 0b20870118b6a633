//! Request bodies that may be sent more than once.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::body::Body;
use crate::error::BodyError;

/// A body of which the first bytes are kept while they stream through.
pub(crate) struct Replay {
    shared: Rc<RefCell<Shared>>,
    whole: SizeHint,
}

struct Shared {
    source: Body,
    kept: Vec<Kept>,
    bytes: usize,
    limit: usize,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Streaming,
    /// The source was read to its end and all of it is kept.
    Complete,
    /// More than the limit went through, or the source failed: what is kept is of no use.
    Gone,
}

#[derive(Clone)]
enum Kept {
    Data(Bytes),
    Trailers(http::HeaderMap),
}

/// One pass over the body.
struct Pass {
    shared: Rc<RefCell<Shared>>,
    position: usize,
    whole: SizeHint,
}

impl Replay {
    pub(crate) fn new(source: Body, limit: usize) -> Self {
        let whole = source.size_hint();
        let state = State::Streaming;
        let shared = Shared {
            source,
            kept: Vec::new(),
            bytes: 0,
            limit,
            state,
        };
        Self {
            shared: Rc::new(RefCell::new(shared)),
            whole,
        }
    }

    /// The body from its start. Only the newest pass may be read.
    pub(crate) fn pass(&self) -> Body {
        Body::boxed(Pass {
            shared: Rc::clone(&self.shared),
            position: 0,
            whole: self.whole,
        })
    }

    /// Whether another pass would see the whole body.
    pub(crate) fn is_possible(&self) -> bool {
        self.shared.borrow().state != State::Gone
    }
}

impl Shared {
    fn keep(&mut self, frame: &Frame<Bytes>) {
        if let Some(data) = frame.data_ref() {
            self.bytes += data.len();
            if self.bytes > self.limit {
                self.kept.clear();
                self.state = State::Gone;
            } else {
                self.kept.push(Kept::Data(data.clone()));
            }
        } else if let Some(trailers) = frame.trailers_ref() {
            self.kept.push(Kept::Trailers(trailers.clone()));
        }
    }
}

impl HttpBody for Pass {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let mut shared = this.shared.borrow_mut();
        if let Some(kept) = shared.kept.get(this.position) {
            this.position += 1;
            return Poll::Ready(Some(Ok(match kept.clone() {
                Kept::Data(data) => Frame::data(data),
                Kept::Trailers(trailers) => Frame::trailers(trailers),
            })));
        }
        match shared.state {
            State::Complete => return Poll::Ready(None),
            State::Gone if this.position != usize::MAX => {
                return Poll::Ready(Some(Err(BodyError::NotReplayable)));
            }
            State::Gone | State::Streaming => {}
        }
        let frame = ready!(Pin::new(&mut shared.source).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) if shared.state == State::Streaming => {
                shared.keep(frame);
                // The pass that saw the limit go by reads on from the source; all others fail.
                this.position = if shared.state == State::Gone {
                    usize::MAX
                } else {
                    this.position + 1
                };
            }
            Some(Err(_)) => shared.state = State::Gone,
            None if shared.state == State::Streaming => shared.state = State::Complete,
            Some(Ok(_)) | None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        let shared = self.shared.borrow();
        self.position >= shared.kept.len()
            && (shared.state == State::Complete || shared.source.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        if self.position == 0 {
            self.whole
        } else {
            SizeHint::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt, StreamBody};

    fn source(chunks: &'static [&'static str]) -> Body {
        let frames = chunks
            .iter()
            .map(|chunk| Ok(Frame::data(Bytes::from_static(chunk.as_bytes()))));
        Body::boxed(StreamBody::new(futures_util::stream::iter(frames)))
    }

    async fn text(body: Body) -> Result<String, BodyError> {
        body.collect()
            .await
            .map(|body| String::from_utf8(body.to_bytes().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_small_body_is_sent_again_also_when_the_first_pass_stopped_halfway() {
        let replay = Replay::new(source(&["ab", "cd", "ef"]), 6);
        let mut first = replay.pass();
        first.frame().await.unwrap().unwrap();
        assert!(replay.is_possible());
        assert_eq!(text(replay.pass()).await.unwrap(), "abcdef");
        assert_eq!(text(replay.pass()).await.unwrap(), "abcdef");
    }

    #[tokio::test]
    async fn a_large_body_is_sent_once() {
        let replay = Replay::new(source(&["abc", "def", "ghi"]), 4);
        assert_eq!(text(replay.pass()).await.unwrap(), "abcdefghi");
        assert!(!replay.is_possible());
        assert!(matches!(
            text(replay.pass()).await,
            Err(BodyError::NotReplayable)
        ));
    }

    #[tokio::test]
    async fn a_pass_that_saw_the_limit_go_by_reads_on() {
        let replay = Replay::new(source(&["abc", "def", "ghi"]), 4);
        let mut pass = replay.pass();
        for _ in 0..2 {
            pass.frame().await.unwrap().unwrap();
        }
        assert_eq!(text(pass).await.unwrap(), "ghi");
    }
}
