//! Tricks that make two readers see different messages. Each is refused, or read in the one way that
//! the specification leaves.

use bytes::BytesMut;
use novaedge_http1::*;

/// Reads requests until something is refused; what was read is told by target and content.
fn requests(bytes: &str) -> (Vec<String>, bool) {
    let mut buffer = BytesMut::from(bytes.as_bytes());
    let mut seen = Vec::new();
    let mut reader = RequestReader::default();
    loop {
        let head = match reader.read(&mut buffer, HeadLimits::default()) {
            Ok(Some(head)) => head,
            Ok(None) => return (seen, false),
            Err(_) => return (seen, true),
        };
        let mut decoder = BodyDecoder::new(head.body, BodyLimits::default());
        let mut content = Vec::new();
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Piece::Data(data)) => content.extend_from_slice(&data),
                Ok(Piece::Trailers(_)) => {}
                Ok(Piece::End) => break,
                Ok(Piece::Incomplete) => return (seen, false),
                Err(_) => return (seen, true),
            }
        }
        seen.push(format!(
            "{} {}",
            head.target,
            String::from_utf8_lossy(&content)
        ));
    }
}

#[test]
fn what_hides_a_request_is_refused() {
    let inner = "GET /inner HTTP/1.1\r\nHost: a\r\n\r\n";
    for fields in [
        // CL.TE, TE.CL, and both with a disguise.
        "Content-Length: 6\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Content-Length: 6\r\nTransfer-Encoding: xchunked",
        "Content-Length: 6\r\nTransfer-Encoding : chunked",
        "Content-Length: 6\r\nTransfer-Encoding:\u{b}chunked",
        "Content-Length: 6\r\nTransfer-Encoding: \"chunked\"",
        "Content-Length: 6\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x",
        "Content-Length: 6\r\n Transfer-Encoding: chunked",
        "Content-Length: 6\r\nX: y\nTransfer-Encoding: chunked",
        "Content-Length: 6\r\nX: y\rTransfer-Encoding: chunked",
        "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\tx",
        "Transfer-Encoding: identity\r\nContent-Length: 6",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: chunked\0",
        "Transfer-Encoding\0: chunked",
        "Transfer-Encoding: chunk\u{212a}ed",
        // CL.CL.
        "Content-Length: 6\r\nContent-Length: 0",
        "Content-Length: 0\r\ncontent-length: 0",
        "Content-Length: 6,0",
        "Content-Length: 0 6",
        "Content-Length:\u{b}6",
        "Content-Length: 0x6",
        "Content-Length: 6\u{a0}",
        "Content-Length: 1e1",
        "Content-Length: \u{661}",
        "Content-Length: 18446744073709551622",
        "Content-Length : 6",
        "Content-Length",
        ": 6",
    ] {
        let text = format!("POST /outer HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n0\r\n\r\n{inner}");
        assert_eq!(requests(&text), (vec![], true), "{fields:?}");
    }
}

#[test]
fn names_that_only_look_like_framing_are_no_framing() {
    // Whoever takes these for framing is wrong, and sees that here they are ordinary fields.
    for fields in [
        "Content_Length: 5",
        "Transfer_Encoding: chunked",
        "XContent-Length: 5",
    ] {
        let text =
            format!("GET /outer HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\nGET /2 HTTP/1.1\r\n\r\n");
        assert_eq!(
            requests(&text),
            (vec!["/outer ".into(), "/2 ".into()], false)
        );
    }
}

#[test]
fn chunks_that_readers_disagree_about_are_refused() {
    let inner = "GET /inner HTTP/1.1\r\nHost: a\r\n\r\n";
    for chunks in [
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5;\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "100000000000000005\r\nhello\r\n0\r\n\r\n",
        "-1\r\nhello\r\n0\r\n\r\n",
        "\r\n0\r\n\r\n",
        "0\r\n GET /inner HTTP/1.1\r\n\r\n",
        "0\r\nGET /inner HTTP/1.1\r\nX: y\r\n\r\n",
        "0\n\n",
        "0\r\n\n",
        "0\r\r\n\r\n",
    ] {
        let text =
            format!("POST /outer HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}{inner}");
        assert_eq!(requests(&text), (vec![], true), "{chunks:?}");
    }
}

#[test]
fn what_follows_a_body_begins_where_the_body_ends() {
    let text = "POST /1 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcPOST /2 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
                3;x\r\ndef\r\n0\r\nT: 1\r\n\r\n\r\nGET /3 HTTP/1.1\r\n\r\n";
    let seen = ["/1 abc", "/2 def", "/3 "].map(str::to_owned);
    assert_eq!(requests(text), (seen.to_vec(), false));
    // RFC 9112 section 6.3: a request without either field has no body, whatever its method.
    let text = "POST /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n";
    assert_eq!(requests(text).0, ["/1 ", "/2 "]);
    // HTTP/0.9 has no version, so it is no request here.
    assert_eq!(requests("GET /1\r\n\r\n"), (vec![], true));
}
