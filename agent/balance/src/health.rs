//! What active checks say of endpoints, and how it comes from the one who checks to the cores.

use std::cell::Cell;
use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};
use rustc_hash::{FxHashMap, FxHashSet};

/// The result of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// The endpoint answered as it should.
    Passed,
    /// It did not, or not in time.
    Failed,
}

/// How many results in a row change an endpoint's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Passed checks after which an unhealthy endpoint is healthy.
    pub healthy: u32,
    /// Failed checks after which a healthy endpoint is unhealthy.
    pub unhealthy: u32,
}

/// What the checks of one endpoint come to. It is healthy until they fail.
#[derive(Debug, Default)]
pub struct Record {
    unhealthy: Cell<bool>,
    /// Results in a row that speak against what is believed.
    streak: Cell<u32>,
}

/// The endpoints whose checks fail, each by [`crate::hash::endpoint_id`], by the name of their backend.
pub type Unhealthy = FxHashMap<Arc<str>, FxHashSet<u64>>;

/// The endpoints whose checks fail now: set by the one who checks, seen by the groups of all cores.
#[derive(Clone, Debug, Default)]
pub struct Verdicts(Arc<ArcSwap<Unhealthy>>);

/// One core's look at the verdicts on one backend.
#[derive(Debug)]
pub(crate) struct Watched {
    backend: Arc<str>,
    verdicts: Cache<Arc<ArcSwap<Unhealthy>>, Arc<Unhealthy>>,
    /// The verdicts that were last given to the members.
    seen: Option<Arc<Unhealthy>>,
}

// === impl Record ===

impl Record {
    /// Takes one more result. Returns whether it changes the endpoint's health.
    pub fn take(&self, check: Check, thresholds: Thresholds) -> bool {
        let (threshold, speaks_against) = match check {
            Check::Passed => (thresholds.healthy, self.is_unhealthy()),
            Check::Failed => (thresholds.unhealthy, !self.is_unhealthy()),
        };
        if !speaks_against {
            self.streak.set(0);
            return false;
        }
        let streak = self.streak.get().saturating_add(1);
        let changes = streak >= threshold;
        if changes {
            self.unhealthy.set(!self.is_unhealthy());
        }
        self.streak.set(if changes { 0 } else { streak });
        changes
    }

    /// Whether the endpoint should be left out.
    pub fn is_unhealthy(&self) -> bool {
        self.unhealthy.get()
    }
}

// === impl Verdicts ===

impl Verdicts {
    /// Replaces what was said before.
    pub fn publish(&self, unhealthy: Unhealthy) {
        self.0.store(Arc::new(unhealthy));
    }

    pub(crate) fn watch(&self, backend: Arc<str>) -> Watched {
        Watched {
            backend,
            verdicts: Cache::new(Arc::clone(&self.0)),
            seen: None,
        }
    }
}

// === impl Watched ===

impl Watched {
    /// The endpoints of the backend that are unhealthy, if anything has changed since the last look.
    pub(crate) fn news(&mut self) -> Option<FxHashSet<u64>> {
        let verdicts = self.verdicts.load();
        if self
            .seen
            .as_ref()
            .is_some_and(|seen| Arc::ptr_eq(seen, verdicts))
        {
            return None;
        }
        self.seen = Some(Arc::clone(verdicts));
        Some(verdicts.get(&self.backend).cloned().unwrap_or_default())
    }

    /// The next look is the first one.
    pub(crate) fn forget(&mut self) {
        self.seen = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_changes_after_enough_results_in_a_row() {
        use Check::{Failed, Passed};
        let thresholds = Thresholds {
            healthy: 2,
            unhealthy: 3,
        };
        let steps = [
            (Failed, false),
            (Failed, false),
            (Passed, false),
            (Failed, false),
            (Failed, false),
            (Failed, true),
            (Passed, true),
            (Failed, true),
            (Passed, true),
            (Passed, false),
            (Passed, false),
        ];
        let record = Record::default();
        for (index, (check, unhealthy)) in steps.into_iter().enumerate() {
            let before = record.is_unhealthy();
            let changed = record.take(check, thresholds);
            assert_eq!(record.is_unhealthy(), unhealthy, "step {index}");
            assert_eq!(changed, before != unhealthy, "step {index}");
        }
    }
}
