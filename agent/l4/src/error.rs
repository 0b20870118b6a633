//! Why a connection was closed, or a datagram dropped.

use std::io;
use std::sync::Arc;

use novaedge_router::Backend;
use novaedge_router::client_hello::ClientHelloError;

use crate::counters::ErrorKind;
use crate::relay::RelayError;

/// A failed connection or UDP session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Other bytes than a ClientHello came first.
    #[error("no ClientHello")]
    ClientHello(#[source] ClientHelloError),
    /// The client went away within its ClientHello.
    #[error("connection ended within the ClientHello")]
    ClientHelloEnd,
    /// The ClientHello did not end in time.
    #[error("no complete ClientHello in time")]
    ClientHelloTimeout,
    /// No listener has the server name.
    #[error("no listener for server name {0:?}")]
    NoListener(Option<String>),
    /// The listener has no route for the connection.
    #[error("no route")]
    NoRoute,
    /// The rule, its chosen share, or the backend can't be used as configured.
    #[error("{reason}: {message}")]
    Invalid {
        /// A reason of the Gateway API.
        reason: Arc<str>,
        /// For people.
        message: Arc<str>,
    },
    /// The rule has no backend with a weight above 0.
    #[error("the rule has no backend")]
    NoBackend,
    /// The rule names a backend that the snapshot does not have.
    #[error("{0} is not part of the snapshot")]
    UnknownBackend(Arc<str>),
    /// The backend's TLS settings give no usable configuration.
    #[error("TLS to {0} can't be set up as configured")]
    BackendTls(Arc<str>),
    /// Connections to the backend begin with the address of one client, and datagrams have none.
    #[error("{0} begins connections with a header of the PROXY protocol, which datagrams cannot")]
    SendsHeader(Arc<str>),
    /// The listener has no usable certificate.
    #[error("the listener has no usable certificate")]
    NoCertificate,
    /// Nobody serves the backend now.
    #[error("{0} has no ready endpoint")]
    NoEndpoint(Arc<str>),
    /// The backend, or each of its endpoints, has as many connections as it may have.
    #[error("{0} has reached its connection limit")]
    BackendLimit(Arc<str>),
    /// No endpoint took the connection in time; the last reason is shown.
    #[error("no endpoint of {backend} took the connection")]
    Connect {
        /// Resource name of the backend.
        backend: Arc<str>,
        /// Why the last attempt failed.
        #[source]
        cause: io::Error,
    },
    /// So many handshakes came before that this one could not begin in time.
    #[error("too many TLS handshakes at once")]
    NoTurn,
    /// The TLS handshake with the client failed.
    #[error("TLS handshake with the client failed")]
    ClientHandshake(#[source] io::Error),
    /// Forwarding ended early.
    #[error(transparent)]
    Relay(#[from] RelayError),
}

impl Error {
    /// No endpoint of a backend was connected to: `cause` tells why the last one that was tried was not.
    pub(crate) fn no_connection(backend: &Backend, cause: Option<io::Error>) -> Self {
        let name = Arc::clone(&backend.name);
        match cause {
            Some(cause) => Self::Connect {
                backend: name,
                cause,
            },
            None if backend.endpoints.is_empty() => Self::NoEndpoint(name),
            None => Self::BackendLimit(name),
        }
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::ClientHello(_) | Self::ClientHelloEnd | Self::ClientHelloTimeout => {
                ErrorKind::ClientHello
            }
            Self::NoListener(_) | Self::NoRoute => ErrorKind::NoRoute,
            Self::Invalid { .. }
            | Self::NoBackend
            | Self::UnknownBackend(_)
            | Self::BackendTls(_)
            | Self::SendsHeader(_)
            | Self::NoCertificate => ErrorKind::InvalidBackend,
            Self::NoEndpoint(_) => ErrorKind::NoEndpoint,
            Self::BackendLimit(_) => ErrorKind::BackendLimit,
            Self::Connect { .. } => ErrorKind::Connect,
            Self::NoTurn | Self::ClientHandshake(_) => ErrorKind::ClientHandshake,
            Self::Relay(RelayError::Client(_)) => ErrorKind::Client,
            Self::Relay(RelayError::Backend(_)) => ErrorKind::Backend,
            Self::Relay(RelayError::Idle) => ErrorKind::Idle,
        }
    }
}
