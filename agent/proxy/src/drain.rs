//! The signal that ends connections in an orderly way.
//!
//! It has two steps. A worker that retires still accepts, but asks clients to go elsewhere each time
//! it answers. A drain then ends connections: what is in flight finishes, idle ones get a moment more
//! in which a request that was on its way is still answered, and at the deadline the rest is cut.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// How long idle connections stay open after a drain has begun, at most: a client that uses its
/// connection in this time learns from an answer that it is to close it, and loses no request.
const IDLE_GRACE: Duration = Duration::from_secs(2);

/// Told to connections: finish what is in flight, take nothing new, be gone by the deadline.
///
/// Clones share one signal, also across threads.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    stage: AtomicU8,
    retired: CancellationToken,
    begun: CancellationToken,
    times: OnceLock<Times>,
}

#[derive(Clone, Copy, Debug)]
struct Times {
    idle_end: Instant,
    deadline: Instant,
}

/// How far a drain has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Serving = 0,
    /// Clients are asked to go elsewhere.
    Retiring = 1,
    /// Connections end.
    Ending = 2,
}

impl Drain {
    /// A signal that nobody has given yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on each answer asks its client to go elsewhere: `Connection: close` in HTTP/1.1,
    /// GOAWAY in HTTP/2. No connection is closed by this side.
    pub fn retire(&self) {
        self.enter(Stage::Retiring);
        self.shared.retired.cancel();
    }

    /// Starts the drain. Only the first call counts.
    pub fn begin(&self, deadline: Instant) {
        let now = Instant::now();
        let grace = IDLE_GRACE.min(deadline.saturating_duration_since(now) / 4);
        let idle_end = now + grace;
        if self.shared.times.set(Times { idle_end, deadline }).is_ok() {
            self.enter(Stage::Ending);
            self.shared.retired.cancel();
            self.shared.begun.cancel();
        }
    }

    /// Whether the drain has begun: one atomic load.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.stage() == Stage::Ending
    }

    /// When connections must be gone; `None` before the drain begins.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.shared.times.get().map(|times| times.deadline)
    }

    /// Waits until the drain begins.
    pub async fn drained(&self) {
        self.shared.begun.cancelled().await;
    }

    /// Waits until connections that carry no request are to be closed.
    pub(crate) async fn idle_ended(&self) {
        self.drained().await;
        if let Some(times) = self.shared.times.get() {
            sleep_until(times.idle_end).await;
        }
    }

    /// One atomic load.
    pub(crate) fn stage(&self) -> Stage {
        match self.shared.stage.load(Ordering::Acquire) {
            0 => Stage::Serving,
            1 => Stage::Retiring,
            _ => Stage::Ending,
        }
    }

    fn enter(&self, stage: Stage) {
        self.shared.stage.fetch_max(stage as u8, Ordering::AcqRel);
    }
}

/// A connection's wait for the drain. Polling it again with the same waker costs one atomic load,
/// and touches nothing that other cores write.
pub(crate) struct DrainWatch {
    drain: Drain,
    seen: Stage,
    wait: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Set in the last stage: the end of idleness first, then the deadline.
    timer: Option<Pin<Box<Sleep>>>,
    idle_ended: bool,
}

/// What the drain wants of a connection now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Nothing.
    Serve,
    /// To be left by its client.
    Retire,
    /// To end as soon as nothing is on its way.
    End,
    /// To be closed when it is idle.
    CloseIdle,
    /// To be cut.
    Cut,
}

impl DrainWatch {
    pub(crate) fn new(drain: Drain) -> Self {
        let wait = Box::pin(drain.shared.retired.clone().cancelled_owned());
        Self {
            drain,
            seen: Stage::Serving,
            wait,
            timer: None,
            idle_ended: false,
        }
    }

    /// What is wanted now. `moved`: the task's waker is another than at the last call.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, moved: WakerState) -> Wish {
        let stage = self.drain.stage();
        let news = stage != self.seen;
        self.seen = stage;
        match stage {
            Stage::Serving => {
                if moved == WakerState::New && self.wait.as_mut().poll(cx).is_ready() {
                    // The stage has changed since it was read.
                    return self.poll(cx, moved);
                }
                Wish::Serve
            }
            Stage::Retiring => {
                if news {
                    let begun = self.drain.shared.begun.clone();
                    self.wait.set(begun.cancelled_owned());
                }
                if (news || moved == WakerState::New) && self.wait.as_mut().poll(cx).is_ready() {
                    return self.poll(cx, moved);
                }
                Wish::Retire
            }
            Stage::Ending => self.poll_times(cx),
        }
    }

    fn poll_times(&mut self, cx: &mut Context<'_>) -> Wish {
        let Some(times) = self.drain.shared.times.get() else {
            return Wish::End;
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(times.idle_end)));
        while let Poll::Ready(()) = timer.as_mut().poll(cx) {
            if self.idle_ended {
                return Wish::Cut;
            }
            self.idle_ended = true;
            timer.as_mut().reset(times.deadline);
        }
        if self.idle_ended {
            Wish::CloseIdle
        } else {
            Wish::End
        }
    }
}

/// Whether a waker has to be registered again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WakerState {
    New,
    Known,
}
