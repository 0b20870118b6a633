//! Messages into bytes. Heads go into a buffer that the caller sends together with the first bytes of
//! the body, in one vectored write.

use bytes::{BufMut, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Version};

/// What ends the content of a chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// The last chunk and an empty trailer section.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The end of a chunk, the last chunk and an empty trailer section.
pub const CHUNK_END_AND_LAST: &[u8] = b"\r\n0\r\n\r\n";

/// Tells a client to send its body.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What a head says of the length of its body. The fields of the message are never asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Nothing: there is no body, or it ends with the connection.
    Unsaid,
    /// `Content-Length`.
    Fixed(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// Writes the head of an HTTP/1.1 request. `Host` goes first (RFC 9110 section 7.2), and an empty path is
/// written as `/` (RFC 9112 section 3.2.1); lengths among
/// `headers` are left out, because `length` is how the body is really written.
pub fn request_head(
    out: &mut BytesMut,
    method: &Method,
    target: &str,
    headers: &HeaderMap,
    length: Length,
) {
    out.reserve(method.as_str().len() + target.len() + 64 + size(headers));
    out.put_slice(method.as_str().as_bytes());
    out.put_u8(b' ');
    if target.is_empty() || target.starts_with('?') {
        out.put_u8(b'/');
    }
    out.put_slice(target.as_bytes());
    out.put_slice(b" HTTP/1.1\r\n");
    for value in headers.get_all(header::HOST) {
        field(out, &header::HOST, value);
    }
    fields(out, headers, |name| *name != header::HOST);
    end(out, length);
}

/// Writes the head of a response. Lengths among `headers` are left out, because `length` is how the body
/// is really written.
pub fn response_head(
    out: &mut BytesMut,
    version: Version,
    status: StatusCode,
    headers: &HeaderMap,
    length: Length,
) {
    out.reserve(96 + size(headers));
    out.put_slice(if version == Version::HTTP_10 {
        b"HTTP/1.0 "
    } else {
        b"HTTP/1.1 "
    });
    out.put_slice(status.as_str().as_bytes());
    out.put_u8(b' ');
    out.put_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.put_slice(b"\r\n");
    fields(out, headers, |_| true);
    end(out, length);
}

/// Writes the line before the content of a chunk. A chunk without content would end the body, so
/// `length` must not be 0.
pub fn chunk_head(out: &mut BytesMut, length: usize) {
    let mut digits = [0; 16];
    let mut rest = length;
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b"0123456789abcdef"[rest % 16];
        rest /= 16;
        if rest == 0 {
            break;
        }
    }
    out.put_slice(digits.get(first..).unwrap_or_default());
    out.put_slice(b"\r\n");
}

/// Writes the last chunk and the trailer section.
pub fn trailers(out: &mut BytesMut, trailers: &HeaderMap) {
    out.put_slice(b"0\r\n");
    fields(out, trailers, |name| *name != header::HOST);
    out.put_slice(b"\r\n");
}

fn fields(out: &mut BytesMut, headers: &HeaderMap, wanted: impl Fn(&HeaderName) -> bool) {
    for (name, value) in headers {
        let is_length = *name == header::CONTENT_LENGTH || *name == header::TRANSFER_ENCODING;
        if !is_length && wanted(name) {
            field(out, name, value);
        }
    }
}

fn field(out: &mut BytesMut, name: &HeaderName, value: &HeaderValue) {
    out.put_slice(name.as_str().as_bytes());
    out.put_slice(b": ");
    out.put_slice(value.as_bytes());
    out.put_slice(b"\r\n");
}

fn end(out: &mut BytesMut, length: Length) {
    match length {
        Length::Unsaid => {}
        Length::Fixed(length) => {
            out.put_slice(b"content-length: ");
            decimal(out, length);
            out.put_slice(b"\r\n");
        }
        Length::Chunked => out.put_slice(b"transfer-encoding: chunked\r\n"),
    }
    out.put_slice(b"\r\n");
}

fn decimal(out: &mut BytesMut, number: u64) {
    let mut digits = [0; 20];
    let mut rest = number;
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b"0123456789"[usize::try_from(rest % 10).unwrap_or_default()];
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.put_slice(digits.get(first..).unwrap_or_default());
}

fn size(headers: &HeaderMap) -> usize {
    headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum()
}
