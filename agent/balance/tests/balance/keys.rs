//! The same key goes to the same endpoint, and few keys move.

use std::sync::Arc;

use novaedge_balance::{Pick, hash};
use novaedge_router::{Endpoint, LoadBalancing};
use proptest::prelude::*;

use crate::support::{Bench, endpoint, endpoints, number};

const BY_KEY: [LoadBalancing; 3] = [
    LoadBalancing::SourceHash,
    LoadBalancing::RingHash,
    LoadBalancing::Maglev,
];

const KEYS: u64 = 2_000;

fn keys() -> impl Iterator<Item = u64> {
    (0..KEYS).map(|key| hash::bytes_key(&key.to_be_bytes()))
}

/// All but those with the number.
fn without(endpoints: &[Endpoint], gone: usize) -> Arc<[Endpoint]> {
    let kept = endpoints.iter().enumerate().filter(|(at, _)| *at != gone);
    kept.map(|(_, endpoint)| endpoint.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Rendezvous and the ring move the keys of the endpoint that goes, and no other; Maglev a few more.
    #[test]
    fn only_the_keys_of_the_endpoint_that_goes_move(
        count in 2_usize..60,
        gone in 0_usize..60,
        policy in prop::sample::select(&BY_KEY[..]),
    ) {
        let gone = gone % count;
        let all = endpoints(&vec![1; count]);
        let before = Bench::new(policy, Arc::clone(&all));
        let after = Bench::new(policy, without(&all, gone));
        let (mut own, mut others) = (0, 0);
        for key in keys() {
            let (old, new) = (before.by_key(key), after.by_key(key));
            if usize::from(old) == gone {
                own += 1;
            } else if old != new {
                others += 1;
            }
        }
        // From 41 endpoints to 40 Maglev's table has another size.
        if policy == LoadBalancing::Maglev && count != 41 {
            prop_assert!(others < KEYS / 20, "{others} of {KEYS}");
        } else if policy != LoadBalancing::Maglev {
            prop_assert_eq!(others, 0);
        }
        let share = KEYS / count as u64;
        prop_assert!(own <= share * 2 + 40, "{own} of {KEYS} with {count}");
    }

    /// An endpoint that is out leaves its keys to others, which keep theirs, and has them again when it is back.
    #[test]
    fn keys_come_back_with_their_endpoint(
        count in 3_usize..40,
        out in 0_usize..40,
        policy in prop::sample::select(&BY_KEY[..]),
    ) {
        let out = out % count;
        let bench = Bench::new(policy, endpoints(&vec![1; count]));
        let before: Vec<_> = keys().map(|key| bench.by_key(key)).collect();
        bench.set_unhealthy(u16::try_from(out));
        for (key, old) in keys().zip(&before) {
            let new = bench.by_key(key);
            prop_assert_ne!(usize::from(new), out);
            prop_assert!(usize::from(*old) == out || new == *old);
        }
        bench.set_unhealthy([]);
        for (key, old) in keys().zip(&before) {
            prop_assert_eq!(bench.by_key(key), *old);
        }
    }

    #[test]
    fn the_order_of_endpoints_does_not_matter(
        numbers in Just((0_u16..30).collect::<Vec<_>>()).prop_shuffle(),
        policy in prop::sample::select(&BY_KEY[..]),
    ) {
        let shuffled = numbers.iter().map(|at| endpoint(*at, 1, None)).collect();
        let sorted = Bench::new(policy, endpoints(&[1; 30]));
        let shuffled = Bench::new(policy, shuffled);
        for key in keys() {
            prop_assert_eq!(sorted.by_key(key), shuffled.by_key(key));
        }
    }
}

#[test]
fn keys_are_spread_over_hundreds_of_endpoints() {
    for policy in BY_KEY {
        let bench = Bench::new(policy, endpoints(&[1; 300]));
        let mut counts = vec![0_u32; 300];
        for key in 0..60_000_u64 {
            counts[usize::from(bench.by_key(hash::bytes_key(&key.to_be_bytes())))] += 1;
        }
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        let bounds = match policy {
            // 160 points each.
            LoadBalancing::RingHash => 110..320,
            _ => 140..260,
        };
        assert!(
            bounds.contains(least) && bounds.contains(most),
            "{policy:?}: {least} to {most}"
        );
    }
}

#[test]
fn a_try_elsewhere_is_the_same_elsewhere() {
    for policy in BY_KEY {
        let bench = Bench::new(policy, endpoints(&[1; 10]));
        for key in keys().take(200) {
            let first = bench.by_key(key);
            let pick = |random| Pick {
                now: bench.now,
                key,
                random,
            };
            let elsewhere = |random| {
                let chosen = bench.group.choose(pick(random), |one| number(one) == first);
                number(&chosen.unwrap())
            };
            assert_ne!(elsewhere(1), first);
            assert_eq!(elsewhere(1), elsewhere(2), "chance has no part in it");
        }
    }
}

#[test]
fn when_most_are_out_keys_still_find_one() {
    for policy in BY_KEY {
        let mut balancing = novaedge_router::Balancing::of(policy);
        balancing.panic_percent = 0;
        let bench = Bench::with(balancing, endpoints(&[1; 500]), None);
        bench.set_unhealthy((0..500).filter(|at| *at != 321));
        for key in keys().take(100) {
            assert_eq!(bench.by_key(key), 321);
        }
    }
}
