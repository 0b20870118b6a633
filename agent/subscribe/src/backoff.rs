//! The waits between two tries to connect.

use std::time::Duration;

/// Bounds of the wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackoffConfig {
    /// The longest first wait.
    pub min: Duration,
    /// The longest wait of all.
    pub max: Duration,
}

impl Default for BackoffConfig {
    fn default() -> Self {
        Self {
            min: Duration::from_millis(100),
            max: Duration::from_secs(5),
        }
    }
}

/// Doubles the wait with every failure, up to the bound. Randomness keeps a fleet from coming back at
/// one moment.
#[derive(Debug)]
pub struct Backoff {
    config: BackoffConfig,
    failures: u32,
}

impl Backoff {
    /// A backoff before the first failure.
    pub fn new(config: BackoffConfig) -> Self {
        Self {
            config,
            failures: 0,
        }
    }

    /// The wait after one more failure: between half of the doubled wait and all of it, as `jitter`
    /// (0 to 1) says.
    pub fn next(&mut self, jitter: f64) -> Duration {
        let doubled = 2_u32.checked_pow(self.failures).unwrap_or(u32::MAX);
        let longest = self.config.min.saturating_mul(doubled).min(self.config.max);
        self.failures = self.failures.saturating_add(1);
        let jitter = if jitter.is_finite() { jitter } else { 1.0 };
        longest.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
    }

    /// Starts anew after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_bound() {
        let mut backoff = Backoff::new(BackoffConfig::default());
        let waits: Vec<_> = (0..8).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        backoff.reset();
        assert_eq!(backoff.next(0.0).as_millis(), 50);
    }

    #[test]
    fn no_jitter_and_no_count_breaks_the_bounds() {
        let mut backoff = Backoff::new(BackoffConfig::default());
        for jitter in [-1.0, 2.0, f64::NAN, f64::INFINITY] {
            let wait = backoff.next(jitter);
            assert!((50..=5_000).contains(&wait.as_millis()), "{wait:?}");
        }
        for _ in 0..100 {
            backoff.next(1.0);
        }
        assert_eq!(backoff.next(1.0).as_millis(), 5_000);
    }
}
