//! A map from names to values whose copies share what did not change.

use std::{hash::BuildHasher as _, sync::Arc};

use rustc_hash::FxBuildHasher;

/// A hash map in groups of shards of a few entries. A change copies one shard, its group and the list of groups, whatever
/// the size of the map's values; a copy of the map copies the list only.
///
/// That is what makes one changed route cheap: the tables before and after it share all but one shard. What a change
/// costs is the reference counts that it touches, each on a cache line of its own: some dozen of them at ten thousand
/// entries. A shard has far more places than entries. So a lookup looks at one place as a rule, and the processor guesses
/// its branches right, with ten thousand entries as with one; a place that is free costs a byte.
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

/// Entries, each known at the place that its hash names or behind it with no free place between, from the last place on to
/// the first.
#[derive(Clone, Debug)]
struct Shard<V> {
    /// For each place the index of its entry, or [`FREE`].
    places: [u8; PLACES],
    /// In no order; those that find no place, which only keys bring about that were chosen for it, come last.
    entries: Arc<[Entry<V>]>,
}

/// Places in a shard: so many that few entries find theirs taken.
const PLACES: usize = 64;

/// What a place without an entry says. Entries that have a place are the first [`PLACES`] at most.
const FREE: u8 = u8::MAX;

#[derive(Clone, Debug)]
struct Entry<V> {
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
        let entry = shard.entries.get(shard.position(hash, key)?)?;
        Some((&entry.key, &entry.value))
    }

    /// True if there is a value for the key.
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// All entries, in no meaningful order.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &V)> {
        self.entries().map(|entry| (&entry.key, &entry.value))
    }

    /// All values, in no meaningful order.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    fn entries(&self) -> impl Iterator<Item = &Entry<V>> {
        let shards = self.groups.iter().flat_map(|group| group.iter());
        shards.flat_map(|shard| shard.entries.iter())
    }

    fn shard_of(&self, hash: u64) -> usize {
        shard_among(self.shards, hash)
    }

    fn shard(&self, index: usize) -> Option<&Shard<V>> {
        self.groups.get(index / GROUP)?.get(index % GROUP)
    }
}

impl<V: Clone> ShardMap<V> {
    /// The value of a key, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut V> {
        let hash = hash_of(key);
        let index = self.shard_of(hash);
        let at = self.shard(index)?.position(hash, key)?;
        let shard = self.shard_mut(index)?;
        let entry = Arc::make_mut(&mut shard.entries).get_mut(at)?;
        Some(&mut entry.value)
    }

    /// Sets the value of a key, and returns the one before.
    pub fn insert(&mut self, key: Arc<str>, value: V) -> Option<V> {
        if let Some(held) = self.get_mut(&key) {
            return Some(std::mem::replace(held, value));
        }
        if self.len >= self.shards * SHARD_LOAD {
            self.resize((self.shards * 2).max(1));
        }
        let index = self.shard_of(hash_of(&key));
        if let Some(shard) = self.shard_mut(index) {
            shard.insert(Entry { key, value });
            self.len += 1;
        }
        None
    }

    /// Removes a key with its value.
    pub fn remove(&mut self, key: &str) -> Option<V> {
        let hash = hash_of(key);
        let index = self.shard_of(hash);
        let at = self.shard(index)?.position(hash, key)?;
        let shard = self.shard_mut(index)?;
        let mut entries = shard.entries.to_vec();
        let removed = entries.remove(at);
        *shard = Shard::of(entries);
        self.len -= 1;
        if self.len == 0 {
            *self = Self::default();
        } else if self.len < self.shards * SHARD_LOAD / 8 {
            self.resize((self.shards / 2).max(1));
        }
        Some(removed.value)
    }

    /// A shard to be changed; copies its group where another map shares it.
    fn shard_mut(&mut self, index: usize) -> Option<&mut Shard<V>> {
        let group = self.groups.get_mut(index / GROUP)?;
        Arc::make_mut(group).get_mut(index % GROUP)
    }

    fn resize(&mut self, shards: usize) {
        if shards == self.shards {
            return;
        }
        let mut entries: Vec<Vec<Entry<V>>> = Vec::new();
        entries.resize_with(shards, Vec::new);
        for entry in self.entries() {
            let index = shard_among(shards, hash_of(&entry.key));
            if let Some(entries) = entries.get_mut(index) {
                entries.push(entry.clone());
            }
        }
        let all: Vec<Shard<V>> = entries.into_iter().map(Shard::of).collect();
        self.groups = all.chunks(GROUP).map(Arc::from).collect();
        self.shards = shards;
    }
}

impl<V> Shard<V> {
    /// A shard of these entries.
    fn of(entries: Vec<Entry<V>>) -> Self {
        let mut places = [FREE; PLACES];
        for (at, entry) in (0..).zip(entries.iter().take(PLACES)) {
            take_place(&mut places, hash_of(&entry.key), at);
        }
        Self {
            places,
            entries: entries.into(),
        }
    }

    /// Where the entry of a key is among the entries.
    fn position(&self, hash: u64, key: &str) -> Option<usize> {
        let is_at = |at| {
            let entry: Option<&Entry<V>> = self.entries.get(at);
            entry.is_some_and(|entry| *entry.key == *key)
        };
        for place in probes(hash) {
            match self.places.get(place) {
                Some(&FREE) | None => return None,
                Some(at) if is_at(usize::from(*at)) => return Some(usize::from(*at)),
                Some(_) => {}
            }
        }
        (PLACES..self.entries.len()).find(|at| is_at(*at))
    }
}

impl<V: Clone> Shard<V> {
    /// Adds an entry whose key is not there.
    fn insert(&mut self, entry: Entry<V>) {
        if let Ok(at) = u8::try_from(self.entries.len()) {
            take_place(&mut self.places, hash_of(&entry.key), at);
        }
        self.entries = self.entries.iter().cloned().chain([entry]).collect();
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

/// Marks the first free place for a hash, if there is one, as that of an entry.
fn take_place(places: &mut [u8; PLACES], hash: u64, at: u8) {
    let free = probes(hash).find(|place| places.get(*place) == Some(&FREE));
    if let Some(place) = free.and_then(|place| places.get_mut(place)) {
        *place = at;
    }
}

/// The places to look at, each once, in their order.
fn probes(hash: u64) -> impl Iterator<Item = usize> {
    // The remainder leaves what is less than the number of places.
    #[allow(clippy::cast_possible_truncation)]
    let start = hash as usize;
    (0..PLACES).map(move |step| start.wrapping_add(step) % PLACES)
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
            let hash = hash_of(&key(number));
            let shard = map.shard(map.shard_of(hash)).unwrap();
            let at = shard.position(hash, &key(number)).unwrap();
            let is_of = |place: &usize| usize::from(shard.places[*place]) == at;
            probed += 1 + probes(hash).take_while(|place| !is_of(place)).count();
        }
        assert!(probed < 14_000, "{probed}");
    }

    #[test]
    fn a_shard_holds_more_entries_than_it_has_places() {
        let mut shard = Shard::of(Vec::new());
        let entry = |value: u32| Entry {
            key: value.to_string().into(),
            value,
        };
        for value in 0..200 {
            shard.insert(entry(value));
        }
        for shard in [&shard, &Shard::of(shard.entries.to_vec())] {
            assert!(!shard.places.contains(&FREE));
            for value in 0..300 {
                let key = value.to_string();
                let at = shard.position(hash_of(&key), &key);
                let found = at.map(|at| shard.entries[at].value);
                assert_eq!(found, (value < 200).then_some(value));
            }
        }
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
        assert_eq!(
            shards
                .filter(|(a, b)| !Arc::ptr_eq(&a.entries, &b.entries))
                .count(),
            1
        );
    }
}
