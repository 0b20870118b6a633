//! `spec.addresses` of Gateways.

use std::net::IpAddr;

use novaedge_api::gateway::{AddressType, GatewaySpecAddress};

use crate::layout::Fault;

/// The addresses that a Gateway asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Addresses {
    /// Addresses to bind; every one when empty, unless they are [`nowhere`](Self::nowhere).
    pub(crate) bind: Vec<IpAddr>,
    /// Why the Gateway cannot be accepted.
    pub(crate) unsupported: Option<Fault>,
    /// Why the Gateway cannot be programmed.
    pub(crate) unusable: Option<Fault>,
    /// Experimental fields that are not honoured, by path.
    pub(crate) ignored: Vec<String>,
}

impl Addresses {
    /// Whether addresses are asked for and none of them can be bound: an empty `bind` does not mean every address then.
    pub(crate) fn nowhere(&self) -> bool {
        self.unusable.is_some() && self.bind.is_empty()
    }
}

/// Reads `spec.addresses`.
pub(crate) fn read(spec: &[GatewaySpecAddress]) -> Addresses {
    let mut addresses = Addresses::default();
    for (index, address) in spec.iter().enumerate() {
        let field = format!("spec.addresses[{index}]");
        if address
            .routability
            .as_deref()
            .is_some_and(|word| !word.is_empty())
        {
            addresses.ignored.push(format!("{field}.routability"));
        }
        if address.type_ != AddressType::IpAddress {
            addresses
                .unsupported
                .get_or_insert_with(|| unsupported(&field, address));
            continue;
        }
        // An IP address without a value is whatever the environment assigns.
        let Some(value) = address.value.as_deref().filter(|value| !value.is_empty()) else {
            continue;
        };
        match value.parse::<IpAddr>() {
            Ok(ip) if bindable(ip) => {
                if !addresses.bind.contains(&ip) {
                    addresses.bind.push(ip);
                }
            }
            Ok(_) => {
                addresses.unusable.get_or_insert_with(|| {
                    unusable(&field, format!("{value} is a multicast or broadcast address; give one of this machine or network"))
                });
            }
            Err(_) => {
                addresses.unusable.get_or_insert_with(|| {
                    unusable(&field, format!("\"{value}\" is not an IP address; give one such as 192.0.2.10 or 2001:db8::10"))
                });
            }
        }
    }
    addresses
}

/// Whether two Gateways that bind these addresses would meet. An empty list is every address.
pub(crate) fn overlap(a: &[IpAddr], b: &[IpAddr]) -> bool {
    a.is_empty() || b.is_empty() || a.iter().any(|a| b.iter().any(|b| meet(*a, *b)))
}

fn meet(a: IpAddr, b: IpAddr) -> bool {
    // `::` also takes IPv4 unless the socket says otherwise, so it meets everything.
    let any = |ip: IpAddr, other: IpAddr| match ip {
        IpAddr::V4(ip) => ip.is_unspecified() && other.is_ipv4(),
        IpAddr::V6(ip) => ip.is_unspecified(),
    };
    a == b || any(a, b) || any(b, a)
}

fn bindable(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_multicast() && !ip.is_broadcast(),
        IpAddr::V6(ip) => !ip.is_multicast(),
    }
}

fn unsupported(field: &str, address: &GatewaySpecAddress) -> Fault {
    Fault {
        reason: "UnsupportedAddress",
        field: format!("{field}.type"),
        message: format!(
            "address \"{}\" is of type {}, which is not supported; use type IPAddress",
            address.value.as_deref().unwrap_or_default(),
            address.type_
        ),
    }
}

fn unusable(field: &str, message: String) -> Fault {
    Fault {
        reason: "AddressNotUsable",
        field: format!("{field}.value"),
        message,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::overlap;

    #[test]
    fn addresses_overlap_when_one_socket_would_take_from_the_other() {
        let check = |a: &[&str], b: &[&str], expect: bool| {
            let parse = |list: &[&str]| -> Vec<IpAddr> {
                list.iter()
                    .map(|text| text.parse().expect("an address"))
                    .collect()
            };
            assert_eq!(overlap(&parse(a), &parse(b)), expect, "{a:?} {b:?}");
            assert_eq!(overlap(&parse(b), &parse(a)), expect, "{b:?} {a:?}");
        };
        check(&[], &[], true);
        check(&[], &["10.0.0.1"], true);
        check(&["10.0.0.1"], &["10.0.0.1"], true);
        check(&["10.0.0.1"], &["10.0.0.2"], false);
        check(&["10.0.0.1", "10.0.0.2"], &["10.0.0.2"], true);
        check(&["0.0.0.0"], &["10.0.0.1"], true);
        check(&["0.0.0.0"], &["::1"], false);
        check(&["::"], &["10.0.0.1"], true);
        check(&["2001:db8:0::1"], &["2001:db8::1"], true);
    }
}
