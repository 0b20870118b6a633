//! Bodies, as slices of what was received.

use bytes::{Bytes, BytesMut};
use http::header::HeaderMap;

use crate::chunked::Chunked;
use crate::error::BodyError;
use crate::framing::BodyLength;
use crate::limits::BodyLimits;

/// What comes next of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Content: never empty.
    Data(Bytes),
    /// Trailers, after all content: never empty.
    Trailers(HeaderMap),
    /// The body is complete.
    End,
    /// More bytes are needed.
    Incomplete,
}

/// Reads one body from bytes that come in pieces, and takes no byte beyond its end.
#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
}

#[derive(Debug)]
enum State {
    Fixed(u64),
    Chunked(Box<Chunked>),
    UntilClose,
    Done,
    Failed(BodyError),
}

impl BodyDecoder {
    /// A decoder for a body of this length.
    #[must_use]
    pub fn new(length: BodyLength, limits: BodyLimits) -> Self {
        let state = match length {
            BodyLength::None | BodyLength::Fixed(0) => State::Done,
            BodyLength::Fixed(length) => State::Fixed(length),
            BodyLength::Chunked => State::Chunked(Box::new(Chunked::new(limits))),
            BodyLength::UntilClose => State::UntilClose,
        };
        Self { state }
    }

    /// Takes the next piece from `buffer`.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Piece, BodyError> {
        let piece = match &mut self.state {
            State::Fixed(left) => Ok(take(buffer, left)),
            State::Chunked(chunked) => chunked.decode(buffer),
            State::UntilClose => Ok(take(buffer, &mut { u64::MAX })),
            State::Done => return Ok(Piece::End),
            State::Failed(error) => return Err(*error),
        };
        self.note(piece)
    }

    /// So many bytes of content, at most those that [`BodyDecoder::remaining`] tells, were taken from the connection by
    /// somebody else.
    pub fn skip(&mut self, count: u64) {
        if let State::Fixed(left) = &mut self.state {
            *left = left.saturating_sub(count);
            if *left == 0 {
                self.state = State::Done;
            }
        }
    }

    /// The connection has ended: that is the end of a body, or it comes too early.
    pub fn end_of_input(&mut self) -> Result<(), BodyError> {
        match self.state {
            State::UntilClose | State::Done => {
                self.state = State::Done;
                Ok(())
            }
            State::Failed(error) => Err(error),
            State::Fixed(_) | State::Chunked(_) => {
                self.state = State::Failed(BodyError::Incomplete);
                Err(BodyError::Incomplete)
            }
        }
    }

    /// Whether the body has been read to its end. Then the next bytes belong to the next message.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Whether the body cannot be read to its end: nobody knows where the next message would begin.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        matches!(self.state, State::Failed(_))
    }

    /// The bytes of content that are still to come, where that is known.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        match &self.state {
            State::Fixed(left) => Some(*left),
            State::Done => Some(0),
            State::Chunked(_) | State::UntilClose | State::Failed(_) => None,
        }
    }

    fn note(&mut self, piece: Result<Piece, BodyError>) -> Result<Piece, BodyError> {
        match &piece {
            Ok(Piece::End | Piece::Trailers(_)) => self.state = State::Done,
            Ok(Piece::Data(_)) if matches!(self.state, State::Fixed(0)) => self.state = State::Done,
            Err(error) => self.state = State::Failed(*error),
            Ok(Piece::Data(_) | Piece::Incomplete) => {}
        }
        piece
    }
}

/// At most `left` bytes.
pub(crate) fn take(buffer: &mut BytesMut, left: &mut u64) -> Piece {
    let count = usize::try_from(*left).map_or(buffer.len(), |left| left.min(buffer.len()));
    if count == 0 {
        return Piece::Incomplete;
    }
    *left -= count as u64;
    Piece::Data(buffer.split_to(count).freeze())
}
