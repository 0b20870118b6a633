//! End-to-end tests over real sockets: a whole system in this process, origins and clients on
//! loopback, manifests in a temporary folder.

// A harness panics wherever the test fails; saying so at each function would say nothing.
#![allow(clippy::missing_panics_doc)]

pub mod certificates;
pub mod clients;
pub mod cluster;
pub mod dashboards;
pub mod fixture;
pub mod manifests;
pub mod novactl;
pub mod origins;
pub mod pages;
pub mod programs;
pub mod prometheus;
pub mod scraped;
pub mod system;
