//! Namespaces that end. Whatever is in one goes with it, and nothing new is taken there, so writing to it is in vain.

use std::collections::BTreeSet;

use novaedge_api::meta::{Kind, ObjectId};
use novaedge_store::Change;

/// Names of the namespaces that end and are not gone yet.
#[derive(Debug, Default)]
pub(super) struct Ending(BTreeSet<String>);

impl Ending {
    /// Takes in what a watch told; gives back the name of a namespace that ended and is there again.
    pub(super) fn observe<'a>(&mut self, change: &'a Change) -> Option<&'a str> {
        match change {
            Change::Upsert(object) if object.kind() == Kind::Namespace => {
                let metadata = object.metadata();
                let name = metadata.name.as_deref()?;
                if metadata.deletion_timestamp.is_some() {
                    self.0.insert(name.to_owned());
                    return None;
                }
                self.0.remove(name).then_some(name)
            }
            Change::Delete(ObjectId {
                kind: Kind::Namespace,
                key,
            }) => {
                self.0.remove(&key.name);
                None
            }
            _ => None,
        }
    }

    pub(super) fn insert(&mut self, name: String) {
        self.0.insert(name);
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}
