//! Counters of what is written to the API server.

use std::sync::atomic::{AtomicU64, Ordering};

use novaedge_meter::{Description, Exposition};

/// A number that others may read at any time.
#[derive(Debug, Default)]
pub(crate) struct Number(AtomicU64);

impl Number {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Defines the counters from one table: a method for each.
macro_rules! counters {
    ($($(#[doc = $help:literal])+ $name:ident,)+) => {
        /// Counters since the start of the process. Reading one takes no lock.
        #[derive(Debug, Default)]
        pub struct Metrics {
            $(pub(crate) $name: Number,)+
            pub(crate) queued: Number,
            pub(crate) leading: Number,
        }

        impl Metrics {
            $(
                $(#[doc = $help])+
                pub fn $name(&self) -> u64 {
                    self.$name.get()
                }
            )+

        }
    };
}

counters! {
    /// Statuses written.
    statuses_written,
    /// Statuses that somebody else changed at the same time, to be merged again.
    status_conflicts,
    /// Statuses that the API server did not take.
    status_errors,
    /// Native objects applied.
    natives_applied,
    /// Native objects deleted, being made for nothing any more.
    natives_deleted,
    /// Native objects that the API server did not take.
    native_errors,
    /// Events sent.
    events_written,
    /// Events that were told a short while ago, or by another replica.
    events_repeated,
    /// Events that were not sent, being too many.
    events_dropped,
    /// Events that the API server did not take.
    event_errors,
    /// Renewals of the lease.
    lease_renewals,
    /// Attempts on the lease that failed.
    lease_errors,
    /// Times that this process began to lead.
    leaderships,
}

const OBJECTS: Description = Description::counter(
    "novaedge_write_objects",
    &["kind", "result"],
    "Objects sent to the API server, by kind and by what became of them",
);
const LEASE: Description = Description::counter(
    "novaedge_write_lease_attempts",
    &["result"],
    "Attempts on the lease of the leader",
);
const LEADERSHIPS: Description = Description::counter(
    "novaedge_write_leaderships",
    &[],
    "Times that this process began to lead",
);
const QUEUED: Description = Description::gauge(
    "novaedge_write_queued",
    &[],
    "Objects that wait to be written or are being written",
);
const LEADING: Description = Description::gauge(
    "novaedge_leading",
    &[],
    "Whether this replica writes to the API server",
);

impl Metrics {
    /// What each metric is.
    pub const DESCRIPTIONS: &[Description] = &[OBJECTS, LEASE, LEADERSHIPS, QUEUED, LEADING];

    /// Adds all metrics.
    pub fn expose(&self, all: &mut Exposition) {
        let mut objects = all.family(&OBJECTS);
        for (kind, result, count) in [
            ("status", "written", self.statuses_written()),
            ("status", "conflict", self.status_conflicts()),
            ("status", "error", self.status_errors()),
            ("native", "applied", self.natives_applied()),
            ("native", "deleted", self.natives_deleted()),
            ("native", "error", self.native_errors()),
            ("event", "written", self.events_written()),
            ("event", "repeated", self.events_repeated()),
            ("event", "dropped", self.events_dropped()),
            ("event", "error", self.event_errors()),
        ] {
            objects.sample(&[kind, result], count);
        }
        let mut lease = all.family(&LEASE);
        lease.sample(&["renewed"], self.lease_renewals());
        lease.sample(&["error"], self.lease_errors());
        all.single(&LEADERSHIPS, self.leaderships());
        all.single(&QUEUED, self.queued());
        all.single(&LEADING, u64::from(self.leading()));
    }

    /// Objects that wait to be written or are being written.
    pub fn queued(&self) -> u64 {
        self.queued.get()
    }

    /// Whether this process leads.
    pub fn leading(&self) -> bool {
        self.leading.get() == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_is_shown() {
        let metrics = Metrics::default();
        metrics.statuses_written.add(2);
        let mut all = Exposition::default();
        metrics.expose(&mut all);
        let text = all.finish();
        let line = "novaedge_write_objects_total{kind=\"status\",result=\"written\"} 2";
        assert!(text.lines().any(|one| one == line), "{text}");
        for what in Metrics::DESCRIPTIONS {
            let line = format!("# TYPE {} ", what.name);
            assert!(text.contains(&line), "{line} in {text}");
        }
    }
}
