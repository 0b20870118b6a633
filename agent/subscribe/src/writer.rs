//! Writes the last good snapshot in the background, at most once per interval.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use novaedge_proto::v1;
use tokio::{sync::Notify, task::JoinHandle, time::Instant};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    format::Snapshot,
    last_good::{LastGood, LastGoodError},
    metrics::Metrics,
};

/// The share of the time that writing takes at most, as its inverse.
const DUTY: u32 = 20;

/// The background writer. It ends with [`Writer::finish`], or by itself when its owner is gone.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
    stop: DropGuard,
}

/// What a step changes in the snapshot on disk. It has no `Debug`, for it may hold a private key.
pub(crate) struct Change {
    pub(crate) version: v1::Version,
    /// Encoded resources in force.
    pub(crate) upserts: Vec<(String, Bytes)>,
    pub(crate) removed: Vec<String>,
    /// In a full step: names of which what was there before stays.
    pub(crate) kept: Option<Vec<String>>,
}

#[derive(Debug)]
struct Shared {
    last_good: LastGood,
    state: Mutex<State>,
    changed: Notify,
    stop: CancellationToken,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct State {
    snapshot: Snapshot,
    dirty: bool,
}

impl Writer {
    pub(crate) fn start(last_good: LastGood, metrics: Arc<Metrics>) -> Self {
        let shared = Arc::new(Shared {
            last_good,
            state: Mutex::default(),
            changed: Notify::new(),
            stop: CancellationToken::new(),
            metrics,
        });
        let task = tokio::spawn(Arc::clone(&shared).run());
        let stop = shared.stop.clone().drop_guard();
        Self { shared, task, stop }
    }

    /// Takes over what is on disk already.
    pub(crate) fn restore(&self, version: v1::Version, resources: Vec<(String, Bytes)>) {
        let mut state = self.shared.state();
        state.snapshot.version = version;
        state.snapshot.resources = resources.into_iter().collect();
    }

    /// Notes a step; it is on disk after the next write.
    pub(crate) fn record(&self, change: Change) {
        let mut state = self.shared.state();
        let resources = &mut state.snapshot.resources;
        if let Some(kept) = change.kept {
            let mut before = std::mem::take(resources);
            let kept = kept
                .into_iter()
                .filter_map(|name| before.remove_entry(&name));
            resources.extend(kept);
        }
        for name in &change.removed {
            resources.remove(name);
        }
        resources.extend(change.upserts);
        state.snapshot.version = change.version;
        state.dirty = true;
        drop(state);
        self.shared.changed.notify_one();
    }

    /// Writes what is not on disk yet, and ends.
    pub(crate) async fn finish(self) {
        drop(self.stop);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the writer of the last good snapshot failed");
        }
    }
}

impl Shared {
    async fn run(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.changed.notified() => {}
                () = self.stop.cancelled() => {
                    self.write().await;
                    return;
                }
            }
            let begin = Instant::now();
            let done = self.write().await;
            let pause = self.pause(begin.elapsed());
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stop.cancelled() => {}
            }
            if !done {
                self.changed.notify_one();
            }
        }
    }

    fn pause(&self, took: Duration) -> Duration {
        let interval = self.last_good.config().min_interval;
        interval.max(took.saturating_mul(DUTY))
    }

    /// Writes if there is something new. Returns whether all is on disk, or cannot be.
    async fn write(self: &Arc<Self>) -> bool {
        let snapshot = {
            let mut state = self.state();
            if !std::mem::take(&mut state.dirty) {
                return true;
            }
            // The contents are shared, not copied.
            state.snapshot.clone()
        };
        let shared = Arc::clone(self);
        let written = tokio::task::spawn_blocking(move || shared.last_good.store(&snapshot)).await;
        match written {
            Ok(Ok(())) => {
                self.metrics.writes.add(1);
                true
            }
            Ok(Err(error)) => {
                self.metrics.write_failures.add(1);
                tracing::warn!(%error, "the last good snapshot was not written");
                let passes = !matches!(error, LastGoodError::TooLarge { .. });
                self.state().dirty |= passes;
                !passes
            }
            Err(error) => {
                self.metrics.write_failures.add(1);
                tracing::error!(%error, "writing the last good snapshot failed");
                true
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
