//! What the benchmark programs share: processes with their CPU time, reports, plots.

pub mod plot;
pub mod process;
pub mod report;
pub mod stats;
