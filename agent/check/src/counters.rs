//! What checks have come to, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters that can be read from any thread.
#[derive(Debug, Default)]
pub struct Counters {
    passed: AtomicU64,
    failed: AtomicU64,
    checked: AtomicU64,
    unhealthy: AtomicU64,
}

impl Counters {
    /// Checks that endpoints passed.
    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }

    /// Checks that they failed.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Endpoints that are checked now.
    pub fn checked(&self) -> u64 {
        self.checked.load(Ordering::Relaxed)
    }

    /// Those among them that are left out.
    pub fn unhealthy(&self) -> u64 {
        self.unhealthy.load(Ordering::Relaxed)
    }

    pub(crate) fn count(&self, passed: bool) {
        let counter = if passed { &self.passed } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn state(&self, checked: usize, unhealthy: usize) {
        self.checked.store(checked as u64, Ordering::Relaxed);
        self.unhealthy.store(unhealthy as u64, Ordering::Relaxed);
    }
}
