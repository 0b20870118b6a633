//! What the data path counts.
//!
//! Each worker has counters of its own, written by its core alone; readers on other threads see them
//! with relaxed order and add the workers up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;

use crate::reason::Reason;

/// Routes that are counted by name, per worker. Those beyond count as one, [`OTHER_ROUTES`].
const MAX_ROUTES: usize = 16_384;

/// The name that routes beyond the limit of names are counted by.
pub const OTHER_ROUTES: &str = "route/other";

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
    /// TLS handshakes with clients that failed.
    pub handshakes_failed: Counter,
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
    /// Tries to forward a request after the first.
    pub retries: Counter,
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
    /// Answers of the gateway itself, by [`Reason::index`].
    pub own_answers: [Counter; Reason::ALL.len()],
    traffic: Mutex<Traffic>,
}

#[derive(Debug, Default)]
struct Traffic {
    listeners: BTreeMap<Arc<str>, Arc<ListenerMetrics>>,
    routes: BTreeMap<RouteKey, Arc<RouteMetrics>>,
}

/// A rule on a listener, by resource names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteKey {
    /// The listener.
    pub listener: Arc<str>,
    /// The rule; `None`: no rule matched.
    pub route: Option<Arc<str>>,
}

/// The counters of one listener on one worker.
#[derive(Debug, Default)]
pub struct ListenerMetrics {
    /// From the head of a request to the head of its answer.
    pub durations: Durations,
}

/// The counters of one rule on one listener and worker.
#[derive(Debug, Default)]
pub struct RouteMetrics {
    /// Responses by class: index 1 is 1xx, up to 5; index 0 is anything else.
    pub responses: [Counter; 6],
}

/// A histogram of durations.
#[derive(Debug, Default)]
pub struct Durations {
    /// By the index of the first bound that is not below, in [`Durations::BOUNDS`]; the last is for all
    /// that is longer.
    pub buckets: [Counter; Durations::BOUNDS.len() + 1],
    /// Microseconds of all together.
    pub sum: Counter,
}

/// A number that only grows, and that one core alone changes.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, amount: u64) {
        // There is one writer, so nothing is lost between the load and the store, and the processor
        // need not lock the bus for a read-modify-write.
        let before = self.0.load(Ordering::Relaxed);
        self.0.store(before.wrapping_add(amount), Ordering::Relaxed);
    }

    /// The number now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Metrics {
    /// The counters of a listener, by resource name. Not for every request: it takes a lock.
    #[must_use]
    pub fn listener(&self, name: &Arc<str>) -> Arc<ListenerMetrics> {
        let mut traffic = self.traffic();
        Arc::clone(traffic.listeners.entry(Arc::clone(name)).or_default())
    }

    /// The counters of a rule. Not for every request: it takes a lock.
    #[must_use]
    pub fn route(&self, key: RouteKey) -> Arc<RouteMetrics> {
        let mut traffic = self.traffic();
        let routes = &mut traffic.routes;
        if routes.len() >= MAX_ROUTES && !routes.contains_key(&key) {
            // Whoever serves by these tables holds on to the counters of its routes.
            routes.retain(|_, counters| Arc::strong_count(counters) > 1);
        }
        let key = if routes.len() < MAX_ROUTES || routes.contains_key(&key) {
            key
        } else {
            RouteKey {
                route: Some(OTHER_ROUTES.into()),
                ..key
            }
        };
        Arc::clone(routes.entry(key).or_default())
    }

    /// Forgets what was counted for listeners and rules that are gone, by resource name.
    pub fn forget(&self, gone: &[String]) {
        let mut traffic = self.traffic();
        let Traffic { listeners, routes } = &mut *traffic;
        for name in gone {
            let name: Arc<str> = name.as_str().into();
            if listeners.remove(&name).is_some() {
                routes.retain(|key, _| key.listener != name);
                continue;
            }
            for listener in listeners.keys() {
                routes.remove(&RouteKey {
                    listener: Arc::clone(listener),
                    route: Some(Arc::clone(&name)),
                });
            }
        }
    }

    /// All listeners that have counted something, by resource name.
    #[must_use]
    pub fn listeners(&self) -> BTreeMap<Arc<str>, Arc<ListenerMetrics>> {
        self.traffic().listeners.clone()
    }

    /// All rules that have counted something.
    #[must_use]
    pub fn routes(&self) -> BTreeMap<RouteKey, Arc<RouteMetrics>> {
        self.traffic().routes.clone()
    }

    fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn own_answer(&self, reason: Reason) {
        if let Some(counter) = self.own_answers.get(reason.index()) {
            counter.increment();
        }
    }
}

impl RouteMetrics {
    pub(crate) fn response(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100);
        if let Some(counter) = self.responses.get(if class < 6 { class } else { 0 }) {
            counter.increment();
        }
    }
}

impl Durations {
    /// Upper bounds of the buckets, in microseconds.
    pub const BOUNDS: [u64; 14] = [
        500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
        2_500_000, 5_000_000, 10_000_000,
    ];

    pub(crate) fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let at = Self::BOUNDS.partition_point(|bound| *bound < micros);
        if let Some(bucket) = self.buckets.get(at) {
            bucket.increment();
        }
        self.sum.add(micros);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(listener: &str, route: usize) -> RouteKey {
        RouteKey {
            listener: listener.into(),
            route: Some(route.to_string().into()),
        }
    }

    #[test]
    fn a_duration_counts_in_the_bucket_of_the_next_bound() {
        let durations = Durations::default();
        for micros in [0, 500, 501, 10_000_000, 10_000_001] {
            durations.observe(Duration::from_micros(micros));
        }
        let counts = durations.buckets.each_ref().map(Counter::get);
        assert_eq!(counts[..2], [2, 1]);
        assert_eq!(counts[13..], [1, 1]);
        assert_eq!(durations.sum.get(), 20_001_002);
    }

    #[test]
    fn routes_that_are_gone_make_room_and_those_beyond_the_limit_count_as_one() {
        let metrics = Metrics::default();
        let held: Vec<_> = (0..MAX_ROUTES)
            .map(|route| metrics.route(key("l", route)))
            .collect();
        let beyond = metrics.route(key("l", MAX_ROUTES));
        assert!(Arc::ptr_eq(
            &beyond,
            &metrics.route(key("l", MAX_ROUTES + 1))
        ));
        assert!(Arc::ptr_eq(&held[7], &metrics.route(key("l", 7))));
        drop(held);
        metrics.route(key("l", MAX_ROUTES)).response(StatusCode::OK);
        let routes = metrics.routes();
        assert_eq!(routes.len(), 2);
        assert_eq!(routes[&key("l", MAX_ROUTES)].responses[2].get(), 1);
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let metrics = Metrics::default();
        for listener in ["a", "b"] {
            let name = listener.into();
            metrics.listener(&name).durations.observe(Duration::ZERO);
            for route in 0..3 {
                metrics.route(key(listener, route)).response(StatusCode::OK);
            }
        }
        metrics.forget(&["1".into(), "b".into(), "never".into()]);
        let left: Vec<_> = metrics.routes().into_keys().collect();
        assert_eq!(left, [key("a", 0), key("a", 2)]);
        assert_eq!(metrics.listeners().len(), 1);
        let again = metrics.route(key("a", 1));
        assert_eq!(again.responses[2].get(), 0);
    }
}
