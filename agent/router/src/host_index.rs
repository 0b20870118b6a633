//! A listener's routes by their own hostnames.

use std::sync::Arc;

use crate::{
    host::{HostPattern, MAX_HOST_LEN},
    shard_map::ShardMap,
};

/// One table for each own hostname of the routes of a listener.
#[derive(Clone, Debug)]
pub(crate) struct HostIndex<T> {
    exact: ShardMap<T>,
    /// By suffix, with the leading dot.
    wildcard: ShardMap<T>,
    any: Option<T>,
}

/// A table that can tell whether it is worth keeping. It is small, and what it shares with its copies is behind pointers.
pub(crate) trait Table: Clone + Default {
    /// True if it matches nothing.
    fn is_empty(&self) -> bool;
}

impl<T> Default for HostIndex<T> {
    fn default() -> Self {
        Self {
            exact: ShardMap::default(),
            wildcard: ShardMap::default(),
            any: None,
        }
    }
}

impl<T> HostIndex<T> {
    /// What `look` finds in the first table that has something, from the most specific hostname to the least.
    ///
    /// Specificity is the spec's: the characters of a non-wildcard hostname, then those of a wildcard one.
    pub(crate) fn find<'t, R>(
        &'t self,
        host: &str,
        mut look: impl FnMut(&'t T) -> Option<R>,
    ) -> Option<R> {
        if host.len() <= MAX_HOST_LEN {
            if let Some(found) = self.exact.get(host).and_then(&mut look) {
                return Some(found);
            }
            if !self.wildcard.is_empty() {
                // A dot at the very start has no label before it.
                for (dot, _) in host
                    .char_indices()
                    .skip(1)
                    .filter(|(_, character)| *character == '.')
                {
                    let table = host.get(dot..).and_then(|suffix| self.wildcard.get(suffix));
                    if let Some(found) = table.and_then(&mut look) {
                        return Some(found);
                    }
                }
            }
        }
        self.any.as_ref().and_then(look)
    }
}

impl<T: Table> HostIndex<T> {
    /// Changes the table of one hostname; tables of others stay what they are.
    pub(crate) fn update(&mut self, pattern: &HostPattern, change: impl FnOnce(&mut T)) {
        match pattern {
            HostPattern::Exact(name) => update(&mut self.exact, name, change),
            HostPattern::Wildcard(suffix) => update(&mut self.wildcard, suffix, change),
            HostPattern::Any => {
                let mut table = self.any.take().unwrap_or_default();
                change(&mut table);
                self.any = Some(table).filter(|table| !table.is_empty());
            }
        }
    }
}

fn update<T: Table>(tables: &mut ShardMap<T>, key: &Arc<str>, change: impl FnOnce(&mut T)) {
    if let Some(table) = tables.get_mut(key) {
        change(table);
        if table.is_empty() {
            tables.remove(key);
        }
    } else {
        let mut table = T::default();
        change(&mut table);
        if !table.is_empty() {
            tables.insert(Arc::clone(key), table);
        }
    }
}
