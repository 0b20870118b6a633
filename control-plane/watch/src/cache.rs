//! What is known of the objects of one kind, and what a watch's events change about it.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use novaedge_api::decode::{DecodeError, decode_lenient};
use novaedge_api::field::FieldError;
use novaedge_api::meta::{Kind, Object, ObjectId, ObjectKey};
use novaedge_store::Change;
use serde_json::Value;

use crate::batch::{Finding, Severity};
use crate::raw::{Identified as _, Raw};
use crate::refs::is_made;
use crate::served::CRD_GROUPS;
use crate::watch::Event;

/// What events amount to.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Effect {
    /// Objects that came, changed or went.
    pub changes: Vec<Change>,
    /// Objects whose findings changed, with all there are now.
    pub findings: Vec<(ObjectId, Vec<Finding>)>,
}

/// The objects of one kind. They share memory with those who were given them.
#[derive(Debug)]
pub(crate) struct Cache {
    kind: Kind,
    api_version: String,
    entries: BTreeMap<ObjectKey, Entry>,
    /// What the list under way has named.
    listed: Option<BTreeSet<ObjectKey>>,
    in_sync: bool,
}

#[derive(Debug)]
struct Entry {
    /// Resource version that was looked at last.
    version: Box<str>,
    /// The last version that could be read, as it was given on.
    given: Option<Given>,
    /// Whether there are findings.
    troubled: bool,
}

#[derive(Debug)]
enum Given {
    /// One that others keep, too.
    Kept(Object),
    /// One that was made: its writer has looked at it, and keeps a digest. All that is left is its uid.
    Made(Box<str>),
}

impl Given {
    fn of(object: Object) -> Self {
        if is_made(&object) {
            Self::Made(object.metadata().uid.as_deref().unwrap_or_default().into())
        } else {
            Self::Kept(object)
        }
    }

    fn uid(&self) -> Option<&str> {
        match self {
            Self::Kept(object) => object.metadata().uid.as_deref(),
            Self::Made(uid) => Some(uid),
        }
    }

    fn is_same(&self, object: &Object) -> bool {
        matches!(self, Self::Kept(before) if is_same(before, object))
    }
}

impl Cache {
    pub(crate) fn new(kind: Kind, api_version: &str) -> Self {
        Self {
            kind,
            api_version: api_version.to_owned(),
            entries: BTreeMap::new(),
            listed: None,
            in_sync: false,
        }
    }

    /// Whether a list was completed.
    pub(crate) fn is_in_sync(&self) -> bool {
        self.in_sync
    }

    /// Goes on with another version of the kind: what is in force stays until the list of that version says otherwise.
    pub(crate) fn change_version(&mut self, api_version: &str) {
        api_version.clone_into(&mut self.api_version);
        self.listed = None;
        for entry in self.entries.values_mut() {
            entry.version = Box::default();
        }
    }

    /// Takes in what a watch tells.
    pub(crate) fn take(&mut self, event: Event<Raw>, effect: &mut Effect) {
        match event {
            Event::Restarted => self.listed = Some(BTreeSet::new()),
            Event::Listed(raw) => {
                if let Some(listed) = &mut self.listed {
                    listed.insert(raw.key());
                }
                self.put(raw, effect);
            }
            Event::Complete => {
                self.in_sync = true;
                self.keep_listed(effect);
            }
            Event::Applied(raw) => self.put(raw, effect),
            Event::Deleted(raw) => self.remove(&raw.key(), effect),
            Event::Following | Event::Failed(_) => {}
        }
    }

    /// Everything goes: the kind is not served any more.
    pub(crate) fn clear(&mut self, effect: &mut Effect) {
        self.listed = Some(BTreeSet::new());
        self.keep_listed(effect);
    }

    fn keep_listed(&mut self, effect: &mut Effect) {
        let Some(listed) = self.listed.take() else {
            return;
        };
        let gone = self.entries.keys().filter(|key| !listed.contains(key));
        for key in gone.cloned().collect::<Vec<_>>() {
            self.remove(&key, effect);
        }
    }

    fn remove(&mut self, key: &ObjectKey, effect: &mut Effect) {
        let Some(entry) = self.entries.remove(key) else {
            return;
        };
        let id = self.id(key);
        if entry.troubled {
            effect.findings.push((id.clone(), Vec::new()));
        }
        if entry.given.is_some() {
            effect.changes.push(Change::Delete(id));
        }
    }

    fn put(&mut self, raw: Raw, effect: &mut Effect) {
        let key = raw.key();
        let id = self.id(&key);
        let known = self.entries.get(&key);
        if known.is_some_and(|entry| *entry.version == *raw.version()) {
            return;
        }
        let mut entry = Entry {
            version: raw.version().into(),
            given: None,
            troubled: false,
        };
        let before = self.entries.remove(&key);
        let was_troubled = before.as_ref().is_some_and(|entry| entry.troubled);
        let before = before.and_then(|entry| entry.given);
        let uid = raw.uid().to_owned();
        let findings = match self.read(raw) {
            Ok((object, findings)) => {
                let same = before.filter(|before| before.is_same(&object));
                entry.given = same.or_else(|| {
                    effect.changes.push(Change::Upsert(object.clone()));
                    Some(Given::of(object))
                });
                findings
            }
            Err(error) => {
                // Another object of the same name is not an older version of this one.
                let (kept, other) = match before {
                    Some(before) if before.uid() == Some(&uid) => (Some(before), false),
                    other => (None, other.is_some()),
                };
                if other {
                    effect.changes.push(Change::Delete(id.clone()));
                }
                entry.given = kept;
                unreadable(&id, error, entry.given.is_some())
            }
        };
        entry.troubled = !findings.is_empty();
        if entry.troubled || was_troubled {
            effect.findings.push((id, findings));
        }
        self.entries.insert(key, entry);
    }

    /// The object, and what is wrong with it though it can be used.
    fn read(&self, raw: Raw) -> Result<(Object, Vec<Finding>), DecodeError> {
        let (object, unknown) = decode_as(self.kind, &self.api_version, raw.value)?;
        let findings = if CRD_GROUPS.contains(&self.kind.group()) {
            let id = object.id();
            unknown
                .into_iter()
                .map(|error| unknown_field(&id, error))
                .collect()
        } else {
            // A newer Kubernetes has fields that concern others.
            Vec::new()
        };
        Ok((object, findings))
    }

    fn id(&self, key: &ObjectKey) -> ObjectId {
        ObjectId {
            kind: self.kind,
            key: key.clone(),
        }
    }
}

/// Decodes an object of a known kind; objects in lists do not name theirs.
pub(crate) fn decode_as(
    kind: Kind,
    api_version: &str,
    mut value: Value,
) -> Result<(Object, Vec<FieldError>), DecodeError> {
    if let Some(map) = value.as_object_mut() {
        map.insert("apiVersion".to_owned(), Value::from(api_version));
        map.insert("kind".to_owned(), Value::from(kind.as_str()));
    }
    decode_lenient(value)
}

/// Findings of an object that cannot be read.
pub(crate) fn unreadable(id: &ObjectId, error: DecodeError, kept: bool) -> Vec<Finding> {
    let consequence = if kept {
        "the version before it stays in force"
    } else {
        "the object is left out"
    };
    let finding = |field: String, message: &str, fix: Option<&str>| Finding {
        severity: Severity::Error,
        object: Some(id.to_string()),
        field,
        reason: "Unreadable",
        message: format!(
            "{message}; {consequence} until it is mended: {}",
            fix.unwrap_or("write what the definition of this version of NovaEdge allows")
        ),
    };
    match error {
        DecodeError::Invalid { errors, .. } => errors
            .into_iter()
            .map(|error| finding(error.path, &error.message, error.fix.as_deref()))
            .collect(),
        error => vec![finding(error.field().to_owned(), &error.to_string(), None)],
    }
}

fn unknown_field(id: &ObjectId, error: FieldError) -> Finding {
    Finding {
        severity: Severity::Warning,
        object: Some(id.to_string()),
        field: error.path,
        reason: "UnknownField",
        message: "this version of NovaEdge does not know the field, so it has no effect: remove it, or update NovaEdge"
            .to_owned(),
    }
}

/// Whether an object is the same in all that anybody looks at.
fn is_same(before: &Object, after: &Object) -> bool {
    match (before, after) {
        // Controllers touch these often without changing what they say.
        (Object::EndpointSlice(a), Object::EndpointSlice(b)) => {
            meta_is_same(&a.metadata, &b.metadata)
                && a.endpoints == b.endpoints
                && a.ports == b.ports
                && a.address_type == b.address_type
        }
        (Object::Namespace(a), Object::Namespace(b)) => meta_is_same(&a.metadata, &b.metadata),
        (before, after) => before == after,
    }
}

fn meta_is_same(a: &ObjectMeta, b: &ObjectMeta) -> bool {
    a.uid == b.uid && a.labels == b.labels && a.deletion_timestamp == b.deletion_timestamp
}

#[cfg(test)]
mod tests;
