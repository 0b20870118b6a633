//! Objects of a Kubernetes cluster as changes of the store.
//!
//! One task owns every watch and every cache. It sends nothing before all kinds that are served at the start are in
//! sync and the Secrets and ConfigMaps that they refer to have been read; then it sends what changes, as it comes.

mod batch;
mod metrics;
mod source;

mod state;

mod cache;
mod definitions;
mod narrow;
mod pending;
mod refs;
mod schedule;
mod served;

mod request;
mod watch;

mod backoff;
mod failure;
mod raw;

pub use batch::{Batch, Discovered, Finding, Health, Severity};
pub use metrics::Metrics;
pub use source::{ClusterSource, Natives, Settings};
