//! Heads of requests and responses, from whoever connects or is connected to.

use bytes::BytesMut;
use novaedge_http1::encode::{self, Length};
use novaedge_http1::{
    Asked, BodyLength, HeadError, HeadLimits, RequestHead, RequestReader, ResponseReader,
};

const LIMITS: HeadLimits = HeadLimits {
    bytes: 4096,
    fields: 16,
};

/// However the bytes come in, the readers say the same of them; and what was read can be written, and
/// reads the same.
pub fn run(bytes: &[u8]) {
    let Some((step, received)) = bytes.split_first() else {
        return;
    };
    let step = usize::from(*step).max(1);
    let request = |step| {
        let mut reader = RequestReader::default();
        read(received, step, |buffer| reader.read(buffer, LIMITS))
    };
    let whole = request(usize::MAX);
    let pieces = request(step);
    assert_eq!(
        format!("{whole:?}"),
        format!("{pieces:?}"),
        "in pieces of {step} bytes"
    );
    if let Ok(Some(head)) = whole {
        write_again(&head);
    }
    let response = |step| {
        let mut reader = ResponseReader::default();
        read(received, step, |buffer| {
            reader.read(buffer, Asked::Other, LIMITS)
        })
    };
    let (whole, pieces) = (response(usize::MAX), response(step));
    assert_eq!(
        format!("{whole:?}"),
        format!("{pieces:?}"),
        "in pieces of {step} bytes"
    );
}

fn read<T>(
    bytes: &[u8],
    step: usize,
    mut read: impl FnMut(&mut BytesMut) -> Result<Option<T>, HeadError>,
) -> Result<Option<T>, HeadError> {
    let mut buffer = BytesMut::new();
    for piece in bytes.chunks(step) {
        buffer.extend_from_slice(piece);
        let head = read(&mut buffer)?;
        if head.is_some() {
            return Ok(head);
        }
    }
    Ok(None)
}

/// What a proxy passes on is one message, and the same one.
fn write_again(head: &RequestHead) {
    let Some(target) = head.target.path_and_query() else {
        return;
    };
    let length = match head.body {
        BodyLength::Fixed(length) => Length::Fixed(length),
        BodyLength::Chunked => Length::Chunked,
        BodyLength::None | BodyLength::UntilClose => Length::Unsaid,
    };
    let mut out = BytesMut::new();
    encode::request_head(
        &mut out,
        &head.method,
        target.as_str(),
        &head.headers,
        length,
    );
    let limits = HeadLimits {
        bytes: out.len(),
        fields: LIMITS.fields + 1,
    };
    let again = RequestReader::default()
        .read(&mut out, limits)
        .expect("what we wrote")
        .expect("all that we wrote");
    assert!(out.is_empty());
    assert_eq!((again.method, again.body), (head.method.clone(), head.body));
    assert_eq!(again.target.path(), head.target.path());
    assert_eq!(again.target.query(), head.target.query());
}
