//! What a pipeline in a cluster exchanges beside snapshots: with the writers what is there and what should
//! be there, with the fleet which Gateways want a Service and what came of it.

use std::{collections::BTreeMap, time::Duration};

use novaedge_api::{
    gateway::Gateway,
    meta::{Kind, Object, ObjectId, ObjectKey, Typed as _},
    native::ProxyGateway,
};
use novaedge_compile::CompileDelta;
use novaedge_fleet::{FleetState, Gateways, WantedGateway};
use novaedge_store::Change;
use novaedge_translate::{Delta, GatewayFleet, Translator, names};
use novaedge_write::{Intake, Trouble, is_translated};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use super::{Pipeline, rejection::Culprit, rejection::culprit, rules};
use crate::{
    problem::{Problem, Scope},
    source::Batch,
};

/// How long nothing is written for want of a word from the agents: those that served before this process
/// came are about to subscribe, and a status that says otherwise for a moment helps nobody.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a pipeline in a cluster tells what it finds.
pub struct Cluster {
    intake: Intake,
    gateways: watch::Sender<Gateways>,
    /// Whether the Gateways may be other ones than those that were told.
    gateways_changed: bool,
    beginning: Beginning,
}

/// How far a pipeline in a cluster has come.
#[derive(Debug)]
enum Beginning {
    /// Nothing is published: without local ports from the fleet a snapshot would close every listener of the
    /// agents that served before. Holds what was compiled.
    Held(CompileDelta),
    /// Snapshots are published, and nothing is written before the agents have spoken, or this moment.
    Silent(Instant),
    /// The writers write.
    Done,
}

/// What comes back from the cluster.
#[derive(Clone, Debug)]
pub struct Word {
    /// From the fleet.
    pub fleet: watch::Receiver<FleetState>,
    /// From the agents of all replicas: what they refuse, by resource.
    pub rejected: watch::Receiver<BTreeMap<String, String>>,
    /// From the writers: what they could not write.
    pub troubles: watch::Receiver<Vec<Trouble>>,
}

impl Cluster {
    /// Tells the writers through `intake`, and the fleet which Gateways want a Service.
    pub fn new(intake: Intake, gateways: watch::Sender<Gateways>) -> Self {
        Self {
            intake,
            gateways,
            gateways_changed: true,
            beginning: Beginning::Held(CompileDelta::default()),
        }
    }

    /// Takes in what was compiled, and gives back what to publish of it.
    pub(super) fn hold(&mut self, compiled: CompileDelta) -> Option<CompileDelta> {
        self.intake.compiled(&compiled.diagnostics);
        match &mut self.beginning {
            Beginning::Held(held) => {
                held.merge(compiled);
                None
            }
            _ => Some(compiled),
        }
    }

    /// Whether the writers still wait.
    pub(super) const fn is_beginning(&self) -> bool {
        !matches!(self.beginning, Beginning::Done)
    }

    /// Goes on as far as the fleet allows for; gives back what to publish now.
    fn proceed(&mut self, state: &FleetState) -> Option<CompileDelta> {
        let mut released = None;
        if let Beginning::Held(held) = &mut self.beginning {
            let wanted = self.gateways.borrow();
            if wanted.keys().all(|key| state.gateways.contains_key(key)) {
                released = Some(std::mem::take(held));
                self.beginning = Beginning::Silent(Instant::now() + PATIENCE);
            }
        }
        if let Beginning::Silent(until) = self.beginning {
            let gateways = state.gateways.values();
            let mut served = gateways.filter(|gateway| !gateway.ports.is_empty());
            let spoken = served.all(|gateway| gateway.acknowledged_generation.is_some());
            if spoken || Instant::now() >= until {
                self.beginning = Beginning::Done;
                self.intake.settle();
            }
        }
        released
    }

    /// Shows a batch to the writers, and takes the echo of what they wrote out of it.
    pub(super) fn observe(&mut self, batch: &mut Batch) {
        self.intake.observe(&batch.changes);
        self.gateways_changed |= concern_gateways(&batch.changes);
        batch.changes.retain(|change| match change {
            Change::Upsert(object) => !is_translated(object),
            Change::Delete(_) => true,
        });
    }

    /// Tells what a step of the translation changed.
    pub(super) fn take(&mut self, delta: &Delta, translator: &Translator) {
        self.intake.take(delta);
        self.gateways_changed |= concern_gateways(&delta.natives);
        if std::mem::take(&mut self.gateways_changed) {
            self.want(translator);
        }
    }

    /// Tells which Gateways want a Service.
    fn want(&self, translator: &Translator) {
        let wanted = wanted(translator);
        // The fleet waits for the first word, be it that there is nothing.
        let first = matches!(self.beginning, Beginning::Held(_));
        self.gateways.send_if_modified(|before| {
            let changed = first || *before != wanted;
            if changed {
                *before = wanted;
            }
            changed
        });
    }
}

fn concern_gateways(changes: &[Change]) -> bool {
    let mut kinds = changes.iter().map(|change| change.id().kind);
    kinds.any(|kind| {
        matches!(
            kind,
            Kind::GatewayClass | Kind::Gateway | Kind::ListenerSet | Kind::ProxyGateway
        )
    })
}

/// The Gateways that want a Service: those that have something to serve, and those that had perhaps and keep their
/// address.
fn wanted(translator: &Translator) -> Gateways {
    let first = ObjectId::new(Kind::ProxyGateway, "", "");
    let natives = translator.output().natives.range(first..);
    let translated = natives.map_while(|(_, object)| match object {
        Object::ProxyGateway(gateway) => Some(gateway),
        _ => None,
    });
    let store = translator.store();
    let written = store.iter::<ProxyGateway>().map(|(_, gateway)| gateway);
    let mut all: Gateways = written
        .chain(translated)
        .map(|gateway| (gateway.object_key(), WantedGateway::of(gateway)))
        .collect();
    for (key, gateway) in store.iter::<Gateway>() {
        if translator.generations(key).is_some() && !all.contains_key(key) {
            let owner = names::owner_reference(Kind::Gateway, &gateway.metadata);
            all.insert(key.clone(), WantedGateway::resting(owner));
        }
    }
    all
}

impl Pipeline {
    /// Runs in a cluster until the source is gone.
    pub async fn run_in_cluster(mut self, mut batches: mpsc::Receiver<Batch>, mut word: Word) {
        loop {
            tokio::select! {
                batch = batches.recv() => {
                    let Some(mut batch) = batch else { return };
                    while let Ok(later) = batches.try_recv() {
                        batch.merge(later);
                    }
                    self.take(batch);
                }
                changed = word.fleet.changed() => if changed.is_err() { return },
                changed = word.rejected.changed() => if changed.is_err() { return },
                changed = word.troubles.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let troubles = word.troubles.borrow_and_update().clone();
                    self.hear_troubles(&troubles);
                }
                () = self.next_tick() => self.tick_now(),
            }
            if self.loaded {
                let fleet = word.fleet.borrow_and_update().clone();
                let rejected = word.rejected.borrow_and_update().clone();
                self.hear_fleet(&fleet, rejected);
            }
        }
    }

    /// Takes in what the fleet came to, and what agents refuse.
    pub fn hear_fleet(&mut self, state: &FleetState, rejected: BTreeMap<String, String>) {
        let ports = state.gateways.iter();
        let ports = ports.map(|(key, state)| (key.clone(), state.ports.clone()));
        let mut steps = vec![self.engine.set_bind_ports(ports.collect())];
        steps.push(self.engine.set_fleet(fleet_of(state, &rejected)));
        steps.push(self.engine.set_rejected_rules(rules(&rejected)));
        let mut news = self.set_rejected(rejected);
        news |= self.set_fleet_problems(state);
        for step in steps {
            if !step.compiled.is_empty() {
                news |= self.publish(step.compiled);
            }
            if news || !step.delta.is_empty() {
                self.tell(&step.delta, std::mem::take(&mut news));
            }
        }
        let released = self
            .cluster
            .as_mut()
            .and_then(|cluster| cluster.proceed(state));
        if let Some(released) = released {
            news |= self.publish(released);
        }
        if news {
            self.tell(&Delta::default(), news);
        }
    }

    /// Takes in what could not be written.
    fn hear_troubles(&mut self, troubles: &[Trouble]) {
        let told = troubles.iter().map(|trouble| {
            let object = trouble.object.to_string();
            Problem::of_object(object, trouble.reason, trouble.message.clone())
        });
        if self.problems.set(Scope::Unwritten, told.collect()) {
            self.tell(&Delta::default(), true);
        }
    }

    /// Returns whether problems came or went.
    fn set_fleet_problems(&mut self, state: &FleetState) -> bool {
        let mut news = false;
        let gone = |key: &ObjectKey| !state.gateways.contains_key(key);
        let before = std::mem::take(&mut self.fleet_problems);
        for key in before.into_iter().filter(gone) {
            news |= self.problems.set(Scope::Fleet(key), Vec::new());
        }
        for (key, gateway) in &state.gateways {
            let object = self.owner_of_gateway(key);
            let told = gateway.problems.iter().map(|problem| {
                let mut told =
                    Problem::of_object(object.clone(), problem.reason, problem.message.clone());
                told.field.clone_from(&problem.field);
                told
            });
            let told: Vec<Problem> = told.collect();
            if !told.is_empty() {
                self.fleet_problems.insert(key.clone());
            }
            news |= self.problems.set(Scope::Fleet(key.clone()), told);
        }
        news
    }
}

/// What the translation is told of each Gateway.
fn fleet_of(
    state: &FleetState,
    rejected: &BTreeMap<String, String>,
) -> BTreeMap<ObjectKey, GatewayFleet> {
    let gateways = state.gateways.iter();
    let mut fleet: BTreeMap<ObjectKey, GatewayFleet> = gateways
        .map(|(key, state)| (key.clone(), state.to_translation()))
        .collect();
    for (resource, error) in rejected {
        if let Some(Culprit::Listener(gateway, listener)) = culprit(resource) {
            let rejected = &mut fleet.entry(gateway).or_default().rejected_listeners;
            rejected.insert(listener, error.clone());
        }
    }
    fleet
}

#[cfg(test)]
mod tests;
