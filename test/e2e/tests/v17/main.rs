//! What version 1.7 of the Gateway API's conformance suite asks beyond 1.6, from manifests to bytes on a socket.
//!
//! Each test names the test of the suite that it stands in for. `cluster_v17.rs` has those that need an API server.

mod bed;
mod grpc;
mod policies;
mod precedence;
mod retries;
mod rules;
