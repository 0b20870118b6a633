//! What the programs tell of themselves: traces, sent over OTLP, and a log whose level can be changed while they run.
//!
//! Traces are apart from the log: their spans go to a dispatcher of their own, so neither the level of the log nor a
//! subscriber of the process has to do with them, and without a [`Tracer`] nothing is spent on them.
//!
//! Modules, in reading order: [`context`] (W3C Trace Context), [`tracer`] (spans), [`export`] (their way to a collector),
//! [`level`] (the log), [`flags`] (the flags of the programs).

pub mod context;
pub mod export;
pub mod flags;
pub mod level;
pub mod tracer;

pub use self::{
    context::Parent,
    export::{Counters, Export, TraceConfig, TraceError, start},
    level::{LogError, LogFormat, LogLevel},
    tracer::{Kind, Sampling, TraceSpan, Tracer},
};
