//! Who read what: finds the work that a change makes necessary.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::ops::RangeBounds;
use std::sync::Arc;

/// What units of work have read, indexed both ways.
///
/// A unit is a pure function of what it reads. Whoever runs units records their reads here; when something changes, its
/// readers are run again, and no others. Each unit and each read is held once, whoever reads it: there are several per
/// object, and most are read by one unit.
#[derive(Clone, Debug)]
pub struct Reads<U, R> {
    /// Sorted.
    reads: HashMap<Arc<U>, Box<[Arc<R>]>>,
    readers: BTreeMap<Arc<R>, Readers<U>>,
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

/// Who reads something; at least one unit.
#[derive(Clone, Debug)]
enum Readers<U> {
    One(Arc<U>),
    Several(BTreeSet<Arc<U>>),
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
        let known = self.reads.get(unit);
        if known.is_some_and(|known| known.iter().map(AsRef::as_ref).eq(&reads)) {
            return Vec::new();
        }
        let known = self.reads.remove_entry(unit);
        let (unit, before) = known.unwrap_or_else(|| (Arc::new(unit.clone()), Box::default()));
        let mut unread = Vec::new();
        for read in before.iter().filter(|read| !reads.contains(&***read)) {
            let Some(readers) = self.readers.get_mut(read) else {
                continue;
            };
            if readers.lose(&unit) {
                self.readers.remove(read);
                unread.push(R::clone(read));
            }
        }
        let reads = reads.into_iter().map(|read| self.read(read, &unit));
        let reads: Box<[Arc<R>]> = reads.collect();
        if !reads.is_empty() {
            self.reads.insert(unit, reads);
        } else if self.reads.len() < self.reads.capacity() / 8 {
            // Units were many once.
            self.reads.shrink_to(2 * self.reads.len());
        }
        unread
    }

    /// Takes in that a unit reads something.
    fn read(&mut self, read: R, unit: &Arc<U>) -> Arc<R> {
        let known = self.readers.get_key_value(&read);
        let read = known.map_or_else(|| Arc::new(read), |(known, _)| Arc::clone(known));
        let readers = self.readers.entry(Arc::clone(&read));
        readers
            .and_modify(|readers| readers.win(unit))
            .or_insert_with(|| Readers::One(Arc::clone(unit)));
        read
    }

    /// The units that read something, in order.
    pub fn readers(&self, read: &R) -> impl Iterator<Item = &U> + use<'_, U, R> {
        self.readers.get(read).into_iter().flat_map(Readers::iter)
    }

    /// What is read in a range, in order.
    pub fn range(&self, range: impl RangeBounds<R>) -> impl Iterator<Item = &R> {
        self.readers.range(range).map(|(read, _)| &**read)
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

impl<U: Ord> Readers<U> {
    fn iter(&self) -> impl Iterator<Item = &U> {
        let (one, several) = match self {
            Self::One(unit) => (Some(unit), None),
            Self::Several(units) => (None, Some(units)),
        };
        let several = several.into_iter().flatten();
        one.into_iter().chain(several).map(AsRef::as_ref)
    }

    fn win(&mut self, unit: &Arc<U>) {
        match self {
            Self::One(known) if known == unit => {}
            Self::One(known) => {
                *self = Self::Several([Arc::clone(known), Arc::clone(unit)].into());
            }
            Self::Several(units) => {
                units.insert(Arc::clone(unit));
            }
        }
    }

    /// Returns whether nobody is left.
    fn lose(&mut self, unit: &Arc<U>) -> bool {
        match self {
            Self::One(known) => known == unit,
            Self::Several(units) => {
                units.remove(unit);
                units.is_empty()
            }
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
    fn what_is_read_is_found_by_range() {
        let mut reads: Reads<char, u8> = Reads::default();
        reads.record(&'a', BTreeSet::from([1, 5]));
        reads.record(&'b', BTreeSet::from([5, 9]));
        assert_eq!(reads.range(2..9).collect::<Vec<_>>(), [&5]);
        assert_eq!(readers(&reads, 5), ['a', 'b']);
    }
}
