//! Who read what: finds the work that a change makes necessary.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::ops::RangeBounds;

/// What units of work have read, indexed both ways.
///
/// A unit is a pure function of what it reads. Whoever runs units records their reads here; when something changes, its
/// readers are run again, and no others.
#[derive(Clone, Debug)]
pub struct Reads<U, R> {
    reads: HashMap<U, BTreeSet<R>>,
    readers: BTreeMap<R, BTreeSet<U>>,
}

/// How much an engine that records reads has done, and how much it keeps track of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Units of work computed since it began.
    pub computed: u64,
    /// Units that there are now.
    pub units: usize,
    /// Things that some unit has read.
    pub reads: usize,
}

impl<U, R> Default for Reads<U, R> {
    fn default() -> Self {
        Self {
            reads: HashMap::new(),
            readers: BTreeMap::new(),
        }
    }
}

impl<U: Clone + Ord + Hash, R: Clone + Ord> Reads<U, R> {
    /// Replaces what a unit reads; a unit that reads nothing is forgotten. Returns what nobody reads any more.
    pub fn record(&mut self, unit: &U, reads: BTreeSet<R>) -> Vec<R> {
        // Most runs read what the run before has read.
        if self.reads.get(unit) == Some(&reads) {
            return Vec::new();
        }
        let before = self.reads.remove(unit).unwrap_or_default();
        let mut unread = Vec::new();
        for read in before.difference(&reads) {
            let Some(readers) = self.readers.get_mut(read) else {
                continue;
            };
            readers.remove(unit);
            if readers.is_empty() {
                self.readers.remove(read);
                unread.push(read.clone());
            }
        }
        for read in reads.difference(&before) {
            let readers = self.readers.entry(read.clone()).or_default();
            readers.insert(unit.clone());
        }
        if !reads.is_empty() {
            self.reads.insert(unit.clone(), reads);
        }
        unread
    }

    /// The units that read something, in order.
    pub fn readers(&self, read: &R) -> impl Iterator<Item = &U> + use<'_, U, R> {
        self.readers.get(read).into_iter().flatten()
    }

    /// What is read in a range, each with its readers.
    pub fn range(&self, range: impl RangeBounds<R>) -> impl Iterator<Item = (&R, &BTreeSet<U>)> {
        self.readers.range(range)
    }

    /// Whether anybody reads something.
    pub fn is_read(&self, read: &R) -> bool {
        self.readers.contains_key(read)
    }

    /// The load of an engine that has computed so many units.
    pub fn load(&self, computed: u64) -> Load {
        Load {
            computed,
            units: self.reads.len(),
            reads: self.readers.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Reads;

    fn readers(reads: &Reads<char, u8>, read: u8) -> Vec<char> {
        reads.readers(&read).copied().collect()
    }

    fn size(reads: &Reads<char, u8>) -> (usize, usize) {
        let load = reads.load(0);
        (load.units, load.reads)
    }

    #[test]
    fn what_a_unit_no_longer_reads_does_not_wake_it() {
        let mut reads: Reads<char, u8> = Reads::default();
        assert!(reads.record(&'a', BTreeSet::from([1, 2])).is_empty());
        assert!(reads.record(&'b', BTreeSet::from([2, 3])).is_empty());
        assert_eq!(readers(&reads, 2), ['a', 'b']);

        assert_eq!(reads.record(&'a', BTreeSet::from([3])), [1]);
        assert_eq!(readers(&reads, 1), []);
        assert_eq!(readers(&reads, 2), ['b']);
        assert_eq!(readers(&reads, 3), ['a', 'b']);
        assert!(!reads.is_read(&1));
    }

    #[test]
    fn units_that_read_nothing_leave_nothing() {
        let mut reads: Reads<char, u8> = Reads::default();
        reads.record(&'a', BTreeSet::from([1, 2]));
        assert_eq!(size(&reads), (1, 2));
        assert_eq!(reads.record(&'a', BTreeSet::new()), [1, 2]);
        assert_eq!(size(&reads), (0, 0));
    }

    #[test]
    fn readers_are_found_by_range() {
        let mut reads: Reads<char, u8> = Reads::default();
        reads.record(&'a', BTreeSet::from([1, 5]));
        reads.record(&'b', BTreeSet::from([5, 9]));
        let found = reads.range(2..9).map(|(read, units)| (*read, units.len()));
        assert_eq!(found.collect::<Vec<_>>(), [(5, 2)]);
    }
}
