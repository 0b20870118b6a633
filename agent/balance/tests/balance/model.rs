//! Long random histories, against a list of plain facts about each endpoint.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use novaedge_balance::Outcome;
use novaedge_router::{Balancing, LoadBalancing, OutlierDetection};
use proptest::prelude::*;

use crate::support::{ALL, Bench, endpoint, endpoints, number};

#[derive(Clone, Debug)]
enum Step {
    Choose,
    /// Failures of an endpoint, enough to eject it or not.
    Fail(u16, u32),
    Succeed(u16),
    /// What checks say of an endpoint changes.
    Turn(u16),
    Wait(u64),
    /// The endpoints are those with a bit here.
    Update(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Choose),
        3 => (0_u16..10, 1_u32..5).prop_map(|(at, failures)| Step::Fail(at, failures)),
        1 => (0_u16..10).prop_map(Step::Succeed),
        2 => (0_u16..10).prop_map(Step::Turn),
        2 => (0_u64..40).prop_map(Step::Wait),
        1 => any::<u16>().prop_map(|bits| Step::Update(bits & 0x3ff)),
    ]
}

/// What is known of an endpoint.
#[derive(Clone, Debug, Default)]
struct Facts {
    failures: u32,
    ejections: u64,
    until: Option<Instant>,
}

struct Model {
    known: BTreeMap<u16, Facts>,
    /// Those that left with the last update.
    left: BTreeMap<u16, Facts>,
    /// Whether they are there or not.
    unhealthy: BTreeSet<u16>,
    outlier: OutlierDetection,
}

impl Model {
    fn is_ejected(&self, at: u16, now: Instant) -> bool {
        self.known[&at].until.is_some_and(|until| now < until)
    }

    fn ejected(&self, now: Instant) -> usize {
        self.known
            .keys()
            .filter(|at| self.is_ejected(**at, now))
            .count()
    }

    fn fail(&mut self, at: u16, now: Instant) {
        let room = {
            let all = self.known.len();
            let share = all * usize::from(self.outlier.max_ejected_percent) / 100;
            self.ejected(now) < share.max(1).min(all - 1)
        };
        let out = self.is_ejected(at, now);
        let facts = self.known.get_mut(&at).unwrap();
        facts.failures += 1;
        if facts.failures < self.outlier.consecutive_failures || out || !room {
            return;
        }
        let base = self.outlier.base_ejection.as_secs();
        let well = facts
            .until
            .map_or(0, |until| (now - until).as_secs() / base);
        facts.ejections = facts.ejections.saturating_sub(well) + 1;
        let longest = self.outlier.max_ejection.as_secs();
        let time = (base * facts.ejections).min(longest);
        facts.ejections = facts.ejections.min(longest.div_ceil(base));
        facts.until = Some(now + Duration::from_secs(time));
        facts.failures = 0;
    }

    /// Those that may be chosen.
    fn eligible(&self, now: Instant) -> Vec<u16> {
        let with = |test: &dyn Fn(u16) -> bool| -> Vec<u16> {
            self.known.keys().copied().filter(|at| test(*at)).collect()
        };
        let usable = with(&|at| !self.unhealthy.contains(&at) && !self.is_ejected(at, now));
        if usable.len() * 2 < self.known.len() {
            with(&|_| true)
        } else {
            usable
        }
    }
}

proptest! {
    #[test]
    fn only_those_that_may_be_chosen_are(
        policy in prop::sample::select(&ALL[..]),
        steps in prop::collection::vec(step(), 1..120),
        max_ejected_percent in 0_u8..=100,
    ) {
        let outlier = OutlierDetection {
            consecutive_failures: 3,
            base_ejection: Duration::from_secs(10),
            max_ejection: Duration::from_secs(35),
            max_ejected_percent,
            success_rate: None,
        };
        let balancing = Balancing { outlier: Some(outlier.clone()), ..Balancing::of(policy) };
        let all = |bits: u16| (0..10).filter(move |at| bits & (1 << at) != 0);
        let made = |bits| all(bits).map(|at| endpoint(at, u32::from(at % 3) + 1, None)).collect();
        let mut bench = Bench::with(balancing, made(0x3ff), None);
        let known = all(0x3ff).map(|at| (at, Facts::default())).collect();
        let mut model = Model { known, left: BTreeMap::new(), unhealthy: BTreeSet::new(), outlier };
        let find = |bench: &Bench, at| {
            bench.group.members().iter().find(|member| number(member) == at).cloned()
        };
        for step in steps {
            match step {
                Step::Choose => {}
                Step::Fail(at, failures) => if let Some(member) = find(&bench, at) {
                    for _ in 0..failures {
                        bench.group.record(&member, Outcome::ServerError, bench.now);
                        model.fail(at, bench.now);
                    }
                },
                Step::Succeed(at) => if let Some(member) = find(&bench, at) {
                    bench.group.record(&member, Outcome::Success, bench.now);
                    model.known.get_mut(&at).unwrap().failures = 0;
                },
                Step::Turn(at) => {
                    if !model.unhealthy.remove(&at) {
                        model.unhealthy.insert(at);
                    }
                    bench.set_unhealthy(model.unhealthy.iter().copied());
                }
                Step::Wait(seconds) => bench.now += Duration::from_secs(seconds),
                Step::Update(bits) => {
                    bench.update(made(bits));
                    let old = std::mem::take(&mut model.known);
                    let known = |at| old.get(&at).or_else(|| model.left.get(&at)).cloned();
                    model.known = all(bits).map(|at| (at, known(at).unwrap_or_default())).collect();
                    model.left = old;
                    model.left.retain(|at, _| !model.known.contains_key(at));
                }
            }
            let eligible = model.eligible(bench.now);
            let ejected = model.ejected(bench.now);
            prop_assert_eq!(bench.group.ejected(bench.now), ejected);
            for _ in 0..3 {
                let chosen = bench.choose().map(|member| number(&member));
                prop_assert_eq!(chosen.is_none(), eligible.is_empty());
                if let Some(chosen) = chosen {
                    prop_assert!(eligible.contains(&chosen), "{chosen} of {eligible:?}");
                }
            }
        }
    }
}

#[test]
fn who_comes_back_while_in_use_is_known() {
    let mut bench = Bench::new(LoadBalancing::LeastRequest, endpoints(&[1; 3]));
    let held = bench.member(2);
    held.enter();
    bench.update(endpoints(&[1; 2]));
    bench.update(endpoints(&[1; 2]));
    bench.update(endpoints(&[1; 3]));
    assert_eq!(bench.member(2).active(), 1);
    assert_eq!(bench.member(1).active(), 0);
}

#[test]
fn a_late_request_costs_no_knowledge() {
    let (old, new) = (endpoints(&[1; 2]), endpoints(&[1; 3]));
    let mut bench = Bench::new(LoadBalancing::RoundRobin, Arc::clone(&old));
    bench.update(Arc::clone(&new));
    let third = Rc::as_ptr(&bench.member(2));
    // It began before the update, and brings the endpoints of its tables.
    bench.update(old);
    assert_eq!(bench.group.members().len(), 2);
    bench.update(new);
    assert_eq!(Rc::as_ptr(&bench.member(2)), third);
    bench.update([].into());
    assert_eq!(bench.group.members().len(), 0);
    assert!(bench.choose().is_none());
}
