//! The addresses of a Gateway: those that it has, and those that it asks for in vain.

use std::collections::BTreeSet;
use std::net::IpAddr;

use novaedge_api::gateway::{AddressType, GatewayStatusAddress};

use super::GatewayDetail;
use super::listener_status::Observed;
use crate::config::Mode;

/// Where the Gateway can be reached: where it asks to be, as far as it is there, or wherever the agents are.
pub(super) fn assigned(
    mode: Mode,
    detail: &GatewayDetail,
    observed: &Observed<'_>,
) -> Vec<GatewayStatusAddress> {
    if detail.unserved.is_some() {
        return Vec::new();
    }
    let wanted = &detail.addresses;
    if wanted.is_empty() {
        return observed.fleet.addresses.clone();
    }
    let mut found = BTreeSet::new();
    let own = wanted.iter().filter(|ip| is_own(mode, observed, **ip));
    let mut addresses: Vec<GatewayStatusAddress> = own
        .filter(|ip| found.insert(**ip))
        .map(|ip| status_address(*ip))
        .collect();
    for address in &observed.fleet.addresses {
        let Ok(ip) = address.value.parse::<IpAddr>() else {
            continue;
        };
        if wanted.iter().any(|wanted| covers(*wanted, ip)) && found.insert(ip) {
            addresses.push(address.clone());
        }
    }
    addresses
}

/// Whether an address is there without anybody having told so: on one machine the agent itself binds what is asked for,
/// and says so when it cannot.
fn is_own(mode: Mode, observed: &Observed<'_>, ip: IpAddr) -> bool {
    let bound = observed.current && observed.fleet.rejected_listeners.is_empty();
    mode == Mode::Standalone && !ip.is_unspecified() && (bound || ip.is_loopback())
}

/// The first address asked for that is not assigned.
pub(super) fn missing(wanted: &[IpAddr], assigned: &[GatewayStatusAddress]) -> Option<IpAddr> {
    let have: Vec<IpAddr> = assigned
        .iter()
        .filter_map(|address| address.value.parse().ok())
        .collect();
    // A wildcard is honoured by whatever addresses the machine has.
    let lacking = |ip: &&IpAddr| !ip.is_unspecified() && !have.contains(ip);
    wanted.iter().find(lacking).copied()
}

/// Whether a socket bound to `bound` takes what comes to `ip`.
fn covers(bound: IpAddr, ip: IpAddr) -> bool {
    let any = match bound {
        IpAddr::V4(bound) => bound.is_unspecified() && ip.is_ipv4(),
        IpAddr::V6(bound) => bound.is_unspecified(),
    };
    any || bound == ip
}

fn status_address(ip: IpAddr) -> GatewayStatusAddress {
    GatewayStatusAddress {
        type_: AddressType::IpAddress,
        value: ip.to_string(),
        routability: None,
    }
}
