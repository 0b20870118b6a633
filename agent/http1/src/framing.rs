//! How long a body is, and whether its connection goes on (RFC 9112 sections 6 and 9).

use http::Version;
use http::header::{self, HeaderMap};

use crate::error::HeadError;
use crate::grammar::{decimal, members};

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// There is no body, whatever the fields say.
    None,
    /// So many bytes.
    Fixed(u64),
    /// Chunks, then trailers.
    Chunked,
    /// Everything until the connection ends; only in responses.
    UntilClose,
}

/// Whether the sender of a message goes on with the connection after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// Another message may follow.
    KeepAlive,
    /// The connection ends.
    Close,
}

/// What the fields say of the body; `None`: nothing.
///
/// Stricter than RFC 9112 section 6.3: identical lengths are refused as well, and so is a length beside
/// a coding, because either shows that something before us reads messages in another way.
pub(crate) fn declared(
    headers: &HeaderMap,
    version: Version,
) -> Result<Option<BodyLength>, HeadError> {
    let length = content_length(headers)?;
    if !headers.contains_key(header::TRANSFER_ENCODING) {
        return Ok(length.map(BodyLength::Fixed));
    }
    if version == Version::HTTP_10 {
        return Err(HeadError::CodingVersion);
    }
    if length.is_some() {
        return Err(HeadError::TwoLengths);
    }
    transfer_coding(headers)?;
    Ok(Some(BodyLength::Chunked))
}

fn content_length(headers: &HeaderMap) -> Result<Option<u64>, HeadError> {
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(HeadError::ContentLength);
    }
    decimal(first.as_bytes())
        .map(Some)
        .ok_or(HeadError::ContentLength)
}

/// Exactly one `chunked`, or an error that tells a coding that is not understood from an order that is
/// not valid. Empty members of the list are refused: other readers may see the end of the list there.
fn transfer_coding(headers: &HeaderMap) -> Result<(), HeadError> {
    let mut others = 0_usize;
    let mut ended = false;
    for value in headers.get_all(header::TRANSFER_ENCODING) {
        for coding in members(value.as_bytes()) {
            if ended || coding.is_empty() {
                return Err(HeadError::CodingOrder);
            }
            if coding.eq_ignore_ascii_case(b"chunked") {
                ended = true;
            } else {
                others += 1;
            }
        }
    }
    match (ended, others) {
        (true, 0) => Ok(()),
        (true, _) => Err(HeadError::Coding),
        (false, _) => Err(HeadError::CodingOrder),
    }
}

/// What `Connection` says (RFC 9112 section 9.3): `close` has the last word, and HTTP/1.0 goes on only
/// when it asks to.
pub(crate) fn persistence(headers: &HeaderMap, version: Version) -> Persistence {
    let mut keep_alive = version != Version::HTTP_10;
    for value in headers.get_all(header::CONNECTION) {
        for option in members(value.as_bytes()) {
            if option.eq_ignore_ascii_case(b"close") {
                return Persistence::Close;
            }
            keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }
    if keep_alive {
        Persistence::KeepAlive
    } else {
        Persistence::Close
    }
}
