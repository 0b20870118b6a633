//! What a worker counts. Written by one thread, read by any.

use std::cell::Cell;
use std::rc::Rc;

use novaedge_meter::{Counter, Durations, Handshakes, Long};
use tokio::time::Instant;

use crate::flow::Flow;

/// The layer 4 counters of one worker, over all that it serves.
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
    /// TLS handshakes with clients whose TLS ends here.
    pub handshakes: Handshakes,
    /// Pipes that were open at the last look.
    pub pipes: Counter,
    errors: [Counter; ErrorKind::ALL.len()],
}

/// The counters of one worker for what goes from a listener by a rule to a backend. Field names are the metric names
/// behind `novaedge_l4_`; bytes count payload, once, as the clients see it.
#[derive(Debug, Default)]
pub struct FlowCounters {
    /// Connections taken on, since the start: TCP, TLS Terminate and TLS Passthrough.
    pub connections_total: Counter,
    /// Connections open now.
    pub active_connections: Counter,
    /// Bytes sent to clients.
    pub bytes_sent_total: Counter,
    /// Bytes received from clients.
    pub bytes_received_total: Counter,
    /// How long connections that are closed were open.
    pub connection_duration: Durations<Long>,
    /// TLS connections forwarded without ending TLS here.
    pub tls_passthrough_total: Counter,
    /// TLS connections closed because no listener or no route has their server name.
    pub sni_routing_errors_total: Counter,
    /// UDP sessions since the start.
    pub udp_sessions_total: Counter,
    /// UDP sessions open now.
    pub udp_active_sessions: Counter,
    errors: [Counter; ErrorKind::ALL.len()],
}

impl FlowCounters {
    /// Connections (or UDP sessions) that failed for this reason: `connection_errors_total`.
    pub fn errors(&self, kind: ErrorKind) -> u64 {
        self.errors.get(kind as usize).map_or(0, Counter::get)
    }

    pub(crate) fn error(&self, kind: ErrorKind) {
        if let Some(counter) = self.errors.get(kind as usize) {
            counter.increment();
        }
    }
}

impl Counters {
    /// Connections (or UDP sessions) that failed for this reason: `connection_errors_total`.
    pub fn errors(&self, kind: ErrorKind) -> u64 {
        self.errors.get(kind as usize).map_or(0, Counter::get)
    }

    pub(crate) fn error(&self, kind: ErrorKind) {
        if let Some(counter) = self.errors.get(kind as usize) {
            counter.increment();
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

/// Counts a connection from its beginning to its end, for its worker and for where it goes.
#[derive(Debug)]
pub(crate) struct OpenConnection<'a> {
    counters: &'a Counters,
    flow: Rc<Flow>,
    since: Instant,
}

impl<'a> OpenConnection<'a> {
    pub(crate) fn new(counters: &'a Counters, flow: &Rc<Flow>) -> Self {
        counters.connections_total.increment();
        counters.active_connections.increment();
        flow.counters.connections_total.increment();
        flow.counters.active_connections.increment();
        Self {
            counters,
            flow: Rc::clone(flow),
            since: Instant::now(),
        }
    }
}

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        let flow = &self.flow.counters;
        self.counters.active_connections.decrement();
        flow.active_connections.decrement();
        flow.connection_duration.observe(self.since.elapsed());
    }
}

/// Counts a UDP session in the same way.
#[derive(Debug)]
pub(crate) struct OpenSession<'a> {
    counters: &'a Counters,
    flow: Rc<Flow>,
}

impl<'a> OpenSession<'a> {
    pub(crate) fn new(counters: &'a Counters, flow: &Rc<Flow>) -> Self {
        counters.udp_sessions_total.increment();
        counters.udp_active_sessions.increment();
        flow.counters.udp_sessions_total.increment();
        flow.counters.udp_active_sessions.increment();
        Self {
            counters,
            flow: Rc::clone(flow),
        }
    }
}

impl Drop for OpenSession<'_> {
    fn drop(&mut self) {
        self.counters.udp_active_sessions.decrement();
        self.flow.counters.udp_active_sessions.decrement();
    }
}

/// Bytes are counted for the worker, for where they go, and for the access log if somebody wants to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tally<'a> {
    pub(crate) all: &'a Counter,
    pub(crate) here: &'a Counter,
    pub(crate) told: Option<&'a Cell<u64>>,
}

impl Tally<'_> {
    pub(crate) fn add(self, bytes: u64) {
        self.all.add(bytes);
        self.here.add(bytes);
        if let Some(told) = self.told {
            told.set(told.get() + bytes);
        }
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
    fn a_connection_is_counted_to_its_end() {
        let (counters, flow) = (Counters::default(), Rc::new(Flow::default()));
        let open = OpenConnection::new(&counters, &flow);
        assert_eq!(counters.active_connections.get(), 1);
        assert_eq!(flow.counters.active_connections.get(), 1);
        drop(open);
        assert_eq!(counters.active_connections.get(), 0);
        assert_eq!(flow.counters.active_connections.get(), 0);
        assert_eq!(flow.counters.connections_total.get(), 1);
        assert_eq!(flow.counters.connection_duration.count(), 1);
    }
}
