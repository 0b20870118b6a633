//! Histograms of durations.

use std::marker::PhantomData;
use std::time::Duration;

use crate::counter::Counter;

/// Number of bounds.
const BOUNDS: usize = 14;

/// Upper bounds of the buckets of a histogram.
pub trait Bounds {
    /// In microseconds.
    const MICROS: [u64; BOUNDS];
    /// The same as labels, in seconds.
    const LE: [&'static str; BOUNDS];
}

/// What OpenTelemetry advises for HTTP ("Semantic conventions for HTTP metrics", `http.server.request.duration`).
#[derive(Clone, Copy, Debug, Default)]
pub struct Http;

/// For what the gateway itself does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Short;

/// For connections and sessions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Long;

impl Bounds for Http {
    const MICROS: [u64; BOUNDS] = [
        5_000, 10_000, 25_000, 50_000, 75_000, 100_000, 250_000, 500_000, 750_000, 1_000_000,
        2_500_000, 5_000_000, 7_500_000, 10_000_000,
    ];
    const LE: [&'static str; BOUNDS] = [
        "0.005", "0.01", "0.025", "0.05", "0.075", "0.1", "0.25", "0.5", "0.75", "1.0", "2.5",
        "5.0", "7.5", "10.0",
    ];
}

impl Bounds for Short {
    const MICROS: [u64; BOUNDS] = [
        100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
        2_500_000, 10_000_000,
    ];
    const LE: [&'static str; BOUNDS] = [
        "0.0001", "0.00025", "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1",
        "0.25", "1.0", "2.5", "10.0",
    ];
}

impl Bounds for Long {
    const MICROS: [u64; BOUNDS] = [
        10_000,
        50_000,
        100_000,
        500_000,
        1_000_000,
        5_000_000,
        10_000_000,
        30_000_000,
        60_000_000,
        300_000_000,
        600_000_000,
        1_800_000_000,
        3_600_000_000,
        21_600_000_000,
    ];
    const LE: [&'static str; BOUNDS] = [
        "0.01", "0.05", "0.1", "0.5", "1.0", "5.0", "10.0", "30.0", "60.0", "300.0", "600.0",
        "1800.0", "3600.0", "21600.0",
    ];
}

/// A histogram of durations that one core fills.
///
/// The sum stands before the buckets, so that short durations touch one line of the cache.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Durations<B> {
    /// Microseconds of all together.
    sum: Counter,
    /// By the index of the first bound that is not below; the last is for all that is longer.
    buckets: [Counter; BOUNDS + 1],
    bounds: PhantomData<B>,
}

/// Histograms of several cores, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums<B> {
    /// Microseconds of all together.
    pub sum: u64,
    /// As in [`Durations`], not cumulative.
    pub buckets: [u64; BOUNDS + 1],
    bounds: PhantomData<B>,
}

impl<B: Bounds> Durations<B> {
    /// Counts one.
    pub fn observe(&self, duration: Duration) {
        // Without the 128 bits of `as_micros`.
        let seconds = duration.as_secs().saturating_mul(1_000_000);
        let micros = seconds.saturating_add(duration.subsec_micros().into());
        let at = B::MICROS.partition_point(|bound| *bound < micros);
        if let Some(bucket) = self.buckets.get(at) {
            bucket.increment();
        }
        self.sum.add(micros);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(Counter::get).sum()
    }

    /// What it has now.
    #[must_use]
    pub fn sums(&self) -> Sums<B> {
        Sums {
            sum: self.sum.get(),
            buckets: self.buckets.each_ref().map(Counter::get),
            bounds: PhantomData,
        }
    }
}

impl<B> Sums<B> {
    /// Adds what another has.
    pub fn add(&mut self, other: &Self) {
        self.sum = self.sum.wrapping_add(other.sum);
        for (sum, bucket) in self.buckets.iter_mut().zip(other.buckets) {
            *sum += bucket;
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_the_bucket_of_the_next_bound() {
        let durations = Durations::<Http>::default();
        for micros in [0, 5_000, 5_001, 10_000_000, 10_000_001] {
            durations.observe(Duration::from_micros(micros));
        }
        assert_eq!(durations.count(), 5);
        let mut sums = durations.sums();
        assert_eq!(sums.buckets[..2], [2, 1]);
        assert_eq!(sums.buckets[13..], [1, 1]);
        assert_eq!(sums.sum, 20_010_002);
        sums.add(&durations.sums());
        assert_eq!(sums.count(), 10);
    }

    #[test]
    fn the_longest_duration_does_not_overflow() {
        let durations = Durations::<Long>::default();
        durations.observe(Duration::MAX);
        durations.observe(Duration::MAX);
        assert_eq!(durations.count(), 2);
    }

    fn check<B: Bounds>() {
        assert!(B::MICROS.is_sorted());
        for (label, bound) in B::LE.iter().zip(B::MICROS) {
            assert_eq!(*label, format!("{:?}", crate::exposition::seconds(bound)));
        }
    }

    #[test]
    fn labels_are_the_bounds_in_seconds() {
        check::<Http>();
        check::<Short>();
        check::<Long>();
    }
}
