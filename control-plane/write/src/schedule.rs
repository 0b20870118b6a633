//! What is written when: each object once at a time, its newest state only, and who fails waits alone.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// First pause after a failure; it doubles up to the longest.
const FIRST_BACKOFF: Duration = Duration::from_millis(250);
const LONGEST_BACKOFF: Duration = Duration::from_mins(1);

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The object is as it should be.
    Done,
    /// It is not, and shall be looked at again after a while.
    Failed,
}

/// How long the changes of an object are gathered before it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// After the last change.
    pub(crate) quiet: Duration,
    /// After the first change, however many follow.
    pub(crate) longest: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Wait {
    due: Duration,
    /// When it is due at last, however many changes follow.
    latest: Duration,
}

/// Objects that wait to be written. Times are those of a monotonic clock since some start.
#[derive(Debug)]
pub(crate) struct Schedule<K> {
    waits: BTreeMap<K, Wait>,
    due: BTreeSet<(Duration, K)>,
    /// Being written, and whether it has changed meanwhile.
    in_flight: BTreeMap<K, bool>,
    /// Failures in a row.
    failures: BTreeMap<K, u32>,
}

impl<K> Default for Schedule<K> {
    fn default() -> Self {
        Self {
            waits: BTreeMap::new(),
            due: BTreeSet::new(),
            in_flight: BTreeMap::new(),
            failures: BTreeMap::new(),
        }
    }
}

impl<K: Clone + Ord + Hash> Schedule<K> {
    /// `key` has changed.
    pub(crate) fn mark(&mut self, key: &K, now: Duration, window: Window) {
        if let Some(changed) = self.in_flight.get_mut(key) {
            *changed = true;
            return;
        }
        if self.failures.contains_key(key) && self.waits.contains_key(key) {
            // Its pause goes on, and then the newest state is written.
            return;
        }
        let latest = match self.waits.get(key) {
            Some(wait) => wait.latest,
            None => now + window.longest,
        };
        let due = (now + window.quiet).min(latest);
        self.wait(key, Wait { due, latest });
    }

    /// The next one that is due. It is in flight until it is [`finish`](Self::finish)ed.
    pub(crate) fn pop(&mut self, now: Duration) -> Option<K> {
        let (due, _) = self.due.first()?;
        if *due > now {
            return None;
        }
        let (_, key) = self.due.pop_first()?;
        self.waits.remove(&key);
        self.in_flight.insert(key.clone(), false);
        Some(key)
    }

    /// An attempt ended.
    pub(crate) fn finish(&mut self, key: &K, outcome: Outcome, now: Duration, window: Window) {
        let changed = self.in_flight.remove(key).unwrap_or(false);
        match outcome {
            Outcome::Done => {
                self.failures.remove(key);
                if changed {
                    self.mark(key, now, window);
                }
            }
            Outcome::Failed => {
                let failures = self.failures.entry(key.clone()).or_default();
                *failures = failures.saturating_add(1);
                let due = now + backoff(key, *failures);
                self.wait(key, Wait { due, latest: due });
            }
        }
    }

    /// When the next one is due.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.due.first().map(|(due, _)| *due)
    }

    /// How many wait or are in flight.
    pub(crate) fn len(&self) -> usize {
        self.waits.len() + self.in_flight.len()
    }

    fn wait(&mut self, key: &K, wait: Wait) {
        if let Some(before) = self.waits.insert(key.clone(), wait) {
            self.due.remove(&(before.due, key.clone()));
        }
        self.due.insert((wait.due, key.clone()));
    }
}

/// The pause after so many failures in a row: doubled each time, and different for each key.
fn backoff(key: &impl Hash, failures: u32) -> Duration {
    let doubled = FIRST_BACKOFF.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let whole = doubled.min(LONGEST_BACKOFF);
    whole.mul_f64(0.75 + 0.25 * jitter(key, failures))
}

/// A number from 0 to 1 that is the same for the same key and round.
pub(crate) fn jitter(key: &(impl Hash + ?Sized), round: u32) -> f64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    round.hash(&mut hasher);
    let low = u32::try_from(hasher.finish() & 0xffff).unwrap_or_default();
    f64::from(low) / 65_535.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    const WINDOW: Window = Window {
        quiet: ms(100),
        longest: ms(300),
    };

    #[test]
    fn changes_are_gathered_until_it_is_quiet_or_long_enough() {
        let mut schedule = Schedule::default();
        schedule.mark(&"a", ms(0), WINDOW);
        schedule.mark(&"a", ms(90), WINDOW);
        assert_eq!(schedule.pop(ms(100)), None);
        assert_eq!(schedule.pop(ms(190)), Some("a"));
        schedule.finish(&"a", Outcome::Done, ms(200), WINDOW);
        assert_eq!((schedule.len(), schedule.next_due()), (0, None));
        for now in (1_000..1_300).step_by(50) {
            schedule.mark(&"a", ms(now), WINDOW);
        }
        assert_eq!(schedule.next_due(), Some(ms(1_300)));
    }

    #[test]
    fn a_change_in_flight_comes_after_and_never_beside() {
        let mut schedule = Schedule::default();
        schedule.mark(&"a", ms(0), WINDOW);
        assert_eq!(schedule.pop(ms(100)), Some("a"));
        schedule.mark(&"a", ms(110), WINDOW);
        assert_eq!(schedule.pop(ms(9_000)), None);
        schedule.finish(&"a", Outcome::Done, ms(120), WINDOW);
        assert_eq!(schedule.pop(ms(219)), None);
        assert_eq!(schedule.pop(ms(220)), Some("a"));
    }

    #[test]
    fn who_fails_waits_longer_each_time_and_alone() {
        let mut schedule = Schedule::default();
        let mut now = ms(0);
        schedule.mark(&"bad", now, WINDOW);
        let mut pauses = vec![];
        for _ in 0..12 {
            now = schedule.next_due().expect("scheduled");
            assert_eq!(schedule.pop(now), Some("bad"));
            schedule.finish(&"bad", Outcome::Failed, now, WINDOW);
            schedule.mark(&"bad", now, WINDOW);
            pauses.push(schedule.next_due().expect("scheduled").saturating_sub(now));
        }
        assert!(pauses[0] <= ms(250) && pauses[0] >= ms(187));
        assert!(pauses.iter().all(|pause| *pause <= LONGEST_BACKOFF));
        assert!(pauses[11] >= ms(45_000));
        schedule.mark(&"good", now, WINDOW);
        assert_eq!(schedule.pop(now + ms(100)), Some("good"));
        let later = now + LONGEST_BACKOFF;
        assert_eq!(schedule.pop(later), Some("bad"));
        schedule.finish(&"bad", Outcome::Done, later, WINDOW);
        schedule.mark(&"bad", later, WINDOW);
        assert_eq!(schedule.pop(later + ms(100)), Some("bad"));
    }
}
