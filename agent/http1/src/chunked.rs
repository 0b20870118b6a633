//! The chunked coding (RFC 9112 section 7.1).

use bytes::{Buf, BytesMut};
use http::header::{self, HeaderMap, HeaderName};

use crate::body::{Piece, take};
use crate::error::BodyError;
use crate::grammar::{hexadecimal, is_text};
use crate::limits::BodyLimits;
use crate::section::SectionEnd;

/// Where in the coding the next byte is. Each byte is looked at once and then gone.
#[derive(Debug)]
pub(crate) struct Chunked {
    limits: BodyLimits,
    state: State,
    /// Bytes of the line with the size so far.
    line: usize,
    /// Bytes of all extensions so far.
    extensions: usize,
}

#[derive(Debug)]
enum State {
    /// The digits of a size; whether there was one.
    Size(u64, bool),
    /// What follows the size, to the CR.
    Extension(u64),
    /// The LF after it.
    SizeEnd(u64),
    /// Content that is left of this chunk.
    Data(u64),
    /// The CR after the content.
    DataCr,
    /// The LF after the content.
    DataLf,
    /// After the last chunk.
    Trailers(SectionEnd),
}

impl Chunked {
    pub(crate) fn new(limits: BodyLimits) -> Self {
        Self {
            limits,
            state: State::Size(0, false),
            line: 0,
            extensions: 0,
        }
    }

    pub(crate) fn decode(&mut self, buffer: &mut BytesMut) -> Result<Piece, BodyError> {
        loop {
            match &mut self.state {
                State::Data(left) => {
                    let piece = take(buffer, left);
                    if *left == 0 {
                        self.state = State::DataCr;
                    }
                    return Ok(piece);
                }
                State::Trailers(end) => {
                    let section = end
                        .take(buffer, self.limits.trailers, 0)
                        .map_err(BodyError::Trailers)?;
                    let Some(section) = section else {
                        return Ok(Piece::Incomplete);
                    };
                    let trailers = section.fields(0).map_err(BodyError::Trailers)?;
                    let trailers = allowed(trailers);
                    return Ok(if trailers.is_empty() {
                        Piece::End
                    } else {
                        Piece::Trailers(trailers)
                    });
                }
                _ => {}
            }
            let Some(byte) = buffer.first().copied() else {
                return Ok(Piece::Incomplete);
            };
            buffer.advance(1);
            self.step(byte)?;
        }
    }

    /// Reads one byte of what surrounds the content.
    fn step(&mut self, byte: u8) -> Result<(), BodyError> {
        self.state = match self.state {
            State::Size(size, begun) => {
                self.count_line()?;
                match (hexadecimal(byte), byte) {
                    (Some(digit), _) => {
                        let size = size
                            .checked_mul(16)
                            .and_then(|size| size.checked_add(digit))
                            .ok_or(BodyError::ChunkSize)?;
                        State::Size(size, true)
                    }
                    // No blank before the semicolon: the grammar calls it bad whitespace, and readers
                    // differ in what they make of it.
                    (None, b';') if begun => State::Extension(size),
                    (None, b'\r') if begun => State::SizeEnd(size),
                    (None, b'\n') if begun => return Err(BodyError::ChunkEnd),
                    _ => return Err(BodyError::ChunkSize),
                }
            }
            State::Extension(size) => {
                self.count_line()?;
                self.extensions += 1;
                if self.extensions > self.limits.extensions {
                    return Err(BodyError::ExtensionTooLong);
                }
                match byte {
                    b'\r' => State::SizeEnd(size),
                    b'\n' => return Err(BodyError::ChunkEnd),
                    byte if is_text(byte) => State::Extension(size),
                    _ => return Err(BodyError::Extension),
                }
            }
            State::SizeEnd(size) => {
                expect(byte, b'\n')?;
                self.line = 0;
                if size == 0 {
                    State::Trailers(SectionEnd::default())
                } else {
                    State::Data(size)
                }
            }
            State::DataCr => {
                expect(byte, b'\r')?;
                State::DataLf
            }
            State::DataLf => {
                expect(byte, b'\n')?;
                State::Size(0, false)
            }
            State::Data(_) | State::Trailers(_) => return Ok(()),
        };
        Ok(())
    }

    fn count_line(&mut self) -> Result<(), BodyError> {
        self.line += 1;
        if self.line > self.limits.chunk_line {
            return Err(BodyError::ExtensionTooLong);
        }
        Ok(())
    }
}

fn expect(byte: u8, expected: u8) -> Result<(), BodyError> {
    if byte == expected {
        Ok(())
    } else {
        Err(BodyError::ChunkEnd)
    }
}

/// Fields that must stand in a head to be believed: framing, routing, connections, modifiers,
/// authentication, and how content is processed (RFC 9110 section 6.5.1).
const FORBIDDEN: [HeaderName; 38] = [
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TRAILER,
    header::TE,
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
    header::UPGRADE,
    header::HOST,
    header::VIA,
    header::FORWARDED,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    header::MAX_FORWARDS,
    header::EXPECT,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::IF_RANGE,
    header::RANGE,
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    header::PROXY_AUTHENTICATE,
    header::WWW_AUTHENTICATE,
    header::COOKIE,
    header::SET_COOKIE,
    header::AGE,
    header::CACHE_CONTROL,
    header::EXPIRES,
    header::DATE,
    header::LOCATION,
    header::RETRY_AFTER,
    header::CONTENT_ENCODING,
    header::CONTENT_TYPE,
    header::CONTENT_RANGE,
];

/// Trailers without the fields that have no meaning there.
fn allowed(mut trailers: HeaderMap) -> HeaderMap {
    for name in FORBIDDEN {
        trailers.remove(name);
    }
    trailers
}
