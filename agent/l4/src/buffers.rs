//! Copy buffers, shared by all connections of a worker.

use std::cell::RefCell;

/// A bounded stock of buffers. A connection takes one when bytes are there to be copied and gives
/// it back when none wait in it, so idle connections cost no buffer.
#[derive(Debug)]
pub(crate) struct Buffers {
    size: usize,
    keep: usize,
    spare: RefCell<Vec<Box<[u8]>>>,
}

impl Buffers {
    pub(crate) fn new(size: usize, keep: usize) -> Self {
        Self {
            size: size.max(1),
            keep,
            spare: RefCell::default(),
        }
    }

    /// A buffer of the stock's size, with any content.
    pub(crate) fn take(&self) -> Box<[u8]> {
        let spare = self.spare.borrow_mut().pop();
        spare.unwrap_or_else(|| vec![0; self.size].into_boxed_slice())
    }

    pub(crate) fn give(&self, buffer: Box<[u8]>) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < self.keep {
            spare.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_buffers_are_kept_than_allowed() {
        let buffers = Buffers::new(8, 2);
        let taken: Vec<_> = (0..5).map(|_| buffers.take()).collect();
        assert!(taken.iter().all(|buffer| buffer.len() == 8));
        for buffer in taken {
            buffers.give(buffer);
        }
        assert_eq!(buffers.spare.borrow().len(), 2);
    }
}
