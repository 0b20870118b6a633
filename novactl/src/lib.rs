//! The command line `novactl`: what the agents hold, what the statuses say, what needs a fix.
//!
//! Sources do the IO and give plain values; everything from a value to text is a pure function of the
//! values, the time and the kind of output.

pub mod arguments;

pub mod age;
pub mod output;
pub mod table;
pub mod top;

pub mod certificate;
pub mod object;

pub mod cluster;
pub mod place;
pub mod server;
pub mod source;

pub mod agents;
pub mod bundle;
pub mod check;
pub mod conformance;
pub mod describe;
pub mod entrance;
pub mod explain;
pub mod findings;
pub mod listing;
pub mod man;
pub mod snapshot;
pub mod trace;

pub mod run;

pub use arguments::Arguments;
pub use run::{Failure, Verdict, run};
