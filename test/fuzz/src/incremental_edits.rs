//! Objects come, change and go: what was brought up to date equals what is computed from nothing.

use std::collections::{BTreeMap, BTreeSet};

use novaedge_api::meta::{Object, ObjectId};
use novaedge_compile::{CompileDelta, Compiler};
use novaedge_proto::v1;
use novaedge_store::Change;
use novaedge_translate::{TranslateConfig, Translator};

use crate::cases::objects;

/// Edits of one run.
const MAX_EDITS: usize = 24;
/// Objects of the cases that one run takes its own from: neighbours belong together.
const WINDOW: usize = 48;

/// Three bytes are an edit: which part of the cases, which object, what happens to it.
pub fn run(bytes: &[u8]) {
    let objects = objects();
    let Some((window, edits)) = bytes.split_first_chunk::<2>() else {
        return;
    };
    let start = usize::from(u16::from_le_bytes(*window)) % objects.len();
    let mut live = BTreeMap::new();
    let mut edge = Edge::default();
    for edit in edits.chunks_exact(2).take(MAX_EDITS) {
        let &[which, what] = edit else { return };
        let at = (start + usize::from(which) % WINDOW) % objects.len();
        let Some(object) = objects.get(at) else {
            return;
        };
        edge.update(change(object, what, &mut live));
        let full = Edge::of(live.values().cloned());
        edge.check(&full);
    }
}

/// One edit of `object`: it comes as it is, with another age, or it goes.
fn change(object: &Object, what: u8, live: &mut BTreeMap<ObjectId, Object>) -> Vec<Change> {
    let id = object.id();
    if what.is_multiple_of(4) {
        live.remove(&id);
        return vec![Change::Delete(id)];
    }
    let object = object.clone().with_generation(i64::from(what % 4));
    live.insert(id, object.clone());
    vec![Change::Upsert(object)]
}

/// The control plane's stages with all that they have said so far.
struct Edge {
    translator: Translator,
    compiler: Compiler,
    resources: BTreeMap<String, v1::Resource>,
}

impl Default for Edge {
    fn default() -> Self {
        Self {
            translator: Translator::new(TranslateConfig::cluster(BTreeSet::new())),
            compiler: Compiler::default(),
            resources: BTreeMap::new(),
        }
    }
}

impl Edge {
    fn of(objects: impl Iterator<Item = Object>) -> Self {
        let mut edge = Self::default();
        edge.update(objects.map(Change::Upsert).collect());
        edge
    }

    fn update(&mut self, changes: Vec<Change>) {
        let ids: Vec<ObjectId> = changes.iter().map(Change::id).collect();
        let delta = self.translator.update(changes);
        let store = self.translator.store();
        let CompileDelta {
            upserts, removed, ..
        } = self.compiler.update(&delta.natives, store, &ids);
        for name in removed {
            self.resources.remove(&name);
        }
        self.resources.extend(upserts);
    }

    fn check(&self, full: &Self) {
        let (found, expected) = (self.translator.output(), full.translator.output());
        assert_eq!(found.natives, expected.natives);
        assert_eq!(found.statuses, expected.statuses);
        assert_eq!(found.diagnostics, expected.diagnostics);
        assert_eq!(self.resources, full.resources);
    }
}
