//! The incremental engine: units, what they read, and what must be computed again.

mod ingress;
mod output;
mod unit;

use std::collections::{BTreeMap, BTreeSet};

use novaedge_api::gateway::GatewayClass;
use novaedge_api::meta::{Kind, ObjectId, ObjectKey};
use novaedge_store::{Applied, Change, Load, Reads, Store, Touch};

use self::output::Collector;
use crate::config::TranslateConfig;
use crate::gateway::certificates::CertificateCache;
use crate::output::{Delta, GatewayFleet, Generations, Output};
use crate::plans::Plans;
use crate::read::{Read, Unit};
use crate::view::View;

/// Errors of agents, by route and by place of the rule in its native route.
pub type RejectedRules = BTreeMap<ObjectId, BTreeMap<usize, String>>;

/// Translates Gateway API objects into native objects, statuses and findings, and keeps them up to date.
///
/// The result depends only on the objects that are there, never on the order in which they came: each unit of work is
/// a pure function of what it reads, its reads are recorded, and a change computes again just those units that read
/// what changed. A unit whose result stays the same ends the wave there.
#[derive(Debug)]
pub struct Translator {
    config: TranslateConfig,
    store: Store,
    plans: Plans,
    certificates: CertificateCache,
    reads: Reads<Unit, Read>,
    collector: Collector,
    computed: u64,
}

impl Translator {
    /// A translator that has seen nothing yet.
    pub fn new(config: TranslateConfig) -> Self {
        Self {
            config,
            store: Store::new(),
            plans: Plans::default(),
            certificates: CertificateCache::default(),
            reads: Reads::default(),
            collector: Collector::default(),
            computed: 0,
        }
    }

    /// Applies changes to the store and computes what follows from them. Gives back only what changed.
    pub fn update(&mut self, changes: Vec<Change>) -> Delta {
        let mut dirty = BTreeSet::new();
        for change in changes {
            if let Some(applied) = self.store.apply(change) {
                self.mark(&applied, &mut dirty);
            }
        }
        self.settle(dirty)
    }

    /// Takes in what the agents say: the state of every Gateway that some agent reports on.
    pub fn set_fleet(&mut self, fleet: BTreeMap<ObjectKey, GatewayFleet>) -> Delta {
        let mut dirty = BTreeSet::new();
        for key in differing(&self.plans.fleet, &fleet) {
            self.fire(&Read::Fleet(key.clone()), &mut dirty);
        }
        self.plans.fleet = fleet;
        self.settle(dirty)
    }

    /// Takes in which rules the agents cannot serve: for each route of the Gateway API the places of the rules in its
    /// native route, as in the names of their resources, and the agents' errors.
    pub fn set_rejected_rules(&mut self, rejected: RejectedRules) -> Delta {
        let mut dirty = BTreeSet::new();
        for id in differing(&self.plans.rejected_rules, &rejected) {
            self.fire(&Read::RejectedRules(id.clone()), &mut dirty);
        }
        self.plans.rejected_rules = rejected;
        self.settle(dirty)
    }

    /// Tells the bundle versions of the Gateway API's CRDs in the cluster, as in [`BundleVersions::detected`](crate::BundleVersions).
    pub fn set_detected_bundles(&mut self, detected: BTreeSet<String>) -> Delta {
        if self.config.bundle_versions.detected == detected {
            return Delta::default();
        }
        self.config.bundle_versions.detected = detected;
        let classes = self.store.iter::<GatewayClass>();
        let dirty = classes.map(|(key, _)| Unit::Class(key.clone())).collect();
        self.settle(dirty)
    }

    /// Tells the time in seconds since 1970, which findings about expired certificates depend on. Without it there are
    /// no such findings; [`next_clock`](Self::next_clock) says when to call it again.
    pub fn set_clock(&mut self, seconds: i64) -> Delta {
        let changed = match self.plans.clock.replace(seconds) {
            None => i64::MIN..i64::MAX,
            // The times between are past now, or no longer.
            Some(before) => before.min(seconds)..before.max(seconds),
        };
        let asked = self
            .reads
            .range(Read::Past(changed.start)..Read::Past(changed.end));
        let dirty = asked.flat_map(|read| self.reads.readers(read));
        let dirty = dirty.cloned().collect();
        self.settle(dirty)
    }

    /// The time, in seconds since 1970, at which [`set_clock`](Self::set_clock) will next make a difference, as far as
    /// the objects of now go: 0 for at once, none when nothing depends on the time.
    pub fn next_clock(&self) -> Option<i64> {
        let from = self.plans.clock.unwrap_or(i64::MIN);
        let mut later = self.reads.range(Read::Past(from)..=Read::Past(i64::MAX));
        let Some(Read::Past(next)) = later.next() else {
            return None;
        };
        let untold = self.plans.clock.is_none();
        Some(if untold { 0 } else { next.saturating_add(1) })
    }

    /// The objects read so far.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The settings.
    pub fn config(&self) -> &TranslateConfig {
        &self.config
    }

    /// How much it has done, and how much it keeps track of.
    pub fn load(&self) -> Load {
        self.reads.load(self.computed)
    }

    /// Everything that the objects come to.
    pub fn output(&self) -> &Output {
        self.collector.output()
    }

    /// The generations of a Gateway and its ListenerSets that the output serves; none for a Gateway that is not ours.
    pub fn generations(&self, gateway: &ObjectKey) -> Option<Generations> {
        let of_gateway = self.plans.gateways.get(gateway);
        let of_gateway = of_gateway.map(|result| result.generations());
        of_gateway.or_else(|| {
            let mut entrances = self.plans.entrances.values();
            // What its Ingresses say is not counted: an IngressClass has no generation of all of them.
            entrances
                .any(|entrance| entrance.native.is_some() && entrance.key == *gateway)
                .then(Generations::default)
        })
    }

    /// The Gateways of ours, and the ProxyGateways that IngressClasses have.
    pub fn gateways(&self) -> impl Iterator<Item = &ObjectKey> {
        let entrances = self.plans.entrances.values();
        let entrances = entrances.filter(|entrance| entrance.native.is_some());
        let entrances = entrances.map(|entrance| &entrance.key);
        self.plans.gateways.keys().chain(entrances)
    }

    /// Marks what a change of an object touches.
    fn mark(&mut self, applied: &Applied, dirty: &mut BTreeSet<Unit>) {
        if applied.touch == Touch::Bookkeeping {
            return;
        }
        let id = &applied.id;
        match id.kind {
            Kind::Secret => self.certificates.forget(&id.key),
            Kind::ReferenceGrant => self.fire(&Read::Grants(id.key.namespace.clone()), dirty),
            _ => dirty.extend(units_of(id)),
        }
        for target in &applied.references {
            self.fire(&Read::Referrers(target.clone(), id.kind), dirty);
        }
        if applied.old.is_some() != applied.new.is_some() {
            self.fire(&Read::Exists(id.clone()), dirty);
        }
        self.fire(&Read::Object(id.clone()), dirty);
    }

    fn fire(&self, read: &Read, dirty: &mut BTreeSet<Unit>) {
        dirty.extend(self.reads.readers(read).cloned());
    }

    /// Computes units in order until nothing is left to do.
    fn settle(&mut self, mut dirty: BTreeSet<Unit>) -> Delta {
        while let Some(unit) = dirty.pop_first() {
            self.computed += 1;
            for read in self.compute(&unit) {
                debug_assert!(
                    self.reads.readers(&read).all(|reader| *reader > unit),
                    "{unit:?} changes {read:?} behind the back of a unit before it"
                );
                self.fire(&read, &mut dirty);
            }
            dirty.extend(
                self.plans
                    .ledger
                    .take_backends()
                    .into_iter()
                    .map(Unit::Backend),
            );
        }
        self.collector.take()
    }

    /// Runs `plan` for a unit and remembers what it read. A unit whose object is gone reads nothing.
    fn planned<T>(&mut self, unit: &Unit, plan: impl FnOnce(&View<'_>) -> Option<T>) -> Option<T> {
        let (result, reads) = if self.lives(unit) {
            let view = View::new(&self.config, &self.store, &self.plans, &self.certificates);
            let result = plan(&view);
            (result, view.into_reads())
        } else {
            (None, BTreeSet::new())
        };
        self.reads.record(unit, reads);
        result
    }

    /// Whether there is something to compute a unit for.
    fn lives(&self, unit: &Unit) -> bool {
        let id = match unit {
            Unit::Class(key) => (Kind::GatewayClass, key),
            Unit::Layout(key) | Unit::Gateway(key) | Unit::GatewayStatus(key) => {
                (Kind::Gateway, key)
            }
            Unit::IngressClass(key) | Unit::IngressPorts(key) | Unit::Entrance(key) => {
                (Kind::IngressClass, key)
            }
            Unit::IngressClaims(key) | Unit::IngressStatus(key) => (Kind::Ingress, key),
            Unit::Route(kind, key) => (*kind, key),
            Unit::Backend(key) => return self.plans.ledger.is_used(key),
            Unit::Policy(key) => (Kind::BackendTlsPolicy, key),
            Unit::ListenerSetStatus(key) => (Kind::ListenerSet, key),
        };
        self.store
            .object(&ObjectId {
                kind: id.0,
                key: id.1.clone(),
            })
            .is_some()
    }
}

/// Keys whose values differ between two maps.
fn differing<'a, K: Ord, V: PartialEq>(
    before: &'a BTreeMap<K, V>,
    after: &'a BTreeMap<K, V>,
) -> impl Iterator<Item = &'a K> {
    let changed = after
        .iter()
        .filter(|(key, value)| before.get(*key) != Some(*value));
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    changed.map(|(key, _)| key).chain(gone)
}

/// The units that exist because an object does.
fn units_of(id: &ObjectId) -> Vec<Unit> {
    let key = id.key.clone();
    match id.kind {
        Kind::GatewayClass => vec![Unit::Class(key)],
        Kind::Gateway => {
            vec![
                Unit::Layout(key.clone()),
                Unit::Gateway(key.clone()),
                Unit::GatewayStatus(key),
            ]
        }
        Kind::ListenerSet => vec![Unit::ListenerSetStatus(key)],
        Kind::HttpRoute | Kind::GrpcRoute | Kind::TlsRoute | Kind::TcpRoute | Kind::UdpRoute => {
            vec![Unit::Route(id.kind, key)]
        }
        Kind::Ingress => vec![
            Unit::IngressClaims(key.clone()),
            Unit::Route(Kind::Ingress, key.clone()),
            Unit::IngressStatus(key),
        ],
        Kind::IngressClass => vec![
            Unit::IngressClass(key.clone()),
            Unit::IngressPorts(key.clone()),
            Unit::Entrance(key),
        ],
        Kind::BackendTlsPolicy => vec![Unit::Policy(key)],
        _ => Vec::new(),
    }
}
