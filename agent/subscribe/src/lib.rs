//! Snapshot subscription of the agent: staging, ACK/NACK, last good copy on disk.
//!
//! A [`Subscriber`] keeps a stream to the control plane, hands whole steps to an [`Applier`], answers
//! them, and keeps the last good snapshot on disk. Pure parts (no IO, no clock): [`upsert`],
//! [`staging`], [`holdings`], [`answer`], [`backoff`], [`mod@format`].

pub mod answer;
pub mod backoff;
pub mod format;
pub mod holdings;
pub mod staging;
pub mod upsert;

mod answering;
mod config;
mod connector;
mod last_good;
mod metrics;
mod status;
mod step;
mod stream;
mod subscriber;
mod writer;

pub use answering::{Answers, Traced};
pub use backoff::BackoffConfig;
pub use config::{Dial, Jitter, SubscribeError, SubscriberConfig};
pub use connector::{ClientFiles, Resolve, SystemResolver, TlsFiles};
pub use last_good::{LastGood, LastGoodConfig, LastGoodError};
pub use metrics::Metrics;
pub use status::{Phase, Status};
pub use step::{Applier, Origin, Step};
pub use subscriber::Subscriber;
pub use upsert::Upsert;
