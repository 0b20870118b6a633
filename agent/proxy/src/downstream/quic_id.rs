//! Connection IDs that tell whose worker a connection is: clients of QUIC may move to another address, and the kernel must
//! find the same socket then.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use quinn::{ConnectionId, ConnectionIdGenerator};

use crate::tls::fill_randomly;

/// Bytes of an ID.
const LENGTH: usize = 8;

/// One of the workers that share a port.
#[derive(Clone, Copy, Debug)]
pub struct Seat {
    /// Its position among them, as their sockets were bound.
    pub index: u16,
    /// How many they are, never 0.
    pub workers: u16,
}

/// Makes IDs whose first two bytes, as a number, leave the worker's position when they are divided by the number of
/// workers.
pub(super) struct SeatIds {
    seat: Seat,
    keys: RandomState,
    made: u64,
}

impl SeatIds {
    pub(super) fn new(seat: Seat) -> Self {
        Self {
            seat,
            keys: RandomState::new(),
            made: 0,
        }
    }
}

impl ConnectionIdGenerator for SeatIds {
    fn generate_cid(&mut self) -> ConnectionId {
        self.made = self.made.wrapping_add(1);
        // IDs must differ even where there are no random bytes.
        let mut id: [u8; LENGTH] = self.keys.hash_one(self.made).to_be_bytes();
        fill_randomly(&mut id);
        let [high, low, ..] = id;
        let Seat { index, workers } = self.seat;
        let workers = workers.max(1);
        let drawn = u16::from_be_bytes([high, low]);
        let start = drawn - drawn % workers;
        let seated = start.checked_add(index).unwrap_or(index).to_be_bytes();
        for (byte, seat) in id.iter_mut().zip(seated) {
            *byte = seat;
        }
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        LENGTH
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_differ_and_tell_the_worker() {
        for workers in [1, 2, 3, 7, 64, u16::MAX] {
            for index in [0, workers / 2, workers - 1] {
                let mut ids = SeatIds::new(Seat { index, workers });
                let mut seen = HashSet::new();
                for _ in 0..100 {
                    let id = ids.generate_cid();
                    assert_eq!(id.len(), ids.cid_len());
                    let number = u16::from_be_bytes([id[0], id[1]]);
                    assert_eq!(number % workers, index);
                    assert!(seen.insert(id.to_vec()));
                }
            }
        }
    }
}
