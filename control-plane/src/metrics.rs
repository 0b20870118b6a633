//! The metrics of a control plane.

use std::sync::Arc;

use novaedge_meter::{Counter, Description, Durations, Exposition, Short};
use novaedge_publish::Publisher;
use novaedge_watch::Health;
use tokio::sync::watch;

use crate::{findings::Findings, problem::Level};

const TRANSLATE: Description = Description::histogram(
    "novaedge_translate_duration_seconds",
    &[],
    "How long a batch of changes took to be translated",
);
const COMPILE: Description = Description::histogram(
    "novaedge_compile_duration_seconds",
    &[],
    "How long the result took to be compiled",
);
const QUEUED: Description = Description::gauge(
    "novaedge_pipeline_queued_batches",
    &[],
    "Batches of changes that waited for the translation at the last look",
);
const SEQUENCE: Description = Description::gauge(
    "novaedge_publish_sequence",
    &[],
    "Sequence of the snapshot that is published",
);
const SCOPES: Description = Description::gauge(
    "novaedge_publish_scopes",
    &[],
    "Sets of namespaces whose agents have snapshots of their own",
);
const SESSIONS: Description = Description::gauge(
    "novaedge_publish_sessions",
    &[],
    "Streams of agents open now",
);
const RESOURCES: Description = Description::gauge(
    "novaedge_publish_resources",
    &["scope"],
    "Resources of the snapshot, by the set of namespaces that it is for",
);
const BYTES: Description = Description::gauge(
    "novaedge_publish_snapshot_bytes",
    &["scope"],
    "Encoded bytes of these resources",
);
const ANSWERS: Description = Description::counter(
    "novaedge_publish_answers",
    &["scope", "result"],
    "Answers of agents to steps: `ack`, or `nack` where they refuse a resource",
);
const PROBLEMS: Description = Description::gauge(
    "novaedge_problems",
    &["severity"],
    "Findings that somebody should look at; `omitted`: more than a list has room for",
);
const IN_SYNC: Description = Description::gauge(
    "novaedge_watch_in_sync",
    &[],
    "1: all kinds that are watched have been read",
);
const FAILING: Description = Description::gauge(
    "novaedge_watch_failing",
    &[],
    "Watches that fail at the moment",
);

/// What the pipeline counts.
#[derive(Debug, Default)]
pub struct PipelineMetrics {
    /// Of translations.
    pub translate: Durations<Short>,
    /// Of compilations.
    pub compile: Durations<Short>,
    /// Batches that wait.
    pub queued: Counter,
}

/// Where the numbers of a control plane come from.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// What is published, and to whom.
    pub publisher: Publisher,
    /// What is wrong.
    pub findings: watch::Receiver<Findings>,
    /// What the pipeline does.
    pub pipeline: Arc<PipelineMetrics>,
    /// In a cluster: what is written there, and how the watches are.
    pub cluster: Option<ClusterMetrics>,
}

/// What a control plane has in a cluster only.
#[derive(Clone, Debug)]
pub struct ClusterMetrics {
    /// What is written to the API server.
    pub write: Arc<novaedge_write::Metrics>,
    /// How the watches are.
    pub health: watch::Receiver<Health>,
    /// What the watches count.
    pub watches: Arc<novaedge_watch::Metrics>,
}

/// All metrics that a control plane has, in the order of their names.
#[must_use]
pub fn catalog() -> Vec<Description> {
    let own = [
        TRANSLATE, COMPILE, QUEUED, SEQUENCE, SCOPES, SESSIONS, RESOURCES, BYTES, ANSWERS,
        PROBLEMS, IN_SYNC, FAILING,
    ];
    let published = novaedge_publish::Metrics::DESCRIPTIONS;
    let written = novaedge_write::Metrics::DESCRIPTIONS;
    let watched = novaedge_watch::Metrics::DESCRIPTIONS;
    let mut all: Vec<Description> = [&own, published, written, watched].concat();
    all.sort_unstable();
    all
}

impl Metrics {
    /// All metrics, in the OpenMetrics text format.
    #[must_use]
    pub fn render(&self) -> String {
        let mut all = Exposition::default();
        self.expose(&mut all);
        all.finish()
    }

    /// Adds all metrics.
    pub fn expose(&self, all: &mut Exposition) {
        let pipeline = &self.pipeline;
        all.family(&TRANSLATE)
            .durations(&[], &pipeline.translate.sums());
        all.family(&COMPILE)
            .durations(&[], &pipeline.compile.sums());
        all.single(&QUEUED, pipeline.queued.get());
        self.expose_published(all);
        self.expose_problems(all);
        if let Some(cluster) = &self.cluster {
            cluster.write.expose(all);
            let health = cluster.health.borrow();
            all.single(&IN_SYNC, u64::from(health.in_sync));
            all.single(&FAILING, health.failing.len());
            cluster.watches.expose(all);
        }
    }

    fn expose_published(&self, all: &mut Exposition) {
        let publisher = &self.publisher;
        publisher.metrics().expose(all);
        all.single(&SEQUENCE, publisher.current().sequence);
        all.single(&SCOPES, publisher.scopes_served());
        all.single(&SESSIONS, publisher.metrics().sessions());
        let feeds = publisher.feeds();
        let mut family = all.family(&RESOURCES);
        for feed in &feeds {
            family.sample(&[&feed.scope], feed.resources);
        }
        let mut family = all.family(&BYTES);
        for feed in &feeds {
            family.sample(&[&feed.scope], feed.bytes);
        }
        let mut family = all.family(&ANSWERS);
        for feed in &feeds {
            family.sample(&[&feed.scope, "ack"], feed.acks);
            family.sample(&[&feed.scope, "nack"], feed.nacks);
        }
    }

    fn expose_problems(&self, all: &mut Exposition) {
        let findings = self.findings.borrow();
        let count = |level| {
            let problems = findings.problems.iter();
            problems.filter(|problem| problem.severity == level).count()
        };
        let mut family = all.family(&PROBLEMS);
        family.sample(&["error"], count(Level::Error));
        family.sample(&["warning"], count(Level::Warning));
        family.sample(&["omitted"], findings.omitted);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn metrics() -> Metrics {
        Metrics {
            publisher: Publisher::default(),
            findings: watch::channel(Findings::default()).1,
            pipeline: Arc::default(),
            cluster: Some(ClusterMetrics {
                write: Arc::default(),
                health: watch::channel(Health::default()).1,
                watches: Arc::default(),
            }),
        }
    }

    #[test]
    fn all_that_is_shown_is_described_and_the_other_way_round() {
        let text = metrics().render();
        let shown = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let shown: Vec<&str> = shown.filter_map(|line| line.split(' ').next()).collect();
        let names: BTreeSet<&str> = shown.iter().copied().collect();
        assert_eq!(names.len(), shown.len(), "a metric comes twice");
        // Without a watch there is nothing to tell of one.
        let catalog = catalog();
        let (watches, others): (Vec<Description>, Vec<Description>) = catalog
            .into_iter()
            .partition(|one| one.name.starts_with("novaedge_watch_") && one.labels == ["kind"]);
        assert_eq!(watches.len(), 3);
        let described: BTreeSet<&str> = others.iter().map(|one| one.name).collect();
        assert_eq!(names, described);
    }
}
