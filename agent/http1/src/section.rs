//! A section of lines that ends with an empty one: a head, or trailers.

use bytes::{Bytes, BytesMut};
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::error::HeadError;
use crate::grammar::{is_token, trim};
use crate::limits::HeadLimits;

/// Fields that a gateway usually adds, so that the map need not grow for them.
const ROOM: usize = 6;

/// Looks for the end of a section, and remembers how far it has looked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SectionEnd {
    /// Bytes looked at.
    scanned: usize,
    /// Where the line begins that has not ended yet.
    line: usize,
    /// Lines that have ended.
    lines: usize,
}

/// A whole section, with the empty line.
#[derive(Debug)]
pub(crate) struct Section {
    bytes: Bytes,
    lines: usize,
}

impl SectionEnd {
    /// Takes the section from `buffer` when all of it is there. `start_lines` stand before the fields.
    pub(crate) fn take(
        &mut self,
        buffer: &mut BytesMut,
        limits: HeadLimits,
        start_lines: usize,
    ) -> Result<Option<Section>, HeadError> {
        loop {
            let unseen = buffer.get(self.scanned..).unwrap_or_default();
            let Some(offset) = memchr::memchr(b'\n', unseen) else {
                self.scanned = buffer.len();
                return if buffer.len() > limits.bytes {
                    Err(HeadError::TooLarge)
                } else {
                    Ok(None)
                };
            };
            let end = self.scanned + offset;
            let line = buffer.get(self.line..end).unwrap_or_default();
            // First, because a head that is too long may be refused before this line has come.
            if end >= limits.bytes {
                return Err(HeadError::TooLarge);
            }
            if line.last() != Some(&b'\r') {
                return Err(HeadError::LineEnd);
            }
            self.scanned = end + 1;
            if line.len() == 1 {
                let bytes = buffer.split_to(end + 1).freeze();
                let lines = self.lines;
                *self = Self::default();
                return Ok(Some(Section { bytes, lines }));
            }
            self.line = end + 1;
            self.lines += 1;
            if self.lines > limits.fields + start_lines {
                return Err(HeadError::TooManyFields);
            }
        }
    }

    /// Whether no line has ended yet.
    pub(crate) fn is_in_first_line(&self) -> bool {
        self.lines == 0
    }
}

impl Section {
    /// The first line without its end.
    pub(crate) fn first_line(&self) -> &[u8] {
        split_line(&self.bytes).0
    }

    /// A part of the section, without copying it.
    pub(crate) fn slice(&self, part: &[u8]) -> Bytes {
        self.bytes.slice_ref(part)
    }

    /// The fields after `start_lines`, in the order in which they came.
    pub(crate) fn fields(&self, start_lines: usize) -> Result<HeaderMap, HeadError> {
        let mut rest = self.bytes.as_ref();
        for _ in 0..start_lines {
            rest = split_line(rest).1;
        }
        let lines = self.lines.saturating_sub(start_lines);
        let mut fields = HeaderMap::with_capacity(lines + ROOM);
        for _ in 0..lines {
            let (line, after) = split_line(rest);
            let (name, value) = self.field(line)?;
            fields.append(name, value);
            rest = after;
        }
        Ok(fields)
    }

    fn field(&self, line: &[u8]) -> Result<(HeaderName, HeaderValue), HeadError> {
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(HeadError::Folding);
        }
        let colon = memchr::memchr(b':', line).ok_or(HeadError::FieldName)?;
        let (name, value) = line.split_at(colon);
        if !is_token(name) {
            return Err(HeadError::FieldName);
        }
        let name = HeaderName::from_bytes(name).map_err(|_| HeadError::FieldName)?;
        let value = trim(value.get(1..).unwrap_or_default());
        // This looks at every byte: control bytes but the tab are refused, and so is a CR that stands
        // alone (RFC 9110 section 5.5).
        let value =
            HeaderValue::from_maybe_shared(self.slice(value)).map_err(|_| HeadError::FieldValue)?;
        Ok((name, value))
    }
}

/// A line without its CR LF, and what comes after it.
fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
    let line = bytes.get(..end.saturating_sub(1)).unwrap_or_default();
    (line, bytes.get(end + 1..).unwrap_or_default())
}
