//! The choice among the backends of a rule.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::{filters::Filters, rule::Invalid};

/// The backends of a rule with their weights.
#[derive(Debug)]
pub struct WeightedBackends(Shares);

/// Those with a weight above 0. Most rules have one, and then it is here in place.
#[derive(Debug)]
enum Shares {
    None,
    One(u32, BackendChoice),
    Many(Box<Many>),
}

#[derive(Debug)]
struct Many {
    /// Each choice with the sum of the weights up to and including its own.
    choices: Box<[(u64, BackendChoice)]>,
    turns: AtomicU64,
}

/// One backend of a rule.
#[derive(Debug)]
pub struct BackendChoice {
    /// Where the share of this choice goes.
    pub target: Target,
    /// Filters of this choice alone; they come after those of the rule.
    pub filters: Filters,
}

/// Where a share of the traffic goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Resource name of a backend, to be looked up in [`crate::Tables::backends`].
    Backend(Arc<str>),
    /// Nowhere: answer 500, or close.
    Invalid(Box<Invalid>),
}

impl WeightedBackends {
    /// Backends in the order of the rule, each with its weight.
    pub fn new(backends: impl IntoIterator<Item = (u32, BackendChoice)>) -> Self {
        let mut backends = backends.into_iter().filter(|(weight, _)| *weight > 0);
        let Some((weight, first)) = backends.next() else {
            return Self(Shares::None);
        };
        let Some(second) = backends.next() else {
            return Self(Shares::One(weight, first));
        };
        let mut total = 0_u64;
        let all = [(weight, first), second].into_iter().chain(backends);
        let choices = all.map(|(weight, choice)| {
            total += u64::from(weight);
            (total, choice)
        });
        Self(Shares::Many(Box::new(Many {
            choices: choices.collect(),
            turns: AtomicU64::new(0),
        })))
    }

    /// The next choice. None: there are no backends, or all weights are 0.
    ///
    /// Shares are met closely over any run of picks, long or short (a few picks off after hundreds), without a lock: the
    /// picks walk the golden ratio's sequence, the most even one of those that need no more state than a counter.
    pub fn pick(&self) -> Option<&BackendChoice> {
        match &self.0 {
            Shares::None => None,
            Shares::One(_, choice) => Some(choice),
            Shares::Many(many) => many.pick(),
        }
    }

    /// All choices with a weight above 0, with their weights.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &BackendChoice)> {
        let (one, many) = match &self.0 {
            Shares::None => (None, None),
            Shares::One(weight, choice) => (Some((*weight, choice)), None),
            Shares::Many(many) => (None, Some(many.iter())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// True if [`WeightedBackends::pick`] has nothing to give.
    pub fn is_empty(&self) -> bool {
        matches!(self.0, Shares::None)
    }
}

impl Many {
    fn pick(&self) -> Option<&BackendChoice> {
        let (total, _) = self.choices.last()?;
        let point = self
            .turns
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_mul(GOLDEN_RATIO);
        // The point of [0, 1), as a fraction of 2^64, is stretched to [0, total).
        let (share, _) = wide_multiply(point, *total);
        let at = self.choices.partition_point(|(sum, _)| *sum <= share);
        self.choices.get(at).map(|(_, choice)| choice)
    }

    fn iter(&self) -> impl Iterator<Item = (u32, &BackendChoice)> {
        let mut before = 0;
        self.choices.iter().map(move |(sum, choice)| {
            let weight = sum - before;
            before = *sum;
            (u32::try_from(weight).unwrap_or(u32::MAX), choice)
        })
    }
}

/// 2^64 divided by the golden ratio, made odd.
const GOLDEN_RATIO: u64 = 0x9E37_79B9_7F4A_7C15;

/// High and low half of a product.
fn wide_multiply(a: u64, b: u64) -> (u64, u64) {
    let product = u128::from(a) * u128::from(b);
    #[allow(clippy::cast_possible_truncation)] // The halves are what is asked for.
    ((product >> 64) as u64, product as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backends(weights: &[u32]) -> WeightedBackends {
        WeightedBackends::new(weights.iter().enumerate().map(|(index, weight)| {
            let target = Target::Backend(index.to_string().into());
            (
                *weight,
                BackendChoice {
                    target,
                    filters: Filters::default(),
                },
            )
        }))
    }

    fn count(weights: &[u32], skip: usize, picks: usize) -> Vec<usize> {
        let backends = backends(weights);
        let mut counts = vec![0; weights.len()];
        for pick in 0..skip + picks {
            let Target::Backend(name) = &backends.pick().unwrap().target else {
                panic!("no backend")
            };
            if pick >= skip {
                counts[name.parse::<usize>().unwrap()] += 1;
            }
        }
        counts
    }

    #[test]
    fn shares_are_met_within_one_point_over_any_five_hundred_picks() {
        for weights in [
            &[70, 30, 0][..],
            &[1, 1],
            &[1, 1, 1],
            &[90, 10],
            &[99, 1],
            &[1_000_000, 1, 500_000],
            &[3; 16],
        ] {
            let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
            for skip in [0, 1, 333, 12_345] {
                for (index, picked) in count(weights, skip, 500).into_iter().enumerate() {
                    // Both sides times the total, to stay among integers.
                    let (expected, total) = (500 * u64::from(weights[index]), total);
                    let off = (picked as u64 * total).abs_diff(expected);
                    assert!(
                        off <= 5 * total,
                        "{weights:?} after {skip}: {picked} of choice {index}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_largest_weights_are_met_over_a_long_run() {
        let counts = count(&[1_000_000, 1_000_000, 250_000], 0, 90_000);
        for (picked, expected) in counts.into_iter().zip([40_000_usize, 40_000, 10_000]) {
            assert!(
                picked.abs_diff(expected) <= 10,
                "{picked} instead of {expected}"
            );
        }
    }

    #[test]
    fn a_weight_of_zero_is_never_picked() {
        assert_eq!(count(&[0, 5, 0], 0, 100), [0, 100, 0]);
        assert!(backends(&[0, 0]).pick().is_none());
        assert!(backends(&[]).pick().is_none());
    }

    #[test]
    fn weights_are_told_back() {
        assert_eq!(
            backends(&[2, 0, 7])
                .iter()
                .map(|(weight, _)| weight)
                .collect::<Vec<_>>(),
            [2, 7]
        );
    }
}
