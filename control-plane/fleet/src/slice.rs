//! The EndpointSlices of a Gateway's Service: which agents take its connections.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use novaedge_api::meta::ObjectKey;
use novaedge_api::native::Transport;

use crate::gateway::WantedGateway;
use crate::name::{self, MANAGER, SERVICE_NAME, SLICE_MANAGED_BY};
use crate::plan::Observed;
use crate::pod::{AgentPod, node_id};
use crate::port::Ports;
use crate::service::port_name;
use crate::state::Agents;

/// Endpoints of one slice at most; the API server takes 1,000.
const CHUNK: usize = 500;

/// How an agent takes connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// It takes new ones.
    Ready,
    /// It is about to end: it takes new ones when there is no other.
    Ending,
}

/// What the slices of one Gateway are made of.
pub(crate) struct Scene<'a> {
    pub namespace: &'a str,
    pub observed: &'a Observed<'a>,
    pub agents: &'a Agents,
    pub gateway: &'a ObjectKey,
    pub wanted: &'a WantedGateway,
    pub service: &'a ObjectKey,
    /// The slices of the Service that there are.
    pub found: &'a [(&'a ObjectKey, &'a EndpointSlice)],
}

/// The EndpointSlices that a Service is to have. Ports that the same agents serve share their slices; there are others
/// for each port that some of the agents do not serve yet, so that the agents of one port do not wait for another.
pub(crate) fn build(scene: &Scene<'_>, ports: &Ports) -> Vec<EndpointSlice> {
    let mut slices = Vec::new();
    for (family, is_family) in FAMILIES {
        let mut groups: Vec<(Ports, BTreeMap<&str, Standing>)> = Vec::new();
        for (port, local) in ports {
            let serving = serving(scene, *port, *local, is_family);
            match groups.iter_mut().find(|(_, agents)| *agents == serving) {
                Some((ports, _)) => {
                    ports.insert(*port, *local);
                }
                None => groups.push((Ports::from([(*port, *local)]), serving)),
            }
        }
        let mut index = 0;
        for (ports, agents) in &groups {
            let agents: Vec<(&str, Standing)> = agents.iter().map(|(k, v)| (*k, *v)).collect();
            for chunk in agents.chunks(CHUNK) {
                slices.push(slice(scene, (family, is_family), index, ports, chunk));
                index += 1;
            }
        }
    }
    slices
}

/// The EndpointSlices that there are, if they lead to pods that cannot be seen: those may be well, and whoever cannot
/// look takes nobody away from them.
pub(crate) fn kept(scene: &Scene<'_>) -> Option<Vec<EndpointSlice>> {
    let mut endpoints = scene.found.iter().flat_map(|(_, slice)| &slice.endpoints);
    let is_unseen = endpoints.any(|endpoint| {
        let target = endpoint.target_ref.as_ref();
        let namespace = target.and_then(|target| target.namespace.as_ref());
        namespace.is_some_and(|namespace| scene.observed.unseen.contains(namespace))
    });
    let slices = scene.found.iter().map(|(_, slice)| (*slice).clone());
    is_unseen.then(|| slices.collect())
}

type IsFamily = fn(&IpAddr) -> bool;
const FAMILIES: [(&str, IsFamily); 2] = [("IPv4", IpAddr::is_ipv4), ("IPv6", IpAddr::is_ipv6)];

/// The agents that serve a port, by name of their pod.
fn serving<'a>(
    scene: &Scene<'a>,
    port: (u16, Transport),
    local: u16,
    is_family: IsFamily,
) -> BTreeMap<&'a str, Standing> {
    let pods = scene.observed.pods.iter();
    pods.filter_map(|(name, pod)| {
        let ip = pod.ips.iter().find(|ip| is_family(ip))?;
        let word = scene.agents.get(name);
        let serves = match word {
            Some(word) => word
                .gateways
                .get(scene.gateway)
                .is_some_and(|served| served.ports.contains(&(local, port.1))),
            // Nobody hears it. What it served it serves still, as long as its pod is well.
            None => (pod.ready || pod.terminating) && is_listed(scene, port, local, *ip),
        };
        let ending = pod.terminating || word.is_some_and(|word| word.draining);
        let standing = if ending {
            Standing::Ending
        } else {
            Standing::Ready
        };
        serves.then_some((name.as_str(), standing))
    })
    .collect()
}

/// Whether a slice that there is lists an address for a port.
fn is_listed(scene: &Scene<'_>, port: (u16, Transport), local: u16, ip: IpAddr) -> bool {
    let name = port_name(port);
    let mut slices = scene.found.iter().map(|(_, slice)| slice);
    slices.any(|slice| {
        let mut ports = slice.ports.iter().flatten();
        ports.any(|p| p.name.as_deref() == Some(&name) && p.port == Some(i32::from(local)))
            && slice.endpoints.iter().any(|e| address(e) == Some(ip))
    })
}

fn address(endpoint: &Endpoint) -> Option<IpAddr> {
    endpoint.addresses.first()?.parse().ok()
}

fn slice(
    scene: &Scene<'_>,
    (family, is_family): (&str, IsFamily),
    index: usize,
    ports: &Ports,
    agents: &[(&str, Standing)],
) -> EndpointSlice {
    let mut labels = name::labels(scene.gateway);
    labels.insert(SERVICE_NAME.to_owned(), scene.service.name.clone());
    labels.insert(SLICE_MANAGED_BY.to_owned(), MANAGER.to_owned());
    let suffix = family.to_ascii_lowercase();
    let endpoints = agents.iter().filter_map(|(name, standing)| {
        let pod = scene.observed.pods.get(*name)?;
        let ip = pod.ips.iter().find(|ip| is_family(ip))?;
        Some(endpoint(pod, *ip, *standing))
    });
    EndpointSlice {
        metadata: ObjectMeta {
            name: Some(format!("{}-{suffix}-{index}", scene.service.name)),
            namespace: Some(scene.service.namespace.clone()),
            labels: Some(labels),
            owner_references: Some(vec![scene.wanted.owner.clone()]),
            ..ObjectMeta::default()
        },
        address_type: family.to_owned(),
        endpoints: endpoints.collect(),
        ports: Some(
            ports
                .iter()
                .map(|(port, local)| EndpointPort {
                    name: Some(port_name(*port)),
                    port: Some(i32::from(*local)),
                    protocol: Some(port.1.as_str().to_owned()),
                    app_protocol: None,
                })
                .collect(),
        ),
    }
}

fn endpoint(pod: &AgentPod, ip: IpAddr, standing: Standing) -> Endpoint {
    Endpoint {
        addresses: vec![ip.to_string()],
        conditions: Some(EndpointConditions {
            ready: Some(standing == Standing::Ready),
            serving: Some(true),
            terminating: Some(standing == Standing::Ending),
        }),
        node_name: pod.node.clone(),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".to_owned()),
            namespace: Some(pod.namespace.clone()),
            name: Some(pod.name.clone()),
            uid: Some(pod.uid.clone()),
            ..ObjectReference::default()
        }),
        ..Endpoint::default()
    }
}

/// The agents that new connections come to, for each of `ports` that some slice has.
pub(crate) fn ready_agents(
    scene: &Scene<'_>,
    ports: &Ports,
) -> BTreeMap<(u16, Transport), BTreeSet<String>> {
    let mut ready: BTreeMap<(u16, Transport), BTreeSet<String>> = BTreeMap::new();
    for (port, local) in ports {
        let name = port_name(*port);
        for (_, slice) in scene.found {
            let mut listed = slice.ports.iter().flatten();
            if !listed
                .any(|p| p.name.as_deref() == Some(&name) && p.port == Some(i32::from(*local)))
            {
                continue;
            }
            let takes = slice.endpoints.iter().filter(|endpoint| {
                let conditions = endpoint.conditions.as_ref();
                conditions.is_none_or(|conditions| conditions.ready != Some(false))
            });
            let nodes = takes.filter_map(|endpoint| {
                let pod = endpoint.target_ref.as_ref()?;
                let namespace = pod.namespace.as_deref().unwrap_or(scene.namespace);
                Some(node_id(scene.namespace, namespace, pod.name.as_deref()?))
            });
            ready.entry(*port).or_default().extend(nodes);
        }
    }
    ready
}

/// Whether a slice is what it is to be.
pub(crate) fn is_as_wanted(found: &EndpointSlice, wanted: &EndpointSlice) -> bool {
    let labels = found.metadata.labels.as_ref();
    let owners = found.metadata.owner_references.as_deref();
    let owners = owners.unwrap_or_default();
    let mut owned = wanted.metadata.owner_references.iter().flatten();
    let mut wanted_labels = wanted.metadata.labels.iter().flatten();
    wanted_labels.all(|(k, v)| labels.and_then(|labels| labels.get(k)) == Some(v))
        && owned.all(|owner| owners.iter().any(|o| o.uid == owner.uid))
        && found.address_type == wanted.address_type
        && found.endpoints == wanted.endpoints
        && found.ports == wanted.ports
}
