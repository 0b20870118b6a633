//! However bytes come in, the codec says the same of them, and what the naive oracle says.

use http::Version;
use novaedge_http1::*;
use proptest::prelude::*;

use crate::oracle::{self, Length};
use crate::support::{body, request, request_in_pieces, response, response_in_pieces};

/// Mostly valid lines, some broken ones.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let names = prop::sample::select(vec![
        "Host",
        "X-A",
        "x_b",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "",
        "A ",
        " A",
        "A\r",
        "A\0",
        "\u{e4}",
    ]);
    let values = prop::sample::select(vec![
        "a",
        "",
        " 5 ",
        "5",
        "05",
        "chunked",
        " Chunked\t",
        "gzip, chunked",
        "a b\tc",
        "\u{e4}",
        "a\0",
        "a\rb",
        "a\nb",
        "\u{7f}",
        "a\r\n b",
        "18446744073709551616",
        "5,5",
        "close",
    ]);
    let colons = prop::sample::select(vec![":", ":", ":", ": ", " :", ""]);
    (names, colons, values)
        .prop_map(|(name, colon, value)| format!("{name}{colon}{value}").into_bytes())
}

fn start() -> impl Strategy<Value = Vec<u8>> {
    let methods = prop::sample::select(vec![
        "GET", "GET", "POST", "OPTIONS", "CONNECT", "m!", "G@T", "",
    ]);
    let targets = prop::sample::select(vec![
        "/",
        "/a?b",
        "*",
        "a:1",
        "http://a/",
        "http://a",
        "/a#b",
        "/\u{e4}",
        "/\0",
        "",
        "/a b",
        "b",
    ]);
    let versions = prop::sample::select(vec![
        "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "http/1.1", "",
    ]);
    let blanks = prop::sample::select(vec![" ", " ", " ", " ", "  ", "\t"]);
    (methods, blanks, targets, versions).prop_map(|(method, blank, target, version)| {
        format!("{method}{blank}{target} {version}").into_bytes()
    })
}

fn head() -> impl Strategy<Value = Vec<u8>> {
    let ends = || {
        prop::sample::select(vec![
            "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r",
        ])
    };
    let lines = prop::collection::vec((line(), ends()), 0..5);
    let before = prop::sample::select(vec!["", "", "", "\r\n", "\r\n\r\n", "\n"]);
    (before, start(), ends(), lines, ends(), 0..3_usize).prop_map(
        |(before, start, end, lines, last, extra)| {
            let mut bytes = before.as_bytes().to_vec();
            bytes.extend([start.as_slice(), end.as_bytes()].concat());
            for (line, end) in lines {
                bytes.extend([line.as_slice(), end.as_bytes()].concat());
            }
            bytes.extend(last.as_bytes());
            bytes.extend(&b"GET"[..extra]);
            bytes
        },
    )
}

fn chunks() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "3\r\nabc\r\n",
        "1;x=y\r\nz\r\n",
        "0a\r\n0123456789\r\n",
        "0\r\n\r\n",
        "0\r\nA: b\r\n\r\n",
        "0\r\n",
        "3\r\nab",
        "c\r\n",
        "3\nabc\r\n",
        "+1\r\na\r\n",
        "1 \r\na\r\n",
        ";\r\n",
        "\r\n",
        "\n",
        "1\r\na\n",
        "ffffffffffffffff\r\n",
        "10000000000000000\r\n",
        "A : b\r\n",
        "1;\0\r\na\r\n",
        "GET",
    ]);
    prop::collection::vec(pieces, 0..6).prop_map(|pieces| pieces.concat().into_bytes())
}

/// A byte somewhere becomes another one, or none does.
fn damaged(bytes: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop::sample::select(vec![
        b'\r', b'\n', b' ', b'\t', b':', 0, b'a', 0x80, b';', b'0',
    ]);
    (
        bytes,
        prop::option::weighted(0.3, (any::<prop::sample::Index>(), byte)),
    )
        .prop_map(|(mut bytes, damage)| {
            if let Some((at, byte)) = damage
                && !bytes.is_empty()
            {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_request_head_is_what_the_oracle_reads(bytes in damaged(head())) {
        let (read, rest) = request(&bytes);
        match oracle::request(&bytes) {
            Err(()) => prop_assert!(read.is_err(), "{:?}", read),
            // What can still become a head may also be refused before its end.
            Ok(None) => prop_assert!(!matches!(read, Ok(Some(_)))),
            Ok(Some(seen)) => {
                let head = read.map_err(|error| TestCaseError::fail(format!("{error}: {seen:?}")))?;
                let head = head.ok_or_else(|| TestCaseError::fail("incomplete"))?;
                prop_assert_eq!(head.method.as_str(), &seen.method);
                prop_assert_eq!(head.version == Version::HTTP_11, seen.minor == 1);
                let expected = match seen.body {
                    Length::None => BodyLength::None,
                    Length::Fixed(length) => BodyLength::Fixed(length),
                    Length::Chunked => BodyLength::Chunked,
                };
                prop_assert_eq!(head.body, expected);
                prop_assert_eq!(bytes.len() - rest.len(), seen.bytes);
                let mut found: Vec<_> = head.headers.iter()
                    .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
                    .collect();
                // The map keeps the order of values of one name, not that of names.
                let mut fields = seen.fields;
                fields.sort_by(|a, b| a.0.cmp(&b.0));
                found.sort_by(|a, b| a.0.cmp(&b.0));
                prop_assert_eq!(found, fields);
            }
        }
    }

    #[test]
    fn a_request_head_is_the_same_in_pieces(bytes in damaged(head())) {
        let whole = request(&bytes);
        for step in 1..=bytes.len().min(9) {
            let pieces = request_in_pieces(&bytes, step);
            prop_assert_eq!(format!("{:?}", pieces.0), format!("{:?}", whole.0), "{}", step);
            if pieces.0.is_ok() {
                prop_assert_eq!(&pieces.1, &whole.1);
            }
        }
        // Split once, at every byte.
        for at in 0..bytes.len() {
            let mut buffer = bytes::BytesMut::from(&bytes[..at]);
            let mut reader = RequestReader::default();
            let first = reader.read(&mut buffer, HeadLimits::default());
            let read = match first {
                Ok(None) => {
                    buffer.extend_from_slice(&bytes[at..]);
                    reader.read(&mut buffer, HeadLimits::default())
                }
                decided => decided,
            };
            prop_assert_eq!(format!("{:?}", read), format!("{:?}", whole.0), "{}", at);
        }
    }

    #[test]
    fn a_response_head_is_the_same_in_pieces(lines in damaged(head()), status in 0..1200_u16) {
        let mut bytes = format!("HTTP/1.1 {status} OK\r\n").into_bytes();
        bytes.extend(lines.iter().skip_while(|byte| **byte != b'\n').skip(1));
        let whole = response(&bytes, Asked::Other);
        for step in 1..=bytes.len().min(9) {
            let pieces = response_in_pieces(&bytes, Asked::Other, step);
            prop_assert_eq!(format!("{:?}", pieces.0), format!("{:?}", whole.0), "{}", step);
        }
    }

    #[test]
    fn a_chunked_body_is_what_the_oracle_reads(bytes in damaged(chunks())) {
        let whole = body(&bytes, BodyLength::Chunked, usize::MAX);
        match oracle::chunked(&bytes) {
            Err(()) => prop_assert!(whole.end.is_err(), "{:?}", whole),
            Ok(None) => prop_assert_ne!(whole.end, Ok(true)),
            Ok(Some((content, taken))) => {
                prop_assert_eq!(whole.end, Ok(true));
                prop_assert_eq!(&whole.content, &content);
                prop_assert_eq!(bytes.len() - whole.rest.len(), taken);
            }
        }
        for step in 1..=bytes.len().min(9) {
            let pieces = body(&bytes, BodyLength::Chunked, step);
            prop_assert_eq!(&pieces, &whole, "{}", step);
        }
    }
}
