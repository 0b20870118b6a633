//! How long to wait after failures.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

/// The longest wait after the first failure.
const FIRST: Duration = Duration::from_millis(100);
/// The longest wait at all: agents are to follow soon after an API server is back.
const LONGEST: Duration = Duration::from_secs(5);

/// Waits that double with each failure in a row.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
    wait: Option<Duration>,
}

impl Backoff {
    /// Counts a failure, after which somebody has to wait.
    pub(crate) fn fail(&mut self) {
        self.fail_up_to(LONGEST);
    }

    /// Counts a failure, after which somebody has to wait, at most so long.
    pub(crate) fn fail_up_to(&mut self, longest: Duration) {
        self.wait = Some(wait(self.failures, longest, random()));
        self.failures = self.failures.saturating_add(1);
    }

    /// It works.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }

    /// How long to wait before going on, once after each failure.
    pub(crate) fn take(&mut self) -> Option<Duration> {
        self.wait.take()
    }
}

/// Between half of the longest wait after so many earlier failures and all of it.
fn wait(failures: u32, longest: Duration, random: u64) -> Duration {
    let longest = FIRST.saturating_mul(1 << failures.min(16)).min(longest);
    let half = longest / 2;
    let share = u64::try_from(half.as_millis()).unwrap_or(u64::MAX).max(1);
    half + Duration::from_millis(random % share)
}

/// Hash maps are seeded with what the system gives.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_differ() {
        let bounds = |failures| {
            let millis = |random| wait(failures, LONGEST, random).as_millis();
            (millis(0), millis(u64::MAX))
        };
        for (failures, longest) in [
            (0, 100),
            (1, 200),
            (5, 3_200),
            (6, 5_000),
            (u32::MAX, 5_000),
        ] {
            let (least, most) = bounds(failures);
            assert_eq!(least, longest / 2);
            assert!((least..=longest).contains(&most), "{failures}: {most}");
        }
    }

    #[test]
    fn a_wait_is_taken_once_and_forgotten_with_success() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.take(), None);
        backoff.fail();
        backoff.fail();
        assert!(backoff.take().is_some_and(|wait| wait >= FIRST));
        assert_eq!(backoff.take(), None);
        backoff.fail();
        backoff.reset();
        assert_eq!((backoff.take(), backoff.failures), (None, 0));
    }
}
