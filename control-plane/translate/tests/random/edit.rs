//! Random edits of a world, and the world that they end in.

use std::collections::BTreeMap;

use novaedge_api::gateway::GatewayStatusAddress;
use novaedge_api::meta::{Kind, Object, ObjectId, ObjectKey};
use novaedge_api::validate::validate;
use novaedge_store::Change;
use novaedge_translate::config::SYSTEM_NAMESPACE;
use novaedge_translate::{Delta, GatewayFleet, RejectedRules, Translator, names};

use crate::pool::Pool;
use crate::rng::Rng;

/// One call of the translation.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    Objects(Vec<Change>),
    Fleet(BTreeMap<ObjectKey, GatewayFleet>),
    Rejected(RejectedRules),
    Clock(i64),
}

/// Everything that a translation depends on.
#[derive(Clone, Default)]
pub(crate) struct World {
    pub(crate) objects: BTreeMap<ObjectId, Object>,
    fleet: BTreeMap<ObjectKey, GatewayFleet>,
    rejected: RejectedRules,
    clock: Option<i64>,
}

/// More objects make a run slow, fewer leave little to go wrong.
const MOST_OBJECTS: usize = 30;
/// Before, within and after the life of the certificates in the cases.
const TIMES: [i64; 4] = [1_700_000_000, 1_800_000_000, 4_948_000_000, 6_000_000_000];

impl Edit {
    pub(crate) fn random(rng: &mut Rng, pool: &Pool, world: &World) -> Self {
        match rng.below(20) {
            0 => Self::Fleet(world.random_fleet(rng)),
            1 => Self::Rejected(world.random_rejections(rng)),
            2 => Self::Clock(*rng.pick(&TIMES)),
            3 => Self::case(rng, pool),
            4..6 => {
                let count = 1 + rng.below(5);
                Self::Objects(
                    (0..count)
                        .map(|_| random_change(rng, pool, world))
                        .collect(),
                )
            }
            _ => Self::Objects(vec![random_change(rng, pool, world)]),
        }
    }

    /// All objects of some golden case.
    pub(crate) fn case(rng: &mut Rng, pool: &Pool) -> Self {
        Self::Objects(pool.case(rng).into_iter().map(Change::Upsert).collect())
    }

    /// The edit without objects that an API server would refuse.
    pub(crate) fn admitted(&self) -> Self {
        let mut edit = self.clone();
        if let Self::Objects(changes) = &mut edit {
            changes.retain(|change| match change {
                Change::Upsert(object) => validate(object).is_empty(),
                Change::Delete(_) => true,
            });
        }
        edit
    }

    pub(crate) fn apply(&self, translator: &mut Translator) -> Delta {
        match self.clone() {
            Self::Objects(changes) => translator.update(changes),
            Self::Fleet(fleet) => translator.set_fleet(fleet),
            Self::Rejected(rejected) => translator.set_rejected_rules(rejected),
            Self::Clock(seconds) => translator.set_clock(seconds),
        }
    }
}

fn random_change(rng: &mut Rng, pool: &Pool, world: &World) -> Change {
    let mut ids: Vec<&ObjectId> = world.objects.keys().collect();
    if !rng.chance(10) {
        // Without its class everything else is gone, too.
        ids.retain(|id| id.kind != Kind::GatewayClass);
    }
    let full = ids.len() >= MOST_OBJECTS;
    if !ids.is_empty() && rng.chance(if full { 80 } else { 20 }) {
        return Change::Delete((*rng.pick(&ids)).clone());
    }
    if !ids.is_empty() && rng.chance(15) {
        let object = world.objects[*rng.pick(&ids)].clone();
        let generation = i64::try_from(rng.below(4)).unwrap();
        return Change::Upsert(object.with_generation(generation));
    }
    Change::Upsert(pool.object(rng))
}

impl World {
    pub(crate) fn apply(&mut self, edit: &Edit) {
        match edit.clone() {
            Edit::Objects(changes) => {
                for change in changes {
                    match change {
                        Change::Upsert(object) => self.objects.insert(object.id(), object),
                        Change::Delete(id) => self.objects.remove(&id),
                    };
                }
            }
            Edit::Fleet(fleet) => self.fleet = fleet,
            Edit::Rejected(rejected) => self.rejected = rejected,
            Edit::Clock(seconds) => self.clock = Some(seconds),
        }
    }

    /// Tells a translator everything, the objects one by one in the order given.
    pub(crate) fn tell(&self, translator: &mut Translator, order: &[ObjectId]) {
        for id in order {
            translator.update(vec![Change::Upsert(self.objects[id].clone())]);
        }
        self.tell_surroundings(translator);
    }

    /// Tells a translator everything at once.
    pub(crate) fn tell_at_once(&self, translator: &mut Translator) {
        let objects = self.objects.values().cloned();
        translator.update(objects.map(Change::Upsert).collect());
        self.tell_surroundings(translator);
    }

    fn tell_surroundings(&self, translator: &mut Translator) {
        translator.set_fleet(self.fleet.clone());
        translator.set_rejected_rules(self.rejected.clone());
        if let Some(seconds) = self.clock {
            translator.set_clock(seconds);
        }
    }

    fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &ObjectId> {
        self.objects.keys().filter(move |id| id.kind == kind)
    }

    fn random_fleet(&self, rng: &mut Rng) -> BTreeMap<ObjectKey, GatewayFleet> {
        let mut fleet = BTreeMap::new();
        for id in self.of_kind(Kind::Gateway).filter(|_| rng.chance(70)) {
            fleet.insert(id.key.clone(), GatewayFleet::default());
        }
        for class in self.of_kind(Kind::IngressClass).filter(|_| rng.chance(70)) {
            for namespace in ["default", SYSTEM_NAMESPACE] {
                let key = names::ingress_gateway(namespace, &class.key.name);
                fleet.insert(key, GatewayFleet::default());
            }
        }
        for entry in fleet.values_mut() {
            entry.acknowledged_generation = Some(i64::try_from(rng.below(3)).unwrap());
            for set in self.of_kind(Kind::ListenerSet) {
                let generation = i64::try_from(rng.below(3)).unwrap();
                entry
                    .acknowledged_listener_sets
                    .insert(set.key.clone(), generation);
            }
            if rng.chance(70) {
                entry.addresses = ["192.0.2.1", "127.0.0.1"].map(address).to_vec();
            }
            if rng.chance(20) {
                let error = "cannot bind".to_owned();
                entry.rejected_listeners.insert("http".to_owned(), error);
            }
        }
        fleet
    }

    fn random_rejections(&self, rng: &mut Rng) -> RejectedRules {
        let routes = self.of_kind(Kind::HttpRoute);
        let routes = routes.chain(self.of_kind(Kind::Ingress));
        let routes = routes.filter(|_| rng.chance(40));
        routes
            .map(|id| (id.clone(), BTreeMap::from([(0, "too large".to_owned())])))
            .collect()
    }
}

fn address(value: &str) -> GatewayStatusAddress {
    GatewayStatusAddress {
        value: value.to_owned(),
        ..GatewayStatusAddress::default()
    }
}
