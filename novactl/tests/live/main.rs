//! Every command line of novactl against a real `novaedge run`, a process of its own.

mod agents;
mod bundle;
mod documented;
mod explain;
mod faults;
mod keyed;
mod natives;
mod objects;
#[path = "../support/process.rs"]
mod process;
#[path = "../support/quickstart.rs"]
mod quickstart;
mod rates;
mod snapshots;
mod system;
mod traced;
mod translated;
