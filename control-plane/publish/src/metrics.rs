//! Counters of the publishing side.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the start of the process. Reading one takes no lock.
#[derive(Debug, Default)]
pub struct Metrics {
    pub(crate) steps_sent: Counter,
    pub(crate) messages_sent: Counter,
    pub(crate) bytes_sent: Counter,
    pub(crate) acks: Counter,
    pub(crate) stale_acks: Counter,
    pub(crate) rejections: Counter,
    pub(crate) sessions_opened: Counter,
    pub(crate) sessions_closed: Counter,
    pub(crate) sessions_refused: Counter,
    pub(crate) sessions_failed: Counter,
    pub(crate) log_truncations: Counter,
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
    /// Steps of which all messages were handed to the transport.
    pub fn steps_sent(&self) -> u64 {
        self.steps_sent.get()
    }

    /// Messages handed to the transport.
    pub fn messages_sent(&self) -> u64 {
        self.messages_sent.get()
    }

    /// Encoded bytes of these messages, without gRPC's and HTTP/2's frames.
    pub fn bytes_sent(&self) -> u64 {
        self.bytes_sent.get()
    }

    /// Acknowledgements of steps, with or without rejections.
    pub fn acks(&self) -> u64 {
        self.acks.get()
    }

    /// Acknowledgements of steps that were not in flight.
    pub fn stale_acks(&self) -> u64 {
        self.stale_acks.get()
    }

    /// Rejections of single resources.
    pub fn rejections(&self) -> u64 {
        self.rejections.get()
    }

    /// Streams that were let in.
    pub fn sessions_opened(&self) -> u64 {
        self.sessions_opened.get()
    }

    /// Streams open now.
    pub fn sessions(&self) -> u64 {
        self.sessions_opened
            .get()
            .saturating_sub(self.sessions_closed.get())
    }

    /// Streams refused because there were `max_sessions` already.
    pub fn sessions_refused(&self) -> u64 {
        self.sessions_refused.get()
    }

    /// Streams closed for a breach of the protocol or a missed deadline.
    pub fn sessions_failed(&self) -> u64 {
        self.sessions_failed.get()
    }

    /// Steps that the limits have pushed out of the log.
    pub fn log_truncations(&self) -> u64 {
        self.log_truncations.get()
    }
}
