//! Ejections: when, how many, for how long.

use std::sync::Arc;
use std::time::Duration;

use novaedge_balance::Outcome;
use novaedge_router::{Balancing, LoadBalancing, OutlierDetection, SuccessRate};

use crate::support::{Bench, endpoints};

fn bench(outlier: OutlierDetection, count: usize) -> Bench {
    let balancing = Balancing {
        outlier: Some(outlier),
        ..Balancing::of(LoadBalancing::RoundRobin)
    };
    Bench::with(balancing, endpoints(&vec![1; count]), None)
}

fn fail(bench: &Bench, at: usize, failures: u32) -> Option<Duration> {
    let mut times = (0..failures).filter_map(|_| {
        bench
            .group
            .record(&bench.member(at), Outcome::ConnectFailure, bench.now)
    });
    times.next()
}

#[test]
fn five_failures_in_a_row_eject_for_half_a_minute() {
    let mut bench = bench(OutlierDetection::default(), 10);
    assert_eq!(fail(&bench, 3, 4), None);
    bench
        .group
        .record(&bench.member(3), Outcome::Success, bench.now);
    assert_eq!(fail(&bench, 3, 4), None);
    assert_eq!(fail(&bench, 3, 1), Some(Duration::from_secs(30)));
    assert!(!bench.count(100).contains_key(&3));
    bench.now += Duration::from_secs(30);
    assert_eq!(bench.count(100)[&3], 10);
}

#[test]
fn the_ceiling_holds_until_one_is_back() {
    let outlier = OutlierDetection {
        max_ejected_percent: 20,
        ..OutlierDetection::default()
    };
    let mut bench = bench(outlier, 10);
    for at in 0..10 {
        fail(&bench, at, 50);
    }
    assert_eq!(bench.group.ejected(bench.now), 2);
    bench.now += Duration::from_secs(31);
    assert_eq!(bench.group.ejected(bench.now), 0);
    assert!(
        fail(&bench, 7, 1).is_some(),
        "it has failed often enough before"
    );
}

#[test]
fn an_ejection_outlives_new_endpoints() {
    let mut bench = bench(OutlierDetection::default(), 10);
    fail(&bench, 3, 5);
    bench.update(endpoints(&[1; 11]));
    assert!(!bench.count(110).contains_key(&3));
}

#[test]
fn who_fails_more_than_the_others_is_out() {
    let outlier = OutlierDetection {
        consecutive_failures: 1_000,
        success_rate: Some(SuccessRate::default()),
        ..OutlierDetection::default()
    };
    let mut bench = bench(outlier, 10);
    bench.group.sweep(bench.now);
    let run = |bench: &Bench, requests: u32| {
        for at in 0..10 {
            for request in 0..requests {
                let bad = at == 4 && request % 2 == 0 || request % 50 == 0;
                let outcome = if bad {
                    Outcome::ServerError
                } else {
                    Outcome::Success
                };
                bench.group.record(&bench.member(at), outcome, bench.now);
            }
        }
    };
    run(&bench, 90);
    bench.now += Duration::from_secs(10);
    let ejected = bench.group.sweep(bench.now);
    assert_eq!(ejected, 0, "too few requests to tell");
    run(&bench, 200);
    bench.now += Duration::from_secs(10);
    assert_eq!(bench.group.sweep(bench.now), 1);
    assert!(bench.member(4).ejected_until(bench.now).is_some());
    assert_eq!(bench.group.ejected(bench.now), 1);
}

#[test]
fn an_endpoint_whose_checks_fail_is_left_out() {
    let mut bench = bench(OutlierDetection::default(), 4);
    assert_eq!(bench.count(40)[&1], 10);
    bench.set_unhealthy([1]);
    assert!(!bench.count(40).contains_key(&1));
    // It is still known after the endpoints have changed, and of one that comes later.
    bench.update(endpoints(&[1; 5]));
    assert!(!bench.count(40).contains_key(&1));
    bench.set_unhealthy([4]);
    assert_eq!(bench.count(40)[&1], 10);
    assert!(!bench.count(40).contains_key(&4));
}

#[test]
fn without_checks_what_they_said_is_forgotten() {
    let mut bench = bench(OutlierDetection::default(), 4);
    bench.set_unhealthy([1]);
    assert!(!bench.count(40).contains_key(&1));
    let checked = Arc::clone(&bench.balancing);
    bench.balancing = Arc::new(Balancing {
        health_check: None,
        ..(*checked).clone()
    });
    bench.update(Arc::clone(&bench.endpoints));
    assert_eq!(bench.count(40)[&1], 10);
    bench.balancing = checked;
    bench.update(Arc::clone(&bench.endpoints));
    assert!(!bench.count(40).contains_key(&1));
}

#[test]
fn an_endpoint_that_is_well_again_starts_slowly() {
    let balancing = Balancing {
        slow_start: Some(Duration::from_secs(64)),
        ..Balancing::default()
    };
    let mut bench = Bench::with(balancing, endpoints(&[1; 2]), None);
    bench.set_unhealthy([1]);
    bench.count(1);
    bench.set_unhealthy([]);
    let soon = bench.count(110)[&1];
    assert!((8..=12).contains(&soon), "{soon} of 110 for a tenth");
    bench.now += Duration::from_secs(64);
    assert_eq!(bench.count(100)[&1], 50);
}

#[test]
fn when_too_few_are_well_all_are_used() {
    let mut bench = bench(OutlierDetection::default(), 10);
    bench.set_unhealthy(0..5);
    assert_eq!(bench.count(100).len(), 5);
    assert!(!bench.group.is_panicking(bench.now));
    bench.set_unhealthy(0..6);
    assert!(bench.group.is_panicking(bench.now));
    assert_eq!(bench.count(100).len(), 10);
}

#[test]
fn without_panic_nobody_is_chosen_when_nobody_is_well() {
    let balancing = Balancing {
        panic_percent: 0,
        ..Balancing::default()
    };
    let mut bench = Bench::with(balancing, endpoints(&[1]), None);
    bench.set_unhealthy([0]);
    assert!(bench.choose().is_none());
}
