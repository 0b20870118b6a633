//! How an agent leaves the fleet: it says so and still serves, then its connections are asked to go
//! elsewhere, and only at the end ([`crate::Agent::drain`]) they are ended.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::worker::Command;

/// The part of the delay after which clients are asked to go elsewhere: until then most of those that
/// come back would come back here, for the fleet has yet to learn.
const RETIRE_AFTER: u32 = 2;

/// Whether the agent leaves. Clones share one state.
#[derive(Clone, Debug)]
pub(crate) struct Leaving {
    begun: Arc<watch::Sender<bool>>,
    delay: Arc<OnceLock<Duration>>,
}

impl Leaving {
    pub(crate) fn new() -> Self {
        Self {
            begun: Arc::new(watch::Sender::new(false)),
            delay: Arc::default(),
        }
    }

    /// Begins. `delay` is how long the agent goes on serving; only the first call counts.
    pub(crate) fn begin(&self, delay: Duration) {
        if self.delay.set(delay).is_ok() {
            tracing::info!(seconds = delay.as_secs(), "leaving");
            self.begun.send_replace(true);
        }
    }

    pub(crate) fn has_begun(&self) -> bool {
        *self.begun.borrow()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<bool> {
        self.begun.subscribe()
    }

    /// Has the workers ask their clients to leave, when it is time.
    pub(crate) async fn retire(self, workers: Vec<mpsc::Sender<Command>>) {
        if self.watch().wait_for(|begun| *begun).await.is_err() {
            return;
        }
        let delay = self.delay.get().copied().unwrap_or_default();
        tokio::time::sleep(delay / RETIRE_AFTER).await;
        for worker in &workers {
            // A worker that has ended has no clients.
            let _ = worker.send(Command::Retire).await;
        }
    }
}
