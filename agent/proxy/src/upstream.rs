//! Connections to backends: pools per endpoint, on one core, without locks.

use http::{Request, Response};

use crate::body::Body;
use crate::error::ForwardError;
use crate::interim::Interims;
use crate::upgrade::PendingUpgrade;

mod connect;
mod endpoint;
mod http1;
mod http2;
mod pool;
mod transfer;

pub(crate) use connect::Connector;
pub(crate) use endpoint::{BackendState, Endpoint, Learned};
pub(crate) use pool::PoolSettings;
pub(crate) use transfer::AnswerBody;

/// What a pool's connections speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// Which connection a request is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// An open one if there is one.
    Any,
    /// An open one that was in use a moment ago: its backend is not about to close it.
    Recent,
    /// None that was idle: one of those has just failed.
    New,
}

/// A response whose head has arrived.
pub(crate) struct Answer {
    pub response: Box<Response<Body>>,
    /// The connection, when the backend switched protocols.
    pub upgrade: Option<PendingUpgrade>,
}

/// A request that got no response.
pub(crate) struct SendFailure {
    pub error: ForwardError,
    /// The request, when no byte of it was sent.
    pub unsent: Option<Box<Request<Body>>>,
    /// The request without its body, when bytes of it may have been sent.
    pub copy: Option<Box<Request<Body>>>,
    /// Whether the copy has lost a body.
    pub lost_body: bool,
}

/// The right to send one request on a connection.
pub(crate) enum Link {
    Http1(http1::Lease),
    Http2(http2::Lease),
}

impl Link {
    /// Whether the connection carried another request before: it may be stale.
    pub(crate) fn is_reused(&self) -> bool {
        match self {
            Self::Http1(lease) => lease.is_reused(),
            Self::Http2(lease) => lease.is_reused(),
        }
    }

    /// Sends a request and waits for the head of the response. Interim responses go to `interims`; the codec of HTTP/2
    /// drops them.
    pub(crate) async fn send(
        self,
        request: Box<Request<Body>>,
        interims: Option<&Interims>,
    ) -> Result<Answer, Box<SendFailure>> {
        match self {
            Self::Http1(lease) => lease.send(request, interims).await,
            Self::Http2(lease) => lease.send(request).await,
        }
    }
}

impl SendFailure {
    /// From an error, and the request if no byte of it was sent.
    fn new(
        error: hyper::Error,
        unsent: Option<Box<Request<Body>>>,
        copy: Option<Box<Request<Body>>>,
        lost_body: bool,
    ) -> Self {
        let error = if unsent.is_some() {
            ForwardError::Unprocessed(error.into())
        } else {
            classify(error)
        };
        Self {
            error,
            unsent,
            copy,
            lost_body,
        }
    }
}

/// Tells a broken connection from a broken protocol, from a broken request body and from a request not taken.
fn classify(error: hyper::Error) -> ForwardError {
    if is_refused(&error) {
        ForwardError::Unprocessed(error.into())
    } else if error.is_user() {
        ForwardError::RequestBody(error.into())
    } else if error.is_parse() || error.is_parse_too_large() || error.is_parse_status() {
        ForwardError::Protocol(error.into())
    } else {
        ForwardError::Reset(error.into())
    }
}

/// Whether the peer says that it did nothing with the stream (RFC 9113 section 8.7).
fn is_refused(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error);
    let source = source.and_then(|source| source.downcast_ref::<h2::Error>());
    source.is_some_and(|error| error.reason() == Some(h2::Reason::REFUSED_STREAM))
}
