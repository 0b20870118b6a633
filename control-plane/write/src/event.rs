//! Events: what a user must fix, told once on the object that is to change.

mod teller;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

use novaedge_api::meta::ObjectId;
use novaedge_translate::Diagnostic;

pub(crate) use self::teller::tell;

/// How long the same is not told again.
const PAUSE: Duration = Duration::from_mins(10);
/// How long the API server keeps an event, by default.
const KEPT: Duration = Duration::from_hours(1);
/// What a follower found longer ago than this, the leader of that time has told.
const HANDOVER: Duration = Duration::from_secs(30);
/// Limits: events that wait, findings that are remembered, and those of one object.
const MAX_QUEUED: usize = 1_000;
const MAX_TOLD: usize = 4_096;
const MAX_PER_OBJECT: usize = 16;
/// Events in one go, and the time in which there may be another one.
const BURST: u32 = 25;
const REFILL: Duration = Duration::from_millis(200);

/// One thing to tell.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Finding {
    pub(crate) object: ObjectId,
    pub(crate) reason: String,
    pub(crate) message: String,
}

/// What became of something to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    Queued,
    /// It was told a short while ago.
    Repeated,
    /// Too much is waiting.
    Dropped,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    at: Duration,
    count: i32,
}

/// What is wrong now, and what of it was told. Times are those of a monotonic clock since some start.
#[derive(Debug, Default)]
pub(crate) struct EventBook {
    /// By object: what is wrong, and since when.
    current: BTreeMap<ObjectId, BTreeMap<Finding, Duration>>,
    /// By the hash of the finding: thousands are remembered for an hour, and their texts would stay in memory.
    told: HashMap<u64, Told>,
    /// What waits, each with the object that it was found for.
    queue: VecDeque<(ObjectId, Finding)>,
    queued: BTreeSet<Finding>,
    active: bool,
    /// Events sent lately, less one for each [`REFILL`].
    spent: u32,
    refilled: Duration,
}

impl EventBook {
    /// All that is wrong with an object now.
    pub(crate) fn set(
        &mut self,
        id: &ObjectId,
        diagnostics: &[Diagnostic],
        now: Duration,
    ) -> Vec<Offer> {
        let before = self.current.remove(id).unwrap_or_default();
        let found = diagnostics.iter().take(MAX_PER_OBJECT).map(|diagnostic| {
            let finding = Finding {
                object: diagnostic.object.clone(),
                reason: diagnostic.reason.clone(),
                message: message(diagnostic),
            };
            let since = before.get(&finding).copied().unwrap_or(now);
            (finding, since)
        });
        let found: BTreeMap<Finding, Duration> = found.collect();
        let new = found.keys().filter(|finding| !before.contains_key(finding));
        let new: Vec<Finding> = new.cloned().collect();
        if !found.is_empty() {
            self.current.insert(id.clone(), found);
        }
        if !self.active {
            return Vec::new();
        }
        new.into_iter().map(|f| self.offer(id, f, now)).collect()
    }

    /// This process begins to tell.
    pub(crate) fn activate(&mut self, now: Duration) -> Vec<Offer> {
        self.active = true;
        let current = self.current.iter();
        let findings = current.flat_map(|(id, found)| found.iter().map(move |found| (id, found)));
        let untold = findings.filter(|(_, (_, since))| now <= **since + HANDOVER);
        let untold = untold.map(|(id, (finding, _))| (id.clone(), finding.clone()));
        let untold: Vec<(ObjectId, Finding)> = untold.collect();
        let offer = |(id, finding): (ObjectId, Finding)| self.offer(&id, finding, now);
        untold.into_iter().map(offer).collect()
    }

    /// Others tell from now on.
    pub(crate) fn deactivate(&mut self) {
        self.active = false;
        self.queue.clear();
        self.queued.clear();
    }

    fn offer(&mut self, id: &ObjectId, finding: Finding, now: Duration) -> Offer {
        let told = self.told.get(&hash(&finding));
        if told.is_some_and(|told| now < told.at + PAUSE) || self.queued.contains(&finding) {
            return Offer::Repeated;
        }
        if self.queue.len() >= MAX_QUEUED {
            return Offer::Dropped;
        }
        self.queued.insert(finding.clone());
        self.queue.push_back((id.clone(), finding));
        Offer::Queued
    }

    /// The next one to tell, and how often it was told with that. What was mended while it waited is nobody's to fix.
    pub(crate) fn next(&mut self, now: Duration) -> Option<(Finding, i32)> {
        if self.queue.len() < self.queue.capacity() / 8 {
            self.queue.shrink_to(2 * self.queue.len());
        }
        let refills = now.saturating_sub(self.refilled).as_millis() / REFILL.as_millis();
        let refills = u32::try_from(refills).unwrap_or(u32::MAX);
        if refills > 0 {
            self.spent = self.spent.saturating_sub(refills);
            self.refilled = now;
        }
        if self.spent >= BURST {
            return None;
        }
        let finding = loop {
            let (id, finding) = self.queue.pop_front()?;
            self.queued.remove(&finding);
            let found = self.current.get(&id);
            if found.is_some_and(|found| found.contains_key(&finding)) {
                break finding;
            }
        };
        self.spent += 1;
        let told = self.told.get(&hash(&finding));
        let told = told.filter(|told| now < told.at + KEPT);
        let count = told.map_or(1, |told| told.count.saturating_add(1));
        self.remember(&finding, Told { at: now, count });
        Some((finding, count))
    }

    /// How long until [`next`](Self::next) may give something; none where nothing waits.
    pub(crate) fn pause(&self) -> Option<Duration> {
        if self.queue.is_empty() {
            return None;
        }
        let spent = self.spent >= BURST;
        Some(if spent { REFILL } else { Duration::ZERO })
    }

    fn remember(&mut self, finding: &Finding, told: Told) {
        let finding = hash(finding);
        if self.told.len() >= MAX_TOLD && !self.told.contains_key(&finding) {
            let oldest = self.told.iter().min_by_key(|(_, told)| told.at);
            if let Some(oldest) = oldest.map(|(finding, _)| *finding) {
                self.told.remove(&oldest);
            }
        }
        self.told.insert(finding, told);
    }
}

fn hash(finding: &Finding) -> u64 {
    let mut hasher = DefaultHasher::new();
    finding.hash(&mut hasher);
    hasher.finish()
}

/// The message with the field in front, as people read it.
fn message(diagnostic: &Diagnostic) -> String {
    if diagnostic.field.is_empty() {
        return diagnostic.message.clone();
    }
    format!("{}: {}", diagnostic.field, diagnostic.message)
}

#[cfg(test)]
mod tests {
    use novaedge_api::meta::Kind;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn id(name: &str) -> ObjectId {
        ObjectId::new(Kind::HttpRoute, "default", name)
    }

    fn wrong(name: &str, message: &str) -> Diagnostic {
        Diagnostic::error(id(name), "spec.x", "Invalid", message)
    }

    fn drain(book: &mut EventBook, now: Duration) -> Vec<(String, i32)> {
        std::iter::from_fn(|| book.next(now))
            .map(|(finding, count)| (finding.message, count))
            .collect()
    }

    #[test]
    fn the_same_is_told_once_in_ten_minutes() {
        let mut book = EventBook::default();
        book.activate(SECOND);
        let a = [wrong("a", "bad")];
        book.set(&id("a"), &a, SECOND);
        assert_eq!(drain(&mut book, SECOND), [("spec.x: bad".to_owned(), 1)]);
        book.set(&id("a"), &a, SECOND * 2);
        book.set(&id("a"), &[], SECOND * 3);
        assert_eq!(book.set(&id("a"), &a, SECOND * 4), [Offer::Repeated]);
        assert_eq!(drain(&mut book, SECOND * 4), []);
        book.set(&id("a"), &[], SECOND * 5);
        let later = SECOND * 700;
        assert_eq!(book.set(&id("a"), &a, later), [Offer::Queued]);
        assert_eq!(drain(&mut book, later), [("spec.x: bad".to_owned(), 2)]);
    }

    #[test]
    fn a_new_leader_tells_only_what_the_old_one_cannot_have_told() {
        let mut book = EventBook::default();
        book.set(&id("old"), &[wrong("old", "told")], SECOND);
        book.set(&id("new"), &[wrong("new", "untold")], SECOND * 50);
        assert_eq!(book.pause(), None);
        assert_eq!(book.activate(SECOND * 60), [Offer::Queued]);
        assert_eq!(
            drain(&mut book, SECOND * 60),
            [("spec.x: untold".to_owned(), 1)]
        );
        book.set(&id("a"), &[wrong("a", "bad")], SECOND * 61);
        book.deactivate();
        assert_eq!(drain(&mut book, SECOND * 61), []);
    }

    #[test]
    fn what_is_mended_before_its_turn_is_not_told() {
        let mut book = EventBook::default();
        book.activate(SECOND);
        book.set(&id("gone"), &[wrong("gone", "bad")], SECOND);
        book.set(&id("kept"), &[wrong("kept", "bad")], SECOND);
        book.set(&id("gone"), &[], SECOND);
        let next = book.next(SECOND).map(|(finding, _)| finding.object);
        assert_eq!(next, Some(id("kept")));
        assert_eq!(book.next(SECOND), None);
        book.set(&id("gone"), &[wrong("gone", "bad")], SECOND);
        assert!(book.next(SECOND).is_some(), "it was never told");
    }

    #[test]
    fn a_flood_is_slowed_down_and_cut() {
        let mut book = EventBook::default();
        book.activate(SECOND);
        let mut dropped = 0;
        for n in 0..2_000 {
            let name = n.to_string();
            let offers = book.set(&id(&name), &[wrong(&name, &name)], SECOND);
            dropped += offers.iter().filter(|o| **o == Offer::Dropped).count();
        }
        assert_eq!(dropped, 1_000);
        assert_eq!(drain(&mut book, SECOND).len(), 25);
        assert_eq!(book.pause(), Some(REFILL));
        assert_eq!(drain(&mut book, SECOND * 2).len(), 5);
        assert_eq!(drain(&mut book, SECOND * 1_000).len(), 25);
    }
}
