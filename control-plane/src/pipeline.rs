//! The one way that data flows: source, translation, compilation, publication; and back, what the
//! agents acknowledge, as one more input of the translation.

use std::collections::BTreeMap;

use novaedge_api::meta::{ObjectId, ObjectKey};
use novaedge_compile::{CompileDelta, Compiler};
use novaedge_publish::{Acks, Publisher};
use novaedge_store::Change;
use novaedge_translate::{
    Delta, DesiredStatus, GatewayFleet, Generations, TranslateConfig, Translator,
};
use tokio::sync::{mpsc, watch};

use crate::{problem::Problem, source::Batch};

/// Batches that may wait for the pipeline.
pub const QUEUE: usize = 16;

/// What people want to see.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Status of each object of ours.
    pub statuses: BTreeMap<ObjectId, DesiredStatus>,
    /// All that is wrong now, sorted.
    pub problems: Vec<Problem>,
}

/// Translates, compiles and publishes what a source sends.
pub struct Pipeline {
    translator: Translator,
    compiler: Compiler,
    publisher: Publisher,
    findings: watch::Sender<Findings>,
    files: Vec<Problem>,
    compiled: BTreeMap<ObjectId, Vec<Problem>>,
    refused: Vec<Problem>,
    /// What the newest snapshot serves, and its sequence.
    serves: (u64, BTreeMap<ObjectKey, Generations>),
    /// The same for the last snapshot that all agents acknowledged.
    acknowledged: BTreeMap<ObjectKey, Generations>,
}

impl Pipeline {
    /// A pipeline into `publisher`, and where its findings can be watched.
    pub fn new(config: TranslateConfig, publisher: Publisher) -> (Self, watch::Receiver<Findings>) {
        let (findings, watched) = watch::channel(Findings::default());
        let pipeline = Self {
            translator: Translator::new(config),
            compiler: Compiler::default(),
            publisher,
            findings,
            files: Vec::new(),
            compiled: BTreeMap::new(),
            refused: Vec::new(),
            serves: (0, BTreeMap::new()),
            acknowledged: BTreeMap::new(),
        };
        (pipeline, watched)
    }

    /// Runs until the source is gone.
    pub async fn run(mut self, mut batches: mpsc::Receiver<Batch>) {
        let mut acks = self.publisher.acks();
        loop {
            tokio::select! {
                batch = batches.recv() => {
                    let Some(mut batch) = batch else { return };
                    while let Ok(later) = batches.try_recv() {
                        batch.merge(later);
                    }
                    self.take(batch);
                }
                changed = acks.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
            let now = acks.borrow_and_update().clone();
            self.hear(&now);
        }
    }

    /// Takes one batch through to the agents.
    pub fn take(&mut self, batch: Batch) {
        if let Some(problems) = batch.problems {
            self.files = problems;
        }
        let ids: Vec<ObjectId> = batch.changes.iter().map(Change::id).collect();
        let delta = self.translator.update(batch.changes);
        let compiled = self
            .compiler
            .update(&delta.natives, self.translator.store(), &ids);
        self.publish(compiled);
        self.tell(&delta);
    }

    fn publish(&mut self, compiled: CompileDelta) {
        for (id, diagnostics) in compiled.diagnostics {
            let problems: Vec<Problem> = diagnostics.iter().map(Problem::from).collect();
            if problems.is_empty() {
                self.compiled.remove(&id);
            } else {
                self.compiled.insert(id, problems);
            }
        }
        let updated = self.publisher.update(compiled.upserts, compiled.removed);
        self.refused = updated
            .refused
            .iter()
            .map(|refused| {
                Problem::of_object(refused.name.clone(), "TooLarge", refused.to_string())
            })
            .collect();
        let gateways = self
            .translator
            .store()
            .iter::<novaedge_api::gateway::Gateway>();
        let serves = gateways
            .filter_map(|(key, _)| Some((key.clone(), self.translator.generations(key)?)))
            .collect();
        self.serves = (self.publisher.current().sequence, serves);
    }

    /// Takes in what the agents say.
    fn hear(&mut self, acks: &Acks) {
        if acks.all_at(self.serves.0) {
            self.acknowledged.clone_from(&self.serves.1);
        }
        let mut fleet: BTreeMap<ObjectKey, GatewayFleet> = self
            .acknowledged
            .iter()
            .map(|(key, generations)| {
                let fleet = GatewayFleet {
                    acknowledged_generation: Some(generations.gateway),
                    acknowledged_listener_sets: generations.listener_sets.clone(),
                    ..GatewayFleet::default()
                };
                (key.clone(), fleet)
            })
            .collect();
        let mut rejected = Vec::new();
        for (agent, ack) in &acks.agents {
            for resource in &ack.rejected {
                if let Some((gateway, listener)) = listener_of(&resource.name) {
                    let fleet = fleet.entry(gateway).or_default();
                    fleet
                        .rejected_listeners
                        .insert(listener, resource.error.clone());
                }
                let message = format!("agent {agent}: {}", resource.error);
                rejected.push(Problem::of_object(
                    resource.name.clone(),
                    "Rejected",
                    message,
                ));
            }
        }
        rejected.sort();
        rejected.dedup();
        let delta = self.translator.set_fleet(fleet);
        let changed = !delta.is_empty() || rejected != self.refused;
        self.refused = rejected;
        if changed {
            self.tell(&delta);
        }
    }

    fn tell(&self, delta: &Delta) {
        let mut problems = self.files.clone();
        problems.extend(self.refused.iter().cloned());
        let found = self.translator.output().diagnostics.values().flatten();
        problems.extend(found.map(Problem::from));
        problems.extend(self.compiled.values().flatten().cloned());
        problems.sort();
        problems.dedup();
        self.findings.send_modify(|findings| {
            for (id, status) in &delta.statuses {
                match status {
                    Some(status) => findings.statuses.insert(id.clone(), status.clone()),
                    None => findings.statuses.remove(id),
                };
            }
            findings.problems = problems;
        });
    }
}

/// The Gateway and native listener name of `listener/<namespace>/<gateway>/<listener>`.
fn listener_of(resource: &str) -> Option<(ObjectKey, String)> {
    let mut parts = resource.strip_prefix("listener/")?.splitn(3, '/');
    let (namespace, name) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    Some((ObjectKey { namespace, name }, parts.next()?.to_owned()))
}
