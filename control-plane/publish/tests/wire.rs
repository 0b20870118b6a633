//! The server over a loopback socket, with a plain gRPC client.
#![allow(clippy::unwrap_used)] // a harness may panic

#[path = "wire/harness.rs"]
mod harness;

#[path = "wire/inspection.rs"]
mod inspection;
#[path = "wire/limits.rs"]
mod limits;
#[path = "wire/peers.rs"]
mod peers;
#[path = "wire/questions.rs"]
mod questions;
#[path = "wire/reflection.rs"]
mod reflection;
#[path = "wire/scopes.rs"]
mod scopes;
#[path = "wire/stream.rs"]
mod stream;
