//! Everything that is known, and what follows from what is heard. Does no IO and reads no clock.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use kube::core::ApiResource;
use novaedge_api::meta::{Kind, ObjectId};
use novaedge_store::Change;
use tokio::time::Instant;

use crate::batch::{Batch, Discovered, Finding, Severity};
use crate::cache::{Cache, Effect, decode_as, unreadable};
use crate::definitions::{self, Definitions};
use crate::failure::Failure;
use crate::narrow::{Answer, Narrow, Verdict};
use crate::pending::Pending;
use crate::raw::{Identified as _, Raw, RawMeta};
use crate::refs::narrow_references;
use crate::served::{NARROW, Served, built_in, definition_of};
use crate::watch::Event;

/// How often a kind must be missing among what is served before it is believed to be gone, when its definition may not
/// be read: an API server that has just started does not serve everything yet.
const ABSENCES: u32 = 3;
/// How many Secrets and ConfigMaps are named that the first batch waits for.
const MAX_NAMED: usize = 20;

/// What came of a request for a Secret or ConfigMap.
pub(crate) type Answered = Result<Option<Box<Raw>>, Failure>;

/// Whether a request is to be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// It is not.
    No,
    /// There was no answer.
    Soon,
    /// The answer was no: somebody has to change that first.
    Rarely,
}

/// What there is to do after a discovery.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    /// Watches a kind, in place of the watch before.
    Watch(Kind, ApiResource),
    /// Watches it no longer.
    Leave(Kind),
}

/// What is known.
#[derive(Debug, Default)]
pub(crate) struct State {
    caches: BTreeMap<Kind, Cache>,
    served: Served,
    /// How often in a row a kind was missing among what is served.
    absent: BTreeMap<Kind, u32>,
    definitions: Definitions,
    narrow: Narrow,
    /// Kinds whose metadata have been listed.
    known: BTreeSet<Kind>,
    listing: BTreeMap<Kind, HashSet<ObjectId>>,
    /// Secrets and ConfigMaps with findings.
    troubled: BTreeSet<ObjectId>,
    told: Option<Arc<Discovered>>,
    pending: Pending,
}

impl State {
    /// Takes in what the watch of a kind tells.
    pub(crate) fn object(&mut self, kind: Kind, event: Event<Raw>, now: Instant) {
        let mut effect = Effect::default();
        if let Some(cache) = self.caches.get_mut(&kind) {
            cache.take(event, &mut effect);
        }
        self.apply(effect, now);
    }

    /// Takes in what the watch of the metadata of Secrets or ConfigMaps tells.
    pub(crate) fn metadata(&mut self, kind: Kind, event: Event<RawMeta>) {
        let id = |raw: &RawMeta| ObjectId {
            kind,
            key: raw.key(),
        };
        match event {
            Event::Restarted => {
                self.listing.insert(kind, HashSet::new());
            }
            Event::Listed(raw) => {
                let id = id(&raw);
                if let Some(listing) = self.listing.get_mut(&kind) {
                    listing.insert(id.clone());
                }
                self.narrow.is_listed(id, raw.version());
            }
            Event::Complete => {
                self.known.insert(kind);
                let Some(listed) = self.listing.remove(&kind) else {
                    return;
                };
                for id in self.narrow.known(kind) {
                    if !listed.contains(&id) {
                        self.gone(id, None);
                    }
                }
            }
            Event::Applied(raw) => self.narrow.has_version(id(&raw), raw.version()),
            Event::Deleted(raw) => self.gone(id(&raw), Some(raw.version())),
            Event::Following | Event::Failed(_) => {}
        }
    }

    /// Takes in what the watch of the definitions tells. Returns whether it is time to discover again.
    pub(crate) fn definition(&mut self, event: &Event<RawMeta>) -> bool {
        let again = self.definitions.take(event);
        // Before the first discovery there is nothing to tell.
        if self.told.is_some() {
            self.tell();
        }
        again
    }

    /// Takes in what the API server serves of our groups.
    pub(crate) fn discovered(&mut self, found: Served, now: Instant) -> Vec<Step> {
        let found: Served = found.into_iter().chain(built_in()).collect();
        let mut steps = Vec::new();
        let absent = self.served.keys().filter(|kind| !found.contains_key(kind));
        for kind in absent.copied().collect::<Vec<_>>() {
            if self.is_withdrawn(kind) {
                self.leave(kind, now);
                steps.push(Step::Leave(kind));
            }
        }
        for (kind, resource) in found {
            self.absent.remove(&kind);
            if self.served.get(&kind) == Some(&resource) {
                continue;
            }
            let api_version = &resource.api_version;
            self.caches
                .entry(kind)
                .and_modify(|cache| cache.change_version(api_version))
                .or_insert_with(|| Cache::new(kind, api_version));
            self.served.insert(kind, resource.clone());
            steps.push(Step::Watch(kind, resource));
        }
        self.tell();
        steps
    }

    /// Whether a kind that is not among what is served will not be served again soon.
    fn is_withdrawn(&mut self, kind: Kind) -> bool {
        match self.definitions.state() {
            definitions::State::Known => !self.definitions.has(&definition_of(kind)),
            definitions::State::Unknown => false,
            definitions::State::Forbidden => {
                let absences = self.absent.entry(kind).or_default();
                *absences += 1;
                *absences >= ABSENCES
            }
        }
    }

    fn leave(&mut self, kind: Kind, now: Instant) {
        self.served.remove(&kind);
        self.absent.remove(&kind);
        let mut effect = Effect::default();
        if let Some(mut cache) = self.caches.remove(&kind) {
            cache.clear(&mut effect);
        }
        self.apply(effect, now);
    }

    /// Tells what the cluster serves, when that is something else than before.
    fn tell(&mut self) {
        let versions = self.served.iter();
        let versions = versions.map(|(kind, resource)| (*kind, resource.version.clone()));
        let discovered = Discovered {
            versions: versions.collect(),
            bundles: self.definitions.bundles(),
        };
        if self.told.as_deref() != Some(&discovered) {
            let discovered = Arc::new(discovered);
            self.told = Some(Arc::clone(&discovered));
            self.pending.discovered(discovered);
        }
    }

    fn apply(&mut self, effect: Effect, now: Instant) {
        for (id, findings) in effect.findings {
            self.pending.problems(id.to_string(), findings);
        }
        for change in effect.changes {
            self.admit(change, now);
        }
    }

    /// Gives a change on, or holds it until what it refers to has been read.
    fn admit(&mut self, change: Change, now: Instant) {
        let id = change.id();
        let targets = targets_of(&change);
        // What the object referred to before is needed until this change is given on.
        let before = self.narrow.targets(&id);
        self.narrow
            .refer(&id, targets.union(&before).cloned().collect());
        if self.narrow.has_settled(&targets) {
            self.pass(change);
        } else {
            self.pending.hold(change, now);
        }
    }

    /// Gives a change on, and takes back what nobody refers to after it.
    fn pass(&mut self, change: Change) {
        for target in self.narrow.refer(&change.id(), targets_of(&change)) {
            self.take_back(target);
        }
        self.pending.change(change);
    }

    fn gone(&mut self, id: ObjectId, version: Option<&str>) {
        if self.narrow.is_gone(&id, version) {
            self.take_back(id);
        }
    }

    fn take_back(&mut self, id: ObjectId) {
        self.find(&id, Vec::new());
        self.pending.change(Change::Delete(id));
    }

    /// All findings of a Secret or ConfigMap.
    fn find(&mut self, id: &ObjectId, findings: Vec<Finding>) {
        let troubled = !findings.is_empty();
        let was_troubled = if troubled {
            !self.troubled.insert(id.clone())
        } else {
            self.troubled.remove(id)
        };
        if troubled || was_troubled {
            self.pending.problems(id.to_string(), findings);
        }
    }

    /// A Secret or ConfigMap to ask for now.
    pub(crate) fn next_request(&mut self) -> Option<ObjectId> {
        self.narrow.next()
    }

    /// Asks once more. Returns whether anybody still wants it.
    pub(crate) fn retry(&mut self, id: &ObjectId) -> bool {
        self.narrow.retry(id);
        self.narrow.is_wanted(id)
    }

    /// Takes in what came of a request.
    pub(crate) fn answer(&mut self, id: &ObjectId, answer: Answered) -> Again {
        let again = match &answer {
            Ok(_) => Again::No,
            Err(failure) if failure.is_forbidden() => Again::Rarely,
            Err(_) => Again::Soon,
        };
        match answer {
            Ok(Some(raw)) => {
                let verdict = self.narrow.answer(id, Answer::Found(raw.version()));
                if verdict == Verdict::Give {
                    self.give(id, *raw);
                }
            }
            Ok(None) => {
                if self.narrow.answer(id, Answer::Missing) == Verdict::TakeBack {
                    self.take_back(id.clone());
                }
            }
            Err(failure) if failure.is_forbidden() => {
                self.narrow.answer(id, Answer::Refused);
                if self.narrow.is_wanted(id) {
                    self.find(id, vec![refused(id, &failure)]);
                }
            }
            Err(failure) => {
                tracing::debug!(object = %id, failure.message, "no answer");
                self.narrow.answer(id, Answer::Failed);
            }
        }
        for referrer in self.narrow.referrers(id) {
            if self.narrow.is_settled(&referrer)
                && let Some(change) = self.pending.release(&referrer)
            {
                self.pass(change);
            }
        }
        if self.narrow.is_wanted(id) {
            again
        } else {
            Again::No
        }
    }

    fn give(&mut self, id: &ObjectId, raw: Raw) {
        match decode_as(id.kind, "v1", raw.value) {
            Ok((object, _)) => {
                self.find(id, Vec::new());
                self.pending.change(Change::Upsert(object));
            }
            Err(error) => self.find(id, unreadable(id, error, false)),
        }
    }

    /// Says that a watch may not be held, or that it may again.
    pub(crate) fn watch_is(&mut self, name: &str, forbidden: Option<&Failure>) {
        let findings = forbidden.map(|failure| Finding {
            severity: Severity::Error,
            object: None,
            field: String::new(),
            reason: "Forbidden",
            message: format!(
                "{name} cannot be watched: {}; let the control plane's ClusterRole list and watch it",
                failure.message
            ),
        });
        let place = format!("watch {name}");
        self.pending.problems(place, findings.into_iter().collect());
    }

    /// What the first batch still waits for.
    pub(crate) fn waiting(&self) -> BTreeSet<String> {
        let mut waiting = BTreeSet::new();
        if self.definitions.state() == definitions::State::Unknown {
            waiting.insert("CustomResourceDefinition".to_owned());
        }
        if self.told.is_none() {
            waiting.insert("discovery".to_owned());
        }
        let caches = self.caches.iter().filter(|(_, cache)| !cache.is_in_sync());
        waiting.extend(caches.map(|(kind, _)| kind.to_string()));
        let narrow = NARROW.iter().filter(|kind| !self.known.contains(kind));
        waiting.extend(narrow.map(ToString::to_string));
        let unsettled = self.narrow.unsettled().take(MAX_NAMED);
        waiting.extend(unsettled.map(ToString::to_string));
        waiting
    }

    /// Kinds that are defined, yet not among what is served: an API server that has just started, or a definition that
    /// has just come.
    pub(crate) fn unserved(&self) -> BTreeSet<String> {
        let kinds = Kind::ALL
            .iter()
            .filter(|kind| !self.served.contains_key(kind));
        let names = kinds.map(|kind| definition_of(*kind));
        names.filter(|name| self.definitions.has(name)).collect()
    }

    /// Whether definitions are watched, so that discovery need not be repeated often.
    pub(crate) fn knows_definitions(&self) -> bool {
        self.definitions.state() == definitions::State::Known
    }

    /// Lets go what has waited long enough; returns when to look again.
    pub(crate) fn release_late(&mut self, now: Instant) -> Option<Instant> {
        for change in self.pending.release_late(now) {
            self.pass(change);
        }
        self.pending.late_at()
    }

    /// Whether there is something to send.
    pub(crate) fn has_batch(&self) -> bool {
        !self.pending.is_empty()
    }

    /// What is to be sent.
    pub(crate) fn take_batch(&mut self) -> Batch {
        self.pending.take()
    }
}

fn targets_of(change: &Change) -> BTreeSet<ObjectId> {
    match change {
        Change::Upsert(object) => narrow_references(object),
        Change::Delete(_) => BTreeSet::new(),
    }
}

fn refused(id: &ObjectId, failure: &Failure) -> Finding {
    Finding {
        severity: Severity::Error,
        object: Some(id.to_string()),
        field: String::new(),
        reason: "Forbidden",
        message: format!(
            "it cannot be read: {}; let the control plane's ClusterRole get it",
            failure.message
        ),
    }
}
