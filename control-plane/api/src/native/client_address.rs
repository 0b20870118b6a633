//! Whose word a listener takes for the address of a client: proxies in front of it, and how they say it.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether clients come through proxies that begin each connection with a header of the PROXY protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AcceptProxyProtocol {
    /// Required (default) or Optional.
    #[serde(default)]
    pub mode: AcceptProxyProtocolMode,
    /// The proxies, as networks in CIDR notation such as `192.0.2.0/24`. What others send is never taken
    /// for a header.
    #[serde(rename = "trustedCIDRs")]
    #[schemars(
        length(min = 1, max = 64),
        inner(length(max = 43), regex(pattern = r"^[0-9a-fA-F:.]+/[0-9]{1,3}$"))
    )]
    pub trusted_cidrs: Vec<String>,
}

/// What becomes of connections without a header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AcceptProxyProtocolMode {
    /// They are closed, and so are connections of peers that are not trusted.
    #[default]
    Required,
    /// They are served with the address of their peer. A trusted proxy that passes on what its client
    /// sends first lets that client name any address, so this is for a change from one to the other.
    Optional,
}

/// Whose `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host` are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ForwardedHeaders {
    /// The proxies, as networks in CIDR notation such as `192.0.2.0/24`. The fields of others are
    /// replaced.
    #[serde(rename = "trustedCIDRs")]
    #[schemars(
        length(min = 1, max = 64),
        inner(length(max = 43), regex(pattern = r"^[0-9a-fA-F:.]+/[0-9]{1,3}$"))
    )]
    pub trusted_cidrs: Vec<String>,
}

/// Why a text is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CidrError {
    /// There is no prefix length.
    #[error("{text:?} has no prefix length; write {text}/{full} for the address alone")]
    NoPrefix {
        /// What was found.
        text: String,
        /// The prefix length of one address.
        full: u8,
    },
    /// It is none at all.
    #[error(
        "{0:?} is no network in CIDR notation; write one such as 192.0.2.0/24 or 2001:db8::/32"
    )]
    Malformed(String),
    /// The address has bits behind the prefix.
    #[error("{text:?} has bits behind its prefix; write {network}/{prefix}")]
    HostBits {
        /// What was found.
        text: String,
        /// The network's own address.
        network: IpAddr,
        /// The prefix length.
        prefix: u8,
    },
}

/// Reads a network: its address, and how many of its bits count.
pub fn parse_cidr(text: &str) -> Result<(IpAddr, u8), CidrError> {
    let malformed = || CidrError::Malformed(text.to_owned());
    let Some((address, prefix)) = text.split_once('/') else {
        let address: IpAddr = text.parse().map_err(|_| malformed())?;
        return Err(CidrError::NoPrefix {
            text: text.to_owned(),
            full: bits(address),
        });
    };
    let address: IpAddr = address.parse().map_err(|_| malformed())?;
    let digits = (1..=3).contains(&prefix.len()) && prefix.bytes().all(|b| b.is_ascii_digit());
    let prefix: u8 = prefix.parse().map_err(|_| malformed())?;
    if !digits || prefix > bits(address) {
        return Err(malformed());
    }
    let network = network(address, prefix);
    if network == address {
        Ok((address, prefix))
    } else {
        Err(CidrError::HostBits {
            text: text.to_owned(),
            network,
            prefix,
        })
    }
}

const fn bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// The address with zeros behind the prefix.
fn network(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_strictly() {
        for (text, expect) in [
            ("10.0.0.0/8", "10.0.0.0 8"),
            ("192.0.2.1/32", "192.0.2.1 32"),
            ("0.0.0.0/0", "0.0.0.0 0"),
            ("2001:db8::/32", "2001:db8:: 32"),
            ("::/0", ":: 0"),
            (
                "10.0.0.1/8",
                "\"10.0.0.1/8\" has bits behind its prefix; write 10.0.0.0/8",
            ),
            (
                "fd00::1/8",
                "\"fd00::1/8\" has bits behind its prefix; write fd00::/8",
            ),
            (
                "10.0.0.1",
                "\"10.0.0.1\" has no prefix length; write 10.0.0.1/32 for the address alone",
            ),
            (
                "::1",
                "\"::1\" has no prefix length; write ::1/128 for the address alone",
            ),
        ] {
            let found = match parse_cidr(text) {
                Ok((address, prefix)) => format!("{address} {prefix}"),
                Err(error) => error.to_string(),
            };
            assert_eq!(found, expect);
        }
        for text in [
            "",
            "a",
            "/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/+8",
            "10.0.0.0/0008",
            "10.0.0/8",
            "10.0.0.0/8 ",
        ] {
            assert_eq!(parse_cidr(text), Err(CidrError::Malformed(text.to_owned())));
        }
    }
}
