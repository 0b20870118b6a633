//! Flows of many kinds at once.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::{
    flow::{Flow, Pace, Tally, repeat},
    job::Finding,
    random::Random,
};

/// Flows that run, by kind.
#[derive(Default)]
pub struct Load {
    kinds: Vec<(&'static str, Arc<Tally>)>,
    tasks: JoinSet<()>,
    seed: u64,
}

impl Load {
    /// Begins a kind.
    pub fn kind(&mut self, name: &'static str) -> Arc<Tally> {
        let tally = Arc::new(Tally::default());
        self.kinds.push((name, Arc::clone(&tally)));
        tally
    }

    /// Lets a flow go on.
    pub fn spawn(&mut self, tally: &Arc<Tally>, pace: Pace, flow: impl Flow) {
        self.seed += 1;
        let (tally, random) = (Arc::clone(tally), Random::new(self.seed));
        self.tasks.spawn(repeat(flow, pace, tally, random));
    }

    /// Exchanges that went well so far.
    pub fn done(&self) -> u64 {
        self.kinds.iter().map(|(_, tally)| tally.done()).sum()
    }

    /// Exchanges that failed so far.
    pub fn failed(&self) -> u64 {
        self.kinds.iter().map(|(_, tally)| tally.failed()).sum()
    }

    /// The latencies of a kind, or of all where `kind` is empty, since this was asked last.
    pub fn take_latencies(&self, kind: &str) -> Vec<f64> {
        let kinds = self.kinds.iter().filter(|(name, _)| name.contains(kind));
        kinds
            .flat_map(|(_, tally)| tally.take_latencies())
            .collect()
    }

    /// Lets all flows end what they have begun, and tells what came of them.
    pub async fn end(mut self, finding: &mut Finding) {
        for (_, tally) in &self.kinds {
            tally.stop();
        }
        while self.tasks.join_next().await.is_some() {}
        for (name, tally) in &self.kinds {
            finding.figure(format!("{name}: exchanges"), tally.done());
            finding.wanted_zero(&format!("{name}: failures"), tally.failed());
            let causes = tally.causes().into_iter();
            finding
                .broken
                .extend(causes.map(|cause| format!("{name}: {cause}.")));
        }
    }
}
