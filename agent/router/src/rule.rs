//! What a route's rule says to do with a request or a connection.

use std::{sync::Arc, time::Duration};

use crate::{filters::Filters, route_id::RouteId, weighted::WeightedBackends};

/// The kind of the route that a rule comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteKind {
    /// HTTPRoute.
    Http,
    /// GRPCRoute.
    Grpc,
    /// TLSRoute.
    Tls,
    /// TCPRoute.
    Tcp,
    /// UDPRoute.
    Udp,
}

impl RouteKind {
    /// The kind as users write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "HTTPRoute",
            Self::Grpc => "GRPCRoute",
            Self::Tls => "TLSRoute",
            Self::Tcp => "TCPRoute",
            Self::Udp => "UDPRoute",
        }
    }
}

/// Why a rule, a share of its traffic, or a backend can't be served: HTTP answers 500 (gRPC `UNAVAILABLE`), L4 closes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// A reason of the Gateway API, such as `BackendNotFound`.
    pub reason: Arc<str>,
    /// For people.
    pub message: Arc<str>,
}

/// A rule of an HTTPRoute or a GRPCRoute.
#[derive(Debug)]
pub struct HttpRule {
    /// Its name.
    pub id: RouteId,
    /// The rule is one of a GRPCRoute: backends speak HTTP/2, and errors are gRPC statuses.
    pub grpc: bool,
    /// The filters of the rule.
    pub filters: Filters,
    /// Where requests go.
    pub backends: WeightedBackends,
    /// Limit of the whole exchange, retries included. A limit of 0 on the wire means none.
    pub request_timeout: Option<Duration>,
    /// Limit of one try. A limit of 0 on the wire means none.
    pub backend_request_timeout: Option<Duration>,
    /// Bytes of a request body.
    pub max_request_body: Option<u64>,
    /// When to try again.
    pub retry: Option<Box<Retry>>,
    /// How to keep a client on one endpoint.
    pub session: Option<Box<SessionPersistence>>,
    /// Set: every request that this rule wins is answered with an error.
    pub invalid: Option<Box<Invalid>>,
}

/// A rule of a TLSRoute, TCPRoute or UDPRoute.
#[derive(Debug)]
pub struct L4Rule {
    /// Its name.
    pub id: RouteId,
    /// Where connections or datagrams go.
    pub backends: WeightedBackends,
    /// Set: every connection is closed, every datagram dropped.
    pub invalid: Option<Invalid>,
}

/// When a request is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Response codes that cause a retry, sorted. Connection errors always do.
    pub codes: Vec<u16>,
    /// Tries after the first.
    pub attempts: u32,
    /// The wait before a retry. Zero: none.
    pub backoff: Duration,
}

/// How a client is kept on one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionPersistence {
    /// What carries the session.
    pub carrier: SessionCarrier,
    /// Sessions end this long after they began.
    pub absolute_timeout: Option<Duration>,
    /// Sessions end after this long without a request.
    pub idle_timeout: Option<Duration>,
}

/// What carries a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionCarrier {
    /// A cookie.
    Cookie {
        /// Its name, a token.
        name: Arc<str>,
        /// The cookie outlives the browser: `Max-Age` is the absolute timeout.
        permanent: bool,
    },
    /// A header, in requests and responses.
    Header(http::HeaderName),
}
