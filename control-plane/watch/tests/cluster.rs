//! The source against an API server on a loopback socket.
#![allow(clippy::unwrap_used)] // a harness may panic

#[path = "cluster/harness.rs"]
mod harness;
#[path = "cluster/server.rs"]
mod server;

#[path = "cluster/faults.rs"]
mod faults;
#[path = "cluster/kinds.rs"]
mod kinds;
#[path = "cluster/secrets.rs"]
mod secrets;
#[path = "cluster/sync.rs"]
mod sync;
