//! Groups of endpoints, and counting what they choose.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use novaedge_balance::{Group, Member, Pick};
use novaedge_router::{Balancing, Endpoint, Host, LoadBalancing};

pub const ALL: [LoadBalancing; 7] = [
    LoadBalancing::RoundRobin,
    LoadBalancing::LeastRequest,
    LoadBalancing::Ewma,
    LoadBalancing::Random,
    LoadBalancing::SourceHash,
    LoadBalancing::RingHash,
    LoadBalancing::Maglev,
];

/// A group with its time and its chance.
pub struct Bench {
    pub group: Group<Member>,
    pub endpoints: Arc<[Endpoint]>,
    pub balancing: Arc<Balancing>,
    pub now: Instant,
    random: u64,
}

/// Endpoints 0, 1, 2 and so on with these weights.
pub fn endpoints(weights: &[u32]) -> Arc<[Endpoint]> {
    (0..)
        .zip(weights)
        .map(|(at, weight)| endpoint(at, *weight, None))
        .collect()
}

pub fn endpoint(at: u16, weight: u32, zone: Option<&str>) -> Endpoint {
    let [high, low] = at.to_be_bytes();
    Endpoint {
        address: Host::Ip([10, 0, high, low].into()),
        port: 80,
        zone: zone.map(Into::into),
        node: None,
        weight,
    }
}

/// The number of an endpoint.
pub fn number(member: &Member) -> u16 {
    let Host::Ip(std::net::IpAddr::V4(address)) = member.endpoint().address else {
        panic!("an address of `endpoint`");
    };
    let [_, _, high, low] = address.octets();
    u16::from_be_bytes([high, low])
}

impl Bench {
    pub fn new(policy: LoadBalancing, endpoints: Arc<[Endpoint]>) -> Self {
        Self::with(Balancing::of(policy), endpoints, None)
    }

    pub fn with(balancing: Balancing, endpoints: Arc<[Endpoint]>, zone: Option<&str>) -> Self {
        let mut bench = Self {
            group: Group::new(0, zone.map(Into::into)),
            endpoints: Arc::from([]),
            balancing: Arc::new(balancing),
            now: Instant::now(),
            random: 1,
        };
        bench.update(endpoints);
        bench
    }

    pub fn update(&mut self, endpoints: Arc<[Endpoint]>) {
        self.endpoints = endpoints;
        self.group.update(
            &self.endpoints,
            &self.balancing,
            || self.now,
            |endpoint| Member::new(endpoint.clone()),
        );
    }

    pub fn pick(&mut self) -> Pick {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let random = self.random ^ (self.random >> 29);
        Pick {
            now: self.now,
            key: random.rotate_left(17),
            random,
        }
    }

    pub fn choose(&mut self) -> Option<Rc<Member>> {
        let pick = self.pick();
        self.group.choose(pick, |_| false)
    }

    pub fn by_key(&self, key: u64) -> u16 {
        let pick = Pick {
            now: self.now,
            key,
            random: 0,
        };
        number(&self.group.choose(pick, |_| false).unwrap())
    }

    /// How often each endpoint is chosen.
    pub fn count(&mut self, choices: u32) -> BTreeMap<u16, u32> {
        let mut counts = BTreeMap::new();
        for _ in 0..choices {
            let chosen = self.choose().expect("there is an endpoint");
            *counts.entry(number(&chosen)).or_insert(0) += 1;
        }
        counts
    }

    pub fn member(&self, at: usize) -> Rc<Member> {
        Rc::clone(&self.group.members()[at])
    }
}
