//! Maglev's table: one look finds the endpoint, and all have their share to a percent (Eisenbud et al. 2016, section 3.4).

use super::Entry;
use crate::hash::{mix, pair};

/// Sizes, all of them primes, and the most endpoints that each is for: at least a hundred entries for an endpoint of mean
/// weight, until the largest. From one size to the next most keys move, so there are few.
const SIZES: [(usize, u64); 3] = [(40, 4_093), (160, 16_381), (usize::MAX, 65_537)];

/// Indexes of endpoints.
#[derive(Debug)]
pub(crate) struct Maglev(Vec<u16>);

/// Where an endpoint wants to be: at `at`, then always `skip` further.
struct Wish {
    index: u16,
    at: u64,
    skip: u64,
    weight: u64,
    /// Weight times rounds that it has had an entry for.
    served: u64,
}

impl Maglev {
    pub(super) fn new(entries: &[Entry]) -> Self {
        if entries.is_empty() {
            return Self(Vec::new());
        }
        let size = SIZES.iter().find(|(most, _)| entries.len() <= *most);
        let size = size.map_or(65_537, |(_, size)| *size);
        let mut wishes: Vec<Wish> = (0_u16..=u16::MAX)
            .zip(entries)
            .map(|(index, entry)| Wish {
                index,
                at: mix(entry.id) % size,
                skip: pair(1, entry.id) % (size - 1) + 1,
                weight: u64::from(entry.weight.max(1)),
                served: 0,
            })
            .collect();
        // The order of the endpoints must not matter.
        wishes.sort_unstable_by_key(|wish| entries.get(usize::from(wish.index)).map(|e| e.id));
        Self(fill(&mut wishes, size))
    }

    /// The endpoint of the key, and then those of other places that the key leads to.
    pub(super) fn from(&self, key: u64) -> impl Iterator<Item = u32> {
        let size = self.0.len() as u64;
        (0_u64..).map_while(move |attempt| {
            let place = pair(attempt, key).checked_rem(size)?;
            let index = self.0.get(usize::try_from(place).ok()?)?;
            Some(u32::from(*index))
        })
    }
}

/// In each round every endpoint takes the next free place it wants; one with less weight sits rounds out.
fn fill(wishes: &mut [Wish], size: u64) -> Vec<u16> {
    let heaviest = wishes.iter().map(|wish| wish.weight).max().unwrap_or(1);
    let mut table: Vec<Option<u16>> = vec![None; usize::try_from(size).unwrap_or(0)];
    let mut free = table.len();
    for round in 1_u64.. {
        for wish in &mut *wishes {
            if free == 0 {
                return table.into_iter().flatten().collect();
            }
            if round * wish.weight <= wish.served {
                continue;
            }
            wish.served += heaviest;
            // As the size is a prime, the steps reach every place.
            loop {
                let place = usize::try_from(wish.at)
                    .ok()
                    .and_then(|at| table.get_mut(at));
                wish.at = (wish.at + wish.skip) % size;
                if let Some(place @ None) = place {
                    *place = Some(wish.index);
                    free -= 1;
                    break;
                }
            }
        }
    }
    Vec::new()
}
