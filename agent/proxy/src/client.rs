//! What is known about a client connection.

use std::net::SocketAddr;

use http::header::HeaderValue;
use novaedge_router::{Scheme, SocketKey};

use crate::config::Config;

/// A client connection, as requests on it see it.
#[derive(Debug)]
pub(crate) struct Client {
    /// Names the socket; its listeners are looked up for each request.
    pub key: SocketKey,
    pub peer: SocketAddr,
    pub scheme: Scheme,
    /// The server name of the TLS handshake.
    pub sni: Option<Box<str>>,
    /// Whether this peer's `X-Forwarded-*` fields are believed.
    pub trusted: bool,
    /// The peer's address as text.
    pub address: HeaderValue,
    /// The scheme as text.
    pub scheme_text: HeaderValue,
}

impl Client {
    pub(crate) fn new(
        config: &Config,
        key: SocketKey,
        peer: SocketAddr,
        scheme: Scheme,
        sni: Option<&str>,
    ) -> Self {
        let address = peer.ip().to_canonical();
        Self {
            key,
            peer,
            scheme,
            sni: sni.map(Box::from),
            trusted: config
                .trusted_proxies
                .iter()
                .any(|network| network.contains(address)),
            address: HeaderValue::from_str(&address.to_string())
                .unwrap_or(HeaderValue::from_static("unknown")),
            scheme_text: HeaderValue::from_static(scheme.as_str()),
        }
    }
}
