//! What whole sets of objects come to as resources of a snapshot: golden cases, those of the translation among them,
//! and random edits of everything.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // a panic is how a test fails

mod cases;
mod cost;
mod golden;
mod ports;
mod random;
mod shown;
mod steps;
mod system;

#[expect(dead_code, reason = "the tests of the translation need more of it")]
#[path = "../../../translate/tests/random/edit.rs"]
mod edit;
#[path = "../../../translate/tests/random/pool.rs"]
mod pool;
#[path = "../../../translate/tests/random/rng.rs"]
mod rng;
#[path = "../../../translate/tests/random/seeds.rs"]
mod seeds;
