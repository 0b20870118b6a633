//! Version 2: a binary header, perhaps with TLVs behind the addresses.

use std::net::{IpAddr, SocketAddr};

use super::checksum::crc32c;
use super::{Header, Inet, MAX_HEADER, Parsed, ProxyProtocolError, Transport, UNIX_ADDRESS, Unix};

/// What a header begins with.
pub(super) const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family and transport, length.
const FIXED: usize = 16;
const TLV_HEADER: usize = 3;
const TYPE_CRC32C: u8 = 3;
const CHECKSUM: usize = 4;

const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;

/// What the family nibble says.
#[derive(Clone, Copy)]
enum Family {
    Unspecified,
    V4,
    V6,
    Unix,
}

/// Each byte of the fixed part is judged as soon as it is there.
pub(super) fn parse(received: &[u8]) -> Parsed {
    let fixed = received.get(SIGNATURE.len()..).unwrap_or_default();
    let Some(command) = fixed.first() else {
        return Ok(None);
    };
    let relayed = match command {
        command if command >> 4 != 2 => return Err(ProxyProtocolError::Version(command >> 4)),
        &LOCAL => false,
        &PROXY => true,
        command => return Err(ProxyProtocolError::Command(command & 15)),
    };
    let Some(kind) = fixed.get(1) else {
        return Ok(None);
    };
    let (family, transport) = (family(kind >> 4)?, transport(kind & 15)?);
    let Some(&[high, low]) = fixed.get(2..4) else {
        return Ok(None);
    };
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_HEADER {
        return Err(ProxyProtocolError::TooLong);
    }
    // A LOCAL header's block is discarded with its family (section 2.2).
    let addresses = match (relayed, family, transport) {
        (true, Family::V4, Some(transport)) => Some((Family::V4, transport, 12)),
        (true, Family::V6, Some(transport)) => Some((Family::V6, transport, 36)),
        (true, Family::Unix, Some(transport)) => Some((Family::Unix, transport, 2 * UNIX_ADDRESS)),
        _ => None,
    };
    if addresses.is_some_and(|(_, _, size)| length < FIXED + size) {
        return Err(ProxyProtocolError::TooShort);
    }
    let Some(whole) = received.get(..length) else {
        return Ok(None);
    };
    let header = match addresses {
        Some((family, transport, size)) => {
            let block = whole.get(FIXED..).unwrap_or_default();
            let (block, _) = block
                .split_at_checked(size)
                .ok_or(ProxyProtocolError::TooShort)?;
            check_tlvs(whole, FIXED + size)?;
            addressed(family, transport, block)?
        }
        None if relayed => Header::Unknown,
        None => Header::Local,
    };
    Ok(Some((header, length)))
}

fn family(nibble: u8) -> Result<Family, ProxyProtocolError> {
    match nibble {
        0 => Ok(Family::Unspecified),
        1 => Ok(Family::V4),
        2 => Ok(Family::V6),
        3 => Ok(Family::Unix),
        other => Err(ProxyProtocolError::Family(other)),
    }
}

fn transport(nibble: u8) -> Result<Option<Transport>, ProxyProtocolError> {
    match nibble {
        0 => Ok(None),
        1 => Ok(Some(Transport::Stream)),
        2 => Ok(Some(Transport::Datagram)),
        other => Err(ProxyProtocolError::Transport(other)),
    }
}

/// The addresses in a block of the family's size.
fn addressed(
    family: Family,
    transport: Transport,
    block: &[u8],
) -> Result<Header, ProxyProtocolError> {
    let short = ProxyProtocolError::TooShort;
    let mut rest = Rest(block);
    let inet = |source: IpAddr, destination: IpAddr, rest: &mut Rest<'_>| {
        let source_port = u16::from_be_bytes(rest.take()?);
        let destination_port = u16::from_be_bytes(rest.take()?);
        Some(Header::Inet(Inet {
            transport,
            source: SocketAddr::new(source, source_port),
            destination: SocketAddr::new(destination, destination_port),
        }))
    };
    let mut read = || match family {
        Family::Unspecified => Some(Header::Unknown),
        Family::V4 => {
            let (source, destination) = (rest.take::<4>()?, rest.take::<4>()?);
            inet(source.into(), destination.into(), &mut rest)
        }
        Family::V6 => {
            let (source, destination) = (rest.take::<16>()?, rest.take::<16>()?);
            inet(source.into(), destination.into(), &mut rest)
        }
        Family::Unix => Some(Header::Unix(Unix {
            transport,
            source: Box::new(rest.take()?),
            destination: Box::new(rest.take()?),
        })),
    };
    read().ok_or(short)
}

/// Whether the TLVs fill the header to its end, and its checksum, if it has one, is right.
fn check_tlvs(whole: &[u8], mut at: usize) -> Result<(), ProxyProtocolError> {
    while at < whole.len() {
        let Some(&[kind, high, low]) = whole.get(at..at + TLV_HEADER) else {
            return Err(ProxyProtocolError::Tlv);
        };
        let start = at + TLV_HEADER;
        at = start + usize::from(u16::from_be_bytes([high, low]));
        let Some(value) = whole.get(start..at) else {
            return Err(ProxyProtocolError::Tlv);
        };
        if kind == TYPE_CRC32C {
            let told: [u8; CHECKSUM] = value.try_into().map_err(|_| ProxyProtocolError::Tlv)?;
            // It is made over the whole header, itself being zero (section 2.2.3).
            let (before, _) = whole.split_at(start);
            let (_, behind) = whole.split_at(at);
            if crc32c([before, &[0; CHECKSUM], behind]) != u32::from_be_bytes(told) {
                return Err(ProxyProtocolError::Checksum);
            }
        }
    }
    Ok(())
}

/// The header without TLVs.
pub(super) fn encode(header: &Header) -> Vec<u8> {
    let (command, kind, block) = match header {
        Header::Local => (LOCAL, 0, Vec::new()),
        Header::Unknown => (PROXY, 0, Vec::new()),
        Header::Inet(inet) => {
            let (family, mut block) = match (inet.source.ip(), inet.destination.ip()) {
                (IpAddr::V4(source), IpAddr::V4(destination)) => {
                    (0x10, [source.octets(), destination.octets()].concat())
                }
                (IpAddr::V6(source), IpAddr::V6(destination)) => {
                    (0x20, [source.octets(), destination.octets()].concat())
                }
                // Nobody makes one: there is no such family.
                _ => return encode(&Header::Unknown),
            };
            block.extend(inet.source.port().to_be_bytes());
            block.extend(inet.destination.port().to_be_bytes());
            (PROXY, family | nibble(inet.transport), block)
        }
        Header::Unix(unix) => {
            let block = [unix.source.as_slice(), unix.destination.as_slice()].concat();
            (PROXY, 0x30 | nibble(unix.transport), block)
        }
    };
    let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
    let [high, low] = length.to_be_bytes();
    [&SIGNATURE, &[command, kind, high, low][..], &block].concat()
}

const fn nibble(transport: Transport) -> u8 {
    match transport {
        Transport::Stream => 1,
        Transport::Datagram => 2,
    }
}

/// The rest of a block.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk()?;
        self.0 = tail;
        Some(*head)
    }
}
