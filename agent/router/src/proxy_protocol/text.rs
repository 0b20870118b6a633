//! Version 1: one line of text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Header, Inet, Parsed, ProxyProtocolError, Transport};

/// What a header begins with.
pub(super) const START: &[u8] = b"PROXY ";

/// The longest line with its end, by section 2.1.
const MAX_LINE: usize = 107;

/// Looks for the end of the line, then reads it: nothing is judged before the line is whole.
pub(super) fn parse(received: &[u8]) -> Parsed {
    let window = received.get(..MAX_LINE).unwrap_or(received);
    let Some(at) = window.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        return if window.len() == MAX_LINE {
            Err(ProxyProtocolError::LineTooLong)
        } else {
            Ok(None)
        };
    };
    let (line, end) = window.split_at(at);
    match end {
        [b'\r', b'\n', ..] => {
            let fields = line.strip_prefix(START).unwrap_or_default();
            Ok(Some((read(fields)?, at + 2)))
        }
        [b'\r'] if window.len() < MAX_LINE => Ok(None),
        [b'\r'] => Err(ProxyProtocolError::LineTooLong),
        _ => Err(ProxyProtocolError::LineEnd),
    }
}

/// The line behind `PROXY `.
fn read(fields: &[u8]) -> Result<Header, ProxyProtocolError> {
    // What follows UNKNOWN is to be ignored, whatever it is.
    if fields == b"UNKNOWN" || fields.starts_with(b"UNKNOWN ") {
        return Ok(Header::Unknown);
    }
    let fields = std::str::from_utf8(fields).map_err(|_| ProxyProtocolError::Line)?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let [family, source, destination, source_port, destination_port] = fields.as_slice() else {
        return Err(ProxyProtocolError::Line);
    };
    let address = match *family {
        "TCP4" => v4,
        "TCP6" => v6,
        _ => return Err(ProxyProtocolError::Line),
    };
    Ok(Header::Inet(Inet {
        transport: Transport::Stream,
        source: SocketAddr::new(address(source)?, port(source_port)?),
        destination: SocketAddr::new(address(destination)?, port(destination_port)?),
    }))
}

/// The standard parser wants four decimal numbers without leading zeros, as section 2.1 does.
fn v4(text: &str) -> Result<IpAddr, ProxyProtocolError> {
    text.parse::<Ipv4Addr>()
        .map(IpAddr::V4)
        .map_err(|_| ProxyProtocolError::Address)
}

fn v6(text: &str) -> Result<IpAddr, ProxyProtocolError> {
    text.parse::<Ipv6Addr>()
        .map(IpAddr::V6)
        .map_err(|_| ProxyProtocolError::Address)
}

fn port(text: &str) -> Result<u16, ProxyProtocolError> {
    let leading_zero = text.len() > 1 && text.starts_with('0');
    // The standard parser would take a sign.
    if leading_zero || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ProxyProtocolError::Port);
    }
    text.parse().map_err(|_| ProxyProtocolError::Port)
}

/// The line with its end.
pub(super) fn encode(header: &Header) -> Vec<u8> {
    let Header::Inet(inet) = header else {
        return b"PROXY UNKNOWN\r\n".to_vec();
    };
    let family = match (inet.transport, inet.source, inet.destination) {
        (Transport::Stream, SocketAddr::V4(_), SocketAddr::V4(_)) => "TCP4",
        (Transport::Stream, SocketAddr::V6(_), SocketAddr::V6(_)) => "TCP6",
        _ => return b"PROXY UNKNOWN\r\n".to_vec(),
    };
    let (source, destination) = (inet.source, inet.destination);
    format!(
        "PROXY {family} {} {} {} {}\r\n",
        source.ip(),
        destination.ip(),
        source.port(),
        destination.port(),
    )
    .into_bytes()
}
