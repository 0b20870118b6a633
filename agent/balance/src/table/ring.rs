//! A ring of points: a key belongs to the next point after its hash (Karger et al. 1997, as ketama does it).

use super::Entry;
use crate::hash::{mix, pair};

/// Points of an endpoint of mean weight, if there is room.
const POINTS: usize = 160;

/// Most points of a ring, which is half a MiB.
const MAX_POINTS: usize = 1 << 16;

/// Sorted points: the hash in the upper 48 bits, the index of the endpoint in the lower 16.
#[derive(Debug)]
pub(crate) struct Ring(Vec<u64>);

impl Ring {
    pub(super) fn new(entries: &[Entry]) -> Self {
        let Some(room) = MAX_POINTS.checked_div(entries.len()) else {
            return Self(Vec::new());
        };
        let mean = POINTS.min(room) as u64;
        let all: u64 = entries.iter().map(|entry| u64::from(entry.weight)).sum();
        let mut points = Vec::with_capacity(POINTS.min(room) * entries.len());
        for (at, entry) in (0_u64..).zip(entries) {
            let share = u64::from(entry.weight) * mean * entries.len() as u64;
            let count = (share / all.max(1)).max(1);
            // The n-th point of an endpoint is the same in every ring, so a ring of other size moves few keys.
            points.extend((0..count).map(|point| (pair(point, entry.id) & !0xffff) | at));
        }
        points.sort_unstable();
        Self(points)
    }

    /// The endpoints in the order of the points after the key.
    pub(super) fn from(&self, key: u64) -> impl Iterator<Item = u32> {
        let hash = mix(key) | 0xffff;
        let start = self.0.partition_point(|point| *point <= hash);
        let (before, from) = self.0.split_at_checked(start).unwrap_or((&[], &self.0));
        from.iter()
            .chain(before)
            .map(|point| u32::try_from(point & 0xffff).unwrap_or(0))
    }
}
