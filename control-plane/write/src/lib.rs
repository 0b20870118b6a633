//! Everything that the leader writes to the API server, but Services and EndpointSlices: statuses, native objects and
//! events, and the lease that makes one replica the leader.
//!
//! Every replica keeps the same book of what is there and what should be there. Who begins to lead compares the two
//! and writes where they differ, so a change of the leader writes nothing by itself. What others wrote into a status
//! stays.
//!
//! Reading order: [`lease`], [`resource`], `merge`, `schedule`, `book`, `event`, [`writer`].

pub mod error;
pub mod lease;
pub mod metrics;
pub mod resource;

mod merge;

mod schedule;

mod book;

mod event;

pub mod writer;

#[cfg(test)]
mod testing;

pub use book::{Trouble, is_translated};
pub use error::WriteError;
pub use lease::{Elector, LeaseConfig, Timings};
pub use metrics::Metrics;
pub use resource::{Resource, Served};
pub use writer::{Intake, WriteConfig, Writer};
