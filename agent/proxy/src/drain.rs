//! The signal that ends connections in an orderly way.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Context;

use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Told to connections: finish what is in flight, take nothing new, be gone by the deadline.
///
/// Clones share one signal, also across threads.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    token: CancellationToken,
    begun: AtomicBool,
    deadline: OnceLock<Instant>,
}

impl Drain {
    /// A signal that nobody has given yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts the drain. Only the first call counts.
    pub fn begin(&self, deadline: Instant) {
        if self.shared.deadline.set(deadline).is_ok() {
            self.shared.begun.store(true, Ordering::Release);
            self.shared.token.cancel();
        }
    }

    /// Whether the drain has begun: one atomic load.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.shared.begun.load(Ordering::Acquire)
    }

    /// When connections must be gone; `None` before the drain begins.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.shared.deadline.get().copied()
    }

    /// Waits until the drain begins.
    pub async fn drained(&self) {
        self.shared.token.cancelled().await;
    }
}

/// A connection's wait for the drain. Polling it again with the same waker costs one atomic load,
/// and touches nothing that other cores write.
pub(crate) struct DrainWatch {
    drain: Drain,
    wait: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl DrainWatch {
    pub(crate) fn new(drain: Drain) -> Self {
        let wait = Box::pin(drain.shared.token.clone().cancelled_owned());
        Self { drain, wait }
    }

    /// Whether the drain has begun. `moved`: the task's waker is another than at the last call.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, moved: WakerState) -> bool {
        self.drain.has_begun()
            || (moved == WakerState::New && self.wait.as_mut().poll(cx).is_ready())
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.drain.deadline()
    }
}

/// Whether a waker has to be registered again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WakerState {
    New,
    Known,
}
