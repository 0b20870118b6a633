//! What should be written, and what is there as far as the watches have told.

mod ending;
mod native_status;
mod plan;
mod seen;

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use novaedge_api::{
    meta::{Kind, Object, ObjectId},
    native::NativeStatus,
};
use novaedge_store::Change;
use novaedge_translate::{DesiredStatus, Diagnostic};
use serde_json::Value;

pub(crate) use self::plan::Plan;
pub use self::seen::is_translated;
use self::{
    ending::Ending,
    native_status::ready,
    seen::{Digest, Seen},
};
use crate::{
    merge::{has_our_entries, has_status},
    resource::{Resource, Served},
};

/// The most troubles that are shown.
const MAX_TROUBLES: usize = 256;

/// One thing to write.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Work {
    /// The status of an object.
    Status(ObjectId),
    /// A native object that the translation makes, or made.
    Native(ObjectId),
}

impl Work {
    pub(crate) const fn id(&self) -> &ObjectId {
        match self {
            Self::Status(id) | Self::Native(id) => id,
        }
    }
}

/// Something that could not be written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trouble {
    /// The object.
    pub object: ObjectId,
    /// One word: `WriteFailed`, `Unwritable`, `NameTaken` or `KindNotServed`.
    pub reason: &'static str,
    /// What is wrong, and the fix.
    pub message: String,
}

/// The status that an object should have.
#[derive(Clone, Debug, PartialEq)]
enum Wanted {
    Gateway(DesiredStatus),
    Native(NativeStatus),
}

/// All that a leader has to know, kept by every replica so that each can lead at once. Its size follows the number of
/// objects.
#[derive(Debug)]
pub(crate) struct Book {
    served: Served,
    statuses: BTreeMap<ObjectId, Wanted>,
    natives: BTreeMap<ObjectId, Object>,
    seen: BTreeMap<ObjectId, Seen>,
    ending: Ending,
    /// Diagnostics of native objects, where there are any.
    findings: BTreeMap<ObjectId, Vec<Diagnostic>>,
    /// Native objects that were observed and not compiled yet.
    uncompiled: BTreeSet<ObjectId>,
    /// What the last successful write asked for, to tell a change of ours from somebody else's.
    written: BTreeMap<Work, Digest>,
    troubles: BTreeMap<Work, Trouble>,
    troubles_changed: bool,
    /// Whether the first translation is complete. Before, an object that is not wanted may be wanted soon.
    settled: bool,
    /// Whether changes are of interest to a writer.
    active: bool,
    changed: BTreeSet<Work>,
}

impl Default for Book {
    fn default() -> Self {
        Self {
            served: Resource::all_newest(),
            statuses: BTreeMap::new(),
            natives: BTreeMap::new(),
            seen: BTreeMap::new(),
            ending: Ending::default(),
            findings: BTreeMap::new(),
            uncompiled: BTreeSet::new(),
            written: BTreeMap::new(),
            troubles: BTreeMap::new(),
            troubles_changed: false,
            settled: false,
            active: false,
            changed: BTreeSet::new(),
        }
    }
}

impl Book {
    pub(crate) fn serve(&mut self, served: Served) {
        self.served = served;
        let works: Vec<Work> = self.troubles.keys().cloned().collect();
        for work in works {
            self.mark(work);
        }
    }

    pub(crate) fn settle(&mut self) {
        self.settled = true;
    }

    pub(crate) const fn is_settled(&self) -> bool {
        self.settled
    }

    /// Takes in what a watch told.
    pub(crate) fn observe(&mut self, change: &Change) {
        let id = change.id();
        if let Some(back) = self.ending.observe(change) {
            self.mark_namespace(back);
        }
        match change {
            Change::Upsert(object) => {
                let Some(seen) = Seen::of(object) else { return };
                if self
                    .seen
                    .get(&id)
                    .is_some_and(|before| before.is_newer(&seen))
                {
                    return;
                }
                self.seen.insert(id.clone(), seen);
            }
            Change::Delete(_) => {
                if self.seen.remove(&id).is_none() {
                    return;
                }
                self.forget_written(&id);
            }
        }
        if is_native(id.kind) {
            self.uncompiled.insert(id.clone());
        }
        self.mark_all(id);
    }

    /// Everything observed so far was compiled, and these objects have these diagnostics from now on. Native objects
    /// that users wrote get a status by that, and so does every `ProxyGateway`. Routes and backends that the translation
    /// made speak through the objects they were made for: a status of their own would double the writes.
    pub(crate) fn compiled(&mut self, diagnostics: &[(ObjectId, Vec<Diagnostic>)]) {
        let mut ids = mem::take(&mut self.uncompiled);
        for (id, found) in diagnostics {
            ids.insert(id.clone());
            if found.is_empty() {
                self.findings.remove(id);
            } else {
                self.findings.insert(id.clone(), found.clone());
            }
        }
        for id in ids {
            let seen = self.seen.get(&id);
            let seen = seen.filter(|seen| {
                id.kind == Kind::ProxyGateway || is_native(id.kind) && !seen.is_translated()
            });
            let status = seen.map(|seen| {
                let found = self.findings.get(&id).map_or(&[][..], Vec::as_slice);
                Wanted::Native(ready(found, seen.generation))
            });
            if self.statuses.get(&id) != status.as_ref() {
                self.want(&id, status);
            }
        }
    }

    pub(crate) fn want_status(&mut self, id: &ObjectId, status: Option<DesiredStatus>) {
        self.want(id, status.map(Wanted::Gateway));
    }

    fn want(&mut self, id: &ObjectId, status: Option<Wanted>) {
        match status {
            Some(status) => self.statuses.insert(id.clone(), status),
            None => self.statuses.remove(id),
        };
        self.mark(Work::Status(id.clone()));
    }

    pub(crate) fn want_native(&mut self, change: &Change) {
        let id = change.id();
        match change {
            Change::Upsert(object) => self.natives.insert(id.clone(), object.clone()),
            Change::Delete(_) => self.natives.remove(&id),
        };
        self.mark(Work::Native(id));
    }

    /// A writer begins: everything that might have to be written is due.
    pub(crate) fn activate(&mut self) {
        self.active = true;
        let ours = |(id, seen): (&ObjectId, &Seen)| match seen.status() {
            Some(status) => has_our_entries(id.kind, &status).then(|| Work::Status(id.clone())),
            None => None,
        };
        let statuses = self.statuses.keys().cloned().map(Work::Status);
        let natives = self.natives.keys().cloned().map(Work::Native);
        let translated = self.seen.iter().filter(|(_, seen)| seen.is_translated());
        let translated = translated.map(|(id, _)| Work::Native(id.clone()));
        let stale = self
            .seen
            .iter()
            .filter(|(id, _)| !self.statuses.contains_key(id))
            .filter_map(ours);
        self.changed = statuses
            .chain(natives)
            .chain(translated)
            .chain(stale)
            .collect();
    }

    /// No writer is there any more.
    pub(crate) fn deactivate(&mut self) {
        self.active = false;
        self.changed.clear();
        self.troubles.clear();
        self.troubles_changed = true;
        self.written.clear();
    }

    /// What changed since the last time.
    pub(crate) fn take_changed(&mut self) -> BTreeSet<Work> {
        mem::take(&mut self.changed)
    }

    /// The UID and `apiVersion` of an object, and its resource version, as far as known.
    pub(crate) fn identity(&self, id: &ObjectId) -> (Option<String>, Option<String>) {
        let version = self.served.get(&id.kind).map(|r| r.api_version.clone());
        let uid = self.seen.get(id).and_then(|seen| seen.uid.clone());
        (uid, version)
    }

    pub(crate) fn wants_native(&self, id: &ObjectId) -> bool {
        self.natives.contains_key(id)
    }

    /// Whether the namespace of an object is about to be gone with all that is in it.
    pub(crate) fn is_ending(&self, id: &ObjectId) -> bool {
        self.ending.contains(&id.key.namespace)
    }

    /// The API server says that the namespace of an object ends. Where a watch told of it, nothing is tried in it any
    /// more.
    pub(crate) fn ends(&mut self, id: &ObjectId) {
        let namespace = ObjectId::new(Kind::Namespace, "", &*id.key.namespace);
        if self.seen.contains_key(&namespace) {
            self.ending.insert(namespace.key.name);
        }
    }

    /// The object is gone, although no watch has told yet.
    pub(crate) fn forget(&mut self, id: &ObjectId) {
        self.seen.remove(id);
        self.forget_written(id);
    }

    fn forget_written(&mut self, id: &ObjectId) {
        self.written.remove(&Work::Status(id.clone()));
        self.written.remove(&Work::Native(id.clone()));
    }

    /// The API server took a write, and the object is now like this.
    pub(crate) fn wrote(&mut self, work: &Work, digest: Digest, live: &Value) {
        let id = work.id();
        let before = self.seen.get(id);
        let seen = match (work, before) {
            // It is gone by now.
            (Work::Status(_), None) => return,
            // The watch was faster, and what it told is shared.
            (Work::Status(_), Some(before)) if before.is_at(live) => None,
            (Work::Status(_), Some(before)) => Some(before.with_status(live)),
            (Work::Native(_), before) => Some(Seen::applied(digest, before, live)),
        };
        let seen = seen.filter(|seen| !before.is_some_and(|before| before.is_newer(seen)));
        self.written.insert(work.clone(), digest);
        if let Some(seen) = seen {
            self.seen.insert(id.clone(), seen);
        }
    }

    /// What keeps `work` from being written, and whether that is news.
    pub(crate) fn set_trouble(&mut self, work: &Work, trouble: Option<Trouble>) -> bool {
        let news = self.troubles.get(work) != trouble.as_ref();
        self.troubles_changed |= news;
        match trouble {
            Some(trouble) => self.troubles.insert(work.clone(), trouble),
            None => self.troubles.remove(work),
        };
        news
    }

    /// The troubles, where they changed since the last time.
    pub(crate) fn take_troubles(&mut self) -> Option<Vec<Trouble>> {
        mem::take(&mut self.troubles_changed)
            .then(|| self.troubles.values().take(MAX_TROUBLES).cloned().collect())
    }

    fn mark_all(&mut self, id: ObjectId) {
        if has_status(id.kind) {
            self.mark(Work::Status(id.clone()));
        }
        if is_native(id.kind) {
            self.mark(Work::Native(id));
        }
    }

    /// A namespace of a name that ended is there again: what was not tried there is due.
    fn mark_namespace(&mut self, name: &str) {
        let within = |id: &&ObjectId| id.key.namespace == name;
        let statuses = self.statuses.keys().filter(within);
        let natives = self.natives.keys().filter(within);
        let works = statuses.cloned().map(Work::Status);
        let works = works.chain(natives.cloned().map(Work::Native));
        for work in works.collect::<Vec<_>>() {
            self.mark(work);
        }
    }

    fn mark(&mut self, work: Work) {
        if self.active {
            self.changed.insert(work);
        }
    }
}

pub(crate) const fn is_native(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::ProxyGateway | Kind::ProxyRoute | Kind::ProxyBackend
    )
}

#[cfg(test)]
mod tests;
