//! A subscriber against a real server, over loopback sockets and in memory.
#![allow(clippy::unwrap_used)] // a harness may panic

#[path = "agent/harness.rs"]
mod harness;

#[path = "agent/anew.rs"]
mod anew;
#[path = "agent/disk.rs"]
mod disk;
#[path = "agent/memory.rs"]
mod memory;
#[path = "agent/stream.rs"]
mod stream;
#[path = "agent/tls.rs"]
mod tls;
