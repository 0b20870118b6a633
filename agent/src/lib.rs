//! The NovaEdge agent: an unprivileged proxy fed by snapshots.
//!
//! An [`Agent`] is one control thread, which turns steps into tables and sockets, and one thread per
//! core, which serves. The only thing they share is a pointer that each snapshot swaps.

mod accept;
mod admin;
mod agent;
mod asked;
mod client;
mod config;
mod control;
mod dns;
mod files;
pub mod flags;
mod leaving;
mod memory;
mod metrics;
mod observing;
mod pressure;
mod proxy_header;
mod snapshot;
mod sockets;
mod worker;

pub use self::agent::{Agent, AgentError};
pub use self::client::{LeaveError, ask_to_leave};
pub use self::config::{AgentConfig, DEFAULT_DRAIN_TIMEOUT, MoreMetrics, Telemetry};
pub use self::metrics::catalog as metrics_catalog;
