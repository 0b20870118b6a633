//! Counters of what is written to the API server.

use std::sync::atomic::{AtomicU64, Ordering};

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

/// Defines the counters from one table: a method for each, and a list of all.
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

            /// Name (without `_total`), help (without full stop) and value of each counter.
            pub fn samples(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![$((
                    concat!("novaedge_write_", stringify!($name)),
                    concat!($($help),+).trim().trim_end_matches('.'),
                    self.$name(),
                ),)+]
            }
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

impl Metrics {
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
        assert_eq!(
            metrics.samples().first(),
            Some(&("novaedge_write_statuses_written", "Statuses written", 2))
        );
    }
}
