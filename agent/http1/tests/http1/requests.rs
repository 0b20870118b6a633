//! Request heads: what is read of good ones, and why bad ones are refused.

use bytes::BytesMut;
use http::Version;
use novaedge_http1::*;

use crate::support::{request, request_in_pieces};

fn head(bytes: &str) -> RequestHead {
    let (read, rest) = request(bytes.as_bytes());
    assert!(rest.is_empty(), "{bytes:?}");
    read.unwrap()
        .unwrap_or_else(|| panic!("{bytes:?} is incomplete"))
}

fn refused(bytes: &str, error: HeadError) {
    let (read, _) = request(bytes.as_bytes());
    assert_eq!(read.err(), Some(error), "{bytes:?}");
    for step in [1, 2, 7] {
        let (read, _) = request_in_pieces(bytes.as_bytes(), step);
        assert_eq!(read.err(), Some(error), "{bytes:?} in pieces of {step}");
    }
}

#[test]
fn a_head_is_read_as_it_was_written() {
    let text = "GET /a?b=c HTTP/1.1\r\nHost: a.example\r\nX-Two: 1\r\nx-two:\t 2 \t\r\n\
                X_Under: \u{e4}\r\nEmpty:\r\n\r\n";
    let got = head(text);
    assert_eq!(
        (got.method.as_str(), got.version),
        ("GET", Version::HTTP_11)
    );
    assert_eq!(got.target, "/a?b=c");
    assert_eq!(got.headers["host"], "a.example");
    let two: Vec<_> = got.headers.get_all("x-two").iter().collect();
    assert_eq!(two, ["1", "2"]);
    // RFC 9110 section 5.5: bytes beyond ASCII are opaque.
    assert_eq!(got.headers["x_under"].as_bytes(), "\u{e4}".as_bytes());
    assert_eq!(got.headers["empty"], "");
    assert_eq!(got.headers.len(), 5);
    assert_eq!(got.body, BodyLength::None);
}

#[test]
fn what_follows_a_head_is_left() {
    let (read, rest) = request(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhiGET");
    assert_eq!(read.unwrap().unwrap().body, BodyLength::Fixed(2));
    assert_eq!(rest, b"hiGET");
}

#[test]
fn empty_lines_before_a_request_are_ignored() {
    // RFC 9112 section 2.2: "SHOULD ignore at least one empty line (CRLF) received prior to the request-line".
    for text in [
        "\r\nGET / HTTP/1.1\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    ] {
        assert_eq!(head(text).target, "/");
        for step in 1..5 {
            let (read, _) = request_in_pieces(text.as_bytes(), step);
            assert!(read.unwrap().is_some(), "{step}");
        }
    }
    refused("\nGET / HTTP/1.1\r\n\r\n", HeadError::LineEnd);
    refused(&"\r\n".repeat(40_000), HeadError::TooLarge);
}

#[test]
fn request_lines_have_three_parts_and_one_space_between_them() {
    // RFC 9112 section 3: request-line = method SP request-target SP HTTP-version
    for line in [
        "GET /",
        "GET",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        " GET / HTTP/1.1",
        "GET / x HTTP/1.1",
        "GET / HTTP/1.1x",
        "GET / http/1.1",
        "GET / HTTP/1",
        "GET / HTTP/11",
        "GET / HTTP/1.10",
        "GET / HTTP/a.b",
        "GET /",
    ] {
        refused(
            &format!("{line}\r\nHost: a\r\n\r\n"),
            HeadError::RequestLine,
        );
    }
    for line in ["INVALID CONNECTION PREFACE", "GET / ICY/1.0", "GET / HTTP"] {
        refused(&format!("{line}\r\n\r\n"), HeadError::NotHttp);
    }
    refused("GET\t/\tHTTP/1.1\r\n\r\n", HeadError::RequestLine);
    refused("GET /\0 HTTP/1.1\r\n\r\n", HeadError::RequestLine);
    // RFC 9110 section 9.1: method = token
    refused("G@T / HTTP/1.1\r\n\r\n", HeadError::Method);
    refused("G(T / HTTP/1.1\r\n\r\n", HeadError::Method);
    // Who speaks TLS is told at once.
    refused("\u{16}\u{3}\u{1}", HeadError::Method);
}

#[test]
fn versions_other_than_1_0_and_1_1_are_not_supported() {
    // RFC 9110 section 15.6.6.
    for version in ["HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "HTTP/3.0"] {
        refused(&format!("GET / {version}\r\n\r\n"), HeadError::Version);
    }
    assert_eq!(HeadError::Version.status(), 505);
    assert_eq!(head("GET / HTTP/1.0\r\n\r\n").version, Version::HTTP_10);
}

#[test]
fn targets_have_a_form_that_fits_their_method() {
    // RFC 9112 section 3.2.
    for (method, target) in [
        ("GET", "/"),
        ("GET", "//a//b/../c?d?e"),
        ("GET", "/%00%zz"),
        ("GET", "http://a.example/b?c"),
        ("GET", "https://a.example:8443"),
        ("OPTIONS", "*"),
        ("OPTIONS", "/"),
        ("CONNECT", "a.example:443"),
        ("CONNECT", "[::1]:443"),
        ("M-SEARCH", "/"),
    ] {
        let got = head(&format!("{method} {target} HTTP/1.1\r\n\r\n"));
        assert_eq!(got.method.as_str(), method, "{target}");
    }
    for (method, target) in [
        ("GET", "*"),
        ("GET", "a.example:80"),
        ("GET", "a.example"),
        ("GET", "?a"),
        ("GET", "/a#b"),
        ("GET", "/\u{e4}"),
        ("GET", "http://"),
        ("GET", "http:///a"),
        ("GET", "ftp://a.example/"),
        ("GET", "http:/a"),
        ("OPTIONS", "**"),
        ("CONNECT", "/"),
        ("CONNECT", "a.example"),
        ("CONNECT", "http://a.example/"),
        ("CONNECT", "u@a.example:443"),
        ("CONNECT", "*"),
    ] {
        let text = format!("{method} {target} HTTP/1.1\r\n\r\n");
        let error = request(text.as_bytes()).0.err();
        // Bytes beyond ASCII are refused before the line is split.
        let expected = if target.is_ascii() {
            HeadError::Target
        } else {
            HeadError::RequestLine
        };
        assert_eq!(error, Some(expected), "{method} {target}");
    }
}

#[test]
fn field_lines_have_a_token_a_colon_and_text() {
    // RFC 9112 section 5.1: "No whitespace is allowed between the field name and colon"; section 5: field-line =
    // field-name ":" OWS field-value OWS; section 5.2: obs-fold is refused.
    for (line, error) in [
        ("Host : a", HeadError::FieldName),
        ("Host\t: a", HeadError::FieldName),
        (": a", HeadError::FieldName),
        ("Host", HeadError::FieldName),
        ("H st: a", HeadError::FieldName),
        ("H\u{e4}st: a", HeadError::FieldName),
        ("(Host): a", HeadError::FieldName),
        ("\"Host\": a", HeadError::FieldName),
        ("A: b\r\n c", HeadError::Folding),
        ("A: b\r\n\tc: d", HeadError::Folding),
        (" A: b", HeadError::Folding),
        // RFC 9110 section 5.5: "CR, LF, or NUL ... MUST either reject the message or replace".
        ("A: b\0c", HeadError::FieldValue),
        ("A: b\rc", HeadError::FieldValue),
        ("A: b\r", HeadError::FieldValue),
        ("A: \u{b}b", HeadError::FieldValue),
        ("A: b\u{7f}", HeadError::FieldValue),
        ("A\r: b", HeadError::FieldName),
        ("A: b\nC: d", HeadError::LineEnd),
        ("A: b\n", HeadError::LineEnd),
    ] {
        refused(&format!("GET / HTTP/1.1\r\n{line}\r\n\r\n"), error);
    }
    refused("GET / HTTP/1.1\n\n", HeadError::LineEnd);
    refused("GET / HTTP/1.1\r\nA: b\r\n\n", HeadError::LineEnd);
    refused("GET / HTTP/1.1\r\r\nA: b\r\n\r\n", HeadError::RequestLine);
}

#[test]
fn a_body_has_one_length_that_all_readers_agree_on() {
    // RFC 9112 sections 6.1, 6.2 and 6.3.
    for (fields, body) in [
        ("Content-Length: 0", BodyLength::Fixed(0)),
        ("Content-Length: 007", BodyLength::Fixed(7)),
        (
            "Content-Length: 18446744073709551615",
            BodyLength::Fixed(u64::MAX),
        ),
        ("Transfer-Encoding: chunked", BodyLength::Chunked),
        ("Transfer-Encoding: CHUNKED", BodyLength::Chunked),
        ("X: 1", BodyLength::None),
    ] {
        assert_eq!(
            head(&format!("PUT / HTTP/1.1\r\n{fields}\r\n\r\n")).body,
            body
        );
    }
    for (fields, error) in [
        (
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            HeadError::TwoLengths,
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 5",
            HeadError::TwoLengths,
        ),
        (
            "Content-Length: 5\r\nContent-Length: 5",
            HeadError::ContentLength,
        ),
        (
            "Content-Length: 5\r\nContent-Length: 6",
            HeadError::ContentLength,
        ),
        ("Content-Length: 5, 5", HeadError::ContentLength),
        ("Content-Length: ", HeadError::ContentLength),
        ("Content-Length: +5", HeadError::ContentLength),
        ("Content-Length: -5", HeadError::ContentLength),
        ("Content-Length: 0x5", HeadError::ContentLength),
        ("Content-Length: 5 5", HeadError::ContentLength),
        (
            "Content-Length: 18446744073709551616",
            HeadError::ContentLength,
        ),
        ("Transfer-Encoding: ", HeadError::CodingOrder),
        (
            "Transfer-Encoding: chunked, chunked",
            HeadError::CodingOrder,
        ),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            HeadError::CodingOrder,
        ),
        (
            "Transfer-Encoding: chunked, identity",
            HeadError::CodingOrder,
        ),
        ("Transfer-Encoding: chunked,", HeadError::CodingOrder),
        ("Transfer-Encoding: ,chunked", HeadError::CodingOrder),
        ("Transfer-Encoding: xchunked", HeadError::CodingOrder),
        ("Transfer-Encoding: chunked;q=1", HeadError::CodingOrder),
        ("Transfer-Encoding: \"chunked\"", HeadError::CodingOrder),
        ("Transfer-Encoding: identity", HeadError::CodingOrder),
        ("Transfer-Encoding: gzip, chunked", HeadError::Coding),
        (
            "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
            HeadError::Coding,
        ),
    ] {
        refused(&format!("PUT / HTTP/1.1\r\n{fields}\r\n\r\n"), error);
    }
    refused(
        "PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        HeadError::CodingVersion,
    );
    assert_eq!(HeadError::Coding.status(), 501);
    assert_eq!(HeadError::CodingOrder.status(), 400);
}

#[test]
fn connections_go_on_as_the_version_and_the_options_say() {
    // RFC 9112 section 9.3.
    let persists = |version: &str, fields: &str| {
        head(&format!("GET / {version}\r\n{fields}\r\n")).persistence == Persistence::KeepAlive
    };
    assert!(persists("HTTP/1.1", ""));
    assert!(persists("HTTP/1.1", "Connection: keep-alive, upgrade\r\n"));
    assert!(persists("HTTP/1.0", "Connection: Keep-Alive\r\n"));
    assert!(!persists("HTTP/1.0", ""));
    assert!(!persists("HTTP/1.1", "Connection: CLOSE\r\n"));
    assert!(!persists(
        "HTTP/1.1",
        "Connection: keep-alive\r\nConnection: te, close\r\n"
    ));
    assert!(!persists("HTTP/1.0", "Connection: keep-alive, close\r\n"));
}

#[test]
fn a_client_waits_for_100_only_with_a_body() {
    // RFC 9110 section 10.1.1.
    let expects =
        |text: &str| head(&format!("{text}Expect: 100-Continue\r\n\r\n")).expects_continue();
    assert!(expects("PUT / HTTP/1.1\r\nContent-Length: 1\r\n"));
    assert!(expects("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"));
    assert!(!expects("PUT / HTTP/1.1\r\n"));
    assert!(!expects("PUT / HTTP/1.0\r\nContent-Length: 1\r\n"));
}

#[test]
fn heads_are_bounded_in_bytes_and_fields() {
    let limits = HeadLimits {
        bytes: 64,
        fields: 2,
    };
    let read = |text: &str| {
        let mut buffer = BytesMut::from(text.as_bytes());
        let head = RequestReader::default().read(&mut buffer, limits);
        head.map(|head| head.is_some())
    };
    assert_eq!(read("GET / HTTP/1.1\r\nA: 1\r\nB: 2\r\n\r\n"), Ok(true));
    assert_eq!(
        read("GET / HTTP/1.1\r\nA: 1\r\nB: 2\r\nC: 3\r\n"),
        Err(HeadError::TooManyFields)
    );
    let filled = |count: usize| format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(count));
    assert_eq!(read(&filled(41)), Ok(true), "64 bytes");
    assert_eq!(read(&filled(42)), Err(HeadError::TooLarge));
    assert_eq!(read(&filled(4000)[..100]), Err(HeadError::TooLarge));
    assert_eq!(
        read(&format!("GET /{}", "a".repeat(100))),
        Err(HeadError::TargetTooLong)
    );
    assert_eq!(
        read(&format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(100))),
        Err(HeadError::TargetTooLong)
    );
    assert_eq!(HeadError::TargetTooLong.status(), 414);
    assert_eq!(HeadError::TooLarge.status(), 431);
    assert_eq!(HeadError::TooManyFields.status(), 431);
}

#[test]
fn values_are_slices_of_what_was_received() {
    let mut buffer = BytesMut::from("GET /target HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let received = buffer.as_ptr_range();
    let head = RequestReader::default().read(&mut buffer, HeadLimits::default());
    let value = head.unwrap().unwrap().headers["host"].as_bytes().as_ptr();
    assert!(received.contains(&value));
}
