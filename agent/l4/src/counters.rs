//! What a worker counts. Written by one thread, read by any.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that one worker changes and the metrics endpoint reads.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// The present value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    fn subtract(&self, amount: u64) {
        self.0.fetch_sub(amount, Ordering::Relaxed);
    }
}

/// The layer 4 counters of one worker. Field names are the metric names behind `novaedge_l4_`;
/// bytes count payload, once, as the clients see it.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections taken on, since the start: TCP, TLS Terminate and TLS Passthrough.
    pub connections_total: Counter,
    /// Connections open now.
    pub active_connections: Counter,
    /// Bytes sent to clients.
    pub bytes_sent_total: Counter,
    /// Bytes received from clients.
    pub bytes_received_total: Counter,
    /// Milliseconds that the connections closed so far were open.
    pub connection_duration_milliseconds_total: Counter,
    /// TLS connections forwarded without ending TLS here.
    pub tls_passthrough_total: Counter,
    /// TLS connections closed because no listener or no route has their server name.
    pub sni_routing_errors_total: Counter,
    /// Endpoints left out for a while, because they could not be connected to.
    pub backend_ejections_total: Counter,
    /// UDP sessions since the start.
    pub udp_sessions_total: Counter,
    /// UDP sessions open now.
    pub udp_active_sessions: Counter,
    /// UDP sessions ended early to stay within the limit.
    pub udp_evicted_sessions_total: Counter,
    /// UDP datagrams that nobody got: no backend, full socket buffer, or refused by the endpoint.
    pub udp_dropped_datagrams_total: Counter,
    errors: [Counter; ErrorKind::ALL.len()],
}

impl Counters {
    /// Connections (or UDP sessions) that failed for this reason: `connection_errors_total`.
    pub fn errors(&self, kind: ErrorKind) -> u64 {
        self.errors.get(kind as usize).map_or(0, Counter::get)
    }

    pub(crate) fn error(&self, kind: ErrorKind) {
        if let Some(counter) = self.errors.get(kind as usize) {
            counter.add(1);
        }
    }
}

/// Why a connection failed: the bounded label of `connection_errors_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The first bytes on a TLS listener were no ClientHello, or came too late.
    ClientHello,
    /// No listener or no route is there for the connection.
    NoRoute,
    /// The chosen share of the route has no usable backend.
    InvalidBackend,
    /// The backend has no endpoint.
    NoEndpoint,
    /// The backend's connection limit is reached.
    BackendLimit,
    /// No endpoint took the connection.
    Connect,
    /// The TLS handshake with the client failed.
    ClientHandshake,
    /// The client's side broke while bytes were forwarded.
    Client,
    /// The endpoint's side broke while bytes were forwarded.
    Backend,
    /// Nothing was sent for the idle timeout.
    Idle,
}

impl ErrorKind {
    /// Every kind, in the order of the discriminants.
    pub const ALL: [Self; 10] = [
        Self::ClientHello,
        Self::NoRoute,
        Self::InvalidBackend,
        Self::NoEndpoint,
        Self::BackendLimit,
        Self::Connect,
        Self::ClientHandshake,
        Self::Client,
        Self::Backend,
        Self::Idle,
    ];

    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientHello => "client_hello",
            Self::NoRoute => "no_route",
            Self::InvalidBackend => "invalid_backend",
            Self::NoEndpoint => "no_endpoint",
            Self::BackendLimit => "backend_limit",
            Self::Connect => "connect",
            Self::ClientHandshake => "client_handshake",
            Self::Client => "client",
            Self::Backend => "backend",
            Self::Idle => "idle",
        }
    }
}

/// Keeps a gauge one higher while it lives.
#[derive(Debug)]
pub(crate) struct Gauge<'a>(&'a Counter);

impl<'a> Gauge<'a> {
    pub(crate) fn enter(counter: &'a Counter) -> Self {
        counter.add(1);
        Self(counter)
    }
}

impl Drop for Gauge<'_> {
    fn drop(&mut self) {
        self.0.subtract(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_error_has_a_counter_and_a_label_of_its_own() {
        let counters = Counters::default();
        let mut labels = std::collections::BTreeSet::new();
        for (index, kind) in ErrorKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
            assert!(labels.insert(kind.as_str()));
            counters.error(kind);
            assert_eq!(counters.errors(kind), 1);
        }
    }

    #[test]
    fn a_gauge_falls_when_its_guard_goes() {
        let counters = Counters::default();
        let guard = Gauge::enter(&counters.active_connections);
        assert_eq!(counters.active_connections.get(), 1);
        drop(guard);
        assert_eq!(counters.active_connections.get(), 0);
    }
}
