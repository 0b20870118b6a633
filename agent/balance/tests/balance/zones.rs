//! The own zone first, as far as it goes.

use novaedge_router::{Balancing, LoadBalancing, ZonePreference};
use proptest::prelude::*;

use crate::support::{Bench, endpoint};

/// Endpoints of zones a, b and c, so many of each.
fn bench(policy: LoadBalancing, counts: [u16; 3], zone: Option<&str>) -> Bench {
    let balancing = Balancing {
        zone: ZonePreference::Own,
        ..Balancing::of(policy)
    };
    let zones = ["a", "b", "c"].into_iter().zip(counts);
    let zones = zones.flat_map(|(zone, count)| (0..count).map(move |_| zone));
    let endpoints = (0..)
        .zip(zones)
        .map(|(at, zone)| endpoint(at, 1, Some(zone)));
    Bench::with(balancing, endpoints.collect(), zone)
}

/// Choices by zone.
fn by_zone(bench: &mut Bench, counts: [u16; 3], choices: u32) -> [u32; 3] {
    let mut sums = [0; 3];
    for (at, count) in bench.count(choices) {
        let zone = usize::from(at >= counts[0]) + usize::from(at >= counts[0] + counts[1]);
        sums[zone] += count;
    }
    sums
}

const POLICIES: [LoadBalancing; 3] = [
    LoadBalancing::RoundRobin,
    LoadBalancing::Random,
    LoadBalancing::LeastRequest,
];

#[test]
fn a_zone_with_its_share_keeps_its_requests() {
    for policy in POLICIES {
        let counts = [4, 4, 2];
        let mut bench = bench(policy, counts, Some("a"));
        assert_eq!(by_zone(&mut bench, counts, 1_000), [1_000, 0, 0]);
    }
}

#[test]
fn what_is_too_much_for_a_zone_goes_where_there_is_room() {
    for policy in POLICIES {
        // The agents of zone a bring a third of the requests, its endpoints are worth a tenth.
        let counts = [2, 14, 4];
        let mut bench = bench(policy, counts, Some("a"));
        let [a, b, c] = by_zone(&mut bench, counts, 20_000);
        assert!((5_500..6_500).contains(&a), "{policy:?}: {a} for 30 %");
        assert_eq!(c, 0, "zone c has too little itself");
        assert_eq!(a + b, 20_000);
    }
}

#[test]
fn sick_endpoints_are_worth_nothing() {
    let counts = [3, 3, 3];
    let mut bench = bench(LoadBalancing::RoundRobin, counts, Some("a"));
    bench.set_unhealthy(0..2);
    // One of seven, times three zones.
    let [a, b, c] = by_zone(&mut bench, counts, 20_000);
    assert!((8_000..9_200).contains(&a), "{a} for 43 %");
    assert!(b > 5_000 && c > 5_000, "{b} {c}");
    bench.set_unhealthy(0..3);
    assert_eq!(by_zone(&mut bench, counts, 1_000)[0], 0);
}

#[test]
fn an_agent_of_no_zone_or_another_uses_all() {
    for zone in [None, Some("d")] {
        let counts = [2, 2, 2];
        let mut bench = bench(LoadBalancing::RoundRobin, counts, zone);
        assert_eq!(by_zone(&mut bench, counts, 600), [200, 200, 200]);
    }
}

#[test]
fn keys_know_no_zones() {
    let counts = [2, 2, 2];
    let mut bench = bench(LoadBalancing::Maglev, counts, Some("a"));
    let zones = by_zone(&mut bench, counts, 6_000);
    assert!(
        zones.iter().all(|count| (1_700..2_300).contains(count)),
        "{zones:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// When agents of all zones send alike, no endpoint gets more than the mean of all, give or take chance, unless the
    /// agents of its own zone alone give it more.
    #[test]
    fn no_zone_is_given_too_much(counts in [1_u16..8, 1_u16..8, 1_u16..8]) {
        let mut sums = [0; 3];
        for zone in ["a", "b", "c"] {
            let mut bench = bench(LoadBalancing::Random, counts, Some(zone));
            let chosen = by_zone(&mut bench, counts, 4_000);
            (0..3).for_each(|at| sums[at] += chosen[at]);
        }
        let all: u16 = counts.iter().sum();
        let spare: Vec<usize> = (0..3).filter(|at| counts[*at] * 3 > all).collect();
        for at in 0..3 {
            let fair = f64::from(12_000) * f64::from(counts[at]) / f64::from(all);
            let got = f64::from(sums[at]);
            if spare.len() == 1 || !spare.contains(&at) {
                prop_assert!((got - fair).abs() < 400.0, "{sums:?} for {counts:?}");
            }
        }
    }
}
