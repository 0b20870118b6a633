//! What is to be, from what is wanted and what there is. Pure: it reads no clock and asks nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use novaedge_api::meta::ObjectKey;
use novaedge_api::native::Transport;

use crate::gateway::{Gateways, WantedGateway};
use crate::name::{SERVICE_NAME, service_names};
use crate::pod::AgentPod;
use crate::port::{Claims, Ports};
use crate::service;
use crate::settings::{ServiceType, Settings};
use crate::slice::{self, Scene};
use crate::state::{Agents, FleetState, GatewayState, Problem};

/// Names that are tried for a Service when those before are taken.
const MAX_NAMES: usize = 16;

/// What there is in the cluster.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// Services that carry the labels of the fleet.
    pub services: &'a BTreeMap<ObjectKey, Arc<Service>>,
    /// EndpointSlices that carry the labels of the fleet.
    pub slices: &'a BTreeMap<ObjectKey, Arc<EndpointSlice>>,
    /// The pods of agents, by node id.
    pub pods: &'a BTreeMap<String, AgentPod>,
    /// Namespaces of agents whose pods cannot be seen, or not yet.
    pub unseen: &'a BTreeSet<String>,
    /// Names of Services of others, as far as they are known to be in the way.
    pub taken: &'a BTreeSet<ObjectKey>,
}

/// What is to be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The Services that Gateways are to have, as far as they are not to stay as they are.
    pub services: BTreeMap<ObjectKey, Service>,
    /// The EndpointSlices that their Services are to have.
    pub slices: BTreeMap<ObjectKey, EndpointSlice>,
    /// Services that nobody wants.
    pub stray_services: BTreeSet<ObjectKey>,
    /// EndpointSlices that nobody wants.
    pub stray_slices: BTreeSet<ObjectKey>,
    /// What each Gateway has now.
    pub state: FleetState,
}

/// What one Service of the fleet holds.
struct Holding<'a> {
    key: &'a ObjectKey,
    service: &'a Service,
    ports: Ports,
}

/// Plans the whole fleet.
pub fn plan(
    settings: &Settings,
    gateways: &Gateways,
    agents: &Agents,
    observed: &Observed<'_>,
) -> Plan {
    let mut claims = Claims::default();
    let (holdings, surplus) = holdings(observed, &mut claims);
    let slices = slices_of(observed);
    let mut names: BTreeSet<ObjectKey> = observed.services.keys().cloned().collect();
    let mut plan = Plan::default();
    for (key, wanted) in gateways {
        let holding = holdings.get(key);
        let mut state = GatewayState::default();
        check_addresses(settings, wanted, &mut state);
        let bound = holding.map(|holding| bound(wanted, holding));
        let service = match holding {
            Some(holding) => Some(holding.key.clone()),
            None if wanted.listeners.is_empty() => None,
            None => name(key, &names, observed.taken),
        };
        let Some(service) = service else {
            if !wanted.listeners.is_empty() {
                state.problems.push(nameless(key));
            }
            plan.state.gateways.insert(key.clone(), state);
            continue;
        };
        names.insert(service.clone());
        let bound = bound.unwrap_or_default();
        let to_be = allocate(settings, &mut claims, (key, wanted), &service, &bound);
        exhaust(settings, wanted, &to_be, &mut state);
        if !to_be.is_empty() {
            let built = service::build(settings, &service, (key, wanted), &to_be);
            plan.services.insert(service.clone(), built);
        }
        if let Some(holding) = holding {
            let found = slices.get(&service).map_or(&[][..], Vec::as_slice);
            let scene = Scene {
                namespace: &settings.namespace,
                observed,
                agents,
                gateway: key,
                wanted,
                service: &service,
                found,
            };
            let built = slice::kept(&scene).unwrap_or_else(|| slice::build(&scene, &bound));
            for slice in built {
                plan.slices.insert(ObjectKey::of(&slice.metadata), slice);
            }
            state.addresses = service::addresses(holding.service);
            acknowledge(&scene, &bound, &mut state);
            state.ports = bound;
        }
        plan.state.gateways.insert(key.clone(), state);
    }
    plan.stray_services = strays(gateways, &holdings, surplus);
    let slices = observed.slices.keys();
    let stray = slices.filter(|key| !plan.slices.contains_key(*key));
    plan.stray_slices = stray.cloned().collect();
    plan
}

/// The Service of each Gateway with the local ports that it holds, the oldest where there are several; and the others.
fn holdings<'a>(
    observed: &Observed<'a>,
    claims: &mut Claims,
) -> (BTreeMap<ObjectKey, Holding<'a>>, BTreeSet<ObjectKey>) {
    let ours = observed.services.iter();
    let ours =
        ours.filter_map(|(key, service)| Some((key, &**service, service::gateway_of(service)?)));
    let mut ours: Vec<(&ObjectKey, &Service, ObjectKey)> = ours.collect();
    ours.sort_by_key(|(key, service, _)| {
        let metadata = &service.metadata;
        let created = metadata.creation_timestamp.as_ref().map(|time| time.0);
        (created.is_none(), created, *key)
    });
    let mut holdings = BTreeMap::new();
    let mut surplus = BTreeSet::new();
    for (key, service, gateway) in ours {
        // One that goes holds its ports until it is gone, and serves nobody.
        let ports = claims.claim(key, service);
        if service.metadata.deletion_timestamp.is_some() {
            continue;
        }
        if holdings.contains_key(&gateway) {
            surplus.insert(key.clone());
            continue;
        }
        let holding = Holding {
            key,
            service,
            ports,
        };
        holdings.insert(gateway, holding);
    }
    (holdings, surplus)
}

/// The EndpointSlices of each Service.
fn slices_of<'a>(
    observed: &Observed<'a>,
) -> BTreeMap<ObjectKey, Vec<(&'a ObjectKey, &'a EndpointSlice)>> {
    let mut slices: BTreeMap<ObjectKey, Vec<_>> = BTreeMap::new();
    for (key, slice) in observed.slices {
        let labels = slice.metadata.labels.as_ref();
        if let Some(service) = labels.and_then(|labels| labels.get(SERVICE_NAME)) {
            let service = ObjectKey::new(&key.namespace, service);
            slices.entry(service).or_default().push((key, &**slice));
        }
    }
    slices
}

/// The local ports of a Gateway's listeners that its Service holds.
fn bound(wanted: &WantedGateway, holding: &Holding<'_>) -> Ports {
    let ports = wanted.ports().into_iter();
    let held = ports.filter_map(|port| Some((port, *holding.ports.get(&port)?)));
    held.collect()
}

/// A name for a new Service that nobody has.
fn name(
    gateway: &ObjectKey,
    names: &BTreeSet<ObjectKey>,
    taken: &BTreeSet<ObjectKey>,
) -> Option<ObjectKey> {
    let keys = service_names(&gateway.name)
        .take(MAX_NAMES)
        .map(|name| ObjectKey::new(&gateway.namespace, name));
    keys.into_iter()
        .find(|key| !names.contains(key) && !taken.contains(key))
}

/// The local ports that a Gateway is to have.
fn allocate(
    settings: &Settings,
    claims: &mut Claims,
    (key, wanted): (&ObjectKey, &WantedGateway),
    service: &ObjectKey,
    bound: &Ports,
) -> Ports {
    let ports = wanted.ports().into_iter();
    let local = ports.filter_map(|port| {
        let held = bound.get(&port).copied();
        let local = held.or_else(|| claims.allocate(settings, key, service, port))?;
        Some((port, local))
    });
    local.collect()
}

/// Names the listeners that no local port is left for.
fn exhaust(settings: &Settings, wanted: &WantedGateway, ports: &Ports, state: &mut GatewayState) {
    let listeners = wanted.listeners.iter();
    for (listener, port) in listeners.flat_map(|(name, ports)| ports.iter().map(move |p| (name, p)))
    {
        if !ports.contains_key(port) {
            let (first, last) = (settings.ports.start(), settings.ports.end());
            let text = format!(
                "every {} port from {first} to {last} of the agents is taken by another listener; \
                 delete listeners that nobody needs",
                port.1.as_str()
            );
            state.exhausted_listeners.insert(listener.clone(), text);
        }
    }
}

/// What the agents that a Service leads to have acknowledged of its Gateway, once they serve all of its ports.
fn acknowledge(scene: &Scene<'_>, bound: &Ports, state: &mut GatewayState) {
    let ready = slice::ready_agents(scene, bound);
    let listed: BTreeSet<&String> = ready.values().flatten().collect();
    state.agents = listed.iter().map(|name| (*name).clone()).collect();
    let is_bound = |(listener, ports): (&String, &Vec<(u16, Transport)>)| {
        ports.iter().all(|port| bound.contains_key(port))
            || state.exhausted_listeners.contains_key(listener)
    };
    if bound.is_empty() || !scene.wanted.listeners.iter().all(is_bound) {
        return;
    }
    // Agents that nobody hears do not count: they serve what they served, and may never speak again.
    let heard = listed
        .iter()
        .filter_map(|name| Some((*name, scene.agents.get(*name)?)));
    let mut acknowledged: Option<(i64, BTreeMap<ObjectKey, i64>)> = None;
    for (name, word) in heard.filter(|(_, word)| !word.draining) {
        let refuses = word.refuses.contains(scene.gateway);
        let everywhere = bound.keys().all(|port| {
            let agents = ready.get(port);
            refuses || agents.is_some_and(|agents| agents.contains(name))
        });
        let Some(served) = word.gateways.get(scene.gateway).filter(|_| everywhere) else {
            return;
        };
        acknowledged = Some(match acknowledged {
            None => (served.generation, served.listener_sets.clone()),
            Some((generation, mut sets)) => {
                let other = &served.listener_sets;
                sets.retain(|key, _| other.contains_key(key));
                for (key, generation) in &mut sets {
                    *generation = (*generation).min(other.get(key).copied().unwrap_or(0));
                }
                (served.generation.min(generation), sets)
            }
        });
    }
    if let Some((generation, sets)) = acknowledged {
        state.acknowledged_generation = Some(generation);
        state.acknowledged_listener_sets = sets;
    }
}

/// Names the addresses that a Service cannot ask for.
fn check_addresses(settings: &Settings, wanted: &WantedGateway, state: &mut GatewayState) {
    let asked = wanted.addresses.iter().enumerate();
    let asked = asked.filter(|(_, ip)| !ip.is_unspecified());
    let honoured = usize::from(settings.service_type == ServiceType::LoadBalancer);
    for (index, ip) in asked.skip(honoured) {
        let message = if honoured == 0 {
            format!(
                "a Service of type {} cannot ask for address {ip}; remove it",
                settings.service_type.as_str()
            )
        } else {
            format!("a Service can ask for one address, and {ip} is not the first; remove it")
        };
        state.problems.push(Problem {
            field: format!("spec.addresses[{index}]"),
            reason: "AddressNotUsable",
            message,
        });
    }
}

fn nameless(gateway: &ObjectKey) -> Problem {
    Problem {
        field: String::new(),
        reason: "NameTaken",
        message: format!(
            "Service {gateway} and all names that could stand for it are of somebody else; \
             delete that Service or rename the Gateway"
        ),
    }
}

/// Services of Gateways that are not there, and second ones. One that goes needs no help.
fn strays(
    gateways: &Gateways,
    holdings: &BTreeMap<ObjectKey, Holding<'_>>,
    surplus: BTreeSet<ObjectKey>,
) -> BTreeSet<ObjectKey> {
    let mut strays = surplus;
    for (gateway, holding) in holdings {
        if !gateways.contains_key(gateway) {
            strays.insert(holding.key.clone());
        }
    }
    strays
}
