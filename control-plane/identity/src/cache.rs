//! A bounded memory of verdicts on tokens. The tokens themselves are not kept.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

/// Verdicts that are remembered.
const MAX_ENTRIES: usize = 10_000;

/// What a token is remembered by.
pub(crate) type Key = [u8; 32];

/// Verdicts by token, each for a time.
#[derive(Debug)]
pub(crate) struct Cache<V> {
    life: Duration,
    verdicts: HashMap<Key, (Instant, V)>,
    /// In the order of their making.
    order: VecDeque<(Instant, Key)>,
}

pub(crate) fn key(token: &str) -> Key {
    Sha256::digest(token.as_bytes()).into()
}

impl<V: Clone> Cache<V> {
    pub(crate) fn new(life: Duration) -> Self {
        Self {
            life,
            verdicts: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    pub(crate) fn get(&self, key: &Key, now: Instant) -> Option<V> {
        let (made, verdict) = self.verdicts.get(key)?;
        (now < *made + self.life).then(|| verdict.clone())
    }

    pub(crate) fn put(&mut self, key: Key, verdict: V, now: Instant) {
        self.verdicts.insert(key, (now, verdict));
        self.order.push_back((now, key));
        while let Some((made, key)) = self.order.front() {
            if now < *made + self.life && self.order.len() <= MAX_ENTRIES {
                break;
            }
            // A verdict made anew has a later place in the order.
            if self
                .verdicts
                .get(key)
                .is_some_and(|(newest, _)| newest == made)
            {
                self.verdicts.remove(key);
            }
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_end_and_are_bounded() {
        let life = Duration::from_mins(1);
        let mut cache = Cache::new(life);
        let begin = Instant::now();
        cache.put(key("a"), 1, begin);
        assert_eq!(
            cache.get(&key("a"), begin + life - Duration::from_secs(1)),
            Some(1)
        );
        assert_eq!(cache.get(&key("a"), begin + life), None);
        for n in 0..2 * MAX_ENTRIES {
            cache.put(key(&n.to_string()), 2, begin);
        }
        assert_eq!(cache.verdicts.len(), MAX_ENTRIES);
        assert_eq!(cache.order.len(), MAX_ENTRIES);
        cache.put(key("b"), 3, begin + life);
        assert_eq!(cache.verdicts.len(), 1);
    }
}
