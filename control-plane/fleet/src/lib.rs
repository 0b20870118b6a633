//! One fleet of agents, and an address for every Gateway.
//!
//! Each ProxyGateway gets a Service of its own, without a selector. Its ports lead to local ports that no other Gateway
//! has on the agents, and its EndpointSlices list the agents that have acknowledged these ports and are not about to
//! end. What is to be is planned by a pure function; a thin reconciler watches what there is and writes the difference.
//! The `targetPort`s of the Services are the one place where local ports are kept, so every replica reads the same.

mod gateway;
mod name;
mod pod;
mod settings;
mod state;

mod port;
mod service;
mod slice;

mod change;
mod plan;

mod cache;
mod patience;
mod reconciler;
mod writing;

pub use change::{Write, writes};
pub use gateway::{Gateways, WantedGateway};
pub use patience::Patience;
pub use plan::{Observed, Plan, plan};
pub use pod::AgentPod;
pub use reconciler::{Inputs, Reconciler};
pub use settings::{Families, ServiceType, Settings};
pub use state::{AgentWord, Agents, FleetState, GatewayState, Problem, Served};
pub use writing::FIELD_MANAGER;
