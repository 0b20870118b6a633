//! The access log of the agent: one line for each exchange of HTTP, TCP or TLS connection, and UDP session.
//!
//! Requests never wait for it: a worker writes lines into a [`Sink`] of its own, which hands them in pieces to one
//! [`Writer`] thread, through a queue of bounded length. What finds the queue full is dropped and counted.
//!
//! Modules, in reading order: [`field`] (what a line may have), [`record`] (what is known at the end), [`redact`],
//! [`template`], [`format`], [`settings`], [`sink`] (the worker's end), [`writer`] (the thread's); `escape` and `clock`
//! write values.

mod clock;
mod escape;
pub mod field;
pub mod format;
pub mod record;
pub mod redact;
pub mod settings;
pub mod sink;
pub mod template;
pub mod writer;

pub use self::{
    field::{FIELDS, Field},
    format::Format,
    record::{Record, Termination},
    redact::Redaction,
    settings::{Sampling, Settings, Target},
    sink::{Counters, Lines, Sink},
    template::{Template, TemplateError},
    writer::{OpenError, Reopen, Writer, open},
};
