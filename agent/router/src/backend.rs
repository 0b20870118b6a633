//! Backends, their endpoints, and the certificates and roots of both sides.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use crate::{balancing::Balancing, limits::Limits, proxy_protocol, rule::Invalid};

/// A backend with its endpoints. Live state (pools, positions, health) belongs to the data path, keyed by `name`.
#[derive(Clone, Debug)]
pub struct Backend {
    /// Resource name.
    pub name: Arc<str>,
    /// What the endpoints speak.
    pub protocol: BackendProtocol,
    /// Set: connections are encrypted.
    pub tls: Option<BackendTls>,
    /// How an endpoint is chosen.
    pub balancing: Arc<Balancing>,
    /// Limit of a connection attempt.
    pub connect_timeout: Option<Duration>,
    /// Unused connections are closed after this time.
    pub idle_timeout: Option<Duration>,
    /// Bound of the connections of this agent to one endpoint.
    pub max_connections: Option<u32>,
    /// Bounds of this agent's requests to all endpoints.
    pub limits: Limits,
    /// Set: nothing may be sent there. Never falls back to cleartext.
    pub invalid: Option<Invalid>,
    /// The header of the PROXY protocol that each connection begins with. Such a connection has one client, so HTTP and
    /// UDP refuse it.
    pub send_proxy_protocol: Option<proxy_protocol::Version>,
    /// Ready endpoints, in the order of the wire. Empty: HTTP answers 503.
    pub endpoints: Arc<[Endpoint]>,
}

/// What a backend speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackendProtocol {
    /// HTTP/1.1, or TCP for L4 routes. Rules of GRPCRoutes use HTTP/2 all the same.
    #[default]
    Http1,
    /// HTTP/2, by prior knowledge or ALPN.
    Http2,
}

/// How connections to a backend are encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendTls {
    /// SNI, and the name to verify unless `sans` is set.
    pub server_name: Arc<str>,
    /// Resource names of the accepted roots. Empty: the system's.
    pub trust_bundles: Vec<Arc<str>>,
    /// Accepted names; any one suffices.
    pub sans: Vec<SubjectAltName>,
}

/// A name in a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubjectAltName {
    /// A DNS name.
    Dns(Arc<str>),
    /// A URI, such as a SPIFFE ID.
    Uri(Arc<str>),
}

/// One server of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it is.
    pub address: Host,
    /// Its port, never 0.
    pub port: u16,
    /// Its zone, if known.
    pub zone: Option<Arc<str>>,
    /// Its node, if known.
    pub node: Option<Arc<str>>,
    /// Its share of the backend's requests beside the other endpoints', never 0.
    pub weight: u32,
}

impl Endpoint {
    /// The socket address, unless the endpoint is named by DNS.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match &self.address {
            Host::Ip(ip) => Some(SocketAddr::new(*ip, self.port)),
            Host::Dns(_) => None,
        }
    }
}

/// An address or a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// An address.
    Ip(IpAddr),
    /// A name to resolve, lower case.
    Dns(Arc<str>),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Dns(name) => f.write_str(name),
        }
    }
}

/// A certificate with its key, as PEM. `Debug` shows the fingerprint only.
#[derive(PartialEq, Eq)]
pub struct Certificate {
    /// Resource name.
    pub name: Arc<str>,
    /// Leaf first.
    pub chain_pem: Vec<u8>,
    /// PKCS #8, PKCS #1 or SEC 1.
    pub private_key_pem: Vec<u8>,
    /// SHA-256 of the leaf, hexadecimal.
    pub fingerprint: Arc<str>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("name", &self.name)
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

/// Roots to verify a peer with, as PEM.
#[derive(Debug, PartialEq, Eq)]
pub struct TrustBundle {
    /// Resource name.
    pub name: Arc<str>,
    /// One or more certificates.
    pub ca_pem: Vec<u8>,
}
