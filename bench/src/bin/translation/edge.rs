//! The stages from an object to the agent's tables, timed one by one.

use std::net::Ipv4Addr;

use novaedge_api::meta::ObjectId;
use novaedge_bench::timing::timed;
use novaedge_compile::{CompileDelta, Compiler};
use novaedge_control_plane::{pipeline::Pipeline, source::Batch};
use novaedge_proto::v1;
use novaedge_publish::{
    LogLimits, Publisher,
    encoded::EncodedResource,
    log::{Delta, Held, SnapshotLog},
};
use novaedge_router::TablesBuilder;
use novaedge_store::Change;
use novaedge_translate::{TranslateConfig, Translator};
use prost::Message as _;

/// Names of the stages.
pub const STAGES: [&str; 4] = ["translate", "compile", "publish", "tables"];

/// Microseconds of one update.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// By stage, in the order of [`STAGES`].
    pub stages: [f64; STAGES.len()],
    /// The control plane's pipeline, which runs the first three stages and tells statuses.
    pub pipeline: f64,
}

impl Cost {
    /// All stages.
    pub fn total(&self) -> f64 {
        self.stages.iter().sum()
    }
}

/// Everything between a source and the agent's tables; twice, since the pipeline keeps its stages to
/// itself.
pub struct Edge {
    translator: Translator,
    compiler: Compiler,
    log: SnapshotLog,
    tables: TablesBuilder,
    pipeline: Pipeline,
}

impl Edge {
    /// An edge with these objects, and what it cost to load them.
    pub fn load(world: Vec<Change>) -> (Self, Cost) {
        let config = TranslateConfig::standalone;
        let publisher = Publisher::new(LogLimits::default());
        let (pipeline, _) = Pipeline::new(config(), publisher, || vec![Ipv4Addr::LOCALHOST.into()]);
        let mut edge = Self {
            translator: Translator::new(config()),
            compiler: Compiler::default(),
            log: SnapshotLog::new(LogLimits::default()),
            tables: TablesBuilder::new(),
            pipeline,
        };
        let cost = edge.take(world);
        (edge, cost)
    }

    /// Objects held.
    pub fn objects(&self) -> usize {
        self.translator.store().len()
    }

    /// Resources of the snapshot.
    pub fn resources(&self) -> usize {
        self.log.len()
    }

    /// Takes changes through all stages.
    pub fn take(&mut self, changes: Vec<Change>) -> Cost {
        let batch = Batch {
            changes: changes.clone(),
            ..Batch::default()
        };
        let ((), pipeline) = timed(|| self.pipeline.take(batch));
        let ids: Vec<ObjectId> = changes.iter().map(Change::id).collect();
        let (delta, translate) = timed(|| self.translator.update(changes));
        let store = self.translator.store();
        let (compiled, compile) = timed(|| self.compiler.update(&delta.natives, store, &ids));
        let (published, publish) = timed(|| self.publish(compiled));
        let (upserts, removed) = decoded(&published);
        let ((), tables) = timed(|| {
            // As in the agent, the tables before stay alive until those after are there.
            let before = self.tables.tables().clone();
            let _ = self.tables.apply(upserts, &removed);
            drop(before);
        });
        Cost {
            stages: [translate, compile, publish, tables],
            pipeline,
        }
    }

    /// Encodes and logs a step, and makes the delta that a session sends.
    fn publish(&mut self, compiled: CompileDelta) -> Delta {
        let before = self.log.version();
        let encoded = compiled
            .upserts
            .into_iter()
            .filter_map(|(name, resource)| EncodedResource::encode(&name, resource).ok())
            .collect();
        self.log.apply(encoded, &compiled.removed);
        let delta = self.log.delta_since(before.sequence);
        delta.unwrap_or_else(|| self.log.delta_from(&Held::new()))
    }
}

/// What an agent receives.
fn decoded(delta: &Delta) -> (Vec<v1::Resource>, Vec<String>) {
    let upserts = delta
        .upserts
        .iter()
        .filter_map(|resource| v1::Resource::decode(resource.bytes().clone()).ok());
    let removed = delta.removed.iter().map(ToString::to_string);
    (upserts.collect(), removed.collect())
}
