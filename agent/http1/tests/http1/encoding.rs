//! Messages into bytes, and back.

use bytes::BytesMut;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use novaedge_http1::encode::{self, Length};
use novaedge_http1::*;

use crate::support::{body, request, response};

fn fields() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("x-a", HeaderValue::from_static("1"));
    headers.append("x-a", HeaderValue::from_static("2"));
    headers.insert(header::HOST, HeaderValue::from_static("a.example"));
    headers
}

#[test]
fn request_heads_begin_with_the_host() {
    let mut out = BytesMut::new();
    encode::request_head(&mut out, &Method::PUT, "/a?b", &fields(), Length::Fixed(12));
    let text =
        "PUT /a?b HTTP/1.1\r\nhost: a.example\r\nx-a: 1\r\nx-a: 2\r\ncontent-length: 12\r\n\r\n";
    assert_eq!(out, text);
    assert_eq!(
        request(&out).0.unwrap().unwrap().body,
        BodyLength::Fixed(12)
    );
}

#[test]
fn an_empty_path_is_written_as_a_slash() {
    for (target, line) in [
        ("", "GET / HTTP"),
        ("?a", "GET /?a HTTP"),
        ("*", "GET * HTTP"),
    ] {
        let mut out = BytesMut::new();
        encode::request_head(&mut out, &Method::GET, target, &fields(), Length::Unsaid);
        assert!(out.starts_with(line.as_bytes()), "{target}");
    }
}

#[test]
fn lengths_are_those_of_the_body_and_not_those_among_the_fields() {
    let mut headers = fields();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("99"));
    headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("gzip"));
    for (length, expected) in [
        (Length::Unsaid, BodyLength::None),
        (Length::Fixed(u64::MAX), BodyLength::Fixed(u64::MAX)),
        (Length::Fixed(0), BodyLength::Fixed(0)),
        (Length::Chunked, BodyLength::Chunked),
    ] {
        let mut out = BytesMut::new();
        encode::request_head(&mut out, &Method::POST, "/", &headers, length);
        assert_eq!(request(&out).0.unwrap().unwrap().body, expected);
    }
}

#[test]
fn response_heads_name_version_and_status() {
    for (version, status, line) in [
        (Version::HTTP_11, 200, "HTTP/1.1 200 OK\r\n"),
        (Version::HTTP_10, 404, "HTTP/1.0 404 Not Found\r\n"),
        (Version::HTTP_11, 299, "HTTP/1.1 299 \r\n"),
    ] {
        let mut out = BytesMut::new();
        let status = StatusCode::from_u16(status).unwrap();
        encode::response_head(
            &mut out,
            version,
            status,
            &HeaderMap::new(),
            Length::Fixed(0),
        );
        assert_eq!(out, format!("{line}content-length: 0\r\n\r\n"));
        assert_eq!(
            response(&out, Asked::Other).0.unwrap().unwrap().status,
            status
        );
    }
}

#[test]
fn chunks_and_trailers_are_read_back() {
    for length in [1, 9, 10, 15, 16, 255, 256, 70_000] {
        let content = vec![b'x'; length];
        let mut out = BytesMut::new();
        encode::chunk_head(&mut out, length);
        out.extend_from_slice(&content);
        out.extend_from_slice(encode::CHUNK_END);
        let mut plain = out.clone();
        plain.extend_from_slice(encode::LAST_CHUNK);
        let got = body(&plain, BodyLength::Chunked, 4096);
        assert_eq!((got.content, got.end), (content.clone(), Ok(true)));
        encode::trailers(&mut out, &fields());
        let got = body(&out, BodyLength::Chunked, 4096);
        assert_eq!((got.content, got.end), (content, Ok(true)));
        assert_eq!(got.trailers.get_all("x-a").iter().count(), 2);
    }
}
