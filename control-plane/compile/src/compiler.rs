//! The incremental engine: recomputes the units that a change concerns, and no others.

use std::collections::{BTreeMap, BTreeSet};

use novaedge_api::meta::{Kind, Object, ObjectId, ObjectKey};
use novaedge_proto::digest::ContentVersion;
use novaedge_proto::v1;
use novaedge_proto::v1::resource::Body;
use novaedge_store::{Change, Load, Reads, Store};
use novaedge_translate::Diagnostic;

use crate::port::{BindPorts, GatewayPorts, ListenerPorts, PortSource};
use crate::unit::{Computed, Input, Outcome, Unit};
use crate::view::{Inputs, Seen, View};
use crate::{backend, endpoint, gateway, route, tls};

/// Compiles native objects, endpoints and certificates into resources, by differences.
pub struct Compiler {
    /// Natives that the translation made.
    generated: BTreeMap<ObjectId, Object>,
    ports: PortSource,
    reads: Reads<Unit, Input>,
    outcomes: BTreeMap<Unit, Outcome>,
    /// Name and version of every resource, sorted, by the unit that it comes from.
    resources: BTreeMap<Unit, Box<[(String, ContentVersion)]>>,
    diagnostics: BTreeMap<ObjectId, Vec<Diagnostic>>,
    computed: u64,
}

/// What changed in the snapshot.
#[derive(Debug, Default)]
pub struct CompileDelta {
    /// New and changed resources by name, sorted, with their versions.
    pub upserts: Vec<(String, v1::Resource)>,
    /// Names of resources that are gone, sorted.
    pub removed: Vec<String>,
    /// Native objects whose diagnostics changed, with all they have now.
    pub diagnostics: Vec<(ObjectId, Vec<Diagnostic>)>,
}

impl CompileDelta {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.upserts.is_empty() && self.removed.is_empty() && self.diagnostics.is_empty()
    }

    /// Adds what changed later, so that both come to one step.
    pub fn merge(&mut self, later: Self) {
        let mut upserts: BTreeMap<_, _> = std::mem::take(&mut self.upserts).into_iter().collect();
        let mut removed: BTreeSet<_> = std::mem::take(&mut self.removed).into_iter().collect();
        for name in later.removed {
            upserts.remove(&name);
            removed.insert(name);
        }
        for (name, resource) in later.upserts {
            removed.remove(&name);
            upserts.insert(name, resource);
        }
        let diagnostics = std::mem::take(&mut self.diagnostics).into_iter();
        let diagnostics: BTreeMap<_, _> = diagnostics.chain(later.diagnostics).collect();
        self.upserts = upserts.into_iter().collect();
        self.removed = removed.into_iter().collect();
        self.diagnostics = diagnostics.into_iter().collect();
    }
}

impl Default for Compiler {
    fn default() -> Self {
        Self::new(Box::new(ListenerPorts))
    }
}

impl Compiler {
    /// A compiler that has seen nothing, and whose local ports follow a rule.
    pub fn new(ports: Box<dyn BindPorts>) -> Self {
        Self::of(PortSource::Fixed(ports))
    }

    /// A compiler that has seen nothing, for a cluster: local ports are told with
    /// [`set_bind_ports`](Self::set_bind_ports), and a listener is not compiled before it has one.
    pub fn cluster() -> Self {
        Self::of(PortSource::Told(BTreeMap::new()))
    }

    fn of(ports: PortSource) -> Self {
        Self {
            generated: BTreeMap::new(),
            ports,
            reads: Reads::default(),
            outcomes: BTreeMap::new(),
            resources: BTreeMap::new(),
            diagnostics: BTreeMap::new(),
            computed: 0,
        }
    }

    /// How much it has done, and how much it keeps track of.
    pub fn load(&self) -> Load {
        self.reads.load(self.computed)
    }

    /// Takes changes of generated natives, and the ids of objects that changed in the store. Natives
    /// that users wrote, endpoints, certificates and grants are read from the store.
    pub fn update(
        &mut self,
        natives: &[Change],
        store: &Store,
        applied: &[ObjectId],
    ) -> CompileDelta {
        let mut dirty = BTreeSet::new();
        for change in natives {
            let id = change.id();
            dirty.extend(units_of(&id));
            match change {
                Change::Upsert(object) => self.generated.insert(id, object.clone()),
                Change::Delete(_) => self.generated.remove(&id),
            };
        }
        for id in applied {
            dirty.extend(units_of(id));
            for input in inputs_of(id, store) {
                dirty.extend(self.reads.readers(&input).cloned());
            }
        }
        self.recompute(dirty, store)
    }

    /// Takes the local ports of all ProxyGateways in place of those told before. Changes nothing where local ports
    /// follow a rule.
    pub fn set_bind_ports(
        &mut self,
        ports: BTreeMap<ObjectKey, GatewayPorts>,
        store: &Store,
    ) -> CompileDelta {
        let PortSource::Told(before) = &mut self.ports else {
            return CompileDelta::default();
        };
        let before = std::mem::replace(before, ports);
        let PortSource::Told(after) = &self.ports else {
            return CompileDelta::default();
        };
        let keys: BTreeSet<&ObjectKey> = before.keys().chain(after.keys()).collect();
        let changed = keys
            .into_iter()
            .filter(|key| before.get(key) != after.get(key));
        let mut dirty = BTreeSet::new();
        for key in changed {
            dirty.extend(self.reads.readers(&Input::Ports(key.clone())).cloned());
        }
        self.recompute(dirty, store)
    }

    fn recompute(&mut self, mut dirty: BTreeSet<Unit>, store: &Store) -> CompileDelta {
        let mut delta = Step::default();
        let mut orphans = BTreeSet::new();
        // Units read only units that stand before them, so one pass in order suffices.
        while let Some(unit) = dirty.pop_first() {
            let inputs = Inputs {
                generated: &self.generated,
                store,
                ports: &self.ports,
                outcomes: &self.outcomes,
            };
            let view = View::new(&inputs);
            let computed = compute(&view, &unit);
            let Seen { reads, fresh } = view.into_seen();
            for (unit, (computed, reads)) in fresh {
                self.accept(unit, computed, reads, &mut delta, &mut orphans);
            }
            if self.accept(unit.clone(), computed, reads, &mut delta, &mut orphans) {
                dirty.extend(self.reads.readers(&Input::Unit(unit)).cloned());
            }
        }
        for unit in orphans {
            let on_demand = matches!(unit, Unit::Certificate(_) | Unit::Trust(_));
            if on_demand && !self.reads.is_read(&Input::Unit(unit.clone())) {
                self.reads.record(&unit, BTreeSet::new());
                self.outcomes.remove(&unit);
                for (name, version) in self.resources.remove(&unit).into_iter().flatten() {
                    delta.remove(name, version);
                }
            }
        }
        delta.finish()
    }

    /// Takes a unit's result. Returns whether its outcome changed.
    fn accept(
        &mut self,
        unit: Unit,
        computed: Computed,
        reads: BTreeSet<Input>,
        delta: &mut Step,
        orphans: &mut BTreeSet<Unit>,
    ) -> bool {
        self.computed += 1;
        let unread = self.reads.record(&unit, reads).into_iter();
        orphans.extend(unread.filter_map(|input| match input {
            Input::Unit(unit) => Some(unit),
            _ => None,
        }));
        self.accept_resources(&unit, computed.resources, delta);
        if let Some(id) = reported_by(&unit) {
            let before = self.diagnostics.get(&id).map_or(&[][..], Vec::as_slice);
            if before != computed.diagnostics.as_slice() {
                delta
                    .diagnostics
                    .insert(id.clone(), computed.diagnostics.clone());
                if computed.diagnostics.is_empty() {
                    self.diagnostics.remove(&id);
                } else {
                    self.diagnostics.insert(id, computed.diagnostics);
                }
            }
        }
        let before = match computed.outcome.clone() {
            Outcome::Absent => self.outcomes.remove(&unit),
            outcome => self.outcomes.insert(unit, outcome),
        };
        before.unwrap_or_default() != computed.outcome
    }

    fn accept_resources(&mut self, unit: &Unit, resources: Vec<(String, Body)>, delta: &mut Step) {
        let before = self.resources.remove(unit).into_iter().flatten();
        let mut before: BTreeMap<String, ContentVersion> = before.collect();
        let mut after = BTreeMap::new();
        for (name, body) in resources {
            let mut resource = v1::Resource {
                name: name.clone(),
                version: String::new(),
                body: Some(body),
            };
            let version = ContentVersion::of(&resource);
            let old = before.remove(&name);
            if old != Some(version) {
                resource.version = version.to_string();
                delta.upsert(name.clone(), old, resource);
            }
            after.insert(name, version);
        }
        for (name, version) in before {
            delta.remove(name, version);
        }
        if !after.is_empty() {
            let after = after.into_iter().collect();
            self.resources.insert(unit.clone(), after);
        }
    }
}

/// A delta in the making.
#[derive(Default)]
struct Step {
    /// Versions before the step, of every resource that some unit changed; none for one that was not there.
    before: BTreeMap<String, Option<ContentVersion>>,
    upserts: BTreeMap<String, v1::Resource>,
    removed: BTreeSet<String>,
    diagnostics: BTreeMap<ObjectId, Vec<Diagnostic>>,
}

impl Step {
    fn upsert(&mut self, name: String, old: Option<ContentVersion>, resource: v1::Resource) {
        self.before.entry(name.clone()).or_insert(old);
        self.removed.remove(&name);
        self.upserts.insert(name, resource);
    }

    fn remove(&mut self, name: String, old: ContentVersion) {
        self.before.entry(name.clone()).or_insert(Some(old));
        self.upserts.remove(&name);
        self.removed.insert(name);
    }

    /// What differs from before. What came and went within the step, or went and came back, made no difference.
    fn finish(mut self) -> CompileDelta {
        let before = |name: &String| self.before.get(name).copied().flatten();
        self.removed.retain(|name| before(name).is_some());
        self.upserts.retain(|name, resource| {
            before(name).is_none_or(|version| version.to_string() != resource.version)
        });
        CompileDelta {
            upserts: self.upserts.into_iter().collect(),
            removed: self.removed.into_iter().collect(),
            diagnostics: self.diagnostics.into_iter().collect(),
        }
    }
}

fn compute(view: &View<'_>, unit: &Unit) -> Computed {
    match unit {
        Unit::Certificate(secret) => tls::certificate(view, secret),
        Unit::Trust(id) => tls::trust(view, id),
        Unit::Gateway(key) => gateway::compile(view, key),
        Unit::Backend(key) => backend::compile(view, key),
        Unit::Endpoints(key) => endpoint::compile(view, key),
        Unit::Route(key) => route::compile(view, key),
    }
}

/// The units that compile a native object.
fn units_of(id: &ObjectId) -> Vec<Unit> {
    let key = || id.key.clone();
    match id.kind {
        Kind::ProxyGateway => vec![Unit::Gateway(key())],
        Kind::ProxyBackend => vec![Unit::Backend(key()), Unit::Endpoints(key())],
        Kind::ProxyRoute => vec![Unit::Route(key())],
        _ => Vec::new(),
    }
}

/// The native object whose diagnostics a unit gives.
fn reported_by(unit: &Unit) -> Option<ObjectId> {
    let id = |kind, key: &ObjectKey| ObjectId {
        kind,
        key: key.clone(),
    };
    match unit {
        Unit::Gateway(key) => Some(id(Kind::ProxyGateway, key)),
        Unit::Backend(key) => Some(id(Kind::ProxyBackend, key)),
        Unit::Route(key) => Some(id(Kind::ProxyRoute, key)),
        Unit::Certificate(_) | Unit::Trust(_) | Unit::Endpoints(_) => None,
    }
}

/// What a changed object is read as.
fn inputs_of(id: &ObjectId, store: &Store) -> Vec<Input> {
    let mut inputs = vec![Input::Object(id.clone())];
    match id.kind {
        Kind::ReferenceGrant => inputs.push(Input::Grants(id.key.namespace.clone())),
        Kind::EndpointSlice => {
            // The Service that it leaves is found by the read of the slice itself.
            let service = store.object(id).and_then(service_of_slice);
            inputs.extend(service.map(Input::Slices));
        }
        _ => {}
    }
    inputs
}

fn service_of_slice(slice: &Object) -> Option<ObjectKey> {
    let metadata = slice.metadata();
    let name = metadata.labels.as_ref()?.get(SERVICE_NAME)?;
    Some(ObjectKey::new(
        metadata.namespace.clone().unwrap_or_default(),
        name,
    ))
}

/// The label by which EndpointSlices belong to Services.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
