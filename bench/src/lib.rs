//! What the benchmark programs share: a generated edge, clients and origins, processes with their CPU
//! time, reports, plots.

pub mod folders;
pub mod plot;
pub mod process;
pub mod report;
pub mod stats;
pub mod timing;
pub mod traffic;
pub mod world;
