//! What the data path counts.
//!
//! Each worker has counters of its own, written by its core alone; readers on other threads see them
//! with relaxed order and add the workers up.

use std::sync::Arc;
use std::time::Instant;

use http::StatusCode;
use novaedge_meter::{Durations, Handshakes, Http, ResourceName, Sets};
use novaedge_router::{HttpRule, ListenerInfo};

pub use self::names::RuleKey;
use crate::reason::Reason;

pub use novaedge_meter::Counter;

mod names;

/// Rules on listeners that are counted by name. Those beyond count as one.
const MAX_RULES: usize = 16_384;

/// Listeners that are counted by name.
const MAX_LISTENERS: usize = 4_096;

/// Backends that are counted by name.
const MAX_BACKENDS: usize = 16_384;

/// The counters of one worker.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Client connections opened.
    pub connections_opened: Counter,
    /// Client connections closed.
    pub connections_closed: Counter,
    /// Client connections ended because a request head, the next request, or any byte of a request
    /// under way did not come in time.
    pub connections_timed_out: Counter,
    /// Client connections ended because what came was no request, or one with too large a head.
    pub heads_refused: Counter,
    /// TLS handshakes with clients over TCP.
    pub handshakes: Handshakes,
    /// TLS handshakes with clients over QUIC.
    pub quic_handshakes: Handshakes,
    /// Handshakes of QUIC under way.
    pub quic_handshakes_waiting: Counter,
    /// Connections to backends opened.
    pub upstream_opened: Counter,
    /// Connections to backends that could not be opened.
    pub upstream_failed: Counter,
    /// Connections to backends closed because enough were idle.
    pub upstream_surplus: Counter,
    /// Endpoints left out for a while, because they failed.
    pub upstream_ejections: Counter,
    /// Names of endpoints that were resolved and not kept, because enough were.
    pub names_not_kept: Counter,
    /// Tries that were not made, because the request body had been too large to keep.
    pub retries_without_body: Counter,
    /// Tries not made because retries are too many of the backend's requests already.
    pub retries_over_budget: Counter,
    /// Mirrored requests sent.
    pub mirrored: Counter,
    /// Mirrored requests dropped, because too many were in flight.
    pub mirrors_dropped: Counter,
    /// Mirrored requests that got no answer, or none in time.
    pub mirrors_failed: Counter,
    /// Mirrored requests broken off, because the backend took their bodies too slowly.
    pub mirrors_lagging: Counter,
    /// Connections that left HTTP.
    pub upgrades: Counter,
    /// Connections that left HTTP, ended because nothing moved on them.
    pub upgrades_timed_out: Counter,
    /// Pipes for long bodies that were open at the last look.
    pub pipes: Counter,
    /// Tasks that waited for their turn at the last look.
    pub turns_waiting: Counter,
    /// The number of the worker.
    worker: usize,
    traffic: Arc<Traffic>,
}

/// What all workers count by name.
#[derive(Debug)]
pub struct Traffic {
    /// Requests by listener and rule.
    pub rules: Sets<RuleKey, RuleMetrics>,
    /// Requests by listener alone.
    pub listeners: Sets<ResourceName, ListenerMetrics>,
    /// Requests to backends.
    pub backends: Sets<ResourceName, BackendMetrics>,
}

/// The counters of one rule on one listener and worker. What a usual request touches is one line of the cache.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct RuleMetrics {
    /// Requests whose answer is 4xx.
    pub client_errors: Counter,
    /// Requests whose answer is 5xx.
    pub server_errors: Counter,
    /// From the head of a request to the end of its answer.
    pub durations: Durations<Http>,
}

/// The counters of one listener on one worker.
#[derive(Debug, Default)]
pub struct ListenerMetrics {
    /// Requests under way.
    pub active: Counter,
    /// Requests whose client went away before the end of the answer.
    pub aborted_by_client: Counter,
    /// Requests whose answer broke off on the side of the backend.
    pub aborted_by_backend: Counter,
    /// Answers of the gateway itself, by [`Reason::index`].
    pub own_answers: [Counter; Reason::ALL.len()],
}

/// The counters of one backend on one worker.
#[derive(Debug, Default)]
pub struct BackendMetrics {
    /// From the beginning of a try to the head of its answer.
    pub durations: Durations<Http>,
    /// Tries whose answer is 5xx.
    pub server_errors: Counter,
    /// Tries without an answer, by [`Reason::index`].
    pub failures: [Counter; Reason::ALL.len()],
    /// Tries after the first.
    pub retries: Counter,
    /// What was there at the last look.
    pub pool: PoolMetrics,
}

/// Connections and endpoints of a backend, as one worker saw them at its last look.
#[derive(Debug, Default)]
pub struct PoolMetrics {
    /// Connections that are open.
    pub open: Counter,
    /// Of these, those without a request.
    pub idle: Counter,
    /// Requests that wait for a connection.
    pub pending: Counter,
    /// Endpoints.
    pub endpoints: Counter,
    /// Of these, those whose health checks fail.
    pub unhealthy: Counter,
    /// Of these, those left out for a while because requests failed.
    pub ejected: Counter,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            rules: Sets::new(MAX_RULES),
            listeners: Sets::new(MAX_LISTENERS),
            backends: Sets::new(MAX_BACKENDS),
        }
    }
}

impl Traffic {
    /// Forgets after a while what was counted for resources that are gone, by name.
    pub fn forget(&self, is_gone: impl Fn(&str) -> bool, now: Instant) {
        self.rules.forget(
            |key| is_gone(key.listener.resource()) || is_gone(&key.resource),
            now,
        );
        self.listeners.forget(|key| is_gone(key.resource()), now);
        self.backends.forget(|key| is_gone(key.resource()), now);
    }

    /// Answers of the gateway itself for this reason.
    pub fn own_answers(&self, reason: Reason) -> u64 {
        let mut sum = 0;
        self.listeners.each(Instant::now(), |_, parts| {
            let counters = parts.filter_map(|part| part.own_answers.get(reason.index()));
            sum += counters.map(Counter::get).sum::<u64>();
        });
        sum
    }

    /// Tries to forward a request after the first.
    pub fn retries(&self) -> u64 {
        let mut sum = 0;
        self.backends.each(Instant::now(), |_, parts| {
            sum += parts.map(|part| part.retries.get()).sum::<u64>();
        });
        sum
    }

    /// How often a worker met a name beyond the limits.
    pub fn folded(&self) -> u64 {
        self.rules.folded() + self.listeners.folded() + self.backends.folded()
    }
}

impl Metrics {
    /// The counters of a worker, by its number among all that share `traffic`.
    #[must_use]
    pub fn new(worker: usize, traffic: Arc<Traffic>) -> Self {
        Self {
            worker,
            traffic,
            ..Self::default()
        }
    }

    /// What all workers count by name.
    #[must_use]
    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// The counters of a rule on a listener; without a rule, of what no rule took, and without a listener of what no
    /// listener did. Not for every request: it takes a lock.
    pub(crate) fn rule(
        &self,
        listener: Option<&ListenerInfo>,
        rule: Option<&HttpRule>,
    ) -> Arc<RuleMetrics> {
        let key = RuleKey::new(listener, rule.map(|rule| &rule.id));
        self.traffic.rules.part(key, self.worker, Instant::now())
    }

    /// The counters of a listener, or of requests without one. Not for every request: it takes a lock.
    pub(crate) fn listener(&self, listener: Option<&ListenerInfo>) -> Arc<ListenerMetrics> {
        let key = ResourceName::new(listener.map_or("", |info| &info.name));
        let listeners = &self.traffic.listeners;
        listeners.part(key, self.worker, Instant::now())
    }

    /// The counters of a backend. Not for every request: it takes a lock.
    pub(crate) fn backend(&self, name: &str) -> Arc<BackendMetrics> {
        let key = ResourceName::new(name);
        let backends = &self.traffic.backends;
        backends.part(key, self.worker, Instant::now())
    }
}

impl RuleMetrics {
    pub(crate) fn answered(&self, status: StatusCode) {
        if status.is_client_error() {
            self.client_errors.increment();
        } else if status.is_server_error() {
            self.server_errors.increment();
        }
    }
}

impl ListenerMetrics {
    pub(crate) fn own_answer(&self, reason: Reason) {
        if let Some(counter) = self.own_answers.get(reason.index()) {
            counter.increment();
        }
    }
}

impl BackendMetrics {
    pub(crate) fn failed(&self, reason: Reason) {
        if let Some(counter) = self.failures.get(reason.index()) {
            counter.increment();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_usual_request_touches_one_line_of_a_rule() {
        assert_eq!(align_of::<RuleMetrics>(), 64);
        // Errors, sum, and the buckets to 75 ms.
        assert_eq!(std::mem::offset_of!(RuleMetrics, durations), 16);
    }

    #[test]
    fn what_is_gone_is_forgotten_after_a_while() {
        let metrics = Metrics::default();
        metrics.listener(None).own_answer(Reason::NoListener);
        metrics.backend("backend/ns/a").failed(Reason::Overflow);
        let traffic = metrics.traffic();
        let count = |now| {
            let mut count = 0;
            traffic.listeners.each(now, |_, _| count += 1);
            traffic.backends.each(now, |_, _| count += 1);
            count
        };
        let now = Instant::now();
        traffic.forget(|name| name == "backend/ns/a", now);
        assert_eq!(count(now), 2);
        assert_eq!(count(now + Duration::from_hours(1)), 1);
    }
}
