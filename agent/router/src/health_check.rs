//! How endpoints are asked whether they are well: what is configured.

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, uri::PathAndQuery};

/// How every endpoint of a backend is asked whether it is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked.
    pub probe: Probe,
    /// Another port than the endpoint's own, never 0.
    pub port: Option<u16>,
    /// From one answer to the next question.
    pub interval: Duration,
    /// Until an answer is given up, connecting included.
    pub timeout: Duration,
    /// Good answers in a row after which an endpoint is well again, never 0.
    pub healthy_threshold: u32,
    /// Bad answers in a row after which it is not well any more, never 0.
    pub unhealthy_threshold: u32,
}

/// What an endpoint is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A GET request, by the protocol of the backend.
    Http(HttpProbe),
    /// `grpc.health.v1.Health/Check` for a service, over HTTP/2. No name: the server as a whole.
    Grpc(Arc<str>),
    /// A connection, with its TLS handshake where the backend wants one.
    Tcp,
}

/// A GET request, and which answers are good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpProbe {
    /// The target.
    pub path: PathAndQuery,
    /// Absent: the endpoint's address and port, or the server name of TLS.
    pub host: Option<HeaderValue>,
    /// Empty: 200 to 399.
    pub expected_statuses: Arc<[u16]>,
}

impl HttpProbe {
    /// Whether an answer with this status is a good one.
    pub fn expects(&self, status: u16) -> bool {
        if self.expected_statuses.is_empty() {
            (200..400).contains(&status)
        } else {
            self.expected_statuses.contains(&status)
        }
    }
}
