//! Request bodies that must not be too long nor too slow. Nothing of them is kept.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use crate::body::Body;
use crate::error::BodyError;

/// What a request body may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UploadLimits {
    /// Bytes.
    pub most: Option<u64>,
    /// Time without any byte, while somebody waits for one.
    pub idle: Option<Duration>,
}

/// A body within its limits, or the error of one that says at once that it is too long.
pub(crate) fn limit(body: Body, limits: UploadLimits) -> Result<Body, BodyError> {
    if body.is_end_stream() {
        return Ok(body);
    }
    let size = body.size_hint();
    if limits.most.is_some_and(|most| size.lower() > most) {
        return Err(BodyError::TooLarge);
    }
    // The codec sees to it that a body has the length that it says.
    let is_within = |most: u64| size.upper().is_some_and(|upper| upper <= most);
    let most = limits.most.filter(|most| !is_within(*most));
    if most.is_none() && limits.idle.is_none() {
        return Ok(body);
    }
    Ok(Body::boxed(Upload {
        body,
        left: most,
        idle: limits.idle.map(Idle::new),
    }))
}

struct Upload {
    body: Body,
    /// Bytes that may still come.
    left: Option<u64>,
    idle: Option<Idle>,
}

/// Measures how long nothing has come.
struct Idle {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether the timer runs: somebody waits.
    runs: bool,
}

impl Idle {
    fn new(limit: Duration) -> Self {
        Self {
            limit,
            timer: None,
            runs: false,
        }
    }

    /// Whether the time is over. Somebody waits.
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        if !self.runs {
            self.runs = true;
            timer.as_mut().reset(Instant::now() + limit);
        }
        timer.as_mut().poll(cx).is_ready()
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let Poll::Ready(polled) = polled else {
            let is_over = self.idle.as_mut().is_some_and(|idle| idle.is_over(cx));
            return if is_over {
                Poll::Ready(Some(Err(BodyError::ReadTimeout)))
            } else {
                Poll::Pending
            };
        };
        if let Some(idle) = &mut self.idle {
            idle.runs = false;
        }
        if let (Some(left), Some(Ok(frame))) = (self.left, &polled)
            && let Some(data) = frame.data_ref()
        {
            let Some(left) = left.checked_sub(data.len() as u64) else {
                return Poll::Ready(Some(Err(BodyError::TooLarge)));
            };
            self.left = Some(left);
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
