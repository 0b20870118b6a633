//! A naive reading of the specification: the whole header at once, a line by an expression.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use regex::Regex;

use super::super::{Header, Inet, Transport, Unix, checksum};
use super::SIGNATURE;

#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    More,
    Header(Header, usize),
    No,
}

pub(super) fn read(bytes: &[u8]) -> Verdict {
    let starts: [&[u8]; 2] = [b"PROXY ", SIGNATURE];
    if starts
        .iter()
        .any(|start| start.len() > bytes.len() && start.starts_with(bytes))
    {
        Verdict::More
    } else if bytes.starts_with(b"PROXY ") {
        line(bytes)
    } else if bytes.starts_with(SIGNATURE) {
        binary(bytes)
    } else {
        Verdict::No
    }
}

/// Every character is a byte, so that expressions see bytes.
fn line(bytes: &[u8]) -> Verdict {
    let text: String = bytes
        .iter()
        .take(107)
        .map(|byte| char::from(*byte))
        .collect();
    let byte = r"(0|[1-9][0-9]?|1[0-9][0-9]|2[0-4][0-9]|25[0-5])";
    let v4 = format!(r"({byte}\.{byte}\.{byte}\.{byte})");
    let port = r"(0|[1-9][0-9]{0,4})";
    let tcp4 = Regex::new(&format!(r"\APROXY TCP4 {v4} {v4} {port} {port}\r\n")).unwrap();
    let tcp6 = r"\APROXY TCP6 ([0-9a-fA-F:.]+) ([0-9a-fA-F:.]+) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})\r\n";
    let unknown = Regex::new(r"\APROXY UNKNOWN( [^\r\n]*)?\r\n").unwrap();
    if let Some(found) = unknown.find(&text) {
        return Verdict::Header(Header::Unknown, chars(found.as_str()));
    }
    let found = tcp4.captures(&text).map(|found| {
        let at = |index: usize| found.get(index).unwrap().as_str();
        let address = |index| at(index).parse::<IpAddr>().ok();
        (
            chars(at(0)),
            address(1),
            address(6),
            at(11).to_owned(),
            at(12).to_owned(),
        )
    });
    let found = found.or_else(|| {
        let found = Regex::new(tcp6).unwrap().captures(&text)?;
        let at = |index: usize| found.get(index).unwrap().as_str();
        let address = |index| at(index).parse::<Ipv6Addr>().map(IpAddr::V6).ok();
        Some((
            chars(at(0)),
            address(1),
            address(2),
            at(3).to_owned(),
            at(4).to_owned(),
        ))
    });
    if let Some((length, Some(source), Some(destination), one, other)) = found {
        return match (one.parse(), other.parse()) {
            (Ok(one), Ok(other)) => Verdict::Header(
                Header::Inet(Inet {
                    transport: Transport::Stream,
                    source: SocketAddr::new(source, one),
                    destination: SocketAddr::new(destination, other),
                }),
                length,
            ),
            _ => Verdict::No,
        };
    }
    let open = Regex::new(r"\A[^\r\n]*\r?\z").unwrap();
    if chars(&text) < 107 && open.is_match(&text) {
        Verdict::More
    } else {
        Verdict::No
    }
}

fn chars(text: &str) -> usize {
    text.chars().count()
}

fn binary(bytes: &[u8]) -> Verdict {
    let at = |index: usize| bytes.get(index).copied();
    if at(12).is_some_and(|byte| ![0x20, 0x21].contains(&byte))
        || at(13).is_some_and(|byte| byte & 15 > 2 || byte >> 4 > 3)
    {
        return Verdict::No;
    }
    let (Some(command), Some(kind), Some(high), Some(low)) = (at(12), at(13), at(14), at(15))
    else {
        return Verdict::More;
    };
    let length = 16 + usize::from(high) * 256 + usize::from(low);
    let known = command == 0x21 && kind & 15 != 0 && kind >> 4 != 0;
    let block = [0, 12, 36, 216][usize::from(kind >> 4)];
    if length > 4096 || (known && length < 16 + block) {
        return Verdict::No;
    }
    if bytes.len() < length {
        return Verdict::More;
    }
    if !known {
        let header = if command == 0x20 {
            Header::Local
        } else {
            Header::Unknown
        };
        return Verdict::Header(header, length);
    }
    let mut rest = &bytes[16 + block..length];
    while let [kind, high, low, value @ ..] = rest {
        let size = usize::from(*high) * 256 + usize::from(*low);
        if size > value.len() || (*kind == 3 && size != 4) {
            return Verdict::No;
        }
        if *kind == 3 {
            let start = length - value.len();
            let mut zeroed = bytes[..length].to_vec();
            zeroed[start..start + 4].fill(0);
            if checksum::crc32c([&zeroed[..]]).to_be_bytes() != value[..4] {
                return Verdict::No;
            }
        }
        rest = &value[size..];
    }
    if !rest.is_empty() {
        return Verdict::No;
    }
    Verdict::Header(addresses(&bytes[16..16 + block], kind), length)
}

fn addresses(block: &[u8], kind: u8) -> Header {
    let transport = [Transport::Stream, Transport::Datagram][usize::from(kind & 15) - 1];
    let port = |at: usize| u16::from(block[at]) * 256 + u16::from(block[at + 1]);
    let inet = |source: IpAddr, destination: IpAddr, ports: usize| {
        Header::Inet(Inet {
            transport,
            source: SocketAddr::new(source, port(ports)),
            destination: SocketAddr::new(destination, port(ports + 2)),
        })
    };
    let array16 = |at: usize| <[u8; 16]>::try_from(&block[at..at + 16]).unwrap();
    let array4 = |at: usize| <[u8; 4]>::try_from(&block[at..at + 4]).unwrap();
    match kind >> 4 {
        1 => inet(array4(0).into(), array4(4).into(), 8),
        2 => inet(array16(0).into(), array16(16).into(), 32),
        _ => Header::Unix(Unix {
            transport,
            source: Box::new(block[..108].try_into().unwrap()),
            destination: Box::new(block[108..].try_into().unwrap()),
        }),
    }
}
