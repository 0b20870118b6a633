//! HTTP data path of the agent: client connections in, backend connections out.
//!
//! Everything runs on one core at a time, on a `LocalSet` of a current-thread runtime: a [`Worker`] owns
//! its pools and positions, and shares with other workers only the [`Live`] pointer and counters.
//!
//! Client connections speak HTTP/1.x with a codec of our own, HTTP/2 with hyper's and HTTP/3 with h3's.
//!
//! Modules, in reading order: [`worker`] (what a core owns), `downstream` (client connections), `client`
//! and `authority` (what is known before routing), `request_head`, `judge`, `exchange` and `ending` (one request), [`explain`] (what would become of one), `forward` (tries, timeouts),
//! `upstream` (pools), [`tls`] (both sides), `headers`, `mirror`, `session`, [`upgrade`], `websocket`, `upload`, `replay` and
//! `interim` (parts of an exchange), `http1` (what both sides of HTTP/1.x share), [`reason`] (own answers), [`body`], [`error`], [`config`], [`drain`], [`pressure`], [`metrics`];
//! `trail` (what is told of an exchange, to the access log, as a trace, and to [`taps`]).
//!
//! # What the gateway changes in messages
//!
//! Requests: fields of one connection go (RFC 9110 section 7.6.1, `TE: trailers` stays); the gateway is
//! appended to `Via`; `X-Forwarded-For`, `-Proto` and `-Host` are set anew, or extended for peers in
//! the listener's trusted networks; `Forwarded` (RFC 7239) is not written, and goes unless its peer is
//! trusted; `Host` stays as the client wrote it. Filters come after all of that and have the last word.
//!
//! Answers: fields of one connection go, `Via` is not written (RFC 9110 section 7.6.3 leaves that open).
//! `100 Continue` comes from the gateway itself, as soon as somebody wants the body; `101` passes with its
//! connection; others pass to clients of HTTP/1.1 and HTTP/3 (hyper cannot send them over HTTP/2). Where one side speaks HTTP/2, a WebSocket is opened there by an extended
//! CONNECT (RFC 8441).
//! Every request needs a host, those of HTTP/1.0 too: hosts are what routes are found by.

mod authority;
pub mod body;
mod client;
pub mod config;
mod downstream;
pub mod drain;
mod ending;
pub mod error;
mod exchange;
pub mod explain;
mod forward;
mod hash_key;
mod headers;
mod http1;
mod interim;
mod judge;
pub mod metrics;
mod mirror;
pub mod pressure;
mod random;
pub mod reason;
mod replay;
mod request_head;
pub mod resolve;
mod session;
pub mod taps;
pub mod tls;
mod trail;
mod transport;
pub mod upgrade;
mod upload;
mod upstream;
mod websocket;
pub mod worker;

pub use self::{
    config::Config,
    downstream::{QuicIncoming, QuicListener, Seat},
    drain::Drain,
    explain::{Explanation, explain},
    metrics::Metrics,
    reason::Reason,
    resolve::{Resolve, Resolving},
    taps::Taps,
    tls::TlsConfigs,
    trail::Observers,
    worker::{Live, Runtime, Worker},
};
