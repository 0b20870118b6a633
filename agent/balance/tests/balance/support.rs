//! Groups of endpoints, and counting what they choose.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use novaedge_balance::hash::endpoint_id;
use novaedge_balance::{Group, Member, Pick, Site, Unhealthy, Verdicts};
use novaedge_router::{Balancing, Endpoint, HealthCheck, Host, LoadBalancing, Probe};

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
    verdicts: Verdicts,
}

const BACKEND: &str = "backend/default/a";

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

    /// Endpoints are checked.
    pub fn with(balancing: Balancing, endpoints: Arc<[Endpoint]>, zone: Option<&str>) -> Self {
        let site = Site {
            zone: zone.map(Into::into),
            verdicts: Verdicts::default(),
            ..Site::default()
        };
        let balancing = Balancing {
            health_check: Some(HealthCheck {
                probe: Probe::Tcp,
                port: None,
                interval: Duration::from_secs(5),
                timeout: Duration::from_secs(1),
                healthy_threshold: 1,
                unhealthy_threshold: 1,
            }),
            ..balancing
        };
        let mut bench = Self {
            group: Group::new(BACKEND.into(), 0, &site),
            verdicts: site.verdicts,
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

    /// Checks of exactly these endpoints fail from now on.
    pub fn set_unhealthy(&self, all: impl IntoIterator<Item = u16>) {
        let all = all
            .into_iter()
            .map(|at| endpoint_id(&endpoint(at, 1, None)));
        let unhealthy = Unhealthy::from_iter([(BACKEND.into(), all.collect())]);
        self.verdicts.publish(unhealthy);
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
