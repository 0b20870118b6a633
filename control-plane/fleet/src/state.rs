//! What the agents say, and what the fleet comes to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use novaedge_api::gateway::GatewayStatusAddress;
use novaedge_api::meta::ObjectKey;
use novaedge_api::native::Transport;
use novaedge_translate::GatewayFleet;

/// What the connected agents of all replicas say, by node id, which is the name of the pod, and outside of the system's
/// namespace `<namespace>/<name>`.
pub type Agents = BTreeMap<String, AgentWord>;

/// What one agent says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AgentWord {
    /// Whether it is about to end.
    pub draining: bool,
    /// The Gateways in the snapshot that it has acknowledged.
    pub gateways: Arc<BTreeMap<ObjectKey, Served>>,
    /// Gateways of which it refuses something: that it does not serve all of their ports is all it has to say.
    pub refuses: BTreeSet<ObjectKey>,
}

/// One Gateway as an agent serves it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// The generation of the Gateway.
    pub generation: i64,
    /// The generations of its ListenerSets.
    pub listener_sets: BTreeMap<ObjectKey, i64>,
    /// Local ports.
    pub ports: BTreeSet<(u16, Transport)>,
}

/// What the fleet comes to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FleetState {
    /// Every Gateway that was asked for.
    pub gateways: BTreeMap<ObjectKey, GatewayState>,
}

/// What one Gateway has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GatewayState {
    /// Local port by the port that clients see, as its Service says: the input of the compilation.
    pub ports: BTreeMap<(u16, Transport), u16>,
    /// Where it can be reached.
    pub addresses: Vec<GatewayStatusAddress>,
    /// The agents that its Service leads to.
    pub agents: BTreeSet<String>,
    /// The lowest generation of the Gateway among those of `agents` that are connected; nothing without any.
    pub acknowledged_generation: Option<i64>,
    /// The same for its ListenerSets. One that an agent does not serve is missing.
    pub acknowledged_listener_sets: BTreeMap<ObjectKey, i64>,
    /// Listeners that no local port is left for, by name, and why.
    pub exhausted_listeners: BTreeMap<String, String>,
    /// What else is wrong, for people.
    pub problems: Vec<Problem>,
}

/// Something that is wrong with the Service of a Gateway.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Path of the field in the ProxyGateway; empty for the object as a whole.
    pub field: String,
    /// One word.
    pub reason: &'static str,
    /// What is wrong, and the fix.
    pub message: String,
}

impl GatewayState {
    /// What the translation is told of the Gateway. What agents reject is for the caller to add.
    pub fn to_translation(&self) -> GatewayFleet {
        GatewayFleet {
            acknowledged_generation: self.acknowledged_generation,
            acknowledged_listener_sets: self.acknowledged_listener_sets.clone(),
            addresses: self.addresses.clone(),
            exhausted_listeners: self.exhausted_listeners.clone(),
            ..GatewayFleet::default()
        }
    }
}
