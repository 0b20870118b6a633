//! What active checks say of an endpoint.

use std::cell::Cell;

/// Whether requests should go to an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// Nothing is known against it.
    #[default]
    Healthy,
    /// Checks fail.
    Unhealthy,
    /// It is about to end: it finishes what it has, and gets nothing more as long as there are others.
    Draining,
}

/// The result of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// The endpoint answered as it should.
    Passed,
    /// It did not, or not in time.
    Failed,
}

/// How many results in a row change an endpoint's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Passed checks after which an unhealthy endpoint is healthy.
    pub healthy: u32,
    /// Failed checks after which a healthy endpoint is unhealthy.
    pub unhealthy: u32,
}

/// Results in a row that speak against what is believed.
#[derive(Debug, Default)]
pub(crate) struct Streak(Cell<u32>);

impl Streak {
    /// The health after one more result, if it is another one than before. A draining endpoint stays one.
    pub(crate) fn judge(
        &self,
        before: Health,
        check: Check,
        thresholds: Thresholds,
    ) -> Option<Health> {
        let (threshold, after) = match (before, check) {
            (Health::Healthy, Check::Failed) => (thresholds.unhealthy, Health::Unhealthy),
            (Health::Unhealthy, Check::Passed) => (thresholds.healthy, Health::Healthy),
            _ => {
                self.0.set(0);
                return None;
            }
        };
        let streak = self.0.get().saturating_add(1);
        if streak < threshold {
            self.0.set(streak);
            return None;
        }
        self.0.set(0);
        Some(after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_changes_after_enough_results_in_a_row() {
        use Check::{Failed, Passed};
        let thresholds = Thresholds {
            healthy: 2,
            unhealthy: 3,
        };
        let steps = [
            (Failed, None),
            (Failed, None),
            (Passed, None),
            (Failed, None),
            (Failed, None),
            (Failed, Some(Health::Unhealthy)),
            (Passed, None),
            (Failed, None),
            (Passed, None),
            (Passed, Some(Health::Healthy)),
            (Passed, None),
        ];
        let streak = Streak::default();
        let mut health = Health::Healthy;
        for (index, (check, expect)) in steps.into_iter().enumerate() {
            let change = streak.judge(health, check, thresholds);
            assert_eq!(change, expect, "step {index}");
            health = change.unwrap_or(health);
        }
    }

    #[test]
    fn a_draining_endpoint_stays_one() {
        let thresholds = Thresholds {
            healthy: 1,
            unhealthy: 1,
        };
        let streak = Streak::default();
        for check in [Check::Passed, Check::Failed] {
            assert_eq!(streak.judge(Health::Draining, check, thresholds), None);
        }
    }
}
