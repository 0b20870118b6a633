//! HTTP data path of the agent: client connections in, backend connections out.
//!
//! Everything runs on one core at a time, on a `LocalSet` of a current-thread runtime: a [`Worker`] owns
//! its pools and positions, and shares with other workers only the [`Live`] pointer and counters.
//!
//! Modules, in reading order: [`worker`] (what a core owns), `downstream` (client connections), `client`
//! and `authority` (what is known before routing), `request_head` and `exchange` (one request), `forward` (tries, timeouts),
//! `upstream` (pools), [`tls`] (both sides), `headers`, `mirror`, `session`, [`upgrade`] and `replay`
//! (parts of an exchange), [`reason`] (own answers), [`body`], [`error`], [`config`], [`drain`], [`metrics`].

mod authority;
pub mod body;
mod client;
pub mod config;
mod downstream;
pub mod drain;
pub mod error;
mod exchange;
mod forward;
mod headers;
pub mod metrics;
mod mirror;
mod random;
pub mod reason;
mod replay;
mod request_head;
pub mod resolve;
mod session;
pub mod tls;
pub mod upgrade;
mod upstream;
pub mod worker;

pub use self::{
    config::Config,
    drain::Drain,
    metrics::Metrics,
    resolve::{Resolve, Resolving},
    tls::TlsConfigs,
    worker::{Live, Runtime, Worker},
};
