//! How long an endpoint takes to answer: an average that forgets, and that believes bad news at once (peak EWMA).

use std::cell::Cell;
use std::time::{Duration, Instant};

/// After this time a measurement counts for a little more than a third.
const DECAY: Duration = Duration::from_secs(10);

/// What an endpoint that nobody has heard of costs while its first request is under way, in seconds: one at a time.
const UNKNOWN: f64 = 1e9;

/// The average of one endpoint.
#[derive(Debug, Default)]
pub(crate) struct Latency(Cell<Option<Average>>);

#[derive(Clone, Copy, Debug)]
struct Average {
    seconds: f64,
    at: Instant,
}

impl Latency {
    /// A request took this long.
    pub(crate) fn observe(&self, took: Duration, now: Instant) {
        let took = took.as_secs_f64();
        let seconds = match self.0.get() {
            Some(known) if took < known.seconds => {
                let kept = kept(known.at, now);
                known.seconds * kept + took * (1.0 - kept)
            }
            _ => took,
        };
        self.0.set(Some(Average { seconds, at: now }));
    }

    /// What one more request costs with this many under way for each unit of weight.
    ///
    /// An average falls while nothing is heard, so an endpoint that was slow once is asked again.
    pub(crate) fn cost(&self, active: f64, now: Instant) -> f64 {
        match self.0.get() {
            Some(known) => known.seconds * kept(known.at, now) * (1.0 + active),
            None if active > 0.0 => UNKNOWN * active,
            None => 0.0,
        }
    }
}

/// How much of a measurement is left.
fn kept(at: Instant, now: Instant) -> f64 {
    (-now.saturating_duration_since(at).as_secs_f64() / DECAY.as_secs_f64()).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_news_count_at_once_and_good_news_little_by_little() {
        let latency = Latency::default();
        let start = Instant::now();
        latency.observe(Duration::from_millis(10), start);
        latency.observe(Duration::from_millis(100), start);
        assert!((latency.cost(0.0, start) - 0.1).abs() < 1e-9);
        let later = start + DECAY;
        latency.observe(Duration::from_millis(10), later);
        let cost = latency.cost(0.0, later);
        assert!((0.04..0.05).contains(&cost), "{cost}");
        assert!(latency.cost(0.0, later + DECAY) < cost / 2.0);
    }

    #[test]
    fn an_unknown_endpoint_is_asked_once_at_a_time() {
        let (unknown, known) = (Latency::default(), Latency::default());
        let now = Instant::now();
        known.observe(Duration::from_secs(1), now);
        assert!(unknown.cost(0.0, now) < known.cost(0.0, now));
        assert!(unknown.cost(1.0, now) > known.cost(9.0, now));
    }
}
