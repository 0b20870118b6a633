//! novactl against a cluster: an API server of our own that answers as Kubernetes does, with port-forwards to control
//! planes that are real. A real cluster is in `test/e2e`.

mod api;
mod bed;
mod bundle;
mod control_plane;
mod faults;
mod objects;
#[path = "../support/process.rs"]
mod process;
#[path = "../support/quickstart.rs"]
mod quickstart;
mod stream;
