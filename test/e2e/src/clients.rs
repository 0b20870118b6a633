//! Clients. Every call has a deadline of ten seconds.

mod http;
mod http3;
mod layer4;
mod probe;
mod streams;

use std::{future::Future, time::Duration};

pub use self::http::{Answer, Http1, Http2, RequestBody, get, get_tls, send};
pub use http3::{Http3, Http3Error};
pub use layer4::{Tcp, Udp, connect_tls};
pub use probe::{Outcome, Probe};
pub use streams::{GrpcStream, WebSocket};

/// Longest that a client waits for anything.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// The result of `work`, or a panic that says what was waited for.
pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work)
        .await
        .unwrap_or_else(|_| panic!("{what}: nothing within {DEADLINE:?}"))
}

/// Repeats `check` each 5 ms until it gives a value. Panics after the deadline with `what`.
pub async fn eventually<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    within(what, async {
        loop {
            if let Some(value) = check().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}
