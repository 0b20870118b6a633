//! Sockets: which listeners share one, and how to choose among them.

use std::{net::IpAddr, sync::Arc};

use crate::{
    host::{HostPattern, without_trailing_dot},
    host_index::HostIndex,
    listener::{AcceptProxyProtocol, HttpListener, ListenerInfo, TlsListener, TlsMode},
    rule::L4Rule,
};

/// What to bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketKey {
    /// The address. `0.0.0.0` stands for all addresses of both families.
    pub address: IpAddr,
    /// The local port.
    pub port: u16,
    /// The transport.
    pub transport: Transport,
}

impl std::fmt::Display for SocketKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let transport = match self.transport {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
            Transport::Quic => "quic",
        };
        match self.address {
            IpAddr::V4(address) => write!(f, "{transport}://{address}:{}", self.port),
            IpAddr::V6(address) => write!(f, "{transport}://[{address}]:{}", self.port),
        }
    }
}

/// The transport of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// UDP that carries QUIC: such a socket is not one of UDP listeners.
    Quic,
}

/// What a socket serves.
#[derive(Debug)]
pub enum Socket {
    /// Cleartext HTTP.
    Http(HttpSocket),
    /// HTTPS, TLS Terminate and TLS Passthrough, told apart by the server name.
    Tls(TlsSocket),
    /// HTTPS over QUIC (HTTP/3), told apart by the server name.
    Quic(TlsSocket),
    /// TCP.
    Tcp(L4Socket),
    /// UDP.
    Udp(L4Socket),
}

/// The HTTP listeners of a socket.
#[derive(Debug)]
pub struct HttpSocket {
    pub(crate) listeners: Box<[Arc<HttpListener>]>,
    pub(crate) by_host: Arc<HostIndex<Position>>,
}

/// The HTTPS and TLS listeners of a socket.
#[derive(Debug)]
pub struct TlsSocket {
    pub(crate) listeners: Box<[SecureListener]>,
    pub(crate) by_host: Arc<HostIndex<Position>>,
}

/// The listener of a TCP or UDP socket.
#[derive(Debug)]
pub struct L4Socket {
    /// What it is.
    pub info: ListenerInfo,
    /// The first rule of the oldest route. None: close connections, drop datagrams.
    pub rule: Option<Arc<L4Rule>>,
}

/// Which of a socket's listeners a server name selects: without the listeners, so it may outlive their routes.
#[derive(Clone, Debug)]
pub struct SocketNames(Arc<HostIndex<Position>>);

impl SocketNames {
    /// The position of the listener for a server name.
    pub fn select(&self, sni: Option<&str>) -> Option<usize> {
        let host = without_trailing_dot(sni.unwrap_or_default());
        self.0.find(host, |position| position.0)
    }

    /// Whether these are the same names in the same order, because nothing has changed since.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// A listener behind TLS.
#[derive(Clone, Debug)]
pub(crate) enum SecureListener {
    Https(Arc<HttpListener>),
    Tls(Arc<TlsListener>),
}

/// The index of a listener among those of its socket.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Position(pub(crate) Option<usize>);

impl crate::host_index::Table for Position {
    fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

/// Where a TLS connection goes.
#[derive(Clone, Copy, Debug)]
pub enum TlsTarget<'a> {
    /// End TLS and serve HTTP.
    Https(&'a Arc<HttpListener>),
    /// End TLS and forward the bytes.
    Terminate(&'a Arc<TlsListener>),
    /// Forward the bytes as they are.
    Passthrough(&'a Arc<TlsListener>),
}

/// Whether a request may be served on the connection that it came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// Its host belongs to the connection's listener.
    Same,
    /// Its host belongs to another listener of the socket: answer 421.
    Misdirected,
    /// Its host belongs to no listener of the socket: answer 404.
    NotFound,
}

impl Socket {
    /// Resource names of the socket's listeners, in order.
    pub fn listener_names(&self) -> Vec<&Arc<str>> {
        match self {
            Self::Http(socket) => socket
                .listeners
                .iter()
                .map(|listener| &listener.info.name)
                .collect(),
            Self::Tls(socket) | Self::Quic(socket) => socket
                .listeners
                .iter()
                .map(|listener| &listener.info().name)
                .collect(),
            Self::Tcp(socket) | Self::Udp(socket) => vec![&socket.info.name],
        }
    }

    /// The most connections that this agent has on the socket, if one of its listeners sets a limit.
    pub fn max_connections(&self) -> Option<u32> {
        match self {
            Self::Http(socket) => {
                let listeners = socket.listeners.iter();
                listeners.filter_map(|one| one.info.max_connections).min()
            }
            Self::Tls(socket) | Self::Quic(socket) => {
                let listeners = socket.listeners.iter();
                listeners.filter_map(|one| one.info().max_connections).min()
            }
            Self::Tcp(socket) | Self::Udp(socket) => socket.info.max_connections,
        }
    }

    /// How headers of the PROXY protocol are taken, which all listeners of a socket agree on. None: there are none.
    pub fn accept_proxy_protocol(&self) -> Option<&AcceptProxyProtocol> {
        let info = match self {
            Self::Http(socket) => &socket.listeners.first()?.info,
            Self::Tls(socket) => socket.listeners.first()?.info(),
            Self::Tcp(socket) => &socket.info,
            Self::Udp(_) | Self::Quic(_) => return None,
        };
        info.accept_proxy_protocol.as_ref()
    }
}

impl HttpSocket {
    /// The listener with the most specific hostname for a host. Only its routes are considered (listener isolation).
    pub fn listener(&self, host: &str) -> Option<&Arc<HttpListener>> {
        self.by_host.find(without_trailing_dot(host), |position| {
            self.listeners.get(position.0?)
        })
    }

    /// All listeners, by resource name.
    pub fn listeners(&self) -> &[Arc<HttpListener>] {
        &self.listeners
    }
}

impl TlsSocket {
    /// The listener with the most specific hostname for a server name. None: close the connection, without an alert.
    ///
    /// A connection without a server name reaches a listener without a hostname only.
    pub fn select(&self, sni: Option<&str>) -> Option<TlsTarget<'_>> {
        self.of_host(sni.unwrap_or_default())
            .map(SecureListener::target)
    }

    /// The position of the HTTPS listener that a server name selects, among [`TlsSocket::https_listeners`] of a socket of
    /// QUIC, which has no others.
    pub fn positions(&self) -> SocketNames {
        SocketNames(Arc::clone(&self.by_host))
    }

    /// Judges the host of a request on a connection whose server name chose `own`.
    pub fn authority(&self, own: &Arc<HttpListener>, host: &str) -> Authority {
        match self.of_host(host) {
            // By name, as a connection may be older than the tables.
            Some(SecureListener::Https(listener)) if listener.info.name == own.info.name => {
                Authority::Same
            }
            Some(_) => Authority::Misdirected,
            None => Authority::NotFound,
        }
    }

    /// The HTTPS listeners, by resource name.
    pub fn https_listeners(&self) -> impl Iterator<Item = &Arc<HttpListener>> {
        self.listeners.iter().filter_map(|listener| match listener {
            SecureListener::Https(listener) => Some(listener),
            SecureListener::Tls(_) => None,
        })
    }

    /// The TLS listeners, by resource name.
    pub fn tls_listeners(&self) -> impl Iterator<Item = &Arc<TlsListener>> {
        self.listeners.iter().filter_map(|listener| match listener {
            SecureListener::Tls(listener) => Some(listener),
            SecureListener::Https(_) => None,
        })
    }

    fn of_host(&self, host: &str) -> Option<&SecureListener> {
        self.by_host.find(without_trailing_dot(host), |position| {
            self.listeners.get(position.0?)
        })
    }
}

impl SecureListener {
    pub(crate) fn info(&self) -> &ListenerInfo {
        match self {
            Self::Https(listener) => &listener.info,
            Self::Tls(listener) => &listener.info,
        }
    }

    fn target(&self) -> TlsTarget<'_> {
        match self {
            Self::Https(listener) => TlsTarget::Https(listener),
            Self::Tls(listener) => match listener.mode {
                TlsMode::Terminate => TlsTarget::Terminate(listener),
                TlsMode::Passthrough => TlsTarget::Passthrough(listener),
            },
        }
    }
}

/// The index of the listeners of a socket by their hostnames, which are distinct.
pub(crate) fn index_hosts<'a>(
    hostnames: impl Iterator<Item = &'a HostPattern>,
) -> HostIndex<Position> {
    let mut index = HostIndex::<Position>::default();
    for (at, hostname) in hostnames.enumerate() {
        index.update(hostname, |position| position.0 = Some(at));
    }
    index
}
