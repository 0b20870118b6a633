//! What the fleet plans, rule by rule, and what holds whatever is wanted.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod endpoints;
mod ports;
mod random;
mod services;
mod truth;
mod world;
