//! Counters of the publishing side: what was done, and what each limit refused.

use std::sync::atomic::{AtomicU64, Ordering};

use novaedge_meter::{Description, Exposition};

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Defines the counters from one table: a method for each, and a list of all.
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

            /// What each counter is.
            pub const DESCRIPTIONS: &[Description] = &[$(
                Description::counter(
                    concat!("novaedge_publish_", stringify!($name)),
                    &[],
                    concat!($($help),+),
                ),
            )+];

            /// Adds all counters.
            pub fn expose(&self, all: &mut Exposition) {
                let values = [$(self.$name(),)+];
                for (what, value) in Self::DESCRIPTIONS.iter().zip(values) {
                    all.single(what, value);
                }
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
    /// Streams refused because too many sets of namespaces are served already.
    scopes_refused,
    /// Drains that ended by their deadline, cutting the connections that were left.
    drains_cut,
    /// Connections that could not be accepted.
    accept_errors,
    /// TLS handshakes that failed or took too long.
    handshakes_failed,
    /// Calls refused for want of valid credentials, or of the right to make them.
    callers_refused,
}

impl Metrics {
    /// Streams open now.
    pub fn sessions(&self) -> u64 {
        self.sessions_opened()
            .saturating_sub(self.sessions_closed())
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
        let mut all = Exposition::default();
        metrics.expose(&mut all);
        let text = all.finish();
        for line in [
            "# HELP novaedge_publish_steps_sent Steps of which all messages were handed to the transport",
            "novaedge_publish_steps_sent_total 2",
            "novaedge_publish_drains_cut_total 1",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} in {text}");
        }
    }
}
