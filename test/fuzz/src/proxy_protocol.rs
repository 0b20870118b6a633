//! What a proxy says of its client, or what a client says in its place.

use novaedge_router::proxy_protocol::{Header, MAX_HEADER, Progress, Version, encode, parse};

/// However the bytes come in, the parser says the same of them, and what it understood reads the same
/// when it is sent on.
pub fn run(bytes: &[u8]) {
    let whole = parse(bytes);
    let mut decided = false;
    for end in 0..=bytes.len().min(MAX_HEADER) {
        match parse(bytes.get(..end).unwrap_or_default()) {
            Progress::Undecided => assert!(!decided, "undecided at {end}"),
            Progress::Incomplete => decided = true,
            progress => {
                assert_eq!(progress, whole, "at {end}");
                break;
            }
        }
    }
    let Progress::Complete(header, length) = whole else {
        return;
    };
    assert!(length <= bytes.len().min(MAX_HEADER));
    for version in [Version::V1, Version::V2] {
        let sent = encode(version, &header);
        let Progress::Complete(read, length) = parse(&sent) else {
            panic!("{sent:?} is no header");
        };
        assert_eq!(length, sent.len());
        if version == Version::V2 || read != Header::Unknown {
            assert_eq!(read, header);
        }
    }
}
