//! Translation and compilation behind a shield: what an object does to them stays with that object.
//!
//! Bad input is data and never panics, so a panic is a mistake of ours. It must not take the edge down
//! for all who share it: the objects that cause it are left out, as they were before, and named.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

use novaedge_api::meta::{Object, ObjectId, ObjectKey};
use novaedge_compile::{CompileDelta, Compiler, GatewayPorts};
use novaedge_meter::{Durations, Short};
use novaedge_store::Change;
use novaedge_translate::{Delta, GatewayFleet, Mode, RejectedRules, TranslateConfig, Translator};

use super::journey::Stages;
use crate::metrics::PipelineMetrics;

/// How often translation begins anew for one batch of changes, each time at the cost of all objects;
/// then the rest of the batch is left out untried.
const MAX_RESTARTS: usize = 8;

/// Translator and compiler, and what is needed to begin anew with them.
pub(super) struct Engine {
    translator: Translator,
    compiler: Compiler,
    /// The objects that went through.
    inputs: BTreeMap<ObjectId, Object>,
    clock: Option<i64>,
    /// Local ports by ProxyGateway, as they were told last.
    ports: BTreeMap<ObjectKey, GatewayPorts>,
    metrics: Arc<PipelineMetrics>,
    /// Panics when it says so.
    #[cfg(test)]
    pub trip: fn(&[Change]) -> bool,
}

/// What a change came to.
#[derive(Debug, Default)]
pub(super) struct Step {
    pub delta: Delta,
    pub compiled: CompileDelta,
}

/// What a batch of changes came to.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// One step for all changes, or one for each when some had to be left out.
    pub steps: Vec<Step>,
    /// Objects that were left out.
    pub left_out: Vec<ObjectId>,
}

impl Engine {
    pub fn new(config: TranslateConfig) -> Self {
        Self {
            compiler: compiler(&config),
            translator: Translator::new(config),
            inputs: BTreeMap::new(),
            clock: None,
            ports: BTreeMap::new(),
            metrics: Arc::default(),
            #[cfg(test)]
            trip: |_| false,
        }
    }

    /// What it counts.
    pub fn metrics(&self) -> &Arc<PipelineMetrics> {
        &self.metrics
    }

    /// What is known now.
    pub fn translator(&self) -> &Translator {
        &self.translator
    }

    /// Applies changes.
    pub fn update(&mut self, changes: Vec<Change>, stages: Stages<'_>) -> Steps {
        if let Some(step) = self.attempt(&changes, stages) {
            self.keep(changes);
            return Steps {
                steps: vec![step],
                left_out: Vec::new(),
            };
        }
        tracing::error!("translation panicked: it begins anew, change by change");
        self.restart();
        let mut restarts = 1;
        let mut result = Steps::default();
        for change in changes {
            let id = change.id();
            let changes = vec![change];
            let step = match restarts {
                MAX_RESTARTS.. => None,
                _ => self.attempt(&changes, stages),
            };
            if let Some(step) = step {
                self.keep(changes);
                result.steps.push(step);
                continue;
            }
            tracing::error!(object = %id, "left out: it makes the translation panic");
            result.left_out.push(id);
            if restarts < MAX_RESTARTS {
                self.restart();
                restarts += 1;
            }
        }
        result
    }

    /// Tells the time in seconds since 1970.
    pub fn set_clock(&mut self, seconds: i64) -> Step {
        self.clock = Some(seconds);
        self.tell(|translator| translator.set_clock(seconds))
    }

    /// Tells the bundle versions of the Gateway API's CRDs.
    pub fn set_bundles(&mut self, detected: BTreeSet<String>) -> Step {
        self.tell(|translator| translator.set_detected_bundles(detected))
    }

    /// Tells the local ports of all ProxyGateways, in a cluster.
    pub fn set_bind_ports(&mut self, ports: BTreeMap<ObjectKey, GatewayPorts>) -> Step {
        if ports == self.ports {
            return Step::default();
        }
        self.ports.clone_from(&ports);
        let compiled = shielded(|| {
            let store = self.translator.store();
            self.compiler.set_bind_ports(ports, store)
        });
        let Some(compiled) = compiled else {
            tracing::error!("compilation panicked: translation begins anew");
            self.restart();
            return Step::default();
        };
        Step {
            compiled,
            ..Step::default()
        }
    }

    /// Tells what agents say of Gateways.
    pub fn set_fleet(&mut self, fleet: BTreeMap<ObjectKey, GatewayFleet>) -> Step {
        self.tell(|translator| translator.set_fleet(fleet))
    }

    /// Tells which rules agents refuse.
    pub fn set_rejected_rules(&mut self, rules: RejectedRules) -> Step {
        self.tell(|translator| translator.set_rejected_rules(rules))
    }

    fn tell(&mut self, what: impl FnOnce(&mut Translator) -> Delta) -> Step {
        let metrics = Arc::clone(&self.metrics);
        let step = shielded(|| {
            let delta = timed(&metrics.translate, || what(&mut self.translator));
            let store = self.translator.store();
            let compiled = timed(&metrics.compile, || {
                self.compiler.update(&delta.natives, store, &[])
            });
            Step { delta, compiled }
        });
        step.unwrap_or_else(|| {
            tracing::error!("translation panicked: it begins anew");
            self.restart();
            Step::default()
        })
    }

    fn attempt(&mut self, changes: &[Change], stages: Stages<'_>) -> Option<Step> {
        shielded(|| {
            #[cfg(test)]
            assert!(!(self.trip)(changes), "tripped");
            let told = Told {
                metrics: &self.metrics,
                stages,
            };
            let (translator, compiler) = (&mut self.translator, &mut self.compiler);
            run(translator, compiler, changes.to_vec(), told)
        })
    }

    fn keep(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Upsert(object) => self.inputs.insert(object.id(), object),
                Change::Delete(id) => self.inputs.remove(&id),
            };
        }
    }

    /// Begins anew with what went through before. The result is what was published already, for it
    /// does not depend on the order of changes; what agents say is told again with their next word.
    fn restart(&mut self) {
        self.translator = Translator::new(self.translator.config().clone());
        self.compiler = compiler(self.translator.config());
        let store = self.translator.store();
        self.compiler.set_bind_ports(self.ports.clone(), store);
        if let Some(seconds) = self.clock {
            self.translator.set_clock(seconds);
        }
        let inputs = self.inputs.values().cloned().map(Change::Upsert).collect();
        let told = Told {
            metrics: &self.metrics,
            stages: Stages::default(),
        };
        run(&mut self.translator, &mut self.compiler, inputs, told);
    }
}

/// Where it is told how long the parts of a change's way take.
#[derive(Clone, Copy)]
struct Told<'a> {
    metrics: &'a PipelineMetrics,
    stages: Stages<'a>,
}

fn compiler(config: &TranslateConfig) -> Compiler {
    match config.mode {
        Mode::Standalone => Compiler::default(),
        Mode::Cluster => Compiler::cluster(),
    }
}

fn run(
    translator: &mut Translator,
    compiler: &mut Compiler,
    changes: Vec<Change>,
    told: Told<'_>,
) -> Step {
    let Told { metrics, stages } = told;
    let ids: Vec<ObjectId> = changes.iter().map(Change::id).collect();
    let translating = stages.enter("translate");
    let delta = timed(&metrics.translate, || translator.update(changes));
    drop(translating);
    let _compiling = stages.enter("compile");
    let compiled = timed(&metrics.compile, || {
        compiler.update(&delta.natives, translator.store(), &ids)
    });
    Step { delta, compiled }
}

/// Does something, and counts how long it takes.
fn timed<T>(durations: &Durations<Short>, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let done = work();
    durations.observe(began.elapsed());
    done
}

/// Runs `work`; none when it panicked. What it worked on is to be thrown away then.
fn shielded<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}
