//! Each endpoint gets its share.

use std::time::Duration;

use novaedge_balance::{Group, Member, Pick, Site};
use novaedge_router::{Balancing, LoadBalancing};
use proptest::prelude::*;

use crate::support::{ALL, Bench, endpoints, number};

proptest! {
    /// A member with weight w has had its turns at ½/w, 1½/w and so on: after k choices of n endpoints with weights
    /// summing up to W, it has had k·w/W of them, give or take ½ for itself and ½ for each other one's place in time.
    #[test]
    fn round_robin_is_smooth_at_any_moment(
        weights in prop::collection::vec(1_u32..50, 1..12),
        choices in 1_u32..2_000,
    ) {
        let mut bench = Bench::new(LoadBalancing::RoundRobin, endpoints(&weights));
        let all: u32 = weights.iter().sum();
        let others = u32::try_from(weights.len()).unwrap();
        let mut counts = vec![0_u32; weights.len()];
        for done in 1..=choices {
            counts[usize::from(number(&bench.choose().unwrap()))] += 1;
            for (count, weight) in counts.iter().zip(&weights) {
                let share = f64::from(*weight) / f64::from(all);
                let off = f64::from(*count) - f64::from(done) * share;
                let bound = 1.0 + f64::from(others) / 2.0 * share;
                prop_assert!(off.abs() <= bound, "{count} of {done} for a share of {share}");
            }
        }
    }

    /// In a whole round each has exactly as many turns as its weight, whatever the start.
    #[test]
    fn round_robin_gives_each_its_weight_in_a_round(
        weights in prop::collection::vec(1_u32..20, 1..10),
        rounds in 1_u32..5,
    ) {
        let mut bench = Bench::new(LoadBalancing::RoundRobin, endpoints(&weights));
        let all: u32 = weights.iter().sum();
        let counts = bench.count(all * rounds);
        for (at, weight) in (0..).zip(&weights) {
            let count = counts.get(&at).copied().unwrap_or(0);
            prop_assert!(count.abs_diff(weight * rounds) <= 1, "{count} for {weight} × {rounds}");
        }
    }

    #[test]
    fn equal_endpoints_come_one_after_the_other(count in 1_u16..40, start in 0_usize..100) {
        let group = Group::new("backend/default/a".into(), start, &Site::default());
        let all = endpoints(&vec![1; usize::from(count)]);
        let bench = Bench::new(LoadBalancing::RoundRobin, all.clone());
        group.update(&all, &bench.balancing, || bench.now, |e| Member::new(e.clone()));
        for turn in 0..3 * usize::from(count) {
            let pick = Pick { now: bench.now, key: 0, random: 0 };
            let chosen = group.choose(pick, |_| false).unwrap();
            prop_assert_eq!(usize::from(number(&chosen)), (start + turn) % usize::from(count));
        }
    }

    /// Skipped endpoints cost the others nothing: the rest keep the shares that they would have without them.
    #[test]
    fn skipped_endpoints_leave_their_share_to_the_others(
        weights in prop::collection::vec(1_u32..20, 2..8),
        skipped in 0_u16..8,
    ) {
        let skipped = skipped % u16::try_from(weights.len()).unwrap();
        let mut bench = Bench::new(LoadBalancing::RoundRobin, endpoints(&weights));
        let all: u32 = weights.iter().sum::<u32>() - weights[usize::from(skipped)];
        let mut counts = vec![0_u32; weights.len()];
        for _ in 0..all * 20 {
            let pick = bench.pick();
            let chosen = bench.group.choose(pick, |member| number(member) == skipped).unwrap();
            counts[usize::from(number(&chosen))] += 1;
        }
        prop_assert_eq!(counts[usize::from(skipped)], 0);
        for (at, (count, weight)) in (0_u16..).zip(counts.iter().zip(&weights)) {
            if at != skipped {
                let off = f64::from(*count) / f64::from(weight * 20);
                prop_assert!((0.85..1.15).contains(&off), "{counts:?} of {weights:?}");
            }
        }
    }

    #[test]
    fn the_same_input_gives_the_same_output(
        weights in prop::collection::vec(1_u32..9, 1..20),
        policy in prop::sample::select(&ALL[..]),
    ) {
        let mut one = Bench::new(policy, endpoints(&weights));
        let mut other = Bench::new(policy, endpoints(&weights));
        other.now = one.now;
        for _ in 0..200 {
            let (one, other) = (one.choose().unwrap(), other.choose().unwrap());
            one.enter();
            other.enter();
            prop_assert_eq!(number(&one), number(&other));
        }
    }
}

/// Four standard deviations of a binomial distribution, and what a table of bounded size is off.
fn is_near(count: u32, choices: u32, share: f64, table: f64) -> bool {
    let expect = f64::from(choices) * share;
    let deviation = (expect * (1.0 - share)).sqrt();
    (f64::from(count) - expect).abs() <= 4.0 * deviation + expect * table
}

#[test]
fn all_policies_respect_weights() {
    let weights = [1, 2, 3, 4, 10];
    for policy in ALL {
        let mut bench = Bench::new(policy, endpoints(&weights));
        let counts = bench.count(40_000);
        // A ring of points is uneven by nature: with n points a share is off by about 1/√n.
        let table = match policy {
            LoadBalancing::RingHash => 0.35,
            LoadBalancing::Maglev => 0.02,
            // Two draws, and nobody is busy: the first one stays.
            _ => 0.0,
        };
        for (at, weight) in (0..).zip(weights) {
            let share = f64::from(weight) / 20.0;
            let ok = is_near(counts[&at], 40_000, share, table);
            // Without measurements EWMA asks those that nobody has heard of.
            assert!(ok, "{policy:?}: {counts:?}");
        }
    }
}

#[test]
fn least_request_balances_what_is_under_way_by_weight() {
    let mut bench = Bench::new(LoadBalancing::LeastRequest, endpoints(&[1, 1, 2, 4]));
    for _ in 0..800 {
        bench.choose().unwrap().enter();
    }
    for (at, expect) in [(0, 100), (1, 100), (2, 200), (3, 400)] {
        let active = bench.member(at).active();
        assert!(active.abs_diff(expect) <= expect / 10, "{at}: {active}");
    }
}

#[test]
fn least_request_leaves_a_stuck_endpoint_alone() {
    let mut bench = Bench::new(LoadBalancing::LeastRequest, endpoints(&[1; 3]));
    (0..100).for_each(|_| bench.member(1).enter());
    for _ in 0..300 {
        let chosen = bench.choose().unwrap();
        assert_ne!(number(&chosen), 1, "two draws are never the same endpoint");
    }
}

#[test]
fn ewma_prefers_the_fast_and_asks_the_slow_again() {
    let mut bench = Bench::new(LoadBalancing::Ewma, endpoints(&[1; 2]));
    let slow = |at| Duration::from_millis(if at == 1 { 100 } else { 10 });
    let mut counts = [0; 2];
    for _ in 0..1_000 {
        let chosen = bench.choose().unwrap();
        let at = number(&chosen);
        counts[usize::from(at)] += 1;
        chosen.observe(slow(at), bench.now);
        bench.now += Duration::from_millis(10);
    }
    assert!(counts[1] < 50, "{counts:?}");
    bench.now += Duration::from_mins(1);
    let slowest = bench.member(0);
    slowest.observe(Duration::from_millis(10), bench.now);
    assert_eq!(
        number(&bench.choose().unwrap()),
        1,
        "a slow one may have recovered"
    );
}

#[test]
fn a_new_endpoint_starts_slowly() {
    for policy in [
        LoadBalancing::RoundRobin,
        LoadBalancing::Random,
        LoadBalancing::LeastRequest,
    ] {
        let balancing = Balancing {
            slow_start: Some(Duration::from_secs(100)),
            ..Balancing::of(policy)
        };
        let mut bench = Bench::with(balancing, endpoints(&[1; 4]), None);
        let first = bench.count(4_000);
        assert!(
            first.values().all(|count| (850..1150).contains(count)),
            "{first:?}"
        );
        bench.update(endpoints(&[1; 5]));
        for (second, least, most) in [(0, 60, 140), (50, 400, 640), (100, 900, 1_100)] {
            let start = bench.now;
            bench.now += Duration::from_secs(second);
            let count = bench.count(5_000)[&4];
            bench.now = start;
            assert!(
                (least..most).contains(&count),
                "{policy:?} {second}: {count}"
            );
        }
    }
}
