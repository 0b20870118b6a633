//! A number that one core changes.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that one core alone changes and any core reads.
///
/// There is one writer, so nothing is lost between the load and the store, and the processor need not
/// lock the line for a read-modify-write.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds so many.
    pub fn add(&self, amount: u64) {
        self.set(self.get().wrapping_add(amount));
    }

    /// Takes one away, from a number that goes up and down.
    pub fn decrement(&self) {
        self.set(self.get().wrapping_sub(1));
    }

    /// Sets the number, where it is what somebody found at a look.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The number now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_goes_up_and_down() {
        let counter = Counter::default();
        counter.increment();
        counter.add(2);
        counter.decrement();
        assert_eq!(counter.get(), 2);
        counter.set(7);
        assert_eq!(counter.get(), 7);
    }
}
