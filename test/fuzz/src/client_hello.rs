//! Bytes of a client that has not shown who it is.

use novaedge_router::client_hello::{ClientHelloReader, Progress};

/// However the bytes come in, the reader says the same of them.
pub fn run(bytes: &[u8]) {
    let Some((step, received)) = bytes.split_first() else {
        return;
    };
    let whole = ClientHelloReader::new().advance(received);
    let step = usize::from(*step).max(1);
    let mut reader = ClientHelloReader::new();
    let mut pieces = Progress::Incomplete;
    let ends = (step..received.len()).step_by(step);
    for end in ends.chain([received.len()]) {
        pieces = reader.advance(received.get(..end).unwrap_or_default());
        if pieces != Progress::Incomplete {
            break;
        }
    }
    assert_eq!(pieces, whole, "in pieces of {step} bytes");
}
