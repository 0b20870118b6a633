//! What the fuzzers run: one function per target, from bytes to a panic or none.
//!
//! `fuzz/` feeds these functions with inputs that it finds; the tests of this crate feed them with the
//! seeds and with every input that once broke something, so that what a fuzzer found stays mended.
//!
//! Modules, in reading order: [`target`] (all targets by name), the targets, [`seeds`] and
//! [`http1_seeds`] (where fuzzing begins), [`cases`] (objects from the golden cases of the translation), [`choices`] (bytes as decisions).

#![allow(clippy::missing_panics_doc)] // a panic is how a target fails

pub mod target;

pub mod certificates;
pub mod client_hello;
pub mod http1_body;
pub mod http1_head;
pub mod incremental_edits;
pub mod last_good_format;
pub mod manifest_to_snapshot;
pub mod proxy_protocol;
pub mod request_match;
pub mod snapshot_decode;

pub mod cases;
pub mod choices;
pub mod http1_seeds;
pub mod seeds;

pub use target::{TARGETS, Target};
