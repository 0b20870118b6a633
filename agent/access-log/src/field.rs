//! What a line may have.

/// One thing that a line tells. Names are those of OpenTelemetry's semantic conventions where these have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// When it began.
    Time,
    /// The same, as in the common log format. In templates only.
    CommonTime,
    /// Who asks.
    ClientAddress,
    /// Its port.
    ClientPort,
    /// The other end of the connection.
    PeerAddress,
    /// The Gateway.
    Gateway,
    /// The listener.
    Listener,
    /// The route.
    Route,
    /// The rule.
    Rule,
    /// The backend.
    Backend,
    /// The endpoint.
    Endpoint,
    /// The method.
    Method,
    /// The scheme.
    Scheme,
    /// The host.
    Host,
    /// The path.
    Path,
    /// The query.
    Query,
    /// Path and query. In templates only.
    Target,
    /// The protocol.
    Protocol,
    /// Its version.
    Version,
    /// The status.
    Status,
    /// Why the gateway answered itself.
    Reason,
    /// What failed.
    Failure,
    /// Bytes from the client.
    Received,
    /// Bytes to the client.
    Sent,
    /// How long it took.
    Duration,
    /// How long the backend took.
    UpstreamDuration,
    /// How often it was tried.
    Tries,
    /// The version of TLS.
    TlsVersion,
    /// The server name of TLS.
    Sni,
    /// The request's own name.
    RequestId,
    /// The trace.
    TraceId,
    /// The client's program.
    UserAgent,
    /// How it ended.
    Termination,
}

/// Where a field appears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In JSON, and in templates.
    Everywhere,
    /// In templates.
    Templates,
}

/// A field with its name, and what it is.
#[derive(Clone, Copy, Debug)]
pub struct FieldInfo {
    /// The field.
    pub field: Field,
    /// Its name in JSON and in templates.
    pub name: &'static str,
    /// Where it appears.
    pub place: Place,
    /// What it is, for people.
    pub about: &'static str,
}

/// What names of header fields in a line begin with, behind them the name in lower case.
pub const REQUEST_HEADER: &str = "http.request.header.";
/// The same for answers.
pub const RESPONSE_HEADER: &str = "http.response.header.";

const fn everywhere(field: Field, name: &'static str, about: &'static str) -> FieldInfo {
    FieldInfo {
        field,
        name,
        place: Place::Everywhere,
        about,
    }
}

const fn templates(field: Field, name: &'static str, about: &'static str) -> FieldInfo {
    FieldInfo {
        field,
        name,
        place: Place::Templates,
        about,
    }
}

/// All fields, in the order of JSON.
pub const FIELDS: [FieldInfo; 33] = [
    everywhere(
        Field::Time,
        "time",
        "when the request, the connection or the session began: RFC 3339, UTC, microseconds",
    ),
    templates(
        Field::CommonTime,
        "time.common",
        "the same as `01/Dec/2026:04:21:02 +0000`",
    ),
    everywhere(
        Field::ClientAddress,
        "client.address",
        "the client: the nearest address that is no trusted proxy's",
    ),
    everywhere(
        Field::ClientPort,
        "client.port",
        "the client's port, where no proxy is in front",
    ),
    everywhere(
        Field::PeerAddress,
        "network.peer.address",
        "the other end of the connection, where that is a trusted proxy",
    ),
    everywhere(
        Field::Gateway,
        "gateway",
        "the Gateway, as `namespace/name`",
    ),
    everywhere(Field::Listener, "listener", "the listener's name"),
    everywhere(
        Field::Route,
        "route",
        "the route, as `Kind/namespace/name`; absent: none matched",
    ),
    everywhere(
        Field::Rule,
        "rule",
        "the rule: its name, or its position from 0",
    ),
    everywhere(
        Field::Backend,
        "backend",
        "the backend's resource, without its kind",
    ),
    everywhere(
        Field::Endpoint,
        "endpoint",
        "the endpoint of the last try, as `address:port`",
    ),
    everywhere(Field::Method, "http.request.method", "the method"),
    everywhere(Field::Scheme, "url.scheme", "`http` or `https`"),
    everywhere(
        Field::Host,
        "server.address",
        "the host that was asked, with its port if it has one",
    ),
    everywhere(Field::Path, "url.path", "the path as the client wrote it"),
    everywhere(
        Field::Query,
        "url.query",
        "the query, with secrets replaced",
    ),
    templates(Field::Target, "target", "path and query"),
    everywhere(
        Field::Protocol,
        "network.protocol.name",
        "`http`, `tcp`, `tls` (passed through or ended for a TLSRoute) or `udp`",
    ),
    everywhere(
        Field::Version,
        "network.protocol.version",
        "the client's version of HTTP: `1.0`, `1.1`, `2` or `3`",
    ),
    everywhere(
        Field::Status,
        "http.response.status_code",
        "the status; absent: the exchange ended before an answer",
    ),
    everywhere(
        Field::Reason,
        "reason",
        "why the gateway answered itself, or closed the connection; absent: a backend answered",
    ),
    everywhere(
        Field::Failure,
        "upstream.failure",
        "what failed at the backend, or on the way to it",
    ),
    everywhere(
        Field::Received,
        "http.request.body.size",
        "bytes of the request's body, or from the client",
    ),
    everywhere(
        Field::Sent,
        "http.response.body.size",
        "bytes of the answer's body, or to the client",
    ),
    everywhere(
        Field::Duration,
        "duration",
        "seconds until the last byte of the answer was handed on, or the connection ended",
    ),
    everywhere(
        Field::UpstreamDuration,
        "upstream.duration",
        "seconds from the first try to the head of the answer",
    ),
    everywhere(Field::Tries, "tries", "how often a backend was tried"),
    everywhere(Field::TlsVersion, "tls.protocol.version", "`1.2` or `1.3`"),
    everywhere(
        Field::Sni,
        "tls.client.server_name",
        "the server name of the TLS handshake",
    ),
    everywhere(
        Field::RequestId,
        "request_id",
        "`X-Request-Id` of the request",
    ),
    everywhere(
        Field::TraceId,
        "trace_id",
        "the trace of the request, if there is one",
    ),
    everywhere(
        Field::UserAgent,
        "user_agent.original",
        "`User-Agent` of the request",
    ),
    everywhere(Field::Termination, "termination", "who ended it"),
];

impl Field {
    /// The field of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        FIELDS
            .iter()
            .find(|info| info.name == name)
            .map(|info| info.field)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<_> = FIELDS.iter().map(|info| info.name).collect();
        let fields: std::collections::HashSet<_> = FIELDS.iter().map(|info| info.field).collect();
        assert_eq!(names.len(), FIELDS.len());
        assert_eq!(fields.len(), FIELDS.len());
    }
}
