//! End-to-end tests over real sockets: a whole system in this process, origins and clients on
//! loopback, manifests in a temporary folder.

pub mod certificates;
pub mod clients;
pub mod fixture;
pub mod manifests;
pub mod origins;
pub mod ports;
pub mod programs;
pub mod system;
