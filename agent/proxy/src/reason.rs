//! Answers that the gateway gives itself.

use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use novaedge_http1::HeadError;

use crate::body::Body;
use crate::error::{BodyError, ForwardError};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Why the gateway answered instead of a backend. Logs and metrics carry [`Reason::code`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// No listener of the socket has this host.
    NoListener,
    /// No rule matches.
    NoRoute,
    /// `Host` or `:authority` is missing, repeated, malformed or contradictory.
    InvalidHost,
    /// The host belongs to another listener than the one that the TLS handshake chose.
    Misdirected,
    /// `CONNECT` is not offered, but for WebSockets over HTTP/2.
    Connect,
    /// The request body has a transfer coding other than `chunked`.
    TransferCoding,
    /// The rule cannot be served as written.
    InvalidRule,
    /// The rule has no backends, or all have weight 0.
    NoBackends,
    /// The chosen backend cannot be used as configured.
    InvalidBackend,
    /// The chosen backend has no ready endpoints.
    NoEndpoints,
    /// The endpoint's name has no addresses.
    DnsFailed,
    /// The endpoint cannot be connected.
    ConnectFailed,
    /// Connecting to the endpoint took too long.
    ConnectTimeout,
    /// The TLS handshake with the endpoint failed.
    TlsFailed,
    /// The backend's TLS configuration is unusable.
    TlsConfiguration,
    /// Limits of the endpoint's connections, of the backend's requests, or of those that wait are reached.
    Overflow,
    /// The endpoint closed the connection before it answered.
    UpstreamReset,
    /// The endpoint broke the protocol.
    UpstreamProtocol,
    /// The client's request body failed.
    RequestBody,
    /// The request body is longer than the rule allows.
    BodyTooLarge,
    /// The client sent nothing of its request body for too long.
    BodyTimeout,
    /// One try took too long.
    BackendTimeout,
    /// The whole request took too long.
    RequestTimeout,
    /// There is too little memory to serve it.
    Overloaded,
}

/// A filter redirects the client.
pub const REDIRECT: &str = "redirect";
/// A filter answers a CORS preflight.
pub const PREFLIGHT: &str = "preflight";
/// The head is no request, or one with contradictions.
pub const MALFORMED_HEAD: &str = "malformed_head";
/// The request target is too long.
pub const TARGET_TOO_LONG: &str = "target_too_long";
/// The head has too many bytes or fields.
pub const HEAD_TOO_LARGE: &str = "head_too_large";
/// The version of HTTP is not supported.
pub const HTTP_VERSION: &str = "http_version";
/// Too many bytes of heads are under way on the connection.
pub const HEADS_UNDER_WAY: &str = "heads_under_way";

/// What the access log tells as a reason besides [`Reason::ALL`], with its meaning for people.
pub const OTHER_REASONS: [(&str, &str); 7] = [
    (REDIRECT, "a filter redirects the client"),
    (PREFLIGHT, "a filter answers a CORS preflight"),
    (MALFORMED_HEAD, "the head is no valid request"),
    (TARGET_TOO_LONG, "the request target is too long"),
    (HEAD_TOO_LARGE, "the head has too many bytes or fields"),
    (HTTP_VERSION, "the version of HTTP is not supported"),
    (
        HEADS_UNDER_WAY,
        "too many bytes of heads are under way on the connection",
    ),
];

/// The reason of a head that the codec of HTTP/1 refuses.
pub(crate) fn of_head(error: HeadError) -> &'static str {
    match error.status() {
        StatusCode::URI_TOO_LONG => TARGET_TOO_LONG,
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => HEAD_TOO_LARGE,
        StatusCode::HTTP_VERSION_NOT_SUPPORTED => HTTP_VERSION,
        StatusCode::NOT_IMPLEMENTED => Reason::TransferCoding.code(),
        _ => MALFORMED_HEAD,
    }
}

impl Reason {
    /// All reasons, in the order of [`Reason::index`].
    pub const ALL: [Self; 24] = [
        Self::NoListener,
        Self::NoRoute,
        Self::InvalidHost,
        Self::Misdirected,
        Self::Connect,
        Self::TransferCoding,
        Self::InvalidRule,
        Self::NoBackends,
        Self::InvalidBackend,
        Self::NoEndpoints,
        Self::DnsFailed,
        Self::ConnectFailed,
        Self::ConnectTimeout,
        Self::TlsFailed,
        Self::TlsConfiguration,
        Self::Overflow,
        Self::UpstreamReset,
        Self::UpstreamProtocol,
        Self::RequestBody,
        Self::BodyTooLarge,
        Self::BodyTimeout,
        Self::BackendTimeout,
        Self::RequestTimeout,
        Self::Overloaded,
    ];

    /// Position in [`Reason::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    /// The status for HTTP clients.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::NoListener | Self::NoRoute => StatusCode::NOT_FOUND,
            Self::InvalidHost | Self::RequestBody => StatusCode::BAD_REQUEST,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Connect | Self::TransferCoding => StatusCode::NOT_IMPLEMENTED,
            Self::InvalidRule
            | Self::NoBackends
            | Self::InvalidBackend
            | Self::TlsConfiguration => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NoEndpoints | Self::Overflow | Self::Overloaded => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::DnsFailed
            | Self::ConnectFailed
            | Self::TlsFailed
            | Self::UpstreamReset
            | Self::UpstreamProtocol => StatusCode::BAD_GATEWAY,
            Self::ConnectTimeout | Self::BackendTimeout | Self::RequestTimeout => {
                StatusCode::GATEWAY_TIMEOUT
            }
        }
    }

    /// The word for logs and metrics.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NoListener => "no_listener",
            Self::NoRoute => "no_route",
            Self::InvalidHost => "invalid_host",
            Self::Misdirected => "misdirected",
            Self::Connect => "connect_method",
            Self::TransferCoding => "transfer_coding",
            Self::InvalidRule => "invalid_rule",
            Self::NoBackends => "no_backends",
            Self::InvalidBackend => "invalid_backend",
            Self::NoEndpoints => "no_endpoints",
            Self::DnsFailed => "dns_failed",
            Self::ConnectFailed => "connect_failed",
            Self::ConnectTimeout => "connect_timeout",
            Self::TlsFailed => "tls_failed",
            Self::TlsConfiguration => "tls_configuration",
            Self::Overflow => "overflow",
            Self::UpstreamReset => "upstream_reset",
            Self::UpstreamProtocol => "upstream_protocol",
            Self::RequestBody => "request_body",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTimeout => "body_timeout",
            Self::BackendTimeout => "backend_timeout",
            Self::RequestTimeout => "request_timeout",
            Self::Overloaded => "overloaded",
        }
    }

    /// One sentence for the client. It names what failed, and nothing of what is behind the gateway.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::NoListener => "no listener for this host\n",
            Self::NoRoute => "no route for this request\n",
            Self::InvalidHost => "the Host of the request is missing, repeated or not valid\n",
            Self::Misdirected => "this connection is not for this host\n",
            Self::Connect => "CONNECT is not supported\n",
            Self::TransferCoding => "no transfer coding but chunked is supported\n",
            Self::InvalidRule => "the route is not valid\n",
            Self::NoBackends => "the route has no backends\n",
            Self::InvalidBackend => "the backend is not valid\n",
            Self::NoEndpoints => "the backend has no ready endpoints\n",
            Self::DnsFailed => "the backend's name cannot be resolved\n",
            Self::ConnectFailed => "the backend cannot be reached\n",
            Self::ConnectTimeout => "connecting to the backend timed out\n",
            Self::TlsFailed => "the TLS handshake with the backend failed\n",
            Self::TlsConfiguration => "the backend's TLS configuration is not usable\n",
            Self::Overflow => "the backend has as many requests as it may have\n",
            Self::UpstreamReset => "the backend closed the connection without a response\n",
            Self::UpstreamProtocol => "the backend sent no valid response\n",
            Self::RequestBody => "the request body ended early\n",
            Self::BodyTooLarge => "the request body is too long\n",
            Self::BodyTimeout => "the request body did not come in time\n",
            Self::BackendTimeout => "the backend did not answer in time\n",
            Self::RequestTimeout => "the request timed out\n",
            Self::Overloaded => "the gateway is overloaded\n",
        }
    }

    /// The gRPC status, where gRPC has its own word for this (grpc/doc/statuscodes.md).
    fn grpc_status(self) -> Option<u8> {
        match self.status() {
            StatusCode::NOT_FOUND => Some(12),
            StatusCode::GATEWAY_TIMEOUT => Some(4),
            StatusCode::PAYLOAD_TOO_LARGE => Some(8),
            StatusCode::NOT_IMPLEMENTED => None,
            status if status.is_server_error() => Some(14),
            _ => None,
        }
    }

    /// The answer for an HTTP client.
    #[must_use]
    pub fn response(self) -> Response<Body> {
        let mut response = Response::new(Body::full(self.text()));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        response
    }

    /// The answer for a gRPC client: a response of trailers alone. What gRPC has no status for is
    /// answered as to an HTTP client.
    #[must_use]
    pub fn grpc_response(self) -> Response<Body> {
        let Some(status) = self.grpc_status() else {
            return self.response();
        };
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/grpc"),
        );
        headers.insert(GRPC_STATUS, HeaderValue::from(u16::from(status)));
        headers.insert(
            GRPC_MESSAGE,
            HeaderValue::from_static(self.text().trim_end()),
        );
        response
    }
}

impl From<&ForwardError> for Reason {
    fn from(error: &ForwardError) -> Self {
        match error {
            ForwardError::Dns(_) => Self::DnsFailed,
            ForwardError::Connect(_) => Self::ConnectFailed,
            ForwardError::ConnectTimeout => Self::ConnectTimeout,
            ForwardError::Tls(_) => Self::TlsFailed,
            ForwardError::TlsConfiguration => Self::TlsConfiguration,
            ForwardError::NoEndpoints => Self::NoEndpoints,
            ForwardError::Overflow | ForwardError::Full => Self::Overflow,
            ForwardError::Reset(_) | ForwardError::Unprocessed(_) => Self::UpstreamReset,
            ForwardError::Protocol(_) => Self::UpstreamProtocol,
            ForwardError::RequestBody(_) => match error.of_body() {
                Some(BodyError::TooLarge) => Self::BodyTooLarge,
                Some(BodyError::ReadTimeout) => Self::BodyTimeout,
                _ => Self::RequestBody,
            },
            ForwardError::TryTimeout => Self::BackendTimeout,
            ForwardError::RequestTimeout => Self::RequestTimeout,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_listed_in_order() {
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), index);
        }
    }

    #[test]
    fn grpc_clients_get_a_status() {
        let status = |reason: Reason| {
            let response = reason.grpc_response();
            (
                response.status().as_u16(),
                response
                    .headers()
                    .get("grpc-status")
                    .map(|value| value.to_str().unwrap().to_owned()),
            )
        };
        assert_eq!(status(Reason::NoRoute), (200, Some("12".into())));
        assert_eq!(status(Reason::NoEndpoints), (200, Some("14".into())));
        assert_eq!(status(Reason::InvalidRule), (200, Some("14".into())));
        assert_eq!(status(Reason::RequestTimeout), (200, Some("4".into())));
        assert_eq!(status(Reason::Misdirected), (421, None));
        assert_eq!(status(Reason::InvalidHost), (400, None));
    }
}
