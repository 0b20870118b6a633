//! TCP, TLS and UDP data path of the agent.
//!
//! Each worker thread has one [`Worker`]; connections are futures on its `LocalSet`, so nothing here
//! is shared between threads but counters and the snapshot. The owner of the sockets accepts, and
//! calls [`Worker::serve_tcp`], [`Worker::serve_tls`] or [`Worker::serve_udp`].
//!
//! A connection looks the snapshot up when it begins. Later snapshots do not touch it.

mod balance;
mod buffers;
mod client;
mod counters;
mod error;
mod flow;
mod limits;
mod relay;
mod source;
mod tcp;
mod tls;
mod trail;
mod udp;
mod upstream;
mod worker;

pub use self::client::Client;
pub use self::counters::{Counters, ErrorKind, FlowCounters};
pub use self::flow::{FlowKey, Traffic};
pub use self::limits::Limits;
pub use self::source::{Resolve, Resolving, Source, TlsLookup, View};
pub use self::tls::HttpsConnection;
pub use self::worker::Worker;
