//! The current snapshot and a bounded log of the steps that led to it.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use novaedge_proto::{
    digest::{ContentVersion, SnapshotDigest},
    v1,
};

use crate::{
    closure::Changed,
    encoded::{EncodedResource, Refused, RefusedError},
    serves::{Serves, ServesBook},
};

/// Changes that a log keeps however few resources there are.
const FEW: usize = 64;

/// How much a [`SnapshotLog`] keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    /// Resources in a snapshot; one more is refused.
    pub max_resources: usize,
    /// Steps in the log.
    pub max_steps: usize,
    /// Changed names in the log, over all steps. More than there are resources, or 64, are not kept either: to
    /// compare all of them costs less then. The newest step stays whatever its size.
    pub max_names: usize,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            max_resources: 200_000,
            max_steps: 4_096,
            max_names: 400_000,
        }
    }
}

/// The version of a snapshot. Sequence 0 stands before the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SnapshotVersion {
    /// Orders the snapshots of this process.
    pub sequence: u64,
    /// Identifies the content on every replica.
    pub digest: SnapshotDigest,
}

impl SnapshotVersion {
    /// The version as it stands on the wire. Before the first snapshot the digest is empty.
    pub fn to_wire(self) -> v1::Version {
        v1::Version {
            sequence: self.sequence,
            digest: if self.sequence == 0 {
                String::new()
            } else {
                self.digest.to_string()
            },
        }
    }
}

/// What an agent holds by its own account: names and versions. A version that cannot be read is
/// `None` and equals no version.
pub type Held = HashMap<String, Option<ContentVersion>>;

/// What leads from something held to `version`. Sorted by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// The snapshot that it leads to.
    pub version: SnapshotVersion,
    /// Resources that are new or have changed.
    pub upserts: Vec<Arc<EncodedResource>>,
    /// Names of resources that are gone.
    pub removed: Vec<Arc<str>>,
}

/// What an update did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The new version; `None` when nothing changed.
    pub version: Option<SnapshotVersion>,
    /// What was not let in.
    pub refused: Vec<Refused>,
}

/// The current snapshot, and which names changed in the steps before it.
///
/// An update and the delta of a session cost as much as the changes in them, not as the snapshot.
#[derive(Debug)]
pub struct SnapshotLog {
    limits: LogLimits,
    resources: BTreeMap<Arc<str>, Arc<EncodedResource>>,
    version: SnapshotVersion,
    serves: ServesBook,
    /// Consecutive, the newest last.
    steps: VecDeque<LoggedStep>,
    /// Changes in `steps`.
    names: usize,
    dropped: u64,
}

#[derive(Debug)]
struct LoggedStep {
    sequence: u64,
    /// The digest of the snapshot that the step starts from.
    from: SnapshotDigest,
    changes: Vec<Change>,
}

#[derive(Debug)]
struct Change {
    name: Arc<str>,
    /// The version before the step; `None` when the resource was not there.
    before: Option<ContentVersion>,
}

impl SnapshotLog {
    /// An empty log, before the first snapshot.
    pub fn new(limits: LogLimits) -> Self {
        Self {
            limits,
            resources: BTreeMap::new(),
            version: SnapshotVersion::default(),
            serves: ServesBook::default(),
            steps: VecDeque::new(),
            names: 0,
            dropped: 0,
        }
    }

    /// Applies removals, then upserts. The first update makes a snapshot even when it is empty; a
    /// later one makes one only when something changed.
    pub fn apply(&mut self, upserts: Vec<EncodedResource>, removed: &[String]) -> Applied {
        self.apply_shared(upserts.into_iter().map(Arc::new), removed)
    }

    /// The same for resources that another log has as well.
    pub(crate) fn apply_shared(
        &mut self,
        upserts: impl IntoIterator<Item = Arc<EncodedResource>>,
        removed: &[impl AsRef<str>],
    ) -> Applied {
        let mut before = BTreeMap::new();
        for name in removed {
            if let Some((name, old)) = self.resources.remove_entry(name.as_ref()) {
                before.entry(name).or_insert(Some(old.version()));
            }
        }
        let mut refused = Vec::new();
        for resource in upserts {
            let name = resource.name();
            let current = self.resources.get(name).map(|old| old.version());
            if current == Some(resource.version()) {
                continue;
            }
            if current.is_none() && self.resources.len() >= self.limits.max_resources {
                refused.push(Refused {
                    name: name.to_string(),
                    error: RefusedError::TooMany(self.limits.max_resources),
                });
                continue;
            }
            before.entry(Arc::clone(name)).or_insert(current);
            self.resources.insert(Arc::clone(name), resource);
        }
        let from = self.version.digest;
        let changes = self.settle(before);
        let version = (self.version.sequence == 0 || !changes.is_empty()).then(|| {
            self.push(from, changes);
            self.version
        });
        Applied { version, refused }
    }

    /// What the newest step changed; `None` stands for a resource that is gone.
    pub(crate) fn newest_changes(&self) -> impl Iterator<Item = Changed> + '_ {
        let changes = self.steps.back().into_iter().flat_map(|step| &step.changes);
        changes.map(|change| {
            let now = self.resources.get(&change.name).map(Arc::clone);
            (Arc::clone(&change.name), now)
        })
    }

    /// The current version; sequence 0 before the first update.
    pub fn version(&self) -> SnapshotVersion {
        self.version
    }

    /// The Gateways of the current snapshot.
    pub fn serves(&self) -> &Arc<Serves> {
        self.serves.current()
    }

    /// Resources in the current snapshot.
    pub fn len(&self) -> usize {
        self.resources.len()
    }

    /// Whether the current snapshot has no resource.
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty()
    }

    /// The resources of the current snapshot, by name.
    pub fn resources(&self) -> &BTreeMap<Arc<str>, Arc<EncodedResource>> {
        &self.resources
    }

    /// Steps that the limits have pushed out of the log so far.
    pub fn dropped_steps(&self) -> u64 {
        self.dropped
    }

    /// The newest snapshot with this digest, if the log still reaches back to it.
    pub fn sequence_of(&self, digest: SnapshotDigest) -> Option<u64> {
        if self.version.sequence > 0 && self.version.digest == digest {
            return Some(self.version.sequence);
        }
        let step = self.steps.iter().rev().find(|step| step.from == digest)?;
        Some(step.sequence - 1)
    }

    /// What leads from the snapshot `sequence` to the current one; `None` when the log does not
    /// reach back that far. What changed and changed back is not in it.
    pub fn delta_since(&self, sequence: u64) -> Option<Delta> {
        let missing = self.version.sequence.checked_sub(sequence)?;
        let skipped = self
            .steps
            .len()
            .checked_sub(usize::try_from(missing).ok()?)?;
        let mut held: BTreeMap<&Arc<str>, Option<ContentVersion>> = BTreeMap::new();
        for change in self.steps.iter().skip(skipped).flat_map(|s| &s.changes) {
            held.entry(&change.name).or_insert(change.before);
        }
        let mut delta = self.empty_delta();
        for (name, held) in held {
            match self.resources.get(name) {
                Some(current) if held == Some(current.version()) => {}
                Some(current) => delta.upserts.push(Arc::clone(current)),
                None if held.is_some() => delta.removed.push(Arc::clone(name)),
                None => {}
            }
        }
        Some(delta)
    }

    /// What leads from `held` to the current snapshot. Looks at every resource.
    pub fn delta_from(&self, held: &Held) -> Delta {
        let mut delta = self.empty_delta();
        for (name, current) in &self.resources {
            if held.get(&**name) != Some(&Some(current.version())) {
                delta.upserts.push(Arc::clone(current));
            }
        }
        let gone = |name: &&String| !self.resources.contains_key(name.as_str());
        delta.removed = held
            .keys()
            .filter(gone)
            .map(|name| name.as_str().into())
            .collect();
        delta.removed.sort_unstable();
        delta
    }

    fn empty_delta(&self) -> Delta {
        Delta {
            version: self.version,
            upserts: Vec::new(),
            removed: Vec::new(),
        }
    }

    /// Keeps of the touched names those that changed, and brings the digest up to date.
    fn settle(&mut self, before: BTreeMap<Arc<str>, Option<ContentVersion>>) -> Vec<Change> {
        let mut changes = Vec::with_capacity(before.len());
        for (name, before) in before {
            let after = self.resources.get(&name).map(|now| now.version());
            if before == after {
                continue;
            }
            if let Some(before) = before {
                self.version.digest.remove(&name, &before.to_string());
            }
            if let Some(after) = after {
                self.version.digest.add(&name, &after.to_string());
            }
            // Names of what is gone are copied to where new objects are: hundreds of them, each left alone among
            // what was freed, would keep the memory of thousands of resources.
            let name = if after.is_none() {
                Arc::from(&*name)
            } else {
                name
            };
            changes.push(Change { name, before });
        }
        let resources = &self.resources;
        let changed = changes.iter();
        self.serves
            .apply(changed.map(|change| (&change.name, resources.get(&change.name))));
        changes
    }

    fn push(&mut self, from: SnapshotDigest, changes: Vec<Change>) {
        self.version.sequence += 1;
        self.names += changes.len();
        self.steps.push_back(LoggedStep {
            sequence: self.version.sequence,
            from,
            changes,
        });
        let max_names = self.limits.max_names.min(self.resources.len().max(FEW));
        while self.steps.len() > 1
            && (self.steps.len() > self.limits.max_steps || self.names > max_names)
        {
            if let Some(oldest) = self.steps.pop_front() {
                self.names -= oldest.changes.len();
                self.dropped += 1;
            }
        }
        if self.steps.len() < self.steps.capacity() / 8 {
            self.steps.shrink_to(2 * self.steps.len());
        }
    }
}

#[cfg(test)]
mod tests;
