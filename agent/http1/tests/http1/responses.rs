//! Response heads.

use http::Version;
use novaedge_http1::*;

use crate::support::{response, response_in_pieces};

fn head(text: &str, asked: Asked) -> ResponseHead {
    let (read, _) = response(text.as_bytes(), asked);
    read.unwrap()
        .unwrap_or_else(|| panic!("{text:?} is incomplete"))
}

fn refused(text: &str, error: HeadError) {
    let (read, _) = response(text.as_bytes(), Asked::Other);
    assert_eq!(read.err(), Some(error), "{text:?}");
    for step in [1, 3] {
        let (read, _) = response_in_pieces(text.as_bytes(), Asked::Other, step);
        assert_eq!(read.err(), Some(error), "{text:?} in pieces of {step}");
    }
}

#[test]
fn status_lines_are_read() {
    // RFC 9112 section 4: status-line = HTTP-version SP status-code SP [ reason-phrase ]
    for line in [
        "HTTP/1.1 200 OK",
        "HTTP/1.1 200 ",
        "HTTP/1.1 200",
        "HTTP/1.1 200 \u{e4}\tb",
        "HTTP/1.1 200 OK: a",
    ] {
        let got = head(
            &format!("{line}\r\nContent-Length: 3\r\n\r\n"),
            Asked::Other,
        );
        assert_eq!((got.status.as_u16(), got.version), (200, Version::HTTP_11));
        assert_eq!(got.body, BodyLength::Fixed(3));
    }
    for line in [
        "HTTP/1.1  200 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 099 OK",
        "HTTP/1.1 +20 OK",
        "HTTP/1.1 200OK",
        "HTTP/1.1 200\tOK",
        "HTTP/1.1 200 O\0K",
        "HTTP/1.1",
        "HTTP/1.1\t200 OK",
        "ICY 200 OK",
        "HTTP/11 200 OK",
        " HTTP/1.1 200 OK",
        "GET / HTTP/1.1",
    ] {
        refused(&format!("{line}\r\n\r\n"), HeadError::StatusLine);
    }
    refused("HTTP/2.0 200 OK\r\n\r\n", HeadError::Version);
    refused("HTTP/1.1 200 OK\n\n", HeadError::LineEnd);
    refused("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", HeadError::Folding);
    refused("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", HeadError::FieldName);
}

#[test]
fn some_answers_have_no_body_whatever_their_fields_say() {
    // RFC 9112 section 6.3, rules 1 and 2.
    for fields in [
        "",
        "Content-Length: 9\r\n",
        "Transfer-Encoding: chunked\r\n",
    ] {
        for status in ["100", "101", "103", "199", "204", "304"] {
            let got = head(
                &format!("HTTP/1.1 {status} X\r\n{fields}\r\n"),
                Asked::Other,
            );
            assert_eq!(got.body, BodyLength::None, "{status} {fields}");
            assert_eq!(got.is_interim(), matches!(status, "100" | "103" | "199"));
        }
        let ok = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        assert_eq!(head(&ok, Asked::Head).body, BodyLength::None);
        assert_eq!(head(&ok, Asked::Connect).body, BodyLength::None);
        assert_ne!(head(&ok, Asked::Other).body, BodyLength::None);
        let refused = format!("HTTP/1.1 407 No\r\n{fields}\r\n");
        assert_ne!(head(&refused, Asked::Connect).body, BodyLength::None);
    }
}

#[test]
fn an_answer_without_a_length_ends_with_its_connection() {
    // RFC 9112 section 6.3, rule 8.
    let got = head(
        "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n",
        Asked::Other,
    );
    assert_eq!(
        (got.body, got.persistence),
        (BodyLength::UntilClose, Persistence::Close)
    );
    let got = head("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", Asked::Other);
    assert_eq!(
        (got.body, got.persistence),
        (BodyLength::Fixed(1), Persistence::Close)
    );
    let kept = "HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n";
    assert_eq!(head(kept, Asked::Other).persistence, Persistence::KeepAlive);
    let closed = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n";
    assert_eq!(head(closed, Asked::Other).persistence, Persistence::Close);
}

#[test]
fn answers_are_held_to_one_length_like_requests() {
    // RFC 9112 section 6.3: an answer that breaks this is not passed on.
    for (fields, error) in [
        (
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            HeadError::TwoLengths,
        ),
        (
            "Content-Length: 5\r\nContent-Length: 5",
            HeadError::ContentLength,
        ),
        ("Content-Length: five", HeadError::ContentLength),
        ("Transfer-Encoding: gzip, chunked", HeadError::Coding),
        ("Transfer-Encoding: gzip", HeadError::CodingOrder),
    ] {
        refused(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n"), error);
    }
    refused(
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        HeadError::CodingVersion,
    );
}

#[test]
fn nothing_stands_before_an_answer() {
    refused("\r\nHTTP/1.1 200 OK\r\n\r\n", HeadError::StatusLine);
}
