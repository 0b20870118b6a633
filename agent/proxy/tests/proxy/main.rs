//! The HTTP data path over real sockets on loopback: one worker, origins in the same process.
#![allow(clippy::unwrap_used)]

mod support;

mod balancing;
mod counting;
mod drain;
mod filters;
mod floods;
mod framing;
mod http1;
mod http2;
mod http3;
mod limits;
mod long_bodies;
mod mirrors;
mod retries;
mod semantics;
mod smuggling;
mod tls;
mod upgrades;
mod websockets;
