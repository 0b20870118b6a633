//! Pure, incremental compilation of native objects into the resources of a snapshot.
//!
//! Natives come from the translation and from users who write them by hand. Endpoints come from
//! EndpointSlices, certificates from Secrets: neither passes through the native objects. The result is
//! a difference against what was compiled before, and its cost is that of the change.

mod compiler;
mod name;
mod port;
mod unit;
mod view;

mod backend;
mod balancing;
mod client_address;
mod endpoint;
mod filter;
mod gateway;
mod health_check;
mod hostname;
mod matching;
mod route;
mod tls;

pub use compiler::{CompileDelta, Compiler};
pub use port::{BindPorts, GatewayPorts, ListenerPorts};
