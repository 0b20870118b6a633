//! Leaving out endpoints that fail while others don't.

use std::cell::Cell;
use std::time::{Duration, Instant};

use novaedge_router::{OutlierDetection, SuccessRate};

use crate::member::Member;

/// How a request to an endpoint ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A response, or a connection that was made.
    Success,
    /// A response of 500 to 599, or none on a connection that was made.
    ServerError,
    /// No connection.
    ConnectFailure,
}

/// What an endpoint has done.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// Failures since the last success.
    failures: Cell<u32>,
    /// Ejections in a row; time without one takes them back.
    ejections: Cell<u32>,
    until: Cell<Option<Instant>>,
    requests: Cell<u32>,
    successes: Cell<u32>,
}

impl Record {
    /// When the last ejection ends or ended.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.until.get()
    }

    /// Counts an outcome; says whether there are too many failures in a row now.
    pub(crate) fn note(&self, outcome: Outcome, outlier: &OutlierDetection) -> bool {
        self.requests.set(self.requests.get().saturating_add(1));
        if outcome == Outcome::Success {
            self.successes.set(self.successes.get().saturating_add(1));
            self.failures.set(0);
            return false;
        }
        let failures = self.failures.get().saturating_add(1);
        self.failures.set(failures);
        failures >= outlier.consecutive_failures.max(1)
    }

    /// Begins an ejection; returns its end.
    pub(crate) fn eject(&self, outlier: &OutlierDetection, now: Instant) -> Instant {
        let base = outlier.base_ejection.max(Duration::from_millis(1));
        let well = self
            .until
            .get()
            .map_or(Duration::ZERO, |until| now.saturating_duration_since(until));
        let forgiven = well.as_nanos() / base.as_nanos();
        let forgiven = u32::try_from(forgiven).unwrap_or(u32::MAX);
        let ejections = self.ejections.get().saturating_sub(forgiven) + 1;
        let longest = outlier.max_ejection.max(base);
        let time = base
            .checked_mul(ejections)
            .map_or(longest, |time| time.min(longest));
        let until = now + time;
        // More would take time to forgive, and does not make the ejection longer.
        let most = longest.as_nanos().div_ceil(base.as_nanos());
        let most = u32::try_from(most).unwrap_or(u32::MAX - 1);
        self.ejections.set(ejections.min(most));
        self.until.set(Some(until));
        self.failures.set(0);
        until
    }

    fn rate(&self, rules: &SuccessRate) -> Option<f64> {
        let requests = self.requests.get();
        (requests >= rules.min_requests.max(1))
            .then(|| f64::from(self.successes.get()) / f64::from(requests))
    }

    fn begin_interval(&self) {
        self.requests.set(0);
        self.successes.set(0);
    }
}

/// Whether one more of `all` endpoints may be left out when `ejected` are: never the last one.
pub(crate) fn has_room(ejected: usize, all: usize, outlier: &OutlierDetection) -> bool {
    let percent = usize::from(outlier.max_ejected_percent.min(100));
    let ceiling = (all * percent / 100).max(1).min(all.saturating_sub(1));
    ejected < ceiling
}

/// The rate of successes below which an endpoint is an outlier, if there are enough to tell.
pub(crate) fn lowest_rate<'m>(
    members: impl Iterator<Item = &'m Member> + Clone,
    rules: &SuccessRate,
) -> Option<f64> {
    let rates = members.filter_map(|member| member.record.rate(rules));
    let (mut count, mut sum) = (0_u32, 0.0);
    for rate in rates.clone() {
        count += 1;
        sum += rate;
    }
    if count < rules.min_endpoints.max(2) {
        return None;
    }
    let mean = sum / f64::from(count);
    let variance = rates.map(|rate| (rate - mean).powi(2)).sum::<f64>() / f64::from(count);
    let deviations = f64::from(rules.deviations_thousandths) / 1000.0;
    Some(mean - deviations * variance.sqrt())
}

/// Whether the endpoint is below that rate.
pub(crate) fn is_below(member: &Member, rules: &SuccessRate, lowest: f64) -> bool {
    member.record.rate(rules).is_some_and(|rate| rate < lowest)
}

/// Forgets the requests counted so far.
pub(crate) fn begin_interval<'m>(members: impl Iterator<Item = &'m Member>) {
    members.for_each(|member| member.record.begin_interval());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ejections_grow_up_to_a_ceiling_and_are_forgiven() {
        let outlier = OutlierDetection {
            base_ejection: Duration::from_secs(10),
            max_ejection: Duration::from_secs(30),
            ..OutlierDetection::default()
        };
        let record = Record::default();
        let mut now = Instant::now();
        for seconds in [10, 20, 30, 30, 30] {
            let until = record.eject(&outlier, now);
            assert_eq!(until - now, Duration::from_secs(seconds));
            now = until;
        }
        now += Duration::from_secs(20);
        assert_eq!(record.eject(&outlier, now) - now, Duration::from_secs(20));
    }

    #[test]
    fn one_may_always_be_left_out_and_never_all() {
        let outlier = |max_ejected_percent| OutlierDetection {
            max_ejected_percent,
            ..OutlierDetection::default()
        };
        let cases = [
            (1, 100, 0),
            (2, 10, 1),
            (2, 100, 1),
            (10, 0, 1),
            (10, 30, 3),
            (10, 100, 9),
        ];
        for (all, percent, most) in cases {
            let outlier = outlier(percent);
            let ejected = (0..=all).find(|ejected| !has_room(*ejected, all, &outlier));
            assert_eq!(ejected, Some(most), "{percent}% of {all}");
        }
    }
}
