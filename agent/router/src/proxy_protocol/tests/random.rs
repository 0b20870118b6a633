//! Headers, and nearly headers, against a naive reader, however their bytes come in.

use proptest::prelude::*;

use super::super::*;
use super::{SIGNATURE, binary, oracle, tlv};

/// The verdict on all bytes, after each prefix of them was judged as it must be.
fn in_pieces(bytes: &[u8]) -> Progress {
    let whole = parse(bytes);
    let mut decided = false;
    for end in 0..bytes.len() {
        let progress = parse(&bytes[..end]);
        match progress {
            Progress::Undecided => assert!(!decided && end < 12, "undecided at {end}"),
            Progress::Incomplete => {
                decided = true;
                let more = match &whole {
                    Progress::Complete(_, length) => end < *length,
                    _ => true,
                };
                assert!(more, "incomplete at {end}");
            }
            other => {
                assert_eq!(other, whole, "at {end}");
                return other;
            }
        }
    }
    whole
}

fn transports() -> impl Strategy<Value = Transport> {
    prop_oneof![Just(Transport::Stream), Just(Transport::Datagram)]
}

fn headers() -> impl Strategy<Value = Header> {
    let ports = (any::<u16>(), any::<u16>());
    let v4 = (any::<[u8; 4]>(), any::<[u8; 4]>(), ports, transports());
    let v6 = (any::<[u8; 16]>(), any::<[u8; 16]>(), ports, transports());
    let unix = (any::<[u8; 32]>(), any::<[u8; 32]>(), transports());
    let long = |short: [u8; 32]| {
        let mut long = Box::new([0; UNIX_ADDRESS]);
        long[..32].copy_from_slice(&short);
        long
    };
    prop_oneof![
        Just(Header::Local),
        Just(Header::Unknown),
        v4.prop_map(
            |(source, destination, ports, transport)| Header::Inet(Inet {
                transport,
                source: (source, ports.0).into(),
                destination: (destination, ports.1).into(),
            })
        ),
        v6.prop_map(
            |(source, destination, ports, transport)| Header::Inet(Inet {
                transport,
                source: (source, ports.0).into(),
                destination: (destination, ports.1).into(),
            })
        ),
        unix.prop_map(move |(source, destination, transport)| Header::Unix(Unix {
            transport,
            source: long(source),
            destination: long(destination),
        })),
    ]
}

fn versions() -> impl Strategy<Value = Version> {
    prop_oneof![Just(Version::V1), Just(Version::V2)]
}

/// Headers with TLVs of their own, some with wrong lengths.
fn with_tlvs() -> impl Strategy<Value = Vec<u8>> {
    let tlvs = proptest::collection::vec(any::<u8>(), 0..20);
    (0x1F..0x23_u8, any::<u8>(), 0..240_usize, tlvs).prop_map(|(command, kind, size, tlvs)| {
        let block = [vec![1; size], tlv(4, &tlvs), tlvs].concat();
        binary(command, kind & 0x33, &block)
    })
}

/// Lines from words that a line may have, and some that it may not.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let words = prop_oneof![
        Just("TCP4"),
        Just("TCP6"),
        Just("UNKNOWN"),
        Just("1.2.3.4"),
        Just("10.0.0.256"),
        Just("::1"),
        Just("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255"),
        Just("1"),
        Just("65535"),
        Just("007"),
        Just(""),
        Just("\r"),
        Just("\n"),
        Just("\u{e9}"),
    ];
    let end = prop_oneof![4 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r"), 1 => Just("")];
    (proptest::collection::vec(words, 1..9), end)
        .prop_map(|(words, end)| format!("PROXY {}{end}", words.join(" ")).into_bytes())
}

/// Lines that are right but for one word, at most.
fn nearly_right() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just("01"),
        Just("-1"),
        Just("1.2.3.4"),
        Just("::2"),
        Just("9")
    ];
    (0..6_usize, word).prop_map(|(at, word)| {
        let mut words = ["TCP4", "1.2.3.4", "5.6.7.8", "9", "10"];
        if let Some(place) = words.get_mut(at) {
            *place = word;
        }
        format!("PROXY {}\r\n", words.join(" ")).into_bytes()
    })
}

/// A byte that is another one, and bytes behind.
fn damaged(mut bytes: Vec<u8>, at: usize, flip: u8, behind: &[u8]) -> Vec<u8> {
    let at = at % bytes.len().max(1);
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= flip;
    }
    bytes.extend(behind);
    bytes
}

proptest! {
    #[test]
    fn what_is_sent_is_read(
        header in headers(),
        version in versions(),
        behind in proptest::collection::vec(any::<u8>(), 0..4),
    ) {
        let bytes = encode(version, &header);
        let length = bytes.len();
        let told = match (version, &header) {
            (Version::V2, _) => header,
            (Version::V1, Header::Inet(inet)) if inet.transport == Transport::Stream => header,
            (Version::V1, _) => Header::Unknown,
        };
        let bytes = [bytes, behind].concat();
        prop_assert_eq!(in_pieces(&bytes), Progress::Complete(told, length));
    }

    #[test]
    fn the_naive_reader_says_the_same(
        bytes in prop_oneof![
            (headers(), versions()).prop_map(|(header, version)| encode(version, &header)),
            with_tlvs(),
            lines(),
            nearly_right(),
        ],
        at in any::<usize>(),
        flip in prop_oneof![3 => Just(0), 1 => any::<u8>()],
        behind in proptest::collection::vec(any::<u8>(), 0..4),
    ) {
        let bytes = damaged(bytes, at, flip, &behind);
        let progress = in_pieces(&bytes);
        let said = match progress {
            Progress::Undecided | Progress::Incomplete => oracle::Verdict::More,
            Progress::Complete(header, length) => oracle::Verdict::Header(header, length),
            Progress::Invalid(_) => oracle::Verdict::No,
        };
        prop_assert_eq!(said, oracle::read(&bytes), "{:?}", bytes);
    }

    #[test]
    fn garbage_is_judged_alike_in_pieces(
        start in prop_oneof![Just(&b""[..]), Just(&b"PROXY "[..]), Just(SIGNATURE)],
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        in_pieces(&[start, &bytes].concat());
    }
}
