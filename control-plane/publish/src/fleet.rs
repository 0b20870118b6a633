//! What the agents of all replicas serve.

use std::{collections::BTreeMap, sync::Arc};

use novaedge_proto::v1;

use crate::{scope::Scope, serves::Serves};

/// The agents of the fleet, by node id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FleetAcks {
    /// Agents that are connected to some replica, and those that were until a moment ago.
    pub agents: BTreeMap<Arc<str>, Arc<FleetAgent>>,
    /// Other replicas that have not told of their agents yet, or whose stream broke a moment ago. While
    /// there are some, an agent that is missing may be connected there.
    pub silent_peers: usize,
}

/// What one agent has said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FleetAgent {
    /// Of the snapshot that it acknowledged; empty before the first time on its stream.
    pub digest: String,
    /// The Gateways that it serves.
    pub serves: Arc<Serves>,
    /// The resources that it refuses, oldest first; of agents of other replicas at most 100.
    pub rejected: Vec<v1::RejectedResource>,
    /// Whether it is about to end.
    pub draining: bool,
    /// Whether it is connected now. An agent that is not serves on what it has.
    pub connected: bool,
    /// When it connected, in milliseconds since 1970.
    pub connected_at_ms: i64,
    /// The Gateways that it is given.
    pub scope: Scope,
}

impl FleetAgent {
    /// Whether it has acknowledged anything on its stream.
    pub fn has_spoken(&self) -> bool {
        !self.digest.is_empty()
    }
}
