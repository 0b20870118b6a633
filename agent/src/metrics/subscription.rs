//! The stream from the control plane.

use std::sync::Arc;

use novaedge_meter::{Description, Exposition};
use novaedge_subscribe::{Phase, Status};
use tokio::sync::watch;

use super::{Metric, NONE, singles};

/// The agent's end of the stream from the control plane.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) metrics: Arc<novaedge_subscribe::Metrics>,
    pub(crate) status: watch::Receiver<Status>,
}

static COUNTERS: [Metric<Subscription>; 7] = [
    (
        Description::counter(
            "novaedge_snapshot_streams",
            NONE,
            "Tries to open a stream to the control plane",
        ),
        |one| one.metrics.connections(),
    ),
    (
        Description::counter(
            "novaedge_snapshot_steps",
            NONE,
            "Steps put in force and acknowledged",
        ),
        |one| one.metrics.steps(),
    ),
    (
        Description::counter(
            "novaedge_snapshot_rejections",
            NONE,
            "Resources refused (NACK)",
        ),
        |one| one.metrics.rejections(),
    ),
    (
        Description::counter(
            "novaedge_snapshot_received_bytes",
            NONE,
            "Bytes of the messages from the control plane",
        ),
        |one| one.metrics.bytes(),
    ),
    (
        Description::counter(
            "novaedge_snapshot_protocol_errors",
            NONE,
            "Streams given up for a step that is too large or not as the protocol says",
        ),
        |one| one.metrics.protocol_errors(),
    ),
    (
        Description::counter(
            "novaedge_snapshot_writes",
            NONE,
            "Snapshots written to disk",
        ),
        |one| one.metrics.writes(),
    ),
    (
        Description::counter(
            "novaedge_snapshot_write_errors",
            NONE,
            "Snapshots that could not be written to disk",
        ),
        |one| one.metrics.write_failures(),
    ),
];

static GAUGES: [Metric<Subscription>; 2] = [
    (
        Description::gauge(
            "novaedge_snapshot_synced",
            NONE,
            "1: what the control plane has published is in force",
        ),
        |one| u64::from(one.status.borrow().phase == Phase::Synced),
    ),
    (
        Description::gauge(
            "novaedge_snapshot_rejected_resources",
            NONE,
            "Resources refused now",
        ),
        |one| one.status.borrow().rejected.len() as u64,
    ),
];

const PROPAGATION: Description = Description::histogram(
    "novaedge_snapshot_propagation_seconds",
    NONE,
    "From the publication of a version by the control plane to its being in force, without the way between",
);
const APPLY: Description = Description::histogram(
    "novaedge_snapshot_apply_duration_seconds",
    NONE,
    "From the last message of a step to its being in force",
);
const APPLIED: Description = Description::gauge(
    "novaedge_snapshot_applied_timestamp_seconds",
    NONE,
    "When the last step came into force, in seconds since 1970",
);

/// What each metric is.
pub(super) fn descriptions() -> impl Iterator<Item = Description> {
    let tables = COUNTERS.iter().chain(&GAUGES);
    let tables = tables.map(|(what, _)| *what);
    tables.chain([PROPAGATION, APPLY, APPLIED])
}

impl Subscription {
    pub(super) fn expose(&self, all: &mut Exposition) {
        singles(all, &COUNTERS, self);
        singles(all, &GAUGES, self);
        let metrics = &self.metrics;
        let propagation = metrics.propagation.sums();
        all.family(&PROPAGATION).durations(&[], &propagation);
        all.family(&APPLY).durations(&[], &metrics.apply.sums());
        let applied = novaedge_meter::exposition::seconds(metrics.applied_ms() * 1_000);
        all.single(&APPLIED, applied);
    }
}
