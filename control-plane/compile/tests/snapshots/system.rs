//! Translation and compilation in a row, and the snapshot that they come to.

use std::collections::BTreeMap;

use novaedge_api::meta::{ObjectId, ObjectKey};
use novaedge_compile::{CompileDelta, Compiler, GatewayPorts};
use novaedge_proto::v1;
use novaedge_store::Change;
use novaedge_translate::{Diagnostic, TranslateConfig, Translator};

/// Everything up to the snapshot.
pub(crate) struct System {
    pub(crate) translator: Translator,
    pub(crate) compiler: Compiler,
    pub(crate) snapshot: Snapshot,
    /// Resources that agents got or lost so far.
    pub(crate) touched: usize,
}

/// What an agent would hold, put together from the differences.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Snapshot {
    pub(crate) resources: BTreeMap<String, v1::Resource>,
    pub(crate) diagnostics: BTreeMap<ObjectId, Vec<Diagnostic>>,
}

impl System {
    pub(crate) fn new(config: TranslateConfig) -> Self {
        Self {
            translator: Translator::new(config),
            compiler: Compiler::default(),
            snapshot: Snapshot::default(),
            touched: 0,
        }
    }

    /// The same in a cluster, where local ports are told.
    pub(crate) fn told(config: TranslateConfig) -> Self {
        Self {
            compiler: Compiler::cluster(),
            ..Self::new(config)
        }
    }

    pub(crate) fn set_bind_ports(&mut self, ports: BTreeMap<ObjectKey, GatewayPorts>) {
        let store = self.translator.store();
        let delta = self.compiler.set_bind_ports(ports, store);
        self.touched += delta.upserts.len() + delta.removed.len();
        self.snapshot.follow(delta);
    }

    pub(crate) fn update(&mut self, changes: Vec<Change>) {
        let ids: Vec<ObjectId> = changes.iter().map(Change::id).collect();
        let natives = self.translator.update(changes).natives;
        let store = self.translator.store();
        let delta = self.compiler.update(&natives, store, &ids);
        self.touched += delta.upserts.len() + delta.removed.len();
        self.snapshot.follow(delta);
    }
}

impl Snapshot {
    fn follow(&mut self, delta: CompileDelta) {
        for name in &delta.removed {
            assert!(self.resources.remove(name).is_some(), "{name} never was");
        }
        for (name, resource) in delta.upserts {
            let old = self.resources.insert(name, resource.clone());
            assert_ne!(old, Some(resource), "nothing changed");
        }
        for (id, found) in delta.diagnostics {
            if found.is_empty() {
                self.diagnostics.remove(&id);
            } else {
                self.diagnostics.insert(id, found);
            }
        }
    }
}
