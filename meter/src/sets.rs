//! Counters by labels, of all workers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long counters are shown whose labels name what is gone, so that the last of them are scraped.
pub const KEPT: Duration = Duration::from_mins(5);

/// The counters of one kind, by what they count. Each worker has its own part of each, made when it first counts
/// something; whatever is beyond the limit is counted as one.
#[derive(Debug)]
pub struct Sets<K, C> {
    limit: usize,
    all: Mutex<All<K, C>>,
    folded: AtomicU64,
}

#[derive(Debug)]
struct All<K, C> {
    named: BTreeMap<Arc<K>, Set<C>>,
    other: Set<C>,
}

#[derive(Debug)]
struct Set<C> {
    /// With the number of the worker whose part it is.
    parts: Vec<(usize, Arc<C>)>,
    gone: Option<Instant>,
}

impl<K: Ord, C: Default> Sets<K, C> {
    /// At most `limit` have names.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            all: Mutex::new(All {
                named: BTreeMap::new(),
                other: Set::default(),
            }),
            folded: AtomicU64::new(0),
        }
    }

    /// A worker's part of the counters of `key`. Not for every request: it takes a lock.
    pub fn part(&self, key: K, worker: usize, now: Instant) -> Arc<C> {
        let mut all = self.all();
        if all.named.len() >= self.limit && !all.named.contains_key(&key) {
            all.drop_gone(now);
        }
        if all.named.len() >= self.limit && !all.named.contains_key(&key) {
            self.folded.fetch_add(1, Ordering::Relaxed);
            return all.other.part(worker);
        }
        let set = all.named.entry(Arc::new(key)).or_default();
        set.gone = None;
        set.part(worker)
    }

    /// Shows the counters of keys that are gone for a while only. One that comes back goes on.
    pub fn forget(&self, is_gone: impl Fn(&K) -> bool, now: Instant) {
        let mut all = self.all();
        for (key, set) in &mut all.named {
            if set.gone.is_none() && is_gone(key) {
                set.gone = Some(now);
            }
        }
        all.drop_gone(now);
    }

    /// Looks at the parts of each key, in their order; `None` is for those beyond the limit.
    pub fn each(
        &self,
        now: Instant,
        mut look: impl FnMut(Option<&Arc<K>>, &mut dyn Iterator<Item = &C>),
    ) {
        let mut all = self.all();
        all.drop_gone(now);
        for (key, set) in &all.named {
            look(Some(key), &mut set.parts.iter().map(|(_, part)| &**part));
        }
        let other = &all.other.parts;
        if !other.is_empty() {
            look(None, &mut other.iter().map(|(_, part)| &**part));
        }
    }

    /// How often a worker met a key that was beyond the limit.
    pub fn folded(&self) -> u64 {
        self.folded.load(Ordering::Relaxed)
    }

    fn all(&self) -> MutexGuard<'_, All<K, C>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Ord, C> All<K, C> {
    fn drop_gone(&mut self, now: Instant) {
        self.named.retain(|_, set| {
            let gone = set
                .gone
                .is_some_and(|gone| now.saturating_duration_since(gone) >= KEPT);
            !gone
        });
    }
}

impl<C> Default for Set<C> {
    fn default() -> Self {
        Self {
            parts: Vec::new(),
            gone: None,
        }
    }
}

impl<C: Default> Set<C> {
    fn part(&mut self, worker: usize) -> Arc<C> {
        if let Some((_, part)) = self.parts.iter().find(|(owner, _)| *owner == worker) {
            return Arc::clone(part);
        }
        let part = Arc::new(C::default());
        self.parts.push((worker, Arc::clone(&part)));
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter::Counter;

    fn seen(sets: &Sets<u32, Counter>, now: Instant) -> Vec<(Option<u32>, u64)> {
        let mut seen = Vec::new();
        sets.each(now, |key, parts| {
            seen.push((key.map(|key| **key), parts.map(Counter::get).sum()));
        });
        seen
    }

    #[test]
    fn workers_have_parts_of_their_own_that_are_added_up() {
        let (sets, now) = (Sets::<u32, Counter>::new(9), Instant::now());
        sets.part(2, 0, now).add(1);
        sets.part(1, 0, now).add(10);
        let other = sets.part(2, 1, now);
        other.add(2);
        assert!(Arc::ptr_eq(&other, &sets.part(2, 1, now)));
        assert!(!Arc::ptr_eq(&other, &sets.part(2, 0, now)));
        assert_eq!(seen(&sets, now), [(Some(1), 10), (Some(2), 3)]);
    }

    #[test]
    fn what_is_beyond_the_limit_counts_as_one() {
        let (sets, now) = (Sets::<u32, Counter>::new(2), Instant::now());
        for key in 0..5 {
            sets.part(key, 0, now).add(1);
        }
        assert_eq!(sets.folded(), 3);
        assert_eq!(seen(&sets, now), [(Some(0), 1), (Some(1), 1), (None, 3)]);
        sets.part(1, 0, now).add(1);
        assert_eq!(sets.folded(), 3);
    }

    #[test]
    fn what_is_gone_is_shown_for_a_while_and_makes_room_then() {
        let (sets, now) = (Sets::<u32, Counter>::new(2), Instant::now());
        for key in 0..2 {
            sets.part(key, 0, now).add(1);
        }
        sets.forget(|key| *key == 1, now);
        assert_eq!(seen(&sets, now), [(Some(0), 1), (Some(1), 1)]);
        let later = now + KEPT;
        sets.part(7, 0, later).add(1);
        assert_eq!(seen(&sets, later), [(Some(0), 1), (Some(7), 1)]);
        // One that comes back in time stays.
        sets.forget(|key| *key == 0, later);
        sets.part(0, 0, later).add(1);
        assert_eq!(seen(&sets, later + KEPT), [(Some(0), 2), (Some(7), 1)]);
    }
}
