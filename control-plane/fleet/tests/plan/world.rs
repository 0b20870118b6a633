//! A cluster in memory: what is planned is written at once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{LoadBalancerIngress, LoadBalancerStatus, Service, ServiceStatus};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use k8s_openapi::jiff::Timestamp;
use novaedge_api::meta::ObjectKey;
use novaedge_api::native::Transport;
use novaedge_fleet::{
    AgentPod, AgentWord, Agents, Gateways, Observed, Plan, Served, Settings, WantedGateway, Write,
    plan, writes,
};

pub(crate) const HTTP: (u16, Transport) = (80, Transport::Tcp);
pub(crate) const HTTPS: (u16, Transport) = (443, Transport::Tcp);
pub(crate) const DNS: (u16, Transport) = (53, Transport::Udp);

pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) gateways: Gateways,
    pub(crate) agents: Agents,
    pub(crate) services: BTreeMap<ObjectKey, Arc<Service>>,
    pub(crate) slices: BTreeMap<ObjectKey, Arc<EndpointSlice>>,
    pub(crate) pods: BTreeMap<String, AgentPod>,
    pub(crate) unseen: BTreeSet<String>,
    pub(crate) taken: BTreeSet<ObjectKey>,
    clock: i64,
}

pub(crate) fn key(name: &str) -> ObjectKey {
    ObjectKey::new("infra", name)
}

pub(crate) fn wanted(name: &str, ports: &[(u16, Transport)]) -> WantedGateway {
    let mut wanted = WantedGateway::resting(OwnerReference {
        api_version: "gateway.networking.k8s.io/v1".to_owned(),
        kind: "Gateway".to_owned(),
        name: name.to_owned(),
        uid: format!("uid-of-{name}"),
        controller: Some(true),
        block_owner_deletion: Some(true),
    });
    let listeners = ports
        .iter()
        .map(|port| (format!("l{}", port.0), vec![*port]));
    wanted.listeners = listeners.collect();
    wanted
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            settings: Settings::new("novaedge-system"),
            gateways: Gateways::new(),
            agents: Agents::new(),
            services: BTreeMap::new(),
            slices: BTreeMap::new(),
            pods: BTreeMap::new(),
            unseen: BTreeSet::new(),
            taken: BTreeSet::new(),
            clock: 0,
        }
    }

    /// A world with these Gateways and `a` and `b` as agents that serve everything.
    pub(crate) fn served(gateways: &[(&str, &[(u16, Transport)])]) -> Self {
        let mut world = Self::new();
        for (name, ports) in gateways {
            world.want(name, ports);
        }
        world.pod("a", 1);
        world.pod("b", 2);
        world.settle();
        world.acknowledge("a", 1);
        world.acknowledge("b", 1);
        world.settle();
        world
    }

    pub(crate) fn want(&mut self, name: &str, ports: &[(u16, Transport)]) -> &mut WantedGateway {
        self.gateways.insert(key(name), wanted(name, ports));
        self.gateways.get_mut(&key(name)).unwrap()
    }

    pub(crate) fn pod(&mut self, name: &str, number: u8) -> &mut AgentPod {
        let (namespace, own) = name.split_once('/').unwrap_or(("novaedge-system", name));
        let pod = AgentPod {
            namespace: namespace.to_owned(),
            name: own.to_owned(),
            uid: format!("pod-{name}"),
            ips: vec![IpAddr::V4(Ipv4Addr::new(10, 0, 0, number))],
            node: Some("node".to_owned()),
            ready: true,
            terminating: false,
        };
        self.pods.insert(name.to_owned(), pod);
        self.pods.get_mut(name).unwrap()
    }

    pub(crate) fn second_family(&mut self, name: &str, number: u16) {
        let ip = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, number);
        self.pods.get_mut(name).unwrap().ips.push(ip.into());
    }

    /// An agent acknowledges all that the Services hold now.
    pub(crate) fn acknowledge(&mut self, agent: &str, generation: i64) {
        let gateways = self.plan().state.gateways.into_iter();
        let served = gateways.map(|(key, state)| {
            let ports = state.ports.iter();
            let ports = ports.map(|((_, transport), local)| (*local, *transport));
            let served = Served {
                generation,
                ports: ports.collect(),
                ..Served::default()
            };
            (key, served)
        });
        let word = AgentWord {
            draining: false,
            gateways: Arc::new(served.collect()),
            refuses: BTreeSet::new(),
        };
        self.agents.insert(agent.to_owned(), word);
    }

    pub(crate) fn observed(&self) -> Observed<'_> {
        Observed {
            services: &self.services,
            slices: &self.slices,
            pods: &self.pods,
            unseen: &self.unseen,
            taken: &self.taken,
        }
    }

    pub(crate) fn plan(&self) -> Plan {
        plan(
            &self.settings,
            &self.gateways,
            &self.agents,
            &self.observed(),
        )
    }

    /// The writes that are due.
    pub(crate) fn due(&self) -> Vec<Write> {
        writes(&self.plan(), &self.observed())
    }

    /// Writes until nothing is due. Returns all that was written.
    pub(crate) fn settle(&mut self) -> Vec<Write> {
        let mut all = Vec::new();
        for _ in 0..10 {
            let due = self.due();
            if due.is_empty() {
                return all;
            }
            for write in due {
                self.write(&write);
                all.push(write);
            }
        }
        panic!("it does not come to rest: {:#?}", self.due());
    }

    fn write(&mut self, write: &Write) {
        let (_, key) = write.object();
        match write {
            Write::CreateService(object) | Write::ApplyService(object) => {
                let before = self.services.get(&key);
                let mut after = (**object).clone();
                after.metadata.creation_timestamp =
                    before.and_then(|before| before.metadata.creation_timestamp.clone());
                after.status = before.and_then(|before| before.status.clone());
                if before.is_none() {
                    self.clock += 1;
                    let time = Timestamp::from_second(self.clock).unwrap();
                    after.metadata.creation_timestamp = Some(Time(time));
                    after.metadata.uid = Some(format!("uid-{}", self.clock));
                    after.status = Some(balanced(&format!("192.0.2.{}", self.clock)));
                }
                self.services.insert(key, Arc::new(after));
            }
            Write::CreateSlice(object) | Write::ApplySlice(object) => {
                self.slices.insert(key, Arc::new((**object).clone()));
            }
            Write::DeleteService(..) => {
                self.services.remove(&key).unwrap();
            }
            Write::DeleteSlice(..) => {
                self.slices.remove(&key).unwrap();
            }
        }
    }

    /// Which agents take connections of a port, with `-` behind those that are about to end.
    pub(crate) fn takers(&self, gateway: &str, port: (u16, Transport)) -> Vec<String> {
        let name = format!("{}-{}", port.1.as_str().to_lowercase(), port.0);
        let mut takers = Vec::new();
        for (key, slice) in &self.slices {
            let mut ports = slice.ports.iter().flatten();
            if !key.name.starts_with(&format!("{gateway}-ipv4-"))
                || !ports.any(|port| port.name.as_deref() == Some(&name))
            {
                continue;
            }
            for endpoint in &slice.endpoints {
                let conditions = endpoint.conditions.clone().unwrap();
                assert_eq!(conditions.serving, Some(true));
                assert_ne!(conditions.ready, conditions.terminating);
                let pod = endpoint.target_ref.clone().unwrap().name.unwrap();
                let ready = conditions.ready == Some(true);
                takers.push(if ready { pod } else { format!("{pod}-") });
            }
        }
        takers.sort();
        takers
    }

    pub(crate) fn local(&self, gateway: &str, port: (u16, Transport)) -> Option<u16> {
        let plan = self.plan();
        plan.state.gateways[&key(gateway)].ports.get(&port).copied()
    }

    pub(crate) fn edit_service(&mut self, name: &str, edit: impl FnOnce(&mut Service)) {
        let service = self.services.get_mut(&key(name)).unwrap();
        edit(Arc::make_mut(service));
    }
}

/// The status of a Service with this address of a load balancer.
pub(crate) fn balanced(ip: &str) -> ServiceStatus {
    let ingress = LoadBalancerIngress {
        ip: Some(ip.to_owned()),
        ..LoadBalancerIngress::default()
    };
    ServiceStatus {
        load_balancer: Some(LoadBalancerStatus {
            ingress: Some(vec![ingress]),
        }),
        ..ServiceStatus::default()
    }
}
