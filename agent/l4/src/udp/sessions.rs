//! Sessions by their ends, ordered by their last use.

use std::collections::HashMap;

use tokio::time::Instant;

use super::listening::Ends;

/// A map that knows which entry was unused for longest. All operations take constant time.
///
/// The hash is keyed at random: addresses come from the network.
#[derive(Debug)]
pub(crate) struct Sessions<V> {
    by_ends: HashMap<Ends, usize>,
    /// Entries, linked from the oldest use to the newest; vacant ones wait in `vacant`.
    entries: Vec<Option<Entry<V>>>,
    vacant: Vec<usize>,
    oldest: Option<usize>,
    newest: Option<usize>,
}

#[derive(Debug)]
struct Entry<V> {
    ends: Ends,
    value: V,
    used: Instant,
    older: Option<usize>,
    newer: Option<usize>,
}

impl<V> Default for Sessions<V> {
    fn default() -> Self {
        Self {
            by_ends: HashMap::new(),
            entries: Vec::new(),
            vacant: Vec::new(),
            oldest: None,
            newest: None,
        }
    }
}

impl<V> Sessions<V> {
    pub(crate) fn len(&self) -> usize {
        self.by_ends.len()
    }

    /// The client's session, which is the newest from now on.
    pub(crate) fn touch(&mut self, ends: Ends, now: Instant) -> Option<&V> {
        let at = *self.by_ends.get(&ends)?;
        if self.newest != Some(at) {
            self.unlink(at);
            self.link_newest(at);
        }
        let entry = self.entries.get_mut(at)?.as_mut()?;
        entry.used = now;
        Some(&entry.value)
    }

    /// Adds the client's session, which replaces an older one.
    pub(crate) fn insert(&mut self, ends: Ends, value: V, now: Instant) {
        self.remove(ends);
        let entry = Entry {
            ends,
            value,
            used: now,
            older: None,
            newer: None,
        };
        let at = self.vacant.pop().unwrap_or_else(|| {
            self.entries.push(None);
            self.entries.len() - 1
        });
        if let Some(place) = self.entries.get_mut(at) {
            *place = Some(entry);
        }
        self.by_ends.insert(ends, at);
        self.link_newest(at);
    }

    pub(crate) fn remove(&mut self, ends: Ends) -> Option<V> {
        let at = self.by_ends.remove(&ends)?;
        self.unlink(at);
        self.vacant.push(at);
        self.entries.get_mut(at)?.take().map(|entry| entry.value)
    }

    /// When the session that was unused for longest was last used.
    pub(crate) fn oldest_use(&self) -> Option<Instant> {
        self.entry(self.oldest?).map(|entry| entry.used)
    }

    /// Removes the session that was unused for longest.
    pub(crate) fn remove_oldest(&mut self) -> Option<V> {
        let ends = self.entry(self.oldest?)?.ends;
        self.remove(ends)
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    fn entry(&self, at: usize) -> Option<&Entry<V>> {
        self.entries.get(at)?.as_ref()
    }

    fn entry_mut(&mut self, at: usize) -> Option<&mut Entry<V>> {
        self.entries.get_mut(at)?.as_mut()
    }

    fn unlink(&mut self, at: usize) {
        let Some(entry) = self.entry_mut(at) else {
            return;
        };
        let (older, newer) = (entry.older.take(), entry.newer.take());
        match older.and_then(|at| self.entry_mut(at)) {
            Some(entry) => entry.newer = newer,
            None => self.oldest = newer,
        }
        match newer.and_then(|at| self.entry_mut(at)) {
            Some(entry) => entry.older = older,
            None => self.newest = older,
        }
    }

    fn link_newest(&mut self, at: usize) {
        let newest = self.newest.replace(at);
        if let Some(entry) = self.entry_mut(at) {
            entry.older = newest;
        }
        match newest.and_then(|at| self.entry_mut(at)) {
            Some(entry) => entry.newer = Some(at),
            None => self.oldest = Some(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u16),
        Touch(u16),
        Remove(u16),
        RemoveOldest,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0u16..12).prop_map(Step::Insert),
            (0u16..12).prop_map(Step::Touch),
            (0u16..12).prop_map(Step::Remove),
            Just(Step::RemoveOldest),
        ]
    }

    fn ends(port: u16) -> Ends {
        Ends {
            client: ([127, 0, 0, 1], port).into(),
            local: None,
        }
    }

    proptest! {
        /// The oracle is a list from the oldest use to the newest.
        #[test]
        fn behaves_like_a_list(steps in proptest::collection::vec(step(), 0..200)) {
            let mut sessions = Sessions::default();
            let mut list: Vec<u16> = Vec::new();
            let start = Instant::now();
            for (index, step) in steps.into_iter().enumerate() {
                let now = start + std::time::Duration::from_millis(index as u64);
                match step {
                    Step::Insert(port) => {
                        sessions.insert(ends(port), port, now);
                        list.retain(|other| *other != port);
                        list.push(port);
                    }
                    Step::Touch(port) => {
                        let found = sessions.touch(ends(port), now).copied();
                        prop_assert_eq!(found.is_some(), list.contains(&port));
                        if found.is_some() {
                            list.retain(|other| *other != port);
                            list.push(port);
                        }
                    }
                    Step::Remove(port) => {
                        let removed = sessions.remove(ends(port)).is_some();
                        prop_assert_eq!(removed, list.contains(&port));
                        list.retain(|other| *other != port);
                    }
                    Step::RemoveOldest => {
                        let first = (!list.is_empty()).then(|| list.remove(0));
                        prop_assert_eq!(sessions.remove_oldest(), first);
                    }
                }
                prop_assert_eq!(sessions.len(), list.len());
                prop_assert_eq!(sessions.oldest_use().is_some(), !list.is_empty());
                prop_assert!(sessions.entries.len() <= 12);
            }
            while let Some(port) = sessions.remove_oldest() {
                prop_assert_eq!(port, list.remove(0));
            }
            prop_assert!(list.is_empty());
        }
    }
}
