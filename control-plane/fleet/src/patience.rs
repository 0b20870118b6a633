//! How long a watch waits after a failure.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use kube::runtime::utils::Backoff;

/// The longest wait after the first failure.
const FIRST: Duration = Duration::from_millis(100);
/// The longest wait at all: the fleet is to follow soon after an API server is back.
const LONGEST: Duration = Duration::from_secs(5);

/// Waits that double with each failure in a row, from 100 ms to 5 s, up to half of each by chance.
#[derive(Debug, Default)]
pub struct Patience {
    failures: u32,
}

impl Iterator for Patience {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let longest = FIRST
            .saturating_mul(1 << self.failures.min(16))
            .min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        // Hash maps are seeded with what the system gives.
        let random = u32::try_from(RandomState::new().hash_one(()) % 1000).unwrap_or(0);
        let half = longest / 2;
        Some(half + half * random / 1000)
    }
}

impl Backoff for Patience {
    fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_five_seconds_and_begin_anew() {
        let mut patience = Patience::default();
        let mut longest = FIRST;
        for _ in 0..40 {
            let wait = patience.next().expect("it never gives up");
            assert!((longest / 2..=longest).contains(&wait), "{wait:?}");
            longest = (longest * 2).min(LONGEST);
        }
        patience.reset();
        assert!(patience.next().is_some_and(|wait| wait <= FIRST));
    }
}
