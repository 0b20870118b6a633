//! Choice by a key: the same key goes to the same endpoint, on every agent and after every restart, and when an endpoint
//! comes or goes only its share of the keys moves.

use std::rc::Rc;

use novaedge_router::LoadBalancing;

use crate::hash::pair;
use crate::member::Member;

mod maglev;
mod ring;

use maglev::Maglev;
use ring::Ring;

/// Entries that are looked at for one that may be chosen, before all endpoints are.
const PROBES: usize = 64;

/// Most endpoints that a table names: their indexes have 16 bits.
const MAX_MEMBERS: usize = 1 << 16;

/// What is computed once for a set of endpoints. It knows all of them; whoever must not be chosen now is passed over.
#[derive(Debug, Default)]
pub(crate) enum Table {
    /// Rendezvous hashing needs none.
    #[default]
    None,
    Ring(Ring),
    Maglev(Maglev),
}

/// An endpoint as tables see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub id: u64,
    pub weight: u32,
}

impl Table {
    pub(crate) fn new(policy: LoadBalancing, entries: &[Entry]) -> Self {
        match policy {
            _ if entries.len() > MAX_MEMBERS => Self::None,
            LoadBalancing::RingHash => Self::Ring(Ring::new(entries)),
            LoadBalancing::Maglev => Self::Maglev(Maglev::new(entries)),
            _ => Self::None,
        }
    }

    /// The index of the endpoint for a key, among those that may be chosen.
    pub(crate) fn find(&self, key: u64, may: impl Fn(u32) -> bool) -> Option<u32> {
        match self {
            Self::None => None,
            Self::Ring(ring) => ring.from(key).take(PROBES).find(|at| may(*at)),
            Self::Maglev(maglev) => maglev.from(key).take(PROBES).find(|at| may(*at)),
        }
    }
}

/// Highest random weight: the endpoint whose hash with the key is highest.
///
/// With weights the hash becomes a chance u, and ln(u)/weight is compared: the expectation of each is its share.
pub(crate) fn rendezvous<E: AsRef<Member>>(
    members: &[Rc<E>],
    key: u64,
    weights: Weights<'_>,
    may: impl Fn(u32) -> bool,
) -> Option<u32> {
    let candidates = (0_u32..).zip(members).filter(|(at, _)| may(*at));
    let hashed = candidates.map(|(at, member)| {
        let member: &Member = (**member).as_ref();
        (pair(key, member.id()), at)
    });
    match weights {
        Weights::Equal => hashed.max_by_key(|(hash, _)| *hash),
        Weights::Of(weight_of) => hashed.max_by(|(one, at), (other, than)| {
            let score = |hash: u64, at| chance(hash).ln() / f64::from(weight_of(at));
            score(*one, *at).total_cmp(&score(*other, *than))
        }),
    }
    .map(|(_, at)| at)
}

/// Whether endpoints differ in weight.
#[derive(Clone, Copy)]
pub(crate) enum Weights<'a> {
    Equal,
    /// By index, never 0.
    Of(&'a dyn Fn(u32) -> u32),
}

/// A number above 0 and below 1.
fn chance(hash: u64) -> f64 {
    let high = u32::try_from(hash >> 32).unwrap_or(u32::MAX);
    (f64::from(high) + 0.5) / 4_294_967_296.0
}
