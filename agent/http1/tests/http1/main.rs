//! The codec against tables, a corpus of tricks, and a naive oracle.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod bodies;
mod encoding;
mod oracle;
mod properties;
mod requests;
mod responses;
mod smuggling;
mod support;
