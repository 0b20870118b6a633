//! Feeding bytes in one piece and in many.

use bytes::BytesMut;
use http::HeaderMap;
use novaedge_http1::*;

/// What a reader says of a head, and what it leaves.
pub type Read<T> = (Result<Option<T>, HeadError>, Vec<u8>);

pub fn request(bytes: &[u8]) -> Read<RequestHead> {
    let mut buffer = BytesMut::from(bytes);
    let read = RequestReader::default().read(&mut buffer, HeadLimits::default());
    (read, buffer.to_vec())
}

pub fn response(bytes: &[u8], asked: Asked) -> Read<ResponseHead> {
    let mut buffer = BytesMut::from(bytes);
    let read = ResponseReader::default().read(&mut buffer, asked, HeadLimits::default());
    (read, buffer.to_vec())
}

/// The same in pieces, each as long as `step` says.
pub fn request_in_pieces(bytes: &[u8], step: usize) -> Read<RequestHead> {
    let mut reader = RequestReader::default();
    in_pieces(bytes, step, |buffer| {
        reader.read(buffer, HeadLimits::default())
    })
}

pub fn response_in_pieces(bytes: &[u8], asked: Asked, step: usize) -> Read<ResponseHead> {
    let mut reader = ResponseReader::default();
    in_pieces(bytes, step, |buffer| {
        reader.read(buffer, asked, HeadLimits::default())
    })
}

fn in_pieces<T>(
    bytes: &[u8],
    step: usize,
    mut read: impl FnMut(&mut BytesMut) -> Result<Option<T>, HeadError>,
) -> Read<T> {
    let mut buffer = BytesMut::new();
    let mut pieces = bytes.chunks(step.max(1));
    loop {
        let result = read(&mut buffer);
        if !matches!(result, Ok(None)) {
            buffer.extend(pieces.flatten());
            return (result, buffer.to_vec());
        }
        let Some(piece) = pieces.next() else {
            return (result, buffer.to_vec());
        };
        buffer.extend_from_slice(piece);
    }
}

/// A body: its content, its trailers, whether it is complete; and what follows it.
#[derive(Debug, PartialEq, Eq)]
pub struct Decoded {
    pub content: Vec<u8>,
    pub trailers: HeaderMap,
    pub end: Result<bool, BodyError>,
    pub rest: Vec<u8>,
}

pub fn body(bytes: &[u8], length: BodyLength, step: usize) -> Decoded {
    let mut decoder = BodyDecoder::new(length, BodyLimits::default());
    let mut buffer = BytesMut::new();
    let mut pieces = bytes.chunks(step.max(1));
    let mut content = Vec::new();
    let mut trailers = HeaderMap::new();
    let end = loop {
        match decoder.decode(&mut buffer) {
            Ok(Piece::Data(data)) => {
                assert!(!data.is_empty());
                content.extend(data);
            }
            Ok(Piece::Trailers(fields)) => trailers = fields,
            Ok(Piece::End) => break Ok(true),
            Ok(Piece::Incomplete) => match pieces.next() {
                Some(piece) => buffer.extend_from_slice(piece),
                None => break Ok(decoder.is_done()),
            },
            Err(error) => break Err(error),
        }
    };
    assert_eq!(decoder.is_done(), end == Ok(true));
    buffer.extend(pieces.flatten());
    Decoded {
        content,
        trailers,
        end,
        // After an error nothing is said about the rest.
        rest: if end.is_ok() {
            buffer.to_vec()
        } else {
            Vec::new()
        },
    }
}
