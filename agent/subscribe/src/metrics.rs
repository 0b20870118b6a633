//! Counters of the subscribing side.

use std::sync::atomic::{AtomicU64, Ordering};

use novaedge_meter::{Durations, Short};

/// Counters since the start of the process. Reading one takes no lock.
#[derive(Debug, Default)]
pub struct Metrics {
    pub(crate) connections: Counter,
    pub(crate) steps: Counter,
    pub(crate) bytes: Counter,
    pub(crate) rejections: Counter,
    pub(crate) protocol_errors: Counter,
    pub(crate) writes: Counter,
    pub(crate) write_failures: Counter,
    /// From the publication of a version to its being in force.
    pub propagation: Durations<Short>,
    /// From the last message of a step to its being in force.
    pub apply: Durations<Short>,
    /// Milliseconds since 1970 when the last step came into force.
    pub(crate) applied_ms: novaedge_meter::Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Metrics {
    /// Tries to open a stream.
    pub fn connections(&self) -> u64 {
        self.connections.get()
    }

    /// When the last step came into force, in milliseconds since 1970; 0 before the first.
    pub fn applied_ms(&self) -> u64 {
        self.applied_ms.get()
    }

    /// Steps put in force, the one from disk included.
    pub fn steps(&self) -> u64 {
        self.steps.get()
    }

    /// Encoded bytes of the messages received.
    pub fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// Resources refused.
    pub fn rejections(&self) -> u64 {
        self.rejections.get()
    }

    /// Streams given up because a step was not as the protocol says.
    pub fn protocol_errors(&self) -> u64 {
        self.protocol_errors.get()
    }

    /// Snapshots written to disk.
    pub fn writes(&self) -> u64 {
        self.writes.get()
    }

    /// Snapshots that could not be written.
    pub fn write_failures(&self) -> u64 {
        self.write_failures.get()
    }
}
