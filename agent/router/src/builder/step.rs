//! What one step touched and refused.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use novaedge_proto::v1;

use crate::error::Fault;

/// More faults of one resource are counted, not written out.
const MAX_FAULTS: usize = 4;

/// The state of a step while it is applied.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// Listeners whose resource, or whose Gateway's, changed.
    pub(super) listeners: BTreeSet<Arc<str>>,
    /// Listeners whose routes changed.
    pub(super) shelves: BTreeSet<Arc<str>>,
    /// Backends that changed, or whose endpoints did.
    pub(super) backends: BTreeSet<Arc<str>>,
    /// Routes that came with the step.
    pub(super) routes: Vec<Arc<str>>,
    /// Endpoints that came with the step, with their versions.
    pub(super) parents_to_check: Vec<(Arc<str>, String)>,
    /// Listeners that came with the step.
    pub(super) upserted_listeners: BTreeSet<Arc<str>>,
    /// The tables differ from those before.
    pub(super) changed: bool,
    rejected: BTreeMap<Arc<str>, (String, Vec<Fault>)>,
}

impl Step {
    pub(super) fn reject(&mut self, name: &Arc<str>, version: &str, fault: Fault) {
        let entry = self
            .rejected
            .entry(Arc::clone(name))
            .or_insert_with(|| (version.to_owned(), Vec::new()));
        entry.1.push(fault);
    }

    pub(super) fn reject_all(&mut self, name: &Arc<str>, version: &str, faults: Vec<Fault>) {
        for fault in faults {
            self.reject(name, version, fault);
        }
    }

    pub(super) fn has_rejected(&self, name: &str) -> bool {
        self.rejected.contains_key(name)
    }

    /// The refused resources, by name.
    pub(super) fn into_rejected(self) -> Vec<v1::RejectedResource> {
        let into_wire = |(name, (version, faults)): (Arc<str>, (String, Vec<Fault>))| {
            let mut texts: Vec<String> = faults
                .iter()
                .take(MAX_FAULTS)
                .map(Fault::to_string)
                .collect();
            if faults.len() > MAX_FAULTS {
                texts.push(format!("and {} more", faults.len() - MAX_FAULTS));
            }
            v1::RejectedResource {
                name: name.to_string(),
                version,
                error: texts.join("; "),
            }
        };
        self.rejected.into_iter().map(into_wire).collect()
    }
}

/// Whether a resource is the one that is held: equal content has an equal version, and an absent version says nothing.
pub(super) fn is_same(held: &str, new: &str) -> bool {
    !new.is_empty() && held == new
}
