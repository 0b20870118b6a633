//! What goes wrong while a request is forwarded.

use std::error::Error as StdError;
use std::io;

use novaedge_balance::Outcome;

/// An error of the transport below a body or a connection.
pub type TransportError = Box<dyn StdError + Send + Sync>;

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client, or the way to it.
    Downstream,
    /// The backend, or the way to it.
    Upstream,
    /// This process.
    Internal,
}

/// A body that ended early.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The connection that the body comes from failed.
    #[error("body transport failed")]
    Transport(#[source] TransportError),
    /// The time allowed for the whole exchange is over.
    #[error("timed out while the response was under way")]
    Timeout,
    /// The client has sent nothing for too long.
    #[error("the client was too slow")]
    ReadTimeout,
    /// The body is longer than the rule allows.
    #[error("the body is too long")]
    TooLarge,
    /// A mirror fell too far behind and was given up.
    #[error("mirror fell behind")]
    MirrorLag,
    /// The body was asked for twice and is not kept any more.
    #[error("body is not kept for another try")]
    NotReplayable,
}

/// Why a try to get a response failed.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// The name of the endpoint has no addresses.
    #[error("endpoint name cannot be resolved")]
    Dns(#[source] io::Error),
    /// The endpoint refused the connection, or the way to it is broken.
    #[error("endpoint cannot be connected")]
    Connect(#[source] io::Error),
    /// Connecting took too long.
    #[error("connecting to the endpoint timed out")]
    ConnectTimeout,
    /// The TLS handshake with the endpoint failed.
    #[error("tls handshake with the endpoint failed")]
    Tls(#[source] io::Error),
    /// The gateway cannot speak TLS to this backend as configured.
    #[error("backend has no usable tls configuration")]
    TlsConfiguration,
    /// There is no ready endpoint.
    #[error("backend has no ready endpoints")]
    NoEndpoints,
    /// Too many connections or waiting requests.
    #[error("connection limit of the endpoint is reached")]
    Overflow,
    /// The backend has as many requests as it may have, or as many that wait.
    #[error("request limit of the backend is reached")]
    Full,
    /// The connection ended before a response began.
    #[error("connection closed before a response")]
    Reset(#[source] TransportError),
    /// The endpoint took nothing of the request: the connection closed before it, or its stream was refused.
    #[error("endpoint did not take the request")]
    Unprocessed(#[source] TransportError),
    /// The endpoint does not speak the expected protocol.
    #[error("endpoint broke the protocol")]
    Protocol(#[source] TransportError),
    /// The client's request body failed.
    #[error("request body failed")]
    RequestBody(#[source] TransportError),
    /// The time of one try is over.
    #[error("endpoint did not answer in time")]
    TryTimeout,
    /// The time of the whole request is over.
    #[error("request timed out")]
    RequestTimeout,
}

impl ForwardError {
    /// Whose fault this is.
    #[must_use]
    pub fn side(&self) -> Side {
        match self {
            Self::RequestBody(_) => Side::Downstream,
            Self::TlsConfiguration | Self::NoEndpoints | Self::Full => Side::Internal,
            _ => Side::Upstream,
        }
    }

    /// The error of the client's request body that this comes from, if it does.
    pub(crate) fn of_body(&self) -> Option<&BodyError> {
        let Self::RequestBody(error) = self else {
            return None;
        };
        let mut error: Option<&(dyn StdError + 'static)> = Some(&**error);
        while let Some(one) = error {
            if let Some(found) = one.downcast_ref() {
                return Some(found);
            }
            error = one.source();
        }
        None
    }

    /// Whether the endpoint may have acted upon the request before the connection broke. A request that is not
    /// idempotent is then not sent again (`HTTPRouteRetry` in Gateway API v1.7; RFC 9110 section 9.2.2).
    ///
    /// A try whose time is over is no such case: who sets `backendRequest` beside `retry` asks for another one.
    #[must_use]
    pub fn may_have_acted(&self) -> bool {
        matches!(self, Self::Reset(_) | Self::Protocol(_))
    }

    /// What this says of the endpoint, if it says anything.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Dns(_) | Self::Connect(_) | Self::ConnectTimeout | Self::Tls(_) => {
                Some(Outcome::ConnectFailure)
            }
            Self::Reset(_) | Self::Protocol(_) | Self::TryTimeout | Self::RequestTimeout => {
                Some(Outcome::ServerError)
            }
            Self::TlsConfiguration
            | Self::NoEndpoints
            | Self::Overflow
            | Self::Full
            | Self::Unprocessed(_)
            | Self::RequestBody(_) => None,
        }
    }

    /// Whether another try may succeed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        !matches!(
            self,
            Self::RequestBody(_)
                | Self::TlsConfiguration
                | Self::NoEndpoints
                | Self::Full
                | Self::RequestTimeout
        )
    }
}
