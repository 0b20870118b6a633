//! What the data path counts.
//!
//! Each worker has counters of its own, written by its core alone; readers on other threads see them
//! with relaxed order and add the workers up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;

use crate::reason::Reason;

/// The counters of one worker.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Client connections opened.
    pub connections_opened: Counter,
    /// Client connections closed.
    pub connections_closed: Counter,
    /// TLS handshakes with clients that failed.
    pub handshakes_failed: Counter,
    /// Tries to forward a request after the first.
    pub retries: Counter,
    /// Mirrored requests sent.
    pub mirrored: Counter,
    /// Mirrored requests dropped, because too many were in flight.
    pub mirrors_dropped: Counter,
    /// Connections that left HTTP.
    pub upgrades: Counter,
    /// Answers of the gateway itself, by [`Reason::index`].
    pub own_answers: [Counter; Reason::ALL.len()],
    listeners: Mutex<BTreeMap<Arc<str>, Arc<ListenerMetrics>>>,
}

/// The counters of one listener on one worker.
#[derive(Debug, Default)]
pub struct ListenerMetrics {
    /// Responses by class: index 1 is 1xx, up to 5; index 0 is anything else.
    pub responses: [Counter; 6],
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The number now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Metrics {
    /// The counters of a listener, by resource name. Not for every request: it takes a lock.
    #[must_use]
    pub fn listener(&self, name: &Arc<str>) -> Arc<ListenerMetrics> {
        let mut listeners = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(listeners.entry(Arc::clone(name)).or_default())
    }

    /// All listeners that have counted something, by resource name.
    #[must_use]
    pub fn listeners(&self) -> BTreeMap<Arc<str>, Arc<ListenerMetrics>> {
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn own_answer(&self, reason: Reason) {
        if let Some(counter) = self.own_answers.get(reason.index()) {
            counter.increment();
        }
    }
}

impl ListenerMetrics {
    pub(crate) fn response(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100);
        if let Some(counter) = self.responses.get(if class < 6 { class } else { 0 }) {
            counter.increment();
        }
    }
}
