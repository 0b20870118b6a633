//! Durations of repeated work.

use std::time::{Duration, Instant};

use crate::stats::{median, percentile};

/// Runs `work` and tells how long it took, in microseconds.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let result = work();
    (result, microseconds(start.elapsed()))
}

/// A duration in microseconds.
pub fn microseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// How a set of durations is spread; all figures in the unit of the durations.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Distribution {
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Largest.
    pub max: f64,
}

impl Distribution {
    /// The distribution of `values`; NaN where there are none.
    pub fn of(values: &[f64]) -> Self {
        let at = |share| percentile(values, share).unwrap_or(f64::NAN);
        Self {
            p50: median(values).unwrap_or(f64::NAN),
            p90: at(0.9),
            p99: at(0.99),
            max: at(1.0),
        }
    }

    /// The figures in order.
    pub fn figures(self) -> [f64; 4] {
        [self.p50, self.p90, self.p99, self.max]
    }
}
