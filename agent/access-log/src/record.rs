//! What is known of an exchange, a connection or a session when it ends.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use http::HeaderValue;

/// What a line is made of. What is not known is `None`, and absent from the line.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// When it began.
    pub time: SystemTime,
    /// How long it took.
    pub duration: Duration,
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// Who asks, if a trusted proxy said so.
    pub client: Option<IpAddr>,
    /// Resource name of the Gateway.
    pub gateway: Option<&'a str>,
    /// The listener's name as users wrote it.
    pub listener: Option<&'a str>,
    /// The rule.
    pub rule: Option<Rule<'a>>,
    /// Resource name of the backend.
    pub backend: Option<&'a str>,
    /// The endpoint of the last try.
    pub endpoint: Option<Endpoint<'a>>,
    /// `http`, `tcp`, `tls` or `udp`.
    pub protocol: &'static str,
    /// What is particular to HTTP.
    pub http: Option<Http<'a>>,
    /// Why the gateway answered or closed by itself.
    pub reason: Option<&'static str>,
    /// What failed at the backend.
    pub failure: Option<&'a str>,
    /// Bytes from the client.
    pub received: u64,
    /// Bytes to the client.
    pub sent: u64,
    /// From the first try to the head of the answer, or to the open connection.
    pub upstream_duration: Option<Duration>,
    /// How often a backend was tried.
    pub tries: u32,
    /// `1.2` or `1.3`.
    pub tls_version: Option<&'static str>,
    /// The server name of the TLS handshake.
    pub sni: Option<&'a str>,
    /// In hexadecimal.
    pub trace_id: Option<&'a str>,
    /// Who ended it.
    pub termination: Termination,
}

/// Where a backend was tried.
#[derive(Clone, Copy, Debug)]
pub enum Endpoint<'a> {
    /// An address.
    Address(SocketAddr),
    /// A valid DNS name, and the port.
    Name(&'a str, u16),
}

/// A rule of a route.
#[derive(Clone, Copy, Debug)]
pub struct Rule<'a> {
    /// The route's kind.
    pub kind: &'static str,
    /// The route's namespace.
    pub namespace: &'a str,
    /// The route's name.
    pub name: &'a str,
    /// Position among the route's rules.
    pub index: u32,
    /// The rule's name.
    pub rule_name: Option<&'a str>,
}

/// What is particular to HTTP.
#[derive(Clone, Debug)]
pub struct Http<'a> {
    /// The method.
    pub method: &'a str,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The host that was asked.
    pub host: Option<&'a [u8]>,
    /// The path.
    pub path: &'a str,
    /// The query.
    pub query: Option<&'a str>,
    /// `1.0`, `1.1`, `2` or `3`.
    pub version: &'static str,
    /// The status, if an answer began.
    pub status: Option<u16>,
    /// `X-Request-Id`.
    pub request_id: Option<&'a HeaderValue>,
    /// `User-Agent`.
    pub user_agent: Option<&'a HeaderValue>,
    /// The values of the request's fields that are logged, in the order of the settings.
    pub request_headers: &'a [Option<HeaderValue>],
    /// The same for the answer.
    pub response_headers: &'a [Option<HeaderValue>],
}

/// Who ended an exchange, a connection or a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Termination {
    /// Both sides, in order.
    Complete,
    /// The client went away.
    Client,
    /// The backend broke off.
    Upstream,
    /// The gateway, because it took too long or nothing moved.
    Timeout,
    /// The gateway, for another reason.
    Gateway,
}

impl Termination {
    /// All, with what they mean for people.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Complete, "both sides, in order"),
        (Self::Client, "the client went away before the end"),
        (Self::Upstream, "the backend broke off"),
        (
            Self::Timeout,
            "the gateway: it took too long, or nothing moved",
        ),
        (
            Self::Gateway,
            "the gateway, which answered itself, drained or closed it",
        ),
    ];

    /// The word in a line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Client => "client",
            Self::Upstream => "upstream",
            Self::Timeout => "timeout",
            Self::Gateway => "gateway",
        }
    }
}

impl Record<'_> {
    /// Whether it went wrong: the answer is a server's error, or there was none, or not all of it.
    #[must_use]
    pub fn is_error(&self) -> bool {
        let status = self.http.as_ref().map(|http| http.status);
        let failed = match status {
            Some(Some(status)) => status >= 500,
            Some(None) => true,
            None => self.reason.is_some(),
        };
        let broken = matches!(
            self.termination,
            Termination::Client | Termination::Upstream | Termination::Timeout
        );
        failed || broken || self.failure.is_some()
    }
}

/// A resource name without its kind, which what it stands behind says already.
#[must_use]
pub fn without_kind(name: &str) -> &str {
    name.split_once('/').map_or(name, |(_, rest)| rest)
}
