//! Who may be chosen now: those in health, those of the own zone first, with the weights of this moment.
//!
//! This is looked at again when something has changed or an ejection has ended, not for each choice.

use std::rc::Rc;
use std::time::{Duration, Instant};

use novaedge_router::{Balancing, Endpoint, ZonePreference};

use crate::hash::Bits;
use crate::member::{Member, WEIGHT_UNIT, full_weight};
use crate::turns::Turns;

/// Draws for one that is not to be skipped, before all are looked at.
const DRAWS: usize = 8;

/// Steps in which an endpoint's weight grows while it starts.
const STEPS: u32 = 64;

/// What a starting endpoint gets at least, as one part of so many of its weight.
const LEAST_PART: u32 = 10;

/// All of [`Selection::near_share`].
const WHOLE: u64 = 1 << 32;

/// What a selection is made from.
pub(crate) struct Look<'a, E> {
    pub members: &'a [Rc<E>],
    /// The endpoints of the members, as configured now.
    pub endpoints: &'a [Endpoint],
    pub balancing: &'a Balancing,
    /// The agent's own zone.
    pub zone: Option<&'a str>,
    pub now: Instant,
}

/// Who may be chosen.
#[derive(Debug)]
pub(crate) struct Selection {
    /// Those of the own zone, or all if zones are alike.
    pub near: Candidates,
    pub far: Candidates,
    /// Share of the choices that `near` gets, in parts of [`WHOLE`].
    near_share: u64,
    /// When to look again.
    until: Option<Instant>,
    stale: bool,
    pub panicking: bool,
    /// Weight by zone, each zone named by one of its endpoints.
    zones: Vec<(u32, u64)>,
}

/// Endpoints to choose from without a key.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    /// Indexes of the members.
    at: Vec<u32>,
    /// Sums of weights up to and with each. Empty: all weights are equal.
    sums: Vec<u64>,
    turns: Turns,
}

// === impl Look ===

impl<E: AsRef<Member>> Look<'_, E> {
    fn iter(&self) -> impl Iterator<Item = (&Member, &Endpoint)> {
        let members = self.members.iter().map(|member| (**member).as_ref());
        members.zip(self.endpoints)
    }

    fn is_usable(&self, member: &Member) -> bool {
        !member.unhealthy.get() && member.ejected_until(self.now).is_none()
    }

    /// Whether too few are usable.
    fn is_panicking(&self) -> bool {
        let usable = self.iter().filter(|(member, _)| self.is_usable(member));
        let percent = usize::from(self.balancing.panic_percent);
        usable.count() * 100 < self.members.len() * percent
    }

    /// The weight now, and when it is another one.
    fn weight(&self, member: &Member, endpoint: &Endpoint) -> (u32, Option<Instant>) {
        let full = full_weight(endpoint);
        let Some(window) = self.balancing.slow_start else {
            return (full, None);
        };
        let back = member.record.until().filter(|until| *until <= self.now);
        let Some(since) = member.since.get().max(back) else {
            return (full, None);
        };
        let passed = self.now.saturating_duration_since(since);
        if passed >= window {
            return (full, None);
        }
        let step = (window / STEPS).max(Duration::from_millis(1));
        let steps = u32::try_from(passed.as_nanos() / step.as_nanos()).unwrap_or(STEPS);
        let grown = u64::from(full) * u64::from(steps.min(STEPS)) / u64::from(STEPS);
        let grown = u32::try_from(grown).unwrap_or(full);
        (
            grown.max(full / LEAST_PART),
            Some(since + step * (steps + 1)),
        )
    }

    fn is_near(&self, endpoint: &Endpoint) -> bool {
        self.zone
            .is_none_or(|zone| endpoint.zone.as_deref() == Some(zone))
    }
}

// === impl Selection ===

impl Selection {
    /// Nobody yet. Round robin begins with the endpoint at this position.
    pub(crate) fn starting_at(position: usize) -> Self {
        let candidates = || Candidates {
            turns: Turns::starting_at(position),
            ..Candidates::default()
        };
        Self {
            near: candidates(),
            far: candidates(),
            near_share: WHOLE,
            until: None,
            stale: true,
            panicking: false,
            zones: Vec::new(),
        }
    }

    /// Something has changed.
    pub(crate) fn outdate(&mut self) {
        self.stale = true;
    }

    pub(crate) fn is_outdated(&self, now: Instant) -> bool {
        self.stale || self.until.is_some_and(|until| until <= now)
    }

    /// Which of the two sets of candidates comes first.
    pub(crate) fn order(&mut self, bits: &mut Bits) -> [&mut Candidates; 2] {
        let near = self.near_share >= WHOLE || bits.below(WHOLE) < self.near_share;
        if near {
            [&mut self.near, &mut self.far]
        } else {
            [&mut self.far, &mut self.near]
        }
    }

    pub(crate) fn refresh<E: AsRef<Member>>(&mut self, look: &Look<'_, E>) {
        self.stale = false;
        self.panicking = look.is_panicking();
        self.until = None;
        for (member, endpoint) in look.iter() {
            let may = self.panicking || look.is_usable(member);
            member.usable.set(may);
            let (weight, grows) = look.weight(member, endpoint);
            member.weight.set(weight);
            let changes = [member.ejected_until(look.now), grows.filter(|_| may)];
            for change in changes.into_iter().flatten() {
                self.until = Some(self.until.map_or(change, |until| until.min(change)));
            }
        }
        self.divide(look);
        self.near.weigh(look.members);
        self.far.weigh(look.members);
    }

    /// Sorts the candidates into near and far ones, and says how much the near ones can take.
    fn divide<E: AsRef<Member>>(&mut self, look: &Look<'_, E>) {
        self.near.at.clear();
        self.far.at.clear();
        self.near_share = WHOLE;
        let usable = || {
            (0_u32..)
                .zip(look.iter())
                .filter(|(_, (m, _))| m.usable.get())
        };
        // In a panic nobody knows what an endpoint is worth, so zones do not matter.
        let zones = look.balancing.zone == ZonePreference::Own && !self.panicking;
        if !zones || !usable().any(|(_, (_, endpoint))| look.is_near(endpoint)) {
            self.near.at.extend(usable().map(|(at, _)| at));
            return;
        }
        self.weigh_zones(look);
        // Agents are taken to be spread evenly over the zones that have endpoints: each brings the same share of requests.
        let all: u64 = self.zones.iter().map(|(_, weight)| weight).sum();
        let share_of = |weight: u64| weight.saturating_mul(self.zones.len() as u64);
        let zone_of = |at: u32| {
            look.endpoints
                .get(at as usize)
                .and_then(|e| e.zone.as_deref())
        };
        let spare = |endpoint: &Endpoint| {
            let mut zones = self.zones.iter();
            let zone = zones.find(|(at, _)| zone_of(*at) == endpoint.zone.as_deref());
            zone.is_some_and(|(_, weight)| share_of(*weight) > all)
        };
        let own = self.zones.iter().find(|(at, _)| zone_of(*at) == look.zone);
        let own = share_of(own.map_or(0, |(_, weight)| *weight));
        if own < all {
            let share = u128::from(own) * u128::from(WHOLE) / u128::from(all.max(1));
            self.near_share = u64::try_from(share).unwrap_or(WHOLE);
        }
        for (at, (_, endpoint)) in usable() {
            if look.is_near(endpoint) {
                self.near.at.push(at);
            } else if own >= all || spare(endpoint) {
                self.far.at.push(at);
            }
        }
    }

    fn weigh_zones<E: AsRef<Member>>(&mut self, look: &Look<'_, E>) {
        self.zones.clear();
        for (at, (member, endpoint)) in (0_u32..).zip(look.iter()) {
            if !member.usable.get() {
                continue;
            }
            let weight = u64::from(member.weight.get());
            let same = |other: u32| {
                let other = look.endpoints.get(other as usize);
                other.is_some_and(|other| other.zone == endpoint.zone)
            };
            match self.zones.iter_mut().find(|(other, _)| same(*other)) {
                Some((_, sum)) => *sum += weight,
                None => self.zones.push((at, weight)),
            }
        }
    }
}

// === impl Candidates ===

impl Candidates {
    fn weigh<E: AsRef<Member>>(&mut self, members: &[Rc<E>]) {
        self.sums.clear();
        let mut sum = 0;
        let weights = self.at.iter().filter_map(|at| members.get(*at as usize));
        let weights = weights.map(|member| u64::from((**member).as_ref().weight.get()));
        self.sums.extend(weights.map(|weight| {
            sum += weight;
            sum
        }));
        let first = self.sums.first().copied().unwrap_or(0);
        let equal = (1_u64..).zip(&self.sums).all(|(n, sum)| n * first == *sum);
        if equal {
            self.sums.clear();
        }
        self.turns.take(&self.at, members, equal);
    }

    /// The next one in turn.
    pub(crate) fn in_turn<E: AsRef<Member>>(
        &mut self,
        members: &[Rc<E>],
        skip: impl Fn(u32) -> bool,
    ) -> Option<u32> {
        self.turns.next(&self.at, members, skip)
    }

    /// Any, by weight.
    pub(crate) fn any(&self, bits: &mut Bits, skip: impl Fn(u32) -> bool) -> Option<u32> {
        let mut drawn = (0..DRAWS).filter_map(|_| self.draw(bits));
        if let Some(at) = drawn.find(|at| !skip(*at)) {
            return Some(at);
        }
        let start = bits.index(self.at.len());
        let (before, from) = self.at.split_at_checked(start)?;
        from.iter().chain(before).copied().find(|at| !skip(*at))
    }

    /// The better one of two, both drawn by weight.
    pub(crate) fn better<E: AsRef<Member>>(
        &self,
        bits: &mut Bits,
        members: &[Rc<E>],
        skip: impl Fn(u32) -> bool,
        is_better: impl Fn(&Member, &Member) -> bool,
    ) -> Option<u32> {
        let first = self.any(bits, &skip)?;
        if self.at.len() < 2 {
            return Some(first);
        }
        let Some(second) = self.any(bits, |at| at == first || skip(at)) else {
            return Some(first);
        };
        let member = |at: u32| members.get(at as usize).map(|member| (**member).as_ref());
        let better = is_better(member(second)?, member(first)?);
        Some(if better { second } else { first })
    }

    fn draw(&self, bits: &mut Bits) -> Option<u32> {
        let place = match self.sums.last() {
            None => bits.index(self.at.len()),
            Some(all) => {
                let drawn = bits.below(*all);
                self.sums.partition_point(|sum| *sum <= drawn)
            }
        };
        self.at.get(place).copied()
    }
}

const _: () = assert!(
    WEIGHT_UNIT >= LEAST_PART,
    "a starting endpoint has some weight"
);
