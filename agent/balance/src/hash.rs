//! Keys and hashes that stay the same over restarts, replicas and versions of the standard library.

use std::net::IpAddr;

use novaedge_router::{Endpoint, Host};

/// The golden ratio as a fraction of 2^64: steps of it land everywhere.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// Identifies an endpoint by its address and port.
#[must_use]
pub fn endpoint_id(endpoint: &Endpoint) -> u64 {
    let hash = match &endpoint.address {
        Host::Ip(address) => feed_address(FNV_OFFSET, *address),
        Host::Dns(name) => feed(FNV_OFFSET, name.as_bytes()),
    };
    feed(hash, &endpoint.port.to_be_bytes())
}

/// The key of a client. An IPv4 address is the same one inside IPv6.
#[must_use]
pub fn client_key(client: IpAddr) -> u64 {
    mix(feed_address(FNV_OFFSET, client.to_canonical()))
}

/// The key of a header, a cookie or any other bytes.
#[must_use]
pub fn bytes_key(bytes: &[u8]) -> u64 {
    mix(feed(FNV_OFFSET, bytes))
}

/// Spreads similar numbers over all of 64 bits: the finalizer of splitmix64.
#[must_use]
pub(crate) const fn mix(bits: u64) -> u64 {
    let bits = bits.wrapping_add(STEP);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// The hash of a key and an endpoint, or of an endpoint and the number of its point.
pub(crate) const fn pair(key: u64, other: u64) -> u64 {
    mix(key ^ mix(other))
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a.
fn feed(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn feed_address(hash: u64, address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => feed(hash, &address.octets()),
        IpAddr::V6(address) => feed(hash, &address.octets()),
    }
}

/// As many random numbers as a choice needs, from the one that the caller brought.
#[derive(Clone, Debug)]
pub(crate) struct Bits(u64);

impl Bits {
    pub(crate) const fn new(random: u64) -> Self {
        Self(random)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number below `bound`; 0 for a bound of 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let product = u128::from(self.next()) * u128::from(bound);
        u64::try_from(product >> 64).unwrap_or(0)
    }

    /// An index below `bound`; 0 for a bound of 0.
    pub(crate) fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_client_is_the_same_inside_ipv6() {
        let v4: IpAddr = "192.0.2.7".parse().unwrap();
        let mapped: IpAddr = "::ffff:192.0.2.7".parse().unwrap();
        assert_eq!(client_key(v4), client_key(mapped));
    }

    /// Session cookies carry these: a change would end all sessions.
    #[test]
    fn identities_of_endpoints_never_change() {
        let endpoint = |address| Endpoint {
            address,
            port: 8080,
            zone: None,
            node: None,
            weight: 1,
        };
        let ip = endpoint(Host::Ip("10.0.0.1".parse().unwrap()));
        let dns = endpoint(Host::Dns("a.example".into()));
        assert_eq!(endpoint_id(&ip), 0x6d32_c5f7_703a_a89b);
        assert_eq!(endpoint_id(&dns), 0x3663_ec3e_68e1_181f);
    }

    #[test]
    fn chances_are_even() {
        let mut bits = Bits::new(7);
        let mut counts = [0_u32; 10];
        for _ in 0..100_000 {
            counts[bits.index(10)] += 1;
        }
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)));
    }
}
