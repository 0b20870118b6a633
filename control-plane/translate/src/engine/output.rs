//! Collects results, and what changed since the last time somebody asked.

use std::collections::{BTreeMap, BTreeSet};

use novaedge_api::meta::{Object, ObjectId};
use novaedge_store::Change;

use crate::diagnostic::Diagnostic;
use crate::output::{Delta, DesiredStatus, Output};
use crate::read::Unit;

/// The output, who found what, and the values before the current update.
#[derive(Debug, Default)]
pub(super) struct Collector {
    output: Output,
    /// Findings about an object, by the unit that made them.
    findings: BTreeMap<ObjectId, BTreeMap<Unit, Vec<Diagnostic>>>,
    /// The objects that a unit has findings about.
    found_by: BTreeMap<Unit, BTreeSet<ObjectId>>,
    natives: BTreeMap<ObjectId, Option<Object>>,
    statuses: BTreeMap<ObjectId, Option<DesiredStatus>>,
    diagnostics: BTreeMap<ObjectId, Vec<Diagnostic>>,
}

impl Collector {
    pub(super) fn output(&self) -> &Output {
        &self.output
    }

    /// Replaces a native object, or the object that a unit gave before under another name.
    pub(super) fn native(&mut self, old: Option<ObjectId>, new: Option<Object>) {
        let id = new.as_ref().map(Object::id);
        if let Some(old) = old.filter(|old| Some(old) != id.as_ref()) {
            let before = self.output.natives.remove(&old);
            self.natives.entry(old).or_insert(before);
        }
        if let (Some(id), Some(new)) = (id, new) {
            let before = self.output.natives.insert(id.clone(), new);
            self.natives.entry(id).or_insert(before);
        }
    }

    /// Removes a native object, unless another unit has given one under the same name.
    pub(super) fn take_back(&mut self, old: &Object) {
        let id = old.id();
        if self.output.natives.get(&id) == Some(old) {
            self.native(Some(id), None);
        }
    }

    /// Replaces the status of an object.
    pub(super) fn status(&mut self, id: ObjectId, new: Option<DesiredStatus>) {
        let before = match new {
            Some(new) => self.output.statuses.insert(id.clone(), new),
            None => self.output.statuses.remove(&id),
        };
        self.statuses.entry(id).or_insert(before);
    }

    /// Replaces what a unit found.
    pub(super) fn findings(&mut self, unit: &Unit, new: &[Diagnostic]) {
        let mut touched = self.found_by.remove(unit).unwrap_or_default();
        for id in &touched {
            if let Some(units) = self.findings.get_mut(id) {
                units.remove(unit);
            }
        }
        let found: BTreeSet<ObjectId> = new.iter().map(|finding| finding.object.clone()).collect();
        for finding in new {
            let units = self.findings.entry(finding.object.clone()).or_default();
            units.entry(unit.clone()).or_default().push(finding.clone());
        }
        touched.extend(found.iter().cloned());
        if !found.is_empty() {
            self.found_by.insert(unit.clone(), found);
        }
        for id in touched {
            self.refresh(id);
        }
    }

    /// Puts together the findings of all units about an object.
    fn refresh(&mut self, id: ObjectId) {
        let units = self.findings.get(&id);
        let mut all: Vec<Diagnostic> = units
            .into_iter()
            .flat_map(BTreeMap::values)
            .flatten()
            .cloned()
            .collect();
        all.sort();
        all.dedup();
        let before = if all.is_empty() {
            self.findings.remove(&id);
            self.output.diagnostics.remove(&id)
        } else {
            self.output.diagnostics.insert(id.clone(), all)
        };
        self.diagnostics
            .entry(id)
            .or_insert(before.unwrap_or_default());
    }

    /// What changed since the last call.
    pub(super) fn take(&mut self) -> Delta {
        let mut delta = Delta::default();
        for (id, before) in std::mem::take(&mut self.natives) {
            match self.output.natives.get(&id) {
                now if now == before.as_ref() => {}
                Some(now) => delta.natives.push(Change::Upsert(now.clone())),
                None => delta.natives.push(Change::Delete(id)),
            }
        }
        for (id, before) in std::mem::take(&mut self.statuses) {
            let now = self.output.statuses.get(&id);
            if now != before.as_ref() {
                let now = now.cloned();
                delta.statuses.push((id, now));
            }
        }
        for (id, before) in std::mem::take(&mut self.diagnostics) {
            let now = self
                .output
                .diagnostics
                .get(&id)
                .cloned()
                .unwrap_or_default();
            if now != before {
                delta.diagnostics.push((id, now));
            }
        }
        delta
    }
}
