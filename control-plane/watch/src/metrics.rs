//! What the watches count.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use novaedge_meter::{Description, Durations, Exposition, Short};

use crate::watch::Event;

const EVENTS: Description = Description::counter(
    "novaedge_watch_events",
    &["kind"],
    "Objects that came, changed or went, by kind",
);
const LISTS: Description = Description::counter(
    "novaedge_watch_lists",
    &["kind"],
    "Times that all objects of a kind were listed from the beginning: at the start, and when a watch could not go on",
);
const FAILURES: Description = Description::counter(
    "novaedge_watch_failures",
    &["kind"],
    "Times that a watch failed and was tried again",
);
const LAG: Description = Description::histogram(
    "novaedge_watch_lag_seconds",
    &[],
    "How long a batch of events waited to be taken for translation",
);

/// Counters since the start of the process.
#[derive(Debug, Default)]
pub struct Metrics {
    /// There are few kinds, and one task writes.
    kinds: Mutex<BTreeMap<String, Counts>>,
    /// How long batches wait to be taken.
    pub(crate) lag: Durations<Short>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    events: u64,
    lists: u64,
    failures: u64,
}

impl Metrics {
    /// What each metric is.
    pub const DESCRIPTIONS: &[Description] = &[EVENTS, LISTS, FAILURES, LAG];

    /// Adds all metrics.
    pub fn expose(&self, all: &mut Exposition) {
        let kinds = self.kinds().clone();
        let mut family = |what, read: fn(&Counts) -> u64| {
            let mut family = all.family(what);
            for (kind, counts) in &kinds {
                family.sample(&[kind], read(counts));
            }
        };
        family(&EVENTS, |counts| counts.events);
        family(&LISTS, |counts| counts.lists);
        family(&FAILURES, |counts| counts.failures);
        all.family(&LAG).durations(&[], &self.lag.sums());
    }

    pub(crate) fn note<K>(&self, kind: &str, event: &Event<K>) {
        let mut kinds = self.kinds();
        let counts = match kinds.get_mut(kind) {
            Some(counts) => counts,
            None => kinds.entry(kind.to_owned()).or_default(),
        };
        match event {
            Event::Restarted => counts.lists += 1,
            Event::Failed(_) => counts.failures += 1,
            Event::Listed(_) | Event::Applied(_) | Event::Deleted(_) => counts.events += 1,
            Event::Complete | Event::Following => {}
        }
    }

    fn kinds(&self) -> MutexGuard<'_, BTreeMap<String, Counts>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_counted_by_kind() {
        let metrics = Metrics::default();
        metrics.note::<()>("Service", &Event::Restarted);
        metrics.note("Service", &Event::Listed(()));
        metrics.note("Service", &Event::Deleted(()));
        let mut all = Exposition::default();
        metrics.expose(&mut all);
        let text = all.finish();
        for line in [
            "novaedge_watch_lists_total{kind=\"Service\"} 1",
            "novaedge_watch_events_total{kind=\"Service\"} 2",
            "novaedge_watch_failures_total{kind=\"Service\"} 0",
            "novaedge_watch_lag_seconds_count 0",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} in {text}");
        }
    }
}
