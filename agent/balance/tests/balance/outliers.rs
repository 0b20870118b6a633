//! Ejections: when, how many, for how long.

use std::time::Duration;

use novaedge_balance::{Check, Group, Health, Member, Outcome, Thresholds};
use novaedge_router::{Balancing, LoadBalancing, OutlierDetection, SuccessRate};

use crate::support::{Bench, endpoints, number};

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
    assert_eq!(bench.group.census(bench.now).ejected, 2);
    bench.now += Duration::from_secs(31);
    assert_eq!(bench.group.census(bench.now).ejected, 0);
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
    assert_eq!(bench.group.census(bench.now).ejected, 1);
}

#[test]
fn checks_take_an_endpoint_out_and_in() {
    let mut bench = bench(OutlierDetection::default(), 4);
    let thresholds = Thresholds {
        healthy: 2,
        unhealthy: 3,
    };
    let check = |bench: &Bench, check, times: u32| {
        let member = bench.member(1);
        let group: &Group<Member> = &bench.group;
        let mut changes =
            (0..times).filter_map(|_| group.checked(&member, check, thresholds, bench.now));
        changes.next()
    };
    assert_eq!(check(&bench, Check::Failed, 2), None);
    assert_eq!(bench.count(40)[&1], 10);
    assert_eq!(check(&bench, Check::Failed, 1), Some(Health::Unhealthy));
    assert!(!bench.count(40).contains_key(&1));
    assert_eq!(check(&bench, Check::Passed, 2), Some(Health::Healthy));
    assert_eq!(bench.count(40)[&1], 10);
}

#[test]
fn when_too_few_are_well_all_are_used() {
    let mut bench = bench(OutlierDetection::default(), 10);
    for at in 0..5 {
        bench
            .group
            .set_health(&bench.member(at), Health::Unhealthy, bench.now);
    }
    assert_eq!(bench.count(100).len(), 5);
    assert!(!bench.group.is_panicking(bench.now));
    bench
        .group
        .set_health(&bench.member(5), Health::Unhealthy, bench.now);
    assert!(bench.group.is_panicking(bench.now));
    assert_eq!(bench.count(100).len(), 10);
}

#[test]
fn draining_endpoints_are_used_when_there_is_nothing_else() {
    let mut bench = bench(OutlierDetection::default(), 2);
    bench
        .group
        .set_health(&bench.member(0), Health::Draining, bench.now);
    bench
        .group
        .set_health(&bench.member(1), Health::Unhealthy, bench.now);
    assert_eq!(number(&bench.choose().unwrap()), 1, "in a panic, too");
    bench
        .group
        .set_health(&bench.member(1), Health::Draining, bench.now);
    assert_eq!(bench.count(10).len(), 2);
}

#[test]
fn without_panic_nobody_is_chosen_when_nobody_is_well() {
    let balancing = Balancing {
        panic_percent: 0,
        ..Balancing::default()
    };
    let mut bench = Bench::with(balancing, endpoints(&[1]), None);
    bench
        .group
        .set_health(&bench.member(0), Health::Unhealthy, bench.now);
    assert!(bench.choose().is_none());
}
