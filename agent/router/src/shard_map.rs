//! A map from names to values whose copies share what did not change.

use std::{hash::BuildHasher as _, sync::Arc};

use rustc_hash::FxBuildHasher;

/// A hash map in groups of shards of a few entries. A change copies one shard, its group and the list of groups, whatever
/// the size of the map's values; a copy of the map copies the list only.
///
/// That is what makes one changed route cheap: the tables before and after it share all but one shard. What a change
/// costs is the reference counts that it touches, each on a cache line of its own: some dozen of them at ten thousand
/// entries. A shard is a table with open addressing, at most half full. So a lookup looks at one place as a rule, and the
/// processor guesses its branches right, with ten thousand entries as with one.
#[derive(Clone, Debug)]
pub struct ShardMap<V> {
    /// All of [`GROUP`] shards, or one of fewer.
    groups: Vec<Group<V>>,
    /// Number of shards: none, or a power of two. They are indexed by the upper bits of the hash.
    shards: usize,
    len: usize,
}

/// Neighbouring shards.
type Group<V> = Arc<[Shard<V>]>;

/// Places for entries, a power of two of them and at least twice as many as entries. An entry is at the place that its
/// hash names, or behind it with no empty place between.
type Shard<V> = Arc<[Option<Slot<V>>]>;

#[derive(Clone, Debug)]
struct Slot<V> {
    hash: u64,
    key: Arc<str>,
    value: V,
}

/// Mean number of entries in a shard above which the map grows, and below an eighth of which it shrinks.
const SHARD_LOAD: usize = 32;

/// Shards in a group. At ten thousand entries there are half as many groups, which is about where a change copies least.
const GROUP: usize = 32;

impl<V> Default for ShardMap<V> {
    fn default() -> Self {
        Self {
            groups: Vec::new(),
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
        let shard = self.shard(self.shard_of(hash))?;
        let slot = shard.get(position(shard, hash, key)?)?.as_ref()?;
        Some((&slot.key, &slot.value))
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
        let shards = self.groups.iter().flat_map(|group| group.iter());
        shards.flat_map(|shard| shard.iter().flatten())
    }

    fn shard_of(&self, hash: u64) -> usize {
        shard_among(self.shards, hash)
    }

    fn shard(&self, index: usize) -> Option<&Shard<V>> {
        self.groups.get(index / GROUP)?.get(index % GROUP)
    }

    /// A shard to be changed; copies its group where another map shares it.
    fn shard_mut(&mut self, index: usize) -> Option<&mut Shard<V>> {
        let group = self.groups.get_mut(index / GROUP)?;
        Arc::make_mut(group).get_mut(index % GROUP)
    }
}

impl<V: Clone> ShardMap<V> {
    /// The value of a key, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut V> {
        let hash = hash_of(key);
        let index = self.shard_of(hash);
        let at = position(self.shard(index)?, hash, key)?;
        let shard = self.shard_mut(index)?;
        let slot = Arc::make_mut(shard).get_mut(at)?.as_mut()?;
        Some(&mut slot.value)
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
            if shard.iter().flatten().count() * 2 + 2 <= shard.len() {
                place(Arc::make_mut(shard), slot);
            } else {
                *shard = shard_with(shard.iter().flatten().cloned().chain([slot]).collect());
            }
            self.len += 1;
        }
        None
    }

    /// Removes a key with its value.
    pub fn remove(&mut self, key: &str) -> Option<V> {
        let hash = hash_of(key);
        let index = self.shard_of(hash);
        let at = position(self.shard(index)?, hash, key)?;
        let shard = self.shard_mut(index)?;
        let mut places = shard.to_vec();
        let removed = places.get_mut(at)?.take()?;
        *shard = shard_with(places.into_iter().flatten().collect());
        self.len -= 1;
        if self.len == 0 {
            *self = Self::default();
        } else if self.len < self.shards * SHARD_LOAD / 8 {
            self.resize((self.shards / 2).max(1));
        }
        Some(removed.value)
    }

    fn resize(&mut self, shards: usize) {
        if shards == self.shards {
            return;
        }
        let mut entries: Vec<Vec<Slot<V>>> = Vec::new();
        entries.resize_with(shards, Vec::new);
        for slot in self.slots() {
            if let Some(entries) = entries.get_mut(shard_among(shards, slot.hash)) {
                entries.push(slot.clone());
            }
        }
        let all: Vec<Shard<V>> = entries.into_iter().map(shard_with).collect();
        self.groups = all.chunks(GROUP).map(Arc::from).collect();
        self.shards = shards;
    }
}

fn hash_of(key: &str) -> u64 {
    FxBuildHasher.hash_one(key)
}

/// The upper bits choose the shard, the lower ones the place in it.
fn shard_among(shards: usize, hash: u64) -> usize {
    let bits = shards.checked_ilog2().unwrap_or(0);
    // At most as large as the number of shards, which is a usize.
    usize::try_from(hash.checked_shr(64 - bits).unwrap_or(0)).unwrap_or(0)
}

/// A shard of these entries.
fn shard_with<V>(entries: Vec<Slot<V>>) -> Shard<V> {
    if entries.is_empty() {
        return Arc::from([]);
    }
    let mut places: Vec<Option<Slot<V>>> = Vec::new();
    places.resize_with((entries.len() * 2).next_power_of_two(), || None);
    for slot in entries {
        place(&mut places, slot);
    }
    places.into()
}

/// Puts an entry where it belongs. There is an empty place.
fn place<V>(places: &mut [Option<Slot<V>>], slot: Slot<V>) {
    let mut probes = probes(places.len(), slot.hash);
    let free = probes.find(|at| places.get(*at).is_some_and(Option::is_none));
    if let Some(place) = free.and_then(|at| places.get_mut(at)) {
        *place = Some(slot);
    }
}

/// Where the entry of a key is.
fn position<V>(shard: &[Option<Slot<V>>], hash: u64, key: &str) -> Option<usize> {
    for at in probes(shard.len(), hash) {
        let slot = shard.get(at)?.as_ref()?;
        if slot.hash == hash && *slot.key == *key {
            return Some(at);
        }
    }
    None
}

/// The places to look at, each once, in their order.
fn probes(places: usize, hash: u64) -> impl Iterator<Item = usize> {
    let mask = places.wrapping_sub(1);
    // The mask leaves what is less than the number of places, which is a usize.
    #[allow(clippy::cast_possible_truncation)]
    let start = hash as usize;
    (0..places).map(move |step| start.wrapping_add(step) & mask)
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
    fn most_entries_are_at_the_place_that_their_hash_names() {
        let mut map: ShardMap<u32> = ShardMap::default();
        let key = |number: u32| format!("h{number}.example.com");
        for number in 0..10_000 {
            map.insert(key(number).into(), number);
        }
        let mut probed = 0;
        for number in 0..10_000 {
            let (key, hash) = (key(number), hash_of(&key(number)));
            let shard = map.shard(map.shard_of(hash)).unwrap();
            let at = position(shard, hash, &key).unwrap();
            probed += 1 + probes(shard.len(), hash).position(|one| one == at).unwrap();
        }
        assert!(probed < 14_000, "{probed}");
    }

    #[test]
    fn a_change_of_one_entry_copies_one_shard() {
        let mut map: ShardMap<u32> = ShardMap::default();
        for key in 0..1000 {
            map.insert(key.to_string().into(), key);
        }
        let before = map.clone();
        map.insert("500".into(), 0);
        let groups = before.groups.iter().zip(&map.groups);
        let groups: Vec<_> = groups.filter(|(a, b)| !Arc::ptr_eq(a, b)).collect();
        assert_eq!(groups.len(), 1);
        let shards = groups[0].0.iter().zip(groups[0].1.iter());
        assert_eq!(shards.filter(|(a, b)| !Arc::ptr_eq(a, b)).count(), 1);
    }
}
