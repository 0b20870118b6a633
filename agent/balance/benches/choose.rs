//! What a choice costs by policy and number of endpoints, and what a change of the endpoints does.
//!
//! `cargo bench -p novaedge-balance`

use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use divan::Bencher;
use novaedge_balance::{Group, Member, Pick, Site};
use novaedge_router::{Balancing, Endpoint, Host, LoadBalancing};

const SIZES: [u32; 3] = [1, 10, 1_000];

fn main() {
    divan::main();
}

/// Whether all endpoints have the same weight.
#[derive(Clone, Copy)]
enum Weights {
    Equal,
    Different,
}

fn endpoints(count: u32, weights: Weights) -> Arc<[Endpoint]> {
    let endpoint = |at: u32| Endpoint {
        address: Host::Ip(std::net::Ipv4Addr::from(0x0a00_0000 + at).into()),
        port: 80,
        zone: None,
        node: None,
        weight: match weights {
            Weights::Equal => 1,
            Weights::Different => at % 5 + 1,
        },
    };
    (0..count).map(endpoint).collect()
}

fn group(policy: LoadBalancing, count: u32, weights: Weights, now: Instant) -> Group<Member> {
    let group = Group::new("backend/default/a".into(), 0, &Site::default());
    let balancing = Arc::new(Balancing::of(policy));
    group.update(
        &endpoints(count, weights),
        &balancing,
        || now,
        |endpoint| Member::new(endpoint.clone()),
    );
    group
}

fn choose(bencher: Bencher<'_, '_>, policy: LoadBalancing, count: u32, weights: Weights) {
    let now = Instant::now();
    let group = group(policy, count, weights, now);
    let random = Cell::new(1_u64);
    bencher.bench_local(|| {
        let bits = random
            .get()
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        random.set(bits);
        let pick = Pick {
            now,
            key: bits,
            random: bits,
        };
        black_box(group.choose(pick, |_| false))
    });
}

#[divan::bench(args = SIZES)]
fn round_robin(bencher: Bencher<'_, '_>, count: u32) {
    choose(bencher, LoadBalancing::RoundRobin, count, Weights::Equal);
}

#[divan::bench(args = SIZES)]
fn round_robin_by_weight(bencher: Bencher<'_, '_>, count: u32) {
    choose(
        bencher,
        LoadBalancing::RoundRobin,
        count,
        Weights::Different,
    );
}

#[divan::bench(args = SIZES)]
fn least_request(bencher: Bencher<'_, '_>, count: u32) {
    choose(
        bencher,
        LoadBalancing::LeastRequest,
        count,
        Weights::Different,
    );
}

#[divan::bench(args = SIZES)]
fn ewma(bencher: Bencher<'_, '_>, count: u32) {
    choose(bencher, LoadBalancing::Ewma, count, Weights::Different);
}

#[divan::bench(args = SIZES)]
fn random(bencher: Bencher<'_, '_>, count: u32) {
    choose(bencher, LoadBalancing::Random, count, Weights::Different);
}

#[divan::bench(args = SIZES)]
fn source_hash(bencher: Bencher<'_, '_>, count: u32) {
    choose(bencher, LoadBalancing::SourceHash, count, Weights::Equal);
}

#[divan::bench(args = SIZES)]
fn ring_hash(bencher: Bencher<'_, '_>, count: u32) {
    choose(bencher, LoadBalancing::RingHash, count, Weights::Equal);
}

#[divan::bench(args = SIZES)]
fn maglev(bencher: Bencher<'_, '_>, count: u32) {
    choose(bencher, LoadBalancing::Maglev, count, Weights::Equal);
}

/// One endpoint more or less, and the first choice after that.
#[divan::bench(args = SIZES)]
fn change_of_maglev(bencher: Bencher<'_, '_>, count: u32) {
    change(bencher, LoadBalancing::Maglev, count);
}

/// One endpoint more or less, and the first choice after that.
#[divan::bench(args = SIZES)]
fn change_of_round_robin(bencher: Bencher<'_, '_>, count: u32) {
    change(bencher, LoadBalancing::RoundRobin, count);
}

fn change(bencher: Bencher<'_, '_>, policy: LoadBalancing, count: u32) {
    let now = Instant::now();
    let group = group(policy, count, Weights::Equal, now);
    let balancing = Arc::new(Balancing::of(policy));
    let sets = [count, count + 1].map(|count| endpoints(count, Weights::Equal));
    let turn = Cell::new(0_usize);
    bencher.bench_local(|| {
        turn.set(turn.get() + 1);
        let set = &sets[turn.get() % 2];
        group.update(
            set,
            &balancing,
            || now,
            |endpoint| Member::new(endpoint.clone()),
        );
        let pick = Pick {
            now,
            key: 0,
            random: 0,
        };
        black_box(group.choose(pick, |_| false))
    });
}
