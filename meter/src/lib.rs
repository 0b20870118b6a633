//! Counters that one core writes and any core reads, and how they are shown to Prometheus.
//!
//! Modules, in reading order: [`counter`] and [`durations`] (what is counted), [`handshakes`], [`resource_name`], [`sets`] (counters by labels, of all
//! workers), [`by_name`] (how a worker finds its own), [`description`] (what a metric is), [`exposition`] (the text of metrics).

pub mod by_name;
pub mod counter;
pub mod description;
pub mod durations;
pub mod exposition;
pub mod handshakes;
pub mod resource_name;
pub mod sets;

pub use self::{
    by_name::ByName,
    counter::Counter,
    description::{Description, Kind},
    durations::{Bounds, Durations, Http, Long, Short, Sums},
    exposition::{Exposition, Family},
    handshakes::Handshakes,
    resource_name::ResourceName,
    sets::Sets,
};
