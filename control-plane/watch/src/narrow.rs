//! Which Secrets and ConfigMaps are read, and when.
//!
//! The versions of all of them are known from their metadata; only those that something refers to are asked for, one
//! request at a time each. A reference to an object that is not known is asked for as well, once: it may have been
//! made a moment before what refers to it, and come later through another watch.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use novaedge_api::meta::{Kind, ObjectId};

/// What is known of Secrets and ConfigMaps.
#[derive(Debug, Default)]
pub(crate) struct Narrow {
    /// Resource versions as the metadata has them.
    versions: HashMap<ObjectId, Box<str>>,
    targets: BTreeMap<ObjectId, Target>,
    referrers: HashMap<ObjectId, BTreeSet<ObjectId>>,
    /// What is to be asked for.
    due: BTreeSet<ObjectId>,
}

/// Something that is referred to.
#[derive(Debug, Default)]
struct Target {
    referrers: BTreeSet<ObjectId>,
    /// The version that was given on; absent when nothing was.
    given: Option<Box<str>>,
    /// Whether the first answer has come, even if it is that there is no such object.
    settled: bool,
    /// Whether a request is under way.
    asked: bool,
    /// Whether the answer to come is too old already.
    again: bool,
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer<'a> {
    /// The object, at this version.
    Found(&'a str),
    /// There is no such object.
    Missing,
    /// The object may not be read: what refers to it does not wait for it.
    Refused,
    /// No answer.
    Failed,
}

/// What to do with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Gives the object on.
    Give,
    /// Takes it back: it was given on before.
    TakeBack,
    /// Nothing changes.
    Nothing,
}

impl Narrow {
    /// Sets what an object refers to. Returns what is to be taken back, as nobody refers to it any more.
    pub(crate) fn refer(
        &mut self,
        referrer: &ObjectId,
        targets: BTreeSet<ObjectId>,
    ) -> Vec<ObjectId> {
        let before = self.referrers.remove(referrer).unwrap_or_default();
        for target in targets.difference(&before) {
            let entry = self.targets.entry(target.clone()).or_insert_with(|| {
                self.due.insert(target.clone());
                Target::default()
            });
            entry.referrers.insert(referrer.clone());
        }
        let mut forgotten = Vec::new();
        for id in before.difference(&targets) {
            let Some(target) = self.targets.get_mut(id) else {
                continue;
            };
            target.referrers.remove(referrer);
            if !target.referrers.is_empty() {
                continue;
            }
            if target.given.is_some() {
                forgotten.push(id.clone());
            }
            self.targets.remove(id);
            self.due.remove(id);
        }
        if !targets.is_empty() {
            self.referrers.insert(referrer.clone(), targets);
        }
        forgotten
    }

    /// Takes in that an object has a version now. It may be an earlier one than before, when the cluster was restored.
    pub(crate) fn is_listed(&mut self, id: ObjectId, version: &str) {
        self.look_at(id, version, |version, given| version != given);
    }

    /// Takes in that an object got a version. That may be told later than it was read.
    pub(crate) fn has_version(&mut self, id: ObjectId, version: &str) {
        self.look_at(id, version, is_newer);
    }

    fn look_at(&mut self, id: ObjectId, version: &str, is_news: fn(&str, &str) -> bool) {
        if let Some(target) = self.targets.get_mut(&id) {
            if target.asked {
                // The answer may be this version already; it is compared when it comes.
                target.again = true;
            } else if target
                .given
                .as_deref()
                .is_none_or(|given| is_news(version, given))
            {
                self.due.insert(id.clone());
            }
        }
        self.versions.insert(id, version.into());
    }

    /// Takes in that an object is gone. Returns whether it is to be taken back.
    pub(crate) fn is_gone(&mut self, id: &ObjectId, version: Option<&str>) -> bool {
        self.versions.remove(id);
        let Some(target) = self.targets.get_mut(id) else {
            return false;
        };
        let Some(given) = &target.given else {
            return false;
        };
        // What was asked for may be the next object of this name, which was read before the old one went.
        if version.is_some_and(|version| is_newer(given, version)) {
            return false;
        }
        target.given = None;
        true
    }

    /// The objects of a kind that are known.
    pub(crate) fn known(&self, kind: Kind) -> Vec<ObjectId> {
        let known = self.versions.keys().filter(|id| id.kind == kind);
        known.cloned().collect()
    }

    /// Something to ask for now.
    pub(crate) fn next(&mut self) -> Option<ObjectId> {
        let id = self.due.pop_first()?;
        if let Some(target) = self.targets.get_mut(&id) {
            target.asked = true;
            target.again = false;
        }
        Some(id)
    }

    /// Asks again for something whose request had no answer.
    pub(crate) fn retry(&mut self, id: &ObjectId) {
        if self.targets.get(id).is_some_and(|target| !target.asked) {
            self.due.insert(id.clone());
        }
    }

    /// Takes in an answer.
    pub(crate) fn answer(&mut self, id: &ObjectId, answer: Answer<'_>) -> Verdict {
        let Some(target) = self.targets.get_mut(id) else {
            return Verdict::Nothing;
        };
        target.asked = false;
        let again = std::mem::take(&mut target.again);
        match answer {
            Answer::Found(version) => {
                target.settled = true;
                let known = self.versions.get(id);
                if again && known.is_some_and(|known| is_newer(known, version)) {
                    self.due.insert(id.clone());
                }
                if target.given.as_deref() == Some(version) {
                    return Verdict::Nothing;
                }
                target.given = Some(version.into());
                Verdict::Give
            }
            Answer::Missing => {
                target.settled = true;
                if again && self.versions.contains_key(id) {
                    self.due.insert(id.clone());
                }
                match target.given.take() {
                    Some(_) => Verdict::TakeBack,
                    None => Verdict::Nothing,
                }
            }
            Answer::Refused => {
                target.settled = true;
                Verdict::Nothing
            }
            Answer::Failed => Verdict::Nothing,
        }
    }

    /// Whether everything that an object refers to has been asked for.
    pub(crate) fn is_settled(&self, referrer: &ObjectId) -> bool {
        let targets = self.referrers.get(referrer);
        targets.is_none_or(|targets| self.has_settled(targets))
    }

    /// Whether all of these have been asked for.
    pub(crate) fn has_settled(&self, targets: &BTreeSet<ObjectId>) -> bool {
        let mut targets = targets.iter().filter_map(|id| self.targets.get(id));
        targets.all(|target| target.settled)
    }

    /// What an object refers to.
    pub(crate) fn targets(&self, referrer: &ObjectId) -> BTreeSet<ObjectId> {
        self.referrers.get(referrer).cloned().unwrap_or_default()
    }

    /// Whether something refers to it.
    pub(crate) fn is_wanted(&self, id: &ObjectId) -> bool {
        self.targets.contains_key(id)
    }

    /// What waits for its first answer.
    pub(crate) fn unsettled(&self) -> impl Iterator<Item = &ObjectId> {
        let unsettled = self.targets.iter().filter(|(_, target)| !target.settled);
        unsettled.map(|(id, _)| id)
    }

    /// What refers to something.
    pub(crate) fn referrers(&self, id: &ObjectId) -> Vec<ObjectId> {
        let target = self.targets.get(id).into_iter();
        target
            .flat_map(|target| target.referrers.iter().cloned())
            .collect()
    }
}

/// Whether a resource version comes after another. They are decimal numbers that grow (KEP-5504); where they are not,
/// every difference counts as newer.
fn is_newer(version: &str, than: &str) -> bool {
    match (version.parse::<u64>(), than.parse::<u64>()) {
        (Ok(version), Ok(than)) => version > than,
        _ => version != than,
    }
}

#[cfg(test)]
mod tests;
