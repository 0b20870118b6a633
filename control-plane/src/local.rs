//! Where Gateways on this machine can be reached.
//!
//! Without a cluster nobody assigns addresses: agents bind those of `spec.addresses`, else all that
//! the machine has. Of the latter a status shows the ones by which the machine reaches others, which
//! are most likely those by which others reach it; a machine without a network shows loopback.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

/// An address of each family to ask the way to. They are reserved for documentation (RFC 5737, RFC
/// 3849), and nothing is sent to them.
const WORLD: [(&str, &str); 2] = [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")];

/// The addresses of this machine, never none.
pub fn machine_addresses() -> Vec<IpAddr> {
    let sources = WORLD.iter().filter_map(|(any, world)| source(any, world));
    let mut found: Vec<IpAddr> = sources.collect();
    if found.is_empty() {
        found.push(Ipv4Addr::LOCALHOST.into());
    }
    found
}

/// The source address of packets to `world`: connecting a UDP socket asks for the route alone.
fn source(any: &str, world: &str) -> Option<IpAddr> {
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(world).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_a_machine_can_be_bound() {
        let found = machine_addresses();
        assert!(!found.is_empty(), "there is always loopback");
        for ip in found {
            UdpSocket::bind((ip, 0)).unwrap();
        }
    }
}
