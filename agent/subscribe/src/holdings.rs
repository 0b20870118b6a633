//! What the agent holds, by name and version, and what it refuses.

use std::collections::BTreeMap;

use novaedge_proto::{
    MAX_MESSAGE_BYTES,
    digest::{ContentVersion, SnapshotDigest},
    v1::{self, agent_message::Message},
};
use prost::Message as _;

use crate::staging::Staged;

/// Why a step cannot be from what is held to what it names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HoldingsError {
    /// The content does not add up to the published digest.
    #[error("step {nonce:?} leads to content with digest {found}, not to {expected} as published")]
    WrongDigest {
        /// The step.
        nonce: String,
        /// The published digest.
        expected: String,
        /// The digest of what is held after the step.
        found: SnapshotDigest,
    },
    /// A version is not of the form that the protocol defines.
    #[error("step {nonce:?} has resource {name:?} with version {version:?}, which is no version")]
    WrongVersion {
        /// The step.
        nonce: String,
        /// The resource.
        name: String,
        /// What stands for its version.
        version: String,
    },
}

/// Names and versions of the resources held.
///
/// Between two subscriptions the control plane counts a refused resource as held in its refused
/// version, for it need not send it again; `Entry::published` follows that. A new subscription tells
/// what is truly held.
#[derive(Debug, Clone, Default)]
pub struct Holdings {
    entries: BTreeMap<Box<str>, Entry>,
    /// Over the published versions.
    digest: SnapshotDigest,
    base: Base,
}

/// What the next step starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Base {
    /// Nothing: the first step is the whole snapshot.
    #[default]
    Nothing,
    /// What is held.
    Entries,
}

#[derive(Debug, Clone)]
struct Entry {
    /// The version that the control plane counts as held.
    published: ContentVersion,
    /// Set: another version is in force, or none. That is rare, and there is an entry for each resource.
    instead: Option<Box<Option<ContentVersion>>>,
}

impl Entry {
    /// That what was published is in force.
    fn of(published: ContentVersion) -> Self {
        Self {
            published,
            instead: None,
        }
    }

    /// That what was published is not in force, but perhaps the version before.
    fn refused(published: ContentVersion, before: Option<ContentVersion>) -> Self {
        Self {
            published,
            instead: Some(Box::new(before)),
        }
    }

    /// The version in force.
    fn held(&self) -> Option<ContentVersion> {
        self.instead
            .as_deref()
            .copied()
            .unwrap_or(Some(self.published))
    }
}

/// A step that leads to what was published. It is counted in with [`Holdings::commit`].
#[derive(Debug)]
pub struct Checked {
    digest: SnapshotDigest,
    upserts: Vec<(Box<str>, ContentVersion)>,
    removed: Vec<String>,
    full: bool,
}

impl Checked {
    /// Whether the step is a whole snapshot.
    pub fn is_full(&self) -> bool {
        self.full
    }
}

impl Holdings {
    /// Begins a subscription: the messages that tell the control plane what is held. What was refused
    /// comes again.
    pub fn subscribe(&mut self, node: &v1::Node) -> Vec<v1::AgentMessage> {
        self.digest = SnapshotDigest::EMPTY;
        let digest = &mut self.digest;
        if self.base == Base::Entries {
            self.entries.retain(|name, entry| {
                let Some(held) = entry.held() else {
                    return false;
                };
                *entry = Entry::of(held);
                digest.add(name, &held.to_string());
                true
            });
        }
        let mut part = v1::Subscribe {
            node: Some(node.clone()),
            ..v1::Subscribe::default()
        };
        if self.base == Base::Entries {
            part.digest = self.digest.to_string();
        }
        let mut messages = Vec::new();
        let mut size = part.encoded_len();
        for (name, version) in self.held().filter(|_| self.base == Base::Entries) {
            let held = v1::ResourceVersion {
                name: name.to_owned(),
                version: version.to_string(),
            };
            // A key of one byte and a length of at most four.
            let len = held.encoded_len() + 5;
            if size + len > MAX_MESSAGE_BYTES && !part.held.is_empty() {
                part.more = true;
                messages.push(subscribe_message(std::mem::take(&mut part)));
                size = 0;
            }
            size += len;
            part.held.push(held);
        }
        messages.push(subscribe_message(part));
        messages
    }

    /// Checks that a step leads to the content that its version names.
    pub fn check(&self, step: &Staged) -> Result<Checked, HoldingsError> {
        let full = self.base == Base::Nothing;
        let mut digest = self.digest;
        let published = |name: &str| {
            let entry = self.entries.get(name).filter(|_| !full)?;
            Some(entry.published.to_string())
        };
        for name in &step.removed {
            if let Some(old) = published(name) {
                digest.remove(name, &old);
            }
        }
        let mut upserts = Vec::with_capacity(step.upserts.len());
        for resource in &step.upserts {
            let name = resource.name();
            let Some(version) = ContentVersion::parse(resource.version()) else {
                return Err(HoldingsError::WrongVersion {
                    nonce: step.nonce.clone(),
                    name: name.to_owned(),
                    version: resource.version().to_owned(),
                });
            };
            if let Some(old) = published(name) {
                digest.remove(name, &old);
            }
            digest.add(name, resource.version());
            upserts.push((name.into(), version));
        }
        if SnapshotDigest::parse(&step.version.digest) != Some(digest) {
            return Err(HoldingsError::WrongDigest {
                nonce: step.nonce.clone(),
                expected: step.version.digest.clone(),
                found: digest,
            });
        }
        Ok(Checked {
            digest,
            upserts,
            removed: step.removed.clone(),
            full,
        })
    }

    /// Counts a step in that is in force, but for the resources that `is_rejected` names.
    pub fn commit(&mut self, step: Checked, is_rejected: impl Fn(&str) -> bool) {
        let before = if step.full {
            std::mem::take(&mut self.entries)
        } else {
            BTreeMap::new()
        };
        for name in &step.removed {
            self.entries.remove(name.as_str());
        }
        let upserts = step.upserts.into_iter().map(|(name, published)| {
            let entry = if is_rejected(&name) {
                let old = self.entries.get(&name).or_else(|| before.get(&name));
                Entry::refused(published, old.and_then(Entry::held))
            } else {
                Entry::of(published)
            };
            (name, entry)
        });
        if step.full {
            // Made in one go, its nodes are full.
            self.entries = upserts.collect();
        } else {
            let upserts: Vec<_> = upserts.collect();
            self.entries.extend(upserts);
        }
        self.digest = step.digest;
        self.base = Base::Entries;
    }

    /// Counts a snapshot in that did not come from the control plane.
    pub fn restore(&mut self, resources: impl IntoIterator<Item = (String, ContentVersion)>) {
        let entries = resources
            .into_iter()
            .map(|(name, version)| (name.into(), Entry::of(version)));
        self.entries = entries.collect();
        self.base = Base::Entries;
    }

    /// Counts a resource out that was in force and is refused by now, so that it comes again with the
    /// next subscription. Returns the version that it was in force with.
    pub fn release(&mut self, name: &str) -> Option<ContentVersion> {
        let entry = self.entries.get_mut(name)?;
        let held = entry.held();
        entry.instead = Some(Box::new(None));
        held
    }

    /// Subscribes from nothing next time: the control plane and the agent disagree on what is held.
    pub fn distrust(&mut self) {
        self.base = Base::Nothing;
    }

    /// The resources in force, by name.
    pub fn held(&self) -> impl Iterator<Item = (&str, ContentVersion)> {
        let entries = self.entries.iter();
        entries.filter_map(|(name, entry)| Some((&**name, entry.held()?)))
    }
}

fn subscribe_message(part: v1::Subscribe) -> v1::AgentMessage {
    v1::AgentMessage {
        message: Some(Message::Subscribe(part)),
    }
}

#[cfg(test)]
mod tests;
