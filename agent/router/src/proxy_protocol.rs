//! The PROXY protocol, versions 1 and 2: what a proxy says of its client before the first byte of the client.
//!
//! The format is that of HAProxy's `doc/proxy-protocol.txt`. [`parse`] looks at what was received so
//! far and never needs state: while a header is incomplete, all bytes belong to it, and no header has
//! more than [`MAX_HEADER`] of them. [`encode`] makes the bytes that a sender writes first.

mod binary;
mod checksum;
mod text;

use std::net::SocketAddr;

/// The most bytes of a header. Version 1 needs 107; in version 2 the rest is for TLVs, whose owners
/// (certificates' names, clouds' identifiers) stay far below.
pub const MAX_HEADER: usize = 4096;

/// Length of an address of the family AF_UNIX.
pub const UNIX_ADDRESS: usize = 108;

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Header {
    /// The connection is the proxy's own, such as a health check: its own addresses hold.
    Local,
    /// It is relayed, but from an address that the protocol cannot name: the connection's own addresses hold.
    Unknown,
    /// It is relayed between addresses of the internet.
    Inet(Inet),
    /// It is relayed between sockets of a file system.
    Unix(Unix),
}

/// Addresses of the internet. Both are of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inet {
    /// What is relayed.
    pub transport: Transport,
    /// The client.
    pub source: SocketAddr,
    /// Where the client connected to.
    pub destination: SocketAddr,
}

/// Addresses of the family AF_UNIX, as they are on the wire: filled up with zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unix {
    /// What is relayed.
    pub transport: Transport,
    /// The client.
    pub source: Box<[u8; UNIX_ADDRESS]>,
    /// Where the client connected to.
    pub destination: Box<[u8; UNIX_ADDRESS]>,
}

/// What is relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A byte stream: TCP, or SOCK_STREAM of AF_UNIX.
    Stream,
    /// Datagrams: UDP, or SOCK_DGRAM of AF_UNIX.
    Datagram,
}

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One line of text.
    V1,
    /// Binary.
    V2,
}

/// What the bytes received so far come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// These bytes may be the start of a header, but also of something else.
    Undecided,
    /// All bytes so far belong to a header, and more are needed.
    Incomplete,
    /// A header, and how many bytes it has.
    Complete(Header, usize),
    /// No further byte can make this a header.
    Invalid(ProxyProtocolError),
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyProtocolError {
    /// The first bytes are neither `PROXY ` nor the signature of version 2.
    #[error("no PROXY protocol header")]
    NoHeader,
    /// The line of version 1 does not end within 107 bytes.
    #[error("line exceeds 107 bytes")]
    LineTooLong,
    /// A CR without LF, or a LF without CR.
    #[error("line is not ended by CR LF")]
    LineEnd,
    /// The protocol is none of `TCP4`, `TCP6` and `UNKNOWN`, or fields are missing or too many.
    #[error("malformed line")]
    Line,
    /// An address is not of the form or family that the line says.
    #[error("malformed address")]
    Address,
    /// A port is no number from 0 to 65535 without leading zeros.
    #[error("malformed port")]
    Port,
    /// The version in the binary header is not 2.
    #[error("version {0} is not known")]
    Version(u8),
    /// The command is neither LOCAL nor PROXY.
    #[error("command {0} is not known")]
    Command(u8),
    /// The address family is not known.
    #[error("address family {0} is not known")]
    Family(u8),
    /// The transport is not known.
    #[error("transport {0} is not known")]
    Transport(u8),
    /// The header is longer than [`MAX_HEADER`].
    #[error("header exceeds {MAX_HEADER} bytes")]
    TooLong,
    /// The length leaves no room for the addresses.
    #[error("header is too short for its addresses")]
    TooShort,
    /// A TLV does not end where the header ends.
    #[error("malformed TLV")]
    Tlv,
    /// The checksum is not that of the header.
    #[error("wrong checksum")]
    Checksum,
}

/// Judges the bytes received so far, all of them from the start. Bytes behind the header are not looked at.
#[must_use]
pub fn parse(received: &[u8]) -> Progress {
    let of_start = |start: &[u8]| {
        let common = start.len().min(received.len());
        received.get(..common) == start.get(..common)
    };
    let (text, binary) = (of_start(text::START), of_start(&binary::SIGNATURE));
    let parsed = if text && received.len() >= text::START.len() {
        text::parse(received)
    } else if binary && received.len() >= binary::SIGNATURE.len() {
        binary::parse(received)
    } else if text || binary {
        return Progress::Undecided;
    } else {
        Err(ProxyProtocolError::NoHeader)
    };
    match parsed {
        Ok(Some((header, length))) => Progress::Complete(header, length),
        Ok(None) => Progress::Incomplete,
        Err(error) => Progress::Invalid(error),
    }
}

/// The bytes of a header. Version 1 has no word for the proxy's own connections, for datagrams and for
/// AF_UNIX, so it says `UNKNOWN` of them.
#[must_use]
pub fn encode(version: Version, header: &Header) -> Vec<u8> {
    match version {
        Version::V1 => text::encode(header),
        Version::V2 => binary::encode(header),
    }
}

/// A parser's result: the header with its length, or that bytes are missing.
type Parsed = Result<Option<(Header, usize)>, ProxyProtocolError>;

impl Inet {
    /// A byte stream from `source` to `destination`. When one is an IPv6 address and the other is not,
    /// the other is written as an IPv4-mapped IPv6 address: a header has one family.
    pub fn stream(source: SocketAddr, destination: SocketAddr) -> Self {
        let canonical =
            |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        let (source, destination) = (canonical(source), canonical(destination));
        let mapped = |address: SocketAddr| match address {
            SocketAddr::V4(v4) => SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()),
            // Neither scope nor flow have a place in a header.
            SocketAddr::V6(v6) => SocketAddr::new((*v6.ip()).into(), v6.port()),
        };
        let (source, destination) = if source.is_ipv4() && destination.is_ipv4() {
            (source, destination)
        } else {
            (mapped(source), mapped(destination))
        };
        Self {
            transport: Transport::Stream,
            source,
            destination,
        }
    }
}

#[cfg(test)]
mod tests;
