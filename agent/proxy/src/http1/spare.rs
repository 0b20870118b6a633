//! A buffer for heads that is used again.

use std::cell::Cell;

use bytes::BytesMut;

/// Most heads fit, and short bodies behind them.
const SIZE: usize = 2 * 1024;

thread_local! {
    /// A head is as a rule written at once, before the next one is made: so one buffer serves a whole worker.
    static SPARE: Cell<BytesMut> = Cell::default();
}

/// An empty buffer for a head.
pub(crate) fn head_buffer() -> BytesMut {
    let spare = SPARE.take();
    if spare.capacity() == 0 {
        BytesMut::with_capacity(SIZE)
    } else {
        spare
    }
}

/// Takes back a buffer of which all has been written, unless it has grown.
pub(super) fn give_back(mut buffer: BytesMut) {
    buffer.clear();
    if buffer.try_reclaim(SIZE) && buffer.capacity() < 2 * SIZE {
        SPARE.set(buffer);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Buf as _;

    use super::*;

    #[test]
    fn a_written_buffer_is_used_again_from_its_front() {
        let mut buffer = head_buffer();
        buffer.extend_from_slice(b"HTTP/1.1 200 OK\r\n\r\n");
        let place = buffer.as_ptr();
        buffer.advance(buffer.len());
        give_back(buffer);
        let again = head_buffer();
        assert_eq!((again.as_ptr(), again.capacity()), (place, SIZE));
        assert!(again.is_empty());
    }

    #[test]
    fn a_buffer_that_has_grown_is_not_kept() {
        let mut buffer = head_buffer();
        buffer.resize(4 * SIZE, b'x');
        give_back(buffer);
        assert_eq!(head_buffer().capacity(), SIZE);
    }
}
