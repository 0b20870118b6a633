use super::*;

mod oracle;
mod random;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn inet(source: &str, destination: &str) -> Header {
    Header::Inet(Inet {
        transport: Transport::Stream,
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
    })
}

/// A binary header with this command and family, and the block behind it.
fn binary(command: u8, kind: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, kind], &length, block].concat()
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[kind], &length[..], value].concat()
}

const V4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 2, 0xDC, 4, 1, 0xBB];

fn v4() -> Header {
    inet("192.0.2.1:56324", "198.51.100.2:443")
}

#[test]
fn lines_of_version_1() {
    let long = format!("PROXY UNKNOWN {}\r\n", "f".repeat(91));
    for (line, expect) in [
        (
            "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n",
            inet("192.168.0.1:56324", "192.168.0.11:443"),
        ),
        (
            "PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n",
            inet("255.255.255.255:65535", "0.0.0.0:0"),
        ),
        (
            "PROXY TCP6 2001:db8::1 FE80::A 1 2\r\n",
            inet("[2001:db8::1]:1", "[fe80::a]:2"),
        ),
        (
            "PROXY TCP6 ::ffff:10.0.0.1 ::1 1 2\r\n",
            inet("[::ffff:10.0.0.1]:1", "[::1]:2"),
        ),
        ("PROXY UNKNOWN\r\n", Header::Unknown),
        ("PROXY UNKNOWN \r\n", Header::Unknown),
        ("PROXY UNKNOWN \u{ff} what it likes\r\n", Header::Unknown),
        (long.as_str(), Header::Unknown),
    ] {
        let bytes = [line.as_bytes(), b"GET / HTTP/1.1\r\n"].concat();
        let expect = Progress::Complete(expect, line.len());
        assert_eq!(parse(&bytes), expect, "{line:?}");
    }
    assert_eq!(long.len(), 107);
}

#[test]
fn lines_that_are_refused() {
    use ProxyProtocolError::{Address, Line, LineEnd, LineTooLong, NoHeader, Port};
    let long = format!("PROXY UNKNOWN {}\r\n", "f".repeat(92));
    for (line, error) in [
        ("GET / HTTP/1.1\r\n", NoHeader),
        ("proxy TCP4", NoHeader),
        ("PROXY\tTCP4", NoHeader),
        ("PROXY\r\n", NoHeader),
        (long.as_str(), LineTooLong),
        (&long[..107], LineTooLong),
        ("PROXY UNKNOWN\n", LineEnd),
        ("PROXY UNKNOWN\rX", LineEnd),
        ("PROXY UNKNOWN x\ny\r\n", LineEnd),
        ("PROXY \r\n", Line),
        ("PROXY UNKNOWNX\r\n", Line),
        ("PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n", Line),
        ("PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", Line),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", Line),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n", Line),
        ("PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n", Line),
        ("PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n", Line),
        ("PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n", Address),
        ("PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n", Address),
        ("PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n", Address),
        ("PROXY TCP4 1.2.3.4 ::1 1 2\r\n", Address),
        ("PROXY TCP6 1.2.3.4 ::1 1 2\r\n", Address),
        ("PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", Address),
        ("PROXY TCP6 1::2::3 ::1 1 2\r\n", Address),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n", Port),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", Port),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", Port),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n", Port),
    ] {
        assert_eq!(parse(line.as_bytes()), Progress::Invalid(error), "{line:?}");
    }
}

#[test]
fn headers_of_version_2() {
    let v6 = [[7; 16], [8; 16]].concat();
    let v6 = [&v6[..], &[0, 1, 0, 2]].concat();
    let unix = [[b'a'; 108], [0; 108]].concat();
    let with_tlvs = [&V4[..], &tlv(1, b"h2"), &tlv(4, &[]), &tlv(0xEA, &[9; 300])].concat();
    let datagram = |header| match header {
        Header::Inet(inet) => Header::Inet(Inet {
            transport: Transport::Datagram,
            ..inet
        }),
        other => other,
    };
    let v6_header = inet(
        "[707:707:707:707:707:707:707:707]:1",
        "[808:808:808:808:808:808:808:808]:2",
    );
    let unix_header = |transport| {
        Header::Unix(Unix {
            transport,
            source: Box::new([b'a'; 108]),
            destination: Box::new([0; 108]),
        })
    };
    for (bytes, expect) in [
        (binary(0x20, 0, &[]), Header::Local),
        // The block and the family of LOCAL are discarded, whatever they are.
        (binary(0x20, 0x11, &[]), Header::Local),
        (binary(0x20, 0x11, &[1; 7]), Header::Local),
        (binary(0x21, 0, &[]), Header::Unknown),
        (binary(0x21, 0, &[1; 5]), Header::Unknown),
        (binary(0x21, 0x10, &[]), Header::Unknown),
        (binary(0x21, 0x02, &[]), Header::Unknown),
        (binary(0x21, 0x11, &V4), v4()),
        (binary(0x21, 0x11, &with_tlvs), v4()),
        (binary(0x21, 0x12, &V4), datagram(v4())),
        (binary(0x21, 0x21, &v6), v6_header.clone()),
        (binary(0x21, 0x22, &v6), datagram(v6_header)),
        (binary(0x21, 0x31, &unix), unix_header(Transport::Stream)),
        (binary(0x21, 0x32, &unix), unix_header(Transport::Datagram)),
    ] {
        let length = bytes.len();
        let bytes = [&bytes[..], b"\x16\x03\x01"].concat();
        assert_eq!(parse(&bytes), Progress::Complete(expect, length));
    }
}

#[test]
fn headers_of_version_2_that_are_refused() {
    use ProxyProtocolError::{Command, Family, NoHeader, Tlv, TooLong, TooShort, Version};
    let cut = |tlv: &[u8]| binary(0x21, 0x11, &[&V4[..], tlv].concat());
    for (bytes, error) in [
        (b"\r\n\r\n\0\r\nQUIT\r".to_vec(), NoHeader),
        (binary(0x11, 0, &[]), Version(1)),
        (binary(0x30, 0, &[]), Version(3)),
        (binary(0x22, 0, &[]), Command(2)),
        (binary(0x21, 0x41, &[]), Family(4)),
        (binary(0x20, 0xF0, &[]), Family(15)),
        (binary(0x21, 0x13, &V4), ProxyProtocolError::Transport(3)),
        (binary(0x21, 0x11, &V4[..11]), TooShort),
        (binary(0x21, 0x21, &V4), TooShort),
        (binary(0x21, 0x31, &[0; 215]), TooShort),
        (binary(0x20, 0, &[0; 4081]), TooLong),
        (cut(&[4]), Tlv),
        (cut(&[4, 0]), Tlv),
        (cut(&[4, 0, 1]), Tlv),
        (cut(&tlv(3, &[0; 3])), Tlv),
    ] {
        assert_eq!(parse(&bytes), Progress::Invalid(error), "{bytes:?}");
    }
    assert!(matches!(
        parse(&binary(0x20, 0, &[0; 4080])),
        Progress::Complete(Header::Local, MAX_HEADER)
    ));
}

#[test]
fn a_checksum_is_verified() {
    let mut bytes = binary(
        0x21,
        0x11,
        &[&V4[..], &tlv(3, &[0; 4]), &tlv(4, b"!")].concat(),
    );
    let sum = checksum::crc32c([&bytes[..]]).to_be_bytes();
    let at = 16 + V4.len() + 3;
    bytes[at..at + 4].copy_from_slice(&sum);
    assert_eq!(parse(&bytes), Progress::Complete(v4(), bytes.len()));
    let kind = 16 + V4.len();
    for at in (16..bytes.len()).filter(|at| *at != kind) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(
            matches!(parse(&damaged), Progress::Invalid(_) | Progress::Incomplete),
            "byte {at}"
        );
    }
}

#[test]
fn what_is_sent() {
    let mixed = Header::Inet(Inet::stream(
        "192.0.2.1:5".parse().unwrap(),
        "[2001:db8::1%7]:6".parse().unwrap(),
    ));
    let mapped = Header::Inet(Inet::stream(
        "[::ffff:192.0.2.1]:56324".parse().unwrap(),
        "198.51.100.2:443".parse().unwrap(),
    ));
    assert_eq!(
        encode(Version::V1, &mixed),
        b"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::1 5 6\r\n"
    );
    assert_eq!(
        encode(Version::V1, &mapped),
        b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"
    );
    assert_eq!(encode(Version::V2, &mapped), binary(0x21, 0x11, &V4));
    assert_eq!(encode(Version::V1, &Header::Local), b"PROXY UNKNOWN\r\n");
    assert_eq!(encode(Version::V2, &Header::Local), binary(0x20, 0, &[]));
}
