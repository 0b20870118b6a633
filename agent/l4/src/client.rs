//! Who a connection is from, and where its client wanted to go.

use std::net::SocketAddr;

/// The client's end of a connection, through all proxies that the listener trusts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// The client's address.
    pub address: SocketAddr,
    /// The address that the client connected to, if a proxy in front said so. None: that of the
    /// connection itself.
    pub destination: Option<SocketAddr>,
}

impl From<SocketAddr> for Client {
    /// A client without proxies in front.
    fn from(address: SocketAddr) -> Self {
        Self {
            address,
            destination: None,
        }
    }
}
