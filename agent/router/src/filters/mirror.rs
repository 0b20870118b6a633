//! RequestMirror.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// A backend that gets copies of a share of the requests.
#[derive(Debug)]
pub struct Mirror {
    /// Resource name of the backend.
    pub backend: Arc<str>,
    numerator: u64,
    denominator: u64,
    turns: AtomicU64,
}

impl Mirror {
    /// A mirror of `numerator` in `denominator` requests. A denominator of 0 mirrors nothing.
    pub fn new(backend: Arc<str>, numerator: u32, denominator: u32) -> Self {
        Self {
            backend,
            numerator: numerator.into(),
            denominator: denominator.into(),
            turns: AtomicU64::new(0),
        }
    }

    /// Whether the `n`th request is copied. Copies are spread evenly: of any `denominator` requests in a row,
    /// `numerator` are copied.
    pub fn picks(&self, n: u64) -> bool {
        // Bresenham's line: the request is copied when the line through (denominator, numerator) gains a whole step.
        match n.checked_rem(self.denominator) {
            Some(n) => (n * self.numerator) % self.denominator < self.numerator,
            None => false,
        }
    }

    /// Whether the next request is copied: [`Mirror::picks`] with a count of this mirror's own.
    pub fn take_turn(&self) -> bool {
        self.numerator >= self.denominator && self.denominator > 0
            || self.picks(self.turns.fetch_add(1, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_is_met_exactly_over_every_window_of_the_denominator() {
        for (numerator, denominator) in [
            (1, 2),
            (20, 100),
            (1, 3),
            (2, 3),
            (333, 1000),
            (50, 50),
            (0, 7),
            (99, 100),
        ] {
            let mirror = Mirror::new("backend/a/b".into(), numerator, denominator);
            for start in [0, 1, 17, 1_000_003] {
                let copies = (start..start + u64::from(denominator))
                    .filter(|n| mirror.picks(*n))
                    .count();
                assert_eq!(
                    copies, numerator as usize,
                    "{numerator}/{denominator} from {start}"
                );
            }
        }
    }

    #[test]
    fn more_than_the_whole_copies_everything_and_no_denominator_nothing() {
        assert!((0..10).all(|n| Mirror::new("b".into(), 3, 2).picks(n)));
        assert!(Mirror::new("b".into(), 3, 2).take_turn());
        assert!(!Mirror::new("b".into(), 1, 0).take_turn());
    }

    #[test]
    fn turns_are_counted_per_mirror() {
        let mirror = Mirror::new("b".into(), 1, 4);
        assert_eq!((0..400).filter(|_| mirror.take_turn()).count(), 100);
    }
}
