//! Active health checks: every endpoint of a backend that wants it is asked again and again whether it is well.
//!
//! An agent has one [`run`] for all of its workers, so an endpoint is asked once in a while by each agent, however many
//! routes and cores use it. The results go to the groups of all cores by [`Verdicts`].
//!
//! Modules, in reading order: `checker` (who is asked, and when), `probe` (one question), `grpc` (its messages),
//! [`counters`].

mod checker;
pub mod counters;
mod grpc;
mod probe;

pub use self::checker::{Checks, run};
pub use self::counters::Counters;
pub use novaedge_balance::Verdicts;
