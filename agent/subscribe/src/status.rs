//! What a subscriber is doing, for readiness and for people.

use novaedge_proto::v1;

use crate::step::Origin;

/// Where a subscriber stands with the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// The last good snapshot is being read.
    #[default]
    Loading,
    /// There is no stream; the next try is under way or waits.
    Connecting,
    /// The stream is open, its first step is not in force yet.
    Subscribed,
    /// What the control plane has published is in force.
    Synced,
    /// The subscriber has ended.
    Ended,
}

/// What a subscriber is doing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Status {
    /// Where it stands with the control plane.
    pub phase: Phase,
    /// The snapshot in force; `None` before the first.
    pub version: Option<v1::Version>,
    /// Where that snapshot came from.
    pub origin: Option<Origin>,
    /// The resources refused now, by name.
    pub rejected: Vec<v1::RejectedResource>,
    /// Why the last stream ended or could not be opened; `None` once a stream is in sync.
    pub last_error: Option<String>,
}
