//! Bodies: content, trailers, and where they end.

use bytes::BytesMut;
use novaedge_http1::*;

use crate::support::body;

const STEPS: [usize; 4] = [1, 2, 5, 4096];

fn chunked(text: &str, content: &str, rest: &str) {
    for step in STEPS {
        let got = body(text.as_bytes(), BodyLength::Chunked, step);
        assert_eq!(got.end, Ok(true), "{text:?} {step}");
        assert_eq!(got.content, content.as_bytes(), "{text:?} {step}");
        assert_eq!(got.rest, rest.as_bytes(), "{text:?} {step}");
    }
}

fn refused(text: &str, error: BodyError) {
    for step in STEPS {
        let got = body(text.as_bytes(), BodyLength::Chunked, step);
        assert_eq!(got.end, Err(error), "{text:?} {step}");
    }
}

#[test]
fn a_length_is_counted_to_its_last_byte() {
    for step in STEPS {
        let got = body(b"hello rest", BodyLength::Fixed(5), step);
        assert_eq!((got.content.as_slice(), got.end), (&b"hello"[..], Ok(true)));
        assert_eq!(got.rest, b" rest");
        assert_eq!(body(b"hell", BodyLength::Fixed(5), step).end, Ok(false));
        let got = body(b"rest", BodyLength::None, step);
        assert_eq!((got.end, got.rest.as_slice()), (Ok(true), &b"rest"[..]));
    }
    assert_eq!(body(b"", BodyLength::Fixed(0), 1).end, Ok(true));
}

#[test]
fn chunks_are_joined() {
    // RFC 9112 section 7.1.
    chunked("0\r\n\r\n", "", "");
    chunked(
        "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET",
        "hello world",
        "GET",
    );
    chunked("00a\r\n0123456789\r\n000\r\n\r\n", "0123456789", "");
    chunked("A\r\n0123456789\r\n0\r\n\r\n\r\n", "0123456789", "\r\n");
    // Section 7.1.1: "A recipient MUST ignore unrecognized chunk extensions."
    chunked("2;a=b;c=\"d e\" ; f\r\nhi\r\n0;x\r\n\r\n", "hi", "");
    chunked("2;\r\nhi\r\n0\r\n\r\n", "hi", "");
    // Line ends in the content are content.
    chunked("4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n", "");
}

#[test]
fn chunk_sizes_are_digits_alone() {
    for size in [
        "",
        " 5",
        "5 ",
        "+5",
        "-5",
        "0x5",
        "5h",
        "g",
        "5 ;a",
        "5\t",
        "ffffffffffffffff0",
        "10000000000000000",
        "\r\n5",
        ";a",
        "5,5",
        "5.0",
        "\u{ff15}",
    ] {
        refused(
            &format!("{size}\r\nhello\r\n0\r\n\r\n"),
            BodyError::ChunkSize,
        );
    }
    assert_eq!(
        body(b"ffffffffffffffff\r\nx", BodyLength::Chunked, 99).end,
        Ok(false),
        "64 bits fit"
    );
}

#[test]
fn lines_of_the_coding_end_with_cr_lf() {
    for text in [
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5;a\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhellox\r\n0\r\n\r\n",
        "5\r\nhello\rx0\r\n\r\n",
        "5\r\nhello\r\r\n0\r\n\r\n",
        "0\n\r\n",
    ] {
        refused(text, BodyError::ChunkEnd);
    }
    refused("0\r\n\n", BodyError::Trailers(HeadError::LineEnd));
    refused("0\r\nA: b\n\r\n", BodyError::Trailers(HeadError::LineEnd));
    refused("5;a\0\r\nhello\r\n0\r\n\r\n", BodyError::Extension);
}

#[test]
fn extensions_are_bounded_per_line_and_per_body() {
    let long = "a".repeat(300);
    refused(
        &format!("5;{long}\r\nhello\r\n"),
        BodyError::ExtensionTooLong,
    );
    refused(
        &format!("{}5\r\n", "0".repeat(300)),
        BodyError::ExtensionTooLong,
    );
    let many = format!("1;{}\r\nx\r\n", "a".repeat(200)).repeat(100);
    refused(&many, BodyError::ExtensionTooLong);
}

#[test]
fn trailers_are_read_and_those_that_mean_a_head_are_dropped() {
    // RFC 9110 section 6.5.1.
    let text = "2\r\nhi\r\n0\r\nX-Sum: 1\r\nHost: evil\r\nContent-Length: 9\r\n\
                Transfer-Encoding: chunked\r\nAuthorization: x\r\nX-Forwarded-For: 1\r\nGrpc-Status: 0\r\n\r\nrest";
    for step in STEPS {
        let got = body(text.as_bytes(), BodyLength::Chunked, step);
        let names: Vec<_> = got
            .trailers
            .keys()
            .map(|name| name.as_str().to_owned())
            .collect();
        assert_eq!(names.len(), 2, "{names:?}");
        assert_eq!(got.trailers["x-sum"], "1");
        assert_eq!(got.trailers["grpc-status"], "0");
        assert_eq!((got.end, got.rest.as_slice()), (Ok(true), &b"rest"[..]));
    }
    chunked("0\r\nHost: a\r\n\r\n", "", "");
    for (line, error) in [
        ("A : b", HeadError::FieldName),
        (" A: b", HeadError::Folding),
        ("A: \0", HeadError::FieldValue),
        ("GET / HTTP/1.1", HeadError::FieldName),
    ] {
        refused(&format!("0\r\n{line}\r\n\r\n"), BodyError::Trailers(error));
    }
    let many = format!("0\r\n{}\r\n", "A: b\r\n".repeat(101));
    refused(&many, BodyError::Trailers(HeadError::TooManyFields));
    let long = format!("0\r\nA: {}\r\n\r\n", "a".repeat(17 * 1024));
    refused(&long, BodyError::Trailers(HeadError::TooLarge));
}

#[test]
fn the_end_of_the_connection_ends_some_bodies_and_breaks_others() {
    let mut buffer = BytesMut::from("abc");
    let mut decoder = BodyDecoder::new(BodyLength::UntilClose, BodyLimits::default());
    assert_eq!(decoder.decode(&mut buffer), Ok(Piece::Data("abc".into())));
    assert_eq!(decoder.decode(&mut buffer), Ok(Piece::Incomplete));
    assert!(!decoder.is_done());
    assert_eq!(decoder.end_of_input(), Ok(()));
    assert!(decoder.is_done());
    for length in [BodyLength::Fixed(4), BodyLength::Chunked] {
        let mut decoder = BodyDecoder::new(length, BodyLimits::default());
        assert_eq!(decoder.end_of_input(), Err(BodyError::Incomplete));
        assert_eq!(decoder.decode(&mut buffer), Err(BodyError::Incomplete));
    }
    let mut decoder = BodyDecoder::new(BodyLength::Fixed(0), BodyLimits::default());
    assert_eq!(
        (decoder.end_of_input(), decoder.remaining()),
        (Ok(()), Some(0))
    );
}

#[test]
fn content_is_a_slice_of_what_was_received() {
    let mut buffer = BytesMut::from("5\r\nhello\r\n");
    let received = buffer.as_ptr_range();
    let mut decoder = BodyDecoder::new(BodyLength::Chunked, BodyLimits::default());
    let Ok(Piece::Data(data)) = decoder.decode(&mut buffer) else {
        panic!("a chunk was there");
    };
    assert!(received.contains(&data.as_ptr()));
}
