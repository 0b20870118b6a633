//! Bodies of messages: chunks, trailers and lengths.

use bytes::BytesMut;
use http::HeaderMap;
use novaedge_http1::encode;
use novaedge_http1::{BodyDecoder, BodyError, BodyLength, BodyLimits, HeadLimits, Piece};

const LIMITS: BodyLimits = BodyLimits {
    chunk_line: 64,
    extensions: 256,
    trailers: HeadLimits {
        bytes: 1024,
        fields: 8,
    },
};

/// What came of a body, and how many bytes it took.
#[derive(Debug, PartialEq, Eq)]
struct Decoded {
    content: Vec<u8>,
    trailers: HeaderMap,
    end: Result<usize, Option<BodyError>>,
}

/// However the bytes come in, the decoder says the same of them; and what was read can be written, and
/// reads the same.
pub fn run(bytes: &[u8]) {
    let Some(([step, length], received)) = bytes.split_first_chunk::<2>() else {
        return;
    };
    let step = usize::from(*step).max(1);
    let fixed = BodyLength::Fixed(u64::from(*length));
    for length in [BodyLength::Chunked, fixed, BodyLength::UntilClose] {
        let whole = decode(received, length, usize::MAX, LIMITS);
        let pieces = decode(received, length, step, LIMITS);
        assert_eq!(pieces, whole, "{length:?} in pieces of {step} bytes");
        if whole.end.is_ok() {
            write_again(&whole);
        }
    }
}

fn decode(bytes: &[u8], length: BodyLength, step: usize, limits: BodyLimits) -> Decoded {
    let mut decoder = BodyDecoder::new(length, limits);
    let mut buffer = BytesMut::new();
    let mut pieces = bytes.chunks(step);
    let mut given = 0;
    let mut decoded = Decoded {
        content: Vec::new(),
        trailers: HeaderMap::new(),
        end: Err(None),
    };
    loop {
        match decoder.decode(&mut buffer) {
            Ok(Piece::Data(data)) => decoded.content.extend_from_slice(&data),
            Ok(Piece::Trailers(trailers)) => decoded.trailers = trailers,
            Ok(Piece::End) => {
                decoded.end = Ok(given - buffer.len());
                return decoded;
            }
            Ok(Piece::Incomplete) => match pieces.next() {
                Some(piece) => {
                    given += piece.len();
                    buffer.extend_from_slice(piece);
                }
                None if length == BodyLength::UntilClose => {
                    decoder.end_of_input().expect("the end of the connection");
                }
                None => return decoded,
            },
            Err(error) => {
                decoded.end = Err(Some(error));
                return decoded;
            }
        }
    }
}

fn write_again(body: &Decoded) {
    let mut out = BytesMut::new();
    for chunk in body.content.chunks(7) {
        encode::chunk_head(&mut out, chunk.len());
        out.extend_from_slice(chunk);
        out.extend_from_slice(encode::CHUNK_END);
    }
    encode::trailers(&mut out, &body.trailers);
    // Written, trailers take a little more than they did.
    let trailers = HeadLimits {
        bytes: 4096,
        fields: 8,
    };
    let limits = BodyLimits { trailers, ..LIMITS };
    let again = decode(&out, BodyLength::Chunked, usize::MAX, limits);
    assert_eq!(again.content, body.content);
    assert_eq!(again.trailers, body.trailers);
    assert_eq!(again.end, Ok(out.len()));
}
