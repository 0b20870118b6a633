//! Which endpoints are the agent itself.

use std::net::SocketAddr;
use std::sync::Arc;

/// Ports of this machine that no backend may have: what listens there trusts whoever connects from here, and a route to it
/// would let every client of the route do so.
#[derive(Clone, Debug, Default)]
pub struct OwnPorts(Arc<[u16]>);

impl OwnPorts {
    /// These ports.
    pub fn new(ports: impl IntoIterator<Item = u16>) -> Self {
        Self(ports.into_iter().collect())
    }

    /// Whether one of them has this number, here or elsewhere.
    #[must_use]
    pub fn has(&self, port: u16) -> bool {
        self.0.contains(&port)
    }

    /// Whether a connection between these ends is one to such a port of this machine.
    #[must_use]
    pub fn are_reached(&self, local: SocketAddr, peer: SocketAddr) -> bool {
        let (local, at) = (local.ip().to_canonical(), peer.ip().to_canonical());
        self.has(peer.port()) && (at.is_loopback() || at.is_unspecified() || at == local)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_ones_own_on_this_machine_alone() {
        let own = OwnPorts::new([9901, 18_000]);
        for (local, peer, expect) in [
            ("127.0.0.1:4000", "127.0.0.1:9901", true),
            ("127.0.0.1:4000", "127.9.9.9:18000", true),
            ("[::1]:4000", "[::1]:9901", true),
            ("[::ffff:127.0.0.1]:4000", "[::ffff:127.0.0.1]:9901", true),
            ("10.0.0.7:4000", "10.0.0.7:9901", true),
            ("[::ffff:10.0.0.7]:4000", "10.0.0.7:9901", true),
            ("10.0.0.7:4000", "0.0.0.0:9901", true),
            ("127.0.0.1:4000", "127.0.0.1:9902", false),
            ("10.0.0.7:4000", "10.0.0.8:9901", false),
        ] {
            let (from, to) = (local.parse().unwrap(), peer.parse().unwrap());
            assert_eq!(own.are_reached(from, to), expect, "{local} {peer}");
        }
        assert!(!OwnPorts::default().has(9901));
    }
}
