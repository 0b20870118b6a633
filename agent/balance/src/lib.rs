//! Which endpoint of a backend comes next, on one core.
//!
//! A [`Group`] knows the endpoints of a backend and what happened to each: [`Group::update`] gives it the endpoints of new
//! tables, [`Group::choose`] names the next one, [`Group::record`] tells what became of it, and [`Verdicts`] what
//! checks say. What is known of an endpoint is kept as long as its address and port are the same.
//!
//! Nothing here does IO, reads a clock or draws a random number: callers bring the time, the key and the chance in a
//! [`Pick`], so the same input gives the same answer. Nothing takes a lock: each core has groups of its own. To choose
//! allocates nothing.
//!
//! Modules, in reading order: [`member`] (what is known of one endpoint), [`group`] (all of them), [`hash`] (keys), then
//! what a choice is made of: `selection` (who may be chosen now, and in which zone), `turns` (smooth weighted round robin),
//! `table` (ring, Maglev, rendezvous), `latency`; and what keeps trouble small: [`outlier`], [`health`], [`gate`], `own` (what is no endpoint).

pub mod gate;
pub mod group;
pub mod hash;
pub mod health;
mod latency;
pub mod member;
pub mod outlier;
mod own;
mod selection;
mod table;
mod turns;

pub use self::{
    gate::{Full, Gate, Permit},
    group::{Census, Group, Pick, Site},
    health::{Check, Thresholds, Unhealthy, Verdicts},
    member::Member,
    outlier::Outcome,
    own::OwnPorts,
};
