//! What is known about a client connection, and who asks by each of its requests.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use http::HeaderMap;
use http::header::HeaderValue;
use novaedge_router::{Network, Scheme, SocketKey};

use crate::downstream::Connection;
use crate::headers::X_FORWARDED_FOR;

/// A client connection, as requests on it see it.
pub(crate) struct Client {
    /// Names the socket; its listeners are looked up for each request.
    pub key: SocketKey,
    pub peer: SocketAddr,
    pub scheme: Scheme,
    /// The server name of the TLS handshake.
    pub sni: Option<Rc<str>>,
    /// The version of TLS, if it is spoken.
    pub tls: Option<&'static str>,
    /// The connection itself, once it is served.
    pub connection: Option<Rc<Connection>>,
    /// The peer's address as text.
    pub address: HeaderValue,
    /// The scheme as text.
    pub scheme_text: HeaderValue,
}

/// Who asks by one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Requester {
    /// The nearest address that is no trusted proxy's.
    pub address: IpAddr,
    /// Whether the peer's `X-Forwarded-*` fields are believed.
    pub trusted: bool,
}

impl Client {
    pub(crate) fn new(key: SocketKey, peer: SocketAddr, scheme: Scheme, sni: Option<&str>) -> Self {
        let address = peer.ip().to_canonical();
        Self {
            key,
            peer,
            scheme,
            sni: sni.map(Rc::from),
            tls: None,
            connection: None,
            address: HeaderValue::from_str(&address.to_string())
                .unwrap_or(HeaderValue::from_static("unknown")),
            scheme_text: HeaderValue::from_static(scheme.as_str()),
        }
    }

    /// Who asks by a request with these fields, at a listener that trusts these proxies.
    pub(crate) fn requester(&self, trusted: &[Network], headers: &HeaderMap) -> Requester {
        let fields = headers.get_all(X_FORWARDED_FOR).iter();
        requester(self.peer.ip().to_canonical(), trusted, fields)
    }
}

/// Each proxy writes its peer's address behind those that it was told, so the list is read from its end:
/// what stands before the first address that nobody trusts is a claim of that client.
pub(crate) fn requester<'h>(
    peer: IpAddr,
    trusted: &[Network],
    fields: impl DoubleEndedIterator<Item = &'h HeaderValue>,
) -> Requester {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut address = peer;
    if !is_trusted(peer) {
        return Requester {
            address,
            trusted: false,
        };
    }
    let hops = fields
        .rev()
        .flat_map(|field| field.as_bytes().rsplit(|byte| *byte == b','));
    for hop in hops {
        // What is no address was not written by a proxy of ours.
        let Some(hop) = read_address(hop) else { break };
        address = hop;
        if !is_trusted(hop) {
            break;
        }
    }
    Requester {
        address,
        trusted: true,
    }
}

/// An address, with or without a port, as some proxies write it.
fn read_address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let address = text.parse::<IpAddr>().ok();
    let address = address.or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_the_last_hop_that_nobody_trusts() {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|text| Network::parse(text).unwrap());
        for (peer, fields, expect) in [
            ("192.0.2.1", &["203.0.113.7"][..], "192.0.2.1 false"),
            ("10.0.0.1", &[], "10.0.0.1 true"),
            ("10.0.0.1", &["203.0.113.7"], "203.0.113.7 true"),
            ("fd00::1", &["203.0.113.7:4711"], "203.0.113.7 true"),
            ("10.0.0.1", &["[2001:db8::7]:80"], "2001:db8::7 true"),
            ("10.0.0.1", &["::ffff:203.0.113.7"], "203.0.113.7 true"),
            // What the client claims of itself is not believed.
            (
                "10.0.0.1",
                &["198.51.100.1, 203.0.113.7"],
                "203.0.113.7 true",
            ),
            (
                "10.0.0.1",
                &["198.51.100.1", "203.0.113.7, 10.9.9.9"],
                "203.0.113.7 true",
            ),
            ("10.0.0.1", &["10.1.1.1,10.2.2.2"], "10.1.1.1 true"),
            (
                "10.0.0.1",
                &["203.0.113.7, unknown, 10.2.2.2"],
                "10.2.2.2 true",
            ),
            ("10.0.0.1", &["unknown"], "10.0.0.1 true"),
            ("10.0.0.1", &[""], "10.0.0.1 true"),
        ] {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(X_FORWARDED_FOR, HeaderValue::from_static(field));
            }
            let found = requester(
                peer.parse().unwrap(),
                &trusted,
                headers.get_all(X_FORWARDED_FOR).iter(),
            );
            let found = format!("{} {}", found.address, found.trusted);
            assert_eq!(found, expect, "{peer} {fields:?}");
        }
    }
}
