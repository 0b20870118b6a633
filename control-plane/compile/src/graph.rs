//! Who reads what: finds the units that a change concerns.

use std::collections::{BTreeMap, BTreeSet};

use crate::unit::{Input, Unit};

/// The recorded reads of all units, both ways.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    reads: BTreeMap<Unit, BTreeSet<Input>>,
    readers: BTreeMap<Input, BTreeSet<Unit>>,
}

impl Graph {
    /// Replaces what a unit reads. Returns the units that lost this reader and have none left.
    pub fn record(&mut self, unit: &Unit, reads: BTreeSet<Input>) -> Vec<Unit> {
        let before = self.reads.remove(unit).unwrap_or_default();
        let mut orphans = Vec::new();
        for input in before.difference(&reads) {
            let Some(readers) = self.readers.get_mut(input) else {
                continue;
            };
            readers.remove(unit);
            if readers.is_empty() {
                self.readers.remove(input);
                if let Input::Unit(unit) = input {
                    orphans.push(unit.clone());
                }
            }
        }
        for input in reads.difference(&before) {
            let readers = self.readers.entry(input.clone()).or_default();
            readers.insert(unit.clone());
        }
        if !reads.is_empty() {
            self.reads.insert(unit.clone(), reads);
        }
        orphans
    }

    /// Number of units that read, and of inputs that are read.
    pub fn size(&self) -> (usize, usize) {
        (self.reads.len(), self.readers.len())
    }

    /// The units that read an input.
    pub fn readers(&self, input: &Input) -> impl Iterator<Item = &Unit> {
        self.readers.get(input).into_iter().flatten()
    }

    /// Whether anybody reads an input.
    pub fn is_read(&self, input: &Input) -> bool {
        self.readers.contains_key(input)
    }
}
