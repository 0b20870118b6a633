use std::sync::Arc;

use proptest::prelude::*;

use super::*;

/// A ClientHello as rustls sends it to `host`.
fn from_rustls(host: &str, alpn: &[&str], groups: Groups) -> Vec<u8> {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    if let Groups::PostQuantum = groups {
        provider.kx_groups = vec![rustls::crypto::aws_lc_rs::kx_group::X25519MLKEM768];
    }
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = host.to_owned().try_into().unwrap();
    let mut connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut bytes).unwrap();
    }
    bytes
}

#[derive(Clone, Copy)]
enum Groups {
    Classic,
    PostQuantum,
}

fn vector16(content: &[u8]) -> Vec<u8> {
    [
        &u16::try_from(content.len()).unwrap().to_be_bytes()[..],
        content,
    ]
    .concat()
}

fn extension(kind: u16, value: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector16(value)].concat()
}

fn server_name(host: &[u8]) -> Vec<u8> {
    extension(0, &vector16(&[&[0][..], &vector16(host)].concat()))
}

/// A handshake message with these extensions; `None` leaves the whole block out.
fn message(extensions: Option<&[Vec<u8>]>) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
    if let Some(extensions) = extensions {
        body.extend(vector16(&extensions.concat()));
    }
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[1, length[1], length[2], length[3]][..], &body].concat()
}

fn records(message: &[u8], size: usize) -> Vec<u8> {
    message
        .chunks(size)
        .flat_map(|part| [&[22, 3, 1][..], &vector16(part)].concat())
        .collect()
}

fn parse(bytes: &[u8]) -> Progress {
    ClientHelloReader::new().advance(bytes)
}

fn sni(bytes: &[u8]) -> Option<String> {
    match parse(bytes) {
        Progress::Complete(hello) => hello.sni,
        other => panic!("{other:?}"),
    }
}

#[test]
fn reads_sni_and_alpn_of_a_real_client() {
    let bytes = from_rustls("Shop.Example.COM", &["h2", "http/1.1"], Groups::Classic);
    let expect = ClientHello {
        sni: Some("shop.example.com".into()),
        alpn: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    };
    assert_eq!(parse(&bytes), Progress::Complete(expect));
}

#[test]
fn reads_a_large_key_share_over_any_segmentation() {
    let bytes = from_rustls("pq.example.com", &[], Groups::PostQuantum);
    assert!(bytes.len() > 1200);
    let mut reader = ClientHelloReader::new();
    for end in 0..bytes.len() {
        assert_eq!(reader.advance(&bytes[..end]), Progress::Incomplete, "{end}");
    }
    assert!(matches!(reader.advance(&bytes), Progress::Complete(hello)
        if hello.sni.as_deref() == Some("pq.example.com")));
}

#[test]
fn ip_addresses_and_missing_names_are_no_sni() {
    assert_eq!(sni(&from_rustls("10.1.2.3", &[], Groups::Classic)), None);
    assert_eq!(sni(&records(&message(None), 9999)), None);
    assert_eq!(sni(&records(&message(Some(&[])), 9999)), None);
    assert_eq!(
        sni(&records(&message(Some(&[server_name(b"10.0.0.1")])), 9999)),
        None
    );
    assert_eq!(
        sni(&records(&message(Some(&[server_name(b"::1")])), 9999)),
        None
    );
}

#[test]
fn grease_and_unknown_extensions_are_skipped() {
    let alpn = extension(16, &vector16(&[2, 0x0a, 0x0a, 2, b'h', b'2']));
    let extensions = [
        extension(0x0a0a, &[]),
        extension(51, &vec![0; 12_000]),
        server_name(b"a.example"),
        extension(0xfafa, &[0]),
        alpn,
        extension(21, &vec![0; 3_000]),
    ];
    let expect = ClientHello {
        sni: Some("a.example".into()),
        alpn: vec![vec![0x0a, 0x0a], b"h2".to_vec()],
    };
    assert_eq!(
        parse(&records(&message(Some(&extensions)), 4_000)),
        Progress::Complete(expect)
    );
}

#[test]
fn other_protocols_are_told_by_their_first_bytes() {
    for bytes in [
        &b"G"[..],
        b"GET / HTTP/1.1\r\n\r\n",
        b"SSH-2.0-x\r\n",
        b"\x16\x02",
        b"\x15\x03",
    ] {
        assert_eq!(
            parse(bytes),
            Progress::Invalid(ClientHelloError::NotTls),
            "{bytes:?}"
        );
    }
    let server_hello = records(&[2, 0, 0, 1, 0], 99);
    assert_eq!(
        parse(&server_hello),
        Progress::Invalid(ClientHelloError::NotClientHello)
    );
}

#[test]
fn wrong_lengths_and_names_are_refused() {
    let cases = [
        (vec![22, 3, 1, 0, 0], ClientHelloError::RecordLength),
        (vec![22, 3, 1, 0x40, 1], ClientHelloError::RecordLength),
        (records(&[1, 0xff, 0, 0], 9), ClientHelloError::TooLarge),
        (records(&[1, 0, 0, 2, 3, 3], 9), ClientHelloError::Malformed),
        (
            records(
                &message(Some(&[server_name(b"a.b"), server_name(b"c.d")])),
                999,
            ),
            ClientHelloError::Malformed,
        ),
        (
            records(&message(Some(&[server_name(b"a b")])), 999),
            ClientHelloError::ServerName,
        ),
        (
            records(&message(Some(&[server_name(b"a..b")])), 999),
            ClientHelloError::ServerName,
        ),
        (
            records(&message(Some(&[server_name(b"")])), 999),
            ClientHelloError::ServerName,
        ),
        (
            records(&message(Some(&[server_name(b"\xff.b")])), 999),
            ClientHelloError::ServerName,
        ),
        (
            records(&message(Some(&[extension(0, &[])])), 999),
            ClientHelloError::Malformed,
        ),
    ];
    for (bytes, error) in cases {
        assert_eq!(parse(&bytes), Progress::Invalid(error), "{bytes:?}");
    }
    assert_eq!(
        sni(&records(
            &message(Some(&[server_name(b"a_b.Example.")])),
            999
        ))
        .as_deref(),
        Some("a_b.example")
    );
}

#[test]
fn a_message_of_one_byte_records_ends_at_the_limit() {
    // 65,000 bytes of message in records of 6 bytes would be 390,000 bytes on the wire.
    let mut long = vec![1, 0, 0xfd, 0xe8];
    long.resize(65_004, 0);
    let bytes = records(&long, 1);
    let mut reader = ClientHelloReader::new();
    let mut end = 0;
    let progress = loop {
        end += 1_000;
        match reader.advance(&bytes[..end]) {
            Progress::Incomplete => assert!(end < MAX_CLIENT_HELLO),
            other => break other,
        }
    };
    assert_eq!(progress, Progress::Invalid(ClientHelloError::TooLarge));
    assert!(end <= MAX_CLIENT_HELLO + 1_000);
}

proptest! {
    #[test]
    fn any_split_into_records_and_segments_gives_the_same(
        record in 1usize..600,
        segments in proptest::collection::vec(1usize..900, 1..40),
        trailing in proptest::collection::vec(any::<u8>(), 0..50),
    ) {
        let extensions = [extension(51, &[9; 1_300]), server_name(b"split.example")];
        let mut bytes = records(&message(Some(&extensions)), record);
        bytes.extend(trailing);
        let mut reader = ClientHelloReader::new();
        let mut end = 0;
        let mut segments = segments.into_iter().cycle();
        let progress = loop {
            end = bytes.len().min(end + segments.next().unwrap());
            match reader.advance(&bytes[..end]) {
                Progress::Incomplete => prop_assert!(end < bytes.len()),
                other => break other,
            }
        };
        prop_assert_eq!(progress, parse(&bytes));
        prop_assert_eq!(sni(&bytes), Some("split.example".to_owned()));
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let _ = parse(&bytes);
        let _ = parse(&records(&[&[1, 0, 4, 0][..], &bytes].concat(), 16_384));
        let _ = parse_body(&bytes);
        let _ = parse_server_name(&bytes);
        let _ = parse_alpn(&bytes);
    }

    #[test]
    fn damaged_hellos_never_panic(at in 0usize..300, value in any::<u8>(), cut in 0usize..300) {
        let mut bytes = from_rustls("damaged.example", &["h2"], Groups::Classic);
        if let Some(byte) = bytes.get_mut(at) {
            *byte = value;
        }
        let _ = parse(&bytes);
        bytes.drain(..cut.min(bytes.len()));
        let _ = parse(&bytes);
    }
}
