//! Counters of the publishing side: what was done, and what each limit refused.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering},
};

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

/// Defines the counters from one table: a method for each, and all of them as text.
macro_rules! counters {
    ($($(#[doc = $help:literal])+ $name:ident,)+) => {
        /// Counters since the start of the process. Reading one takes no lock.
        #[derive(Debug, Default)]
        pub struct Metrics {
            $(pub(crate) $name: Counter,)+
        }

        impl Metrics {
            $(
                $(#[doc = $help])+
                pub fn $name(&self) -> u64 {
                    self.$name.get()
                }
            )+

            /// Name, help and value of each counter.
            fn samples(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$((stringify!($name), concat!($($help),+), self.$name()),)+].into_iter()
            }
        }
    };
}

counters! {
    /// Steps of which all messages were handed to the transport.
    steps_sent,
    /// Messages handed to the transport.
    messages_sent,
    /// Encoded bytes of these messages, without gRPC's and HTTP/2's frames.
    bytes_sent,
    /// Acknowledgements of steps, with or without rejections.
    acks,
    /// Acknowledgements of steps that were not in flight.
    stale_acks,
    /// Rejections of single resources by agents.
    rejections,
    /// Texts of rejections that were cut or left out, being too long or too many.
    rejection_texts_cut,
    /// Resources that were not published, being too large, too many or malformed.
    resources_refused,
    /// Streams that were let in.
    sessions_opened,
    /// Streams that ended.
    sessions_closed,
    /// Streams refused because there were `max_sessions` already.
    sessions_refused,
    /// Streams closed for a breach of the protocol or a missed deadline.
    sessions_failed,
    /// Lists of agents that were cut to fit into one message.
    listings_cut,
    /// Steps that the limits have pushed out of the log.
    log_truncations,
    /// Drains that ended by their deadline, cutting the connections that were left.
    drains_cut,
    /// Connections that could not be accepted.
    accept_errors,
}

impl Metrics {
    /// Streams open now.
    pub fn sessions(&self) -> u64 {
        self.sessions_opened()
            .saturating_sub(self.sessions_closed())
    }

    /// All of them in the Prometheus text format, as `novaedge_publish_<counter>_total`.
    pub fn to_prometheus(&self) -> String {
        let mut text = String::new();
        for (name, help, value) in self.samples() {
            let name = format!("novaedge_publish_{name}_total");
            // Writing to a String does not fail.
            let _ = writeln!(
                text,
                "# HELP {name}{help}\n# TYPE {name} counter\n{name} {value}"
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_is_shown() {
        let metrics = Metrics::default();
        metrics.steps_sent.add(2);
        metrics.drains_cut.add(1);
        let text = metrics.to_prometheus();
        let head = "# HELP novaedge_publish_steps_sent_total Steps of which all messages were handed \
                    to the transport.\n# TYPE novaedge_publish_steps_sent_total counter\n\
                    novaedge_publish_steps_sent_total 2\n";
        assert!(text.starts_with(head), "{text}");
        assert!(text.contains("\nnovaedge_publish_drains_cut_total 1\n"));
        assert_eq!(text.lines().count(), 3 * 16);
    }
}
