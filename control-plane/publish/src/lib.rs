//! Versioned snapshots, deltas and agent sessions over gRPC.
//!
//! The pipeline hands changed resources to a [`Publisher`]; a [`Server`] brings them to the agents
//! that subscribe. Pure parts (no IO, no clock, no tokio): [`encoded`], [`log`], [`step`],
//! [`session`], [`fetch`], and what belongs to a [`Scope`].

pub mod encoded;
pub mod serves;

mod scope;

mod references;

mod closure;

pub mod log;
pub mod step;

pub mod session;

pub mod fetch;

mod authenticate;

mod acks;
mod agents;
mod feed;
mod fleet;
mod metrics;
mod publisher;
mod telling;

mod admission;
mod asking;
mod codec;
mod guard;
mod server;
mod service;
mod stream;
mod tls;
mod watching;

mod merging;
mod peers;

#[cfg(test)]
mod testing;

pub use acks::{Acks, AgentAck};
pub use authenticate::{Authenticate, AuthenticateError, Caller, Credentials, Role};
pub use encoded::{Refused, RefusedError};
pub use feed::FeedSummary;
pub use fleet::{FleetAcks, FleetAgent};
pub use log::LogLimits;
pub use metrics::Metrics;
pub use peers::{PeerTransport, Peers, PeersConfig};
pub use publisher::{Publisher, Updated};
pub use scope::Scope;
pub use server::{Exposure, ServeError, Server, ServerConfig};
pub use serves::{ServedGateway, Serves};
pub use tls::{Peer, TlsConnection, TlsError, TlsSettings, server_config};
