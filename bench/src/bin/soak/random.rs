//! Numbers that look random, the same in each run: SplitMix64.

use std::time::Duration;

/// A sequence of numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of a seed; neighbouring seeds give unrelated ones.
    pub fn new(seed: u64) -> Self {
        let mut random = Self(seed);
        let first = random.next();
        Self(first)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// A time from `low` to `high` milliseconds.
    pub fn milliseconds(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.between(low, high))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_between() {
        let mut random = Random::new(1);
        let numbers: Vec<u64> = (0..1_000).map(|_| random.between(3, 5)).collect();
        for wanted in 3..=5 {
            assert!(numbers.contains(&wanted));
        }
        assert!(numbers.iter().all(|number| (3..=5).contains(number)));
    }
}
