//! A map from names to values whose copies share what did not change.

use std::{hash::BuildHasher as _, sync::Arc};

use rustc_hash::FxBuildHasher;

/// A hash map in shards of a few entries, which stand in pages of some shards. A change copies one shard, its page and the
/// list of pages, whatever the size of the map's values; a copy of the map copies the list only.
///
/// That is what makes one changed route cheap: the tables before and after it share all but one shard.
#[derive(Clone, Debug)]
pub struct ShardMap<V> {
    /// All of the same size.
    pages: Vec<Page<V>>,
    /// A power of two, indexed by the upper bits of the hash.
    shards: usize,
    len: usize,
}

type Page<V> = Arc<[Shard<V>]>;
type Shard<V> = Arc<[Slot<V>]>;

#[derive(Clone, Debug)]
struct Slot<V> {
    hash: u64,
    key: Arc<str>,
    value: V,
}

/// Mean number of entries in a shard above which the map grows, and below a quarter of which it shrinks.
const SHARD_LOAD: usize = 4;
/// Shards of a page: about as many as there are pages at ten thousand entries, which is where a change copies least.
const PAGE: usize = 64;

impl<V> Default for ShardMap<V> {
    fn default() -> Self {
        Self {
            pages: Vec::new(),
            shards: 0,
            len: 0,
        }
    }
}

impl<V> ShardMap<V> {
    /// Number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&V> {
        self.get_key_value(key).map(|(_, value)| value)
    }

    /// The value of a key, with the key as the map holds it.
    pub fn get_key_value(&self, key: &str) -> Option<(&Arc<str>, &V)> {
        let hash = hash_of(key);
        let index = self.shard_of(hash);
        let shard = self.pages.get(index / PAGE)?.get(index % PAGE)?;
        shard
            .iter()
            .find(|slot| slot.hash == hash && *slot.key == *key)
            .map(|slot| (&slot.key, &slot.value))
    }

    /// True if there is a value for the key.
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// All entries, in no meaningful order.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &V)> {
        self.slots().map(|slot| (&slot.key, &slot.value))
    }

    /// All values, in no meaningful order.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    fn slots(&self) -> impl Iterator<Item = &Slot<V>> {
        let shards = self.pages.iter().flat_map(|page| page.iter());
        shards.flat_map(|shard| shard.iter())
    }

    /// The upper bits choose: the lower ones of this hash function are the weaker ones.
    fn shard_of(&self, hash: u64) -> usize {
        let bits = self.shards.checked_ilog2().unwrap_or(0);
        // At most as large as the number of shards, which is a usize.
        usize::try_from(hash.checked_shr(64 - bits).unwrap_or(0)).unwrap_or(0)
    }
}

impl<V: Clone> ShardMap<V> {
    /// The value of a key, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut V> {
        let hash = hash_of(key);
        let index = self.shard_of(hash);
        let page = self.pages.get(index / PAGE)?;
        let at = position(page.get(index % PAGE)?, hash, key)?;
        let shard = self.shard_mut(index)?;
        Arc::make_mut(shard).get_mut(at).map(|slot| &mut slot.value)
    }

    /// Sets the value of a key, and returns the one before.
    pub fn insert(&mut self, key: Arc<str>, value: V) -> Option<V> {
        if let Some(slot) = self.get_mut(&key) {
            return Some(std::mem::replace(slot, value));
        }
        if self.len >= self.shards * SHARD_LOAD {
            self.resize((self.shards * 2).max(1));
        }
        let hash = hash_of(&key);
        let index = self.shard_of(hash);
        if let Some(shard) = self.shard_mut(index) {
            let slot = Slot { hash, key, value };
            *shard = shard.iter().cloned().chain(std::iter::once(slot)).collect();
            self.len += 1;
        }
        None
    }

    /// Removes a key with its value.
    pub fn remove(&mut self, key: &str) -> Option<V> {
        let hash = hash_of(key);
        let index = self.shard_of(hash);
        let shard = self.pages.get(index / PAGE)?.get(index % PAGE)?;
        let at = position(shard, hash, key)?;
        let shard = self.shard_mut(index)?;
        let removed = shard.get(at).map(|slot| slot.value.clone());
        *shard = shard
            .iter()
            .enumerate()
            .filter(|(index, _)| *index != at)
            .map(|(_, slot)| slot.clone())
            .collect();
        self.len -= 1;
        if self.len == 0 {
            *self = Self::default();
        } else if self.len < self.shards * SHARD_LOAD / 8 {
            self.resize((self.shards / 2).max(1));
        }
        removed
    }

    /// A shard, whose page is this map's own from now on.
    fn shard_mut(&mut self, index: usize) -> Option<&mut Shard<V>> {
        Arc::make_mut(self.pages.get_mut(index / PAGE)?).get_mut(index % PAGE)
    }

    fn resize(&mut self, shards: usize) {
        self.shards = shards;
        let mut groups: Vec<Vec<Slot<V>>> = Vec::new();
        groups.resize_with(shards, Vec::new);
        for slot in self.slots() {
            let index = self.shard_of(slot.hash);
            if let Some(group) = groups.get_mut(index) {
                group.push(slot.clone());
            }
        }
        let shards: Vec<Shard<V>> = groups.into_iter().map(Arc::from).collect();
        self.pages = shards.chunks(PAGE).map(Arc::from).collect();
    }
}

fn hash_of(key: &str) -> u64 {
    FxBuildHasher.hash_one(key)
}

fn position<V>(shard: &[Slot<V>], hash: u64, key: &str) -> Option<usize> {
    shard
        .iter()
        .position(|slot| slot.hash == hash && *slot.key == *key)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u16, u32),
        Change(u16, u32),
        Remove(u16),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let key = || 0_u16..400;
        let step = prop_oneof![
            3 => (key(), any::<u32>()).prop_map(|(key, value)| Step::Insert(key, value)),
            1 => (key(), any::<u32>()).prop_map(|(key, value)| Step::Change(key, value)),
            2 => key().prop_map(Step::Remove),
        ];
        proptest::collection::vec(step, 0..600)
    }

    proptest! {
        #[test]
        fn a_shard_map_is_a_map_and_its_copies_are_values(steps in steps()) {
            let mut map = ShardMap::default();
            let mut model = BTreeMap::new();
            let mut copies = Vec::new();
            for (index, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Insert(key, value) => {
                        let key = format!("/{key}");
                        prop_assert_eq!(map.insert(key.as_str().into(), value), model.insert(key, value));
                    }
                    Step::Change(key, value) => {
                        let key = format!("/{key}");
                        prop_assert_eq!(map.get_mut(&key).map(|slot| *slot = value).is_some(), model.get_mut(&key).map(|slot| *slot = value).is_some());
                    }
                    Step::Remove(key) => {
                        let key = format!("/{key}");
                        prop_assert_eq!(map.remove(&key), model.remove(&key));
                    }
                }
                if index % 50 == 0 {
                    copies.push((map.clone(), model.clone()));
                }
            }
            copies.push((map, model));
            for (map, model) in copies {
                prop_assert_eq!(map.len(), model.len());
                let entries: BTreeMap<String, u32> = map.iter().map(|(key, value)| (key.to_string(), *value)).collect();
                prop_assert_eq!(&entries, &model);
                for key in 0..400 {
                    let key = format!("/{key}");
                    prop_assert_eq!(map.get(&key), model.get(&key));
                }
            }
        }
    }

    #[test]
    fn a_change_of_one_entry_copies_one_shard_of_one_page() {
        let mut map: ShardMap<u32> = ShardMap::default();
        for key in 0..1000 {
            map.insert(key.to_string().into(), key);
        }
        let before = map.clone();
        map.insert("500".into(), 0);
        let pages = before.pages.iter().zip(&map.pages);
        assert_eq!(pages.filter(|(a, b)| !Arc::ptr_eq(a, b)).count(), 1);
        let shards = |map: &ShardMap<u32>| -> Vec<Shard<u32>> {
            map.pages.iter().flat_map(|page| page.to_vec()).collect()
        };
        let (before, after) = (shards(&before), shards(&map));
        let shards = before.iter().zip(&after);
        assert_eq!(shards.filter(|(a, b)| !Arc::ptr_eq(a, b)).count(), 1);
    }
}
