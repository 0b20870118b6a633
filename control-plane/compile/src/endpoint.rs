//! Endpoints of ProxyBackends: from EndpointSlices, from the name of an ExternalName Service, or as
//! they are written.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use novaedge_api::k8s_openapi::api::core::v1::{Service, ServicePort};
use novaedge_api::k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use novaedge_api::meta::{Kind, ObjectId, ObjectKey};
use novaedge_api::native::{ProxyBackend, ProxyEndpoint, ProxyServiceProtocol, ProxyServiceRef};
use novaedge_proto::v1;
use novaedge_proto::v1::resource::Body;

use crate::backend::service_key;
use crate::name;
use crate::unit::Computed;
use crate::view::{Origin, View};

/// Endpoints by address and port, so that they are sorted and nothing stands twice.
type Endpoints = BTreeMap<(String, u16), v1::Endpoint>;

/// Compiles the endpoints of a ProxyBackend. Faults are named by the backend itself.
pub(crate) fn compile(view: &View<'_>, key: &ObjectKey) -> Computed {
    let Some((object, origin)) = view.native::<ProxyBackend>(key) else {
        return Computed::default();
    };
    let mut endpoints = written(&object.spec.endpoints);
    if let Some(reference) = &object.spec.service_ref
        && may_use(view, key, origin, reference)
    {
        endpoints.extend(of_service(view, key, reference));
    }
    let body = Body::Endpoints(v1::Endpoints {
        backend: name::backend(key),
        endpoints: endpoints.into_values().collect(),
    });
    Computed {
        resources: vec![(name::endpoints(key), body)],
        ..Computed::default()
    }
}

fn may_use(view: &View<'_>, key: &ObjectKey, origin: Origin, to: &ProxyServiceRef) -> bool {
    let backend = ObjectId {
        kind: Kind::ProxyBackend,
        key: key.clone(),
    };
    origin == Origin::Generated || view.permits(&backend, Kind::Service, &service_key(to, key))
}

fn written(endpoints: &[ProxyEndpoint]) -> Endpoints {
    let usable = endpoints.iter().filter(|endpoint| check(endpoint).is_ok());
    usable
        .map(|endpoint| {
            let (key, made) = entry(&endpoint.address, endpoint.port);
            let weight = endpoint.weight.unwrap_or_default();
            (key, v1::Endpoint { weight, ..made })
        })
        .collect()
}

fn of_service(view: &View<'_>, backend: &ObjectKey, reference: &ProxyServiceRef) -> Endpoints {
    let key = service_key(reference, backend);
    let Some(service) = view.get::<Service>(&key) else {
        return Endpoints::new();
    };
    if let Some(external) = external_name(service) {
        return [entry(external, reference.port)].into();
    }
    let Some(port) = service_port(service, reference) else {
        return Endpoints::new();
    };
    of_slices(&view.slices_of(&key), port)
}

/// The DNS name that an ExternalName Service stands for.
fn external_name(service: &Service) -> Option<&str> {
    let spec = service.spec.as_ref()?;
    let is_external = spec.type_.as_deref() == Some("ExternalName");
    spec.external_name.as_deref().filter(|_| is_external)
}

/// Whether a Service has the port that a reference means. An ExternalName Service lists none.
pub(crate) fn has_port(service: &Service, reference: &ProxyServiceRef) -> bool {
    external_name(service).is_some() || service_port(service, reference).is_some()
}

/// The port of a Service that a reference means.
fn service_port<'a>(service: &'a Service, reference: &ProxyServiceRef) -> Option<&'a ServicePort> {
    let ports = service.spec.as_ref()?.ports.as_deref().unwrap_or_default();
    ports.iter().find(|port| {
        port.port == i32::from(reference.port) && protocol_of(port) == word(reference.protocol)
    })
}

fn protocol_of(port: &ServicePort) -> &str {
    port.protocol.as_deref().unwrap_or("TCP")
}

fn word(protocol: ProxyServiceProtocol) -> &'static str {
    match protocol {
        ProxyServiceProtocol::TCP => "TCP",
        ProxyServiceProtocol::UDP => "UDP",
    }
}

/// The ready endpoints; when there are none, those that still serve while they terminate, as
/// kube-proxy does. Ports belong together by name: the target port is the slice's business.
fn of_slices<S: AsRef<EndpointSlice>>(slices: &[S], port: &ServicePort) -> Endpoints {
    let mut ready = Endpoints::new();
    let mut leaving = Endpoints::new();
    for slice in slices.iter().map(AsRef::as_ref) {
        let numbers = slice_ports(slice, port);
        for endpoint in &slice.endpoints {
            let chosen = match readiness(endpoint) {
                Readiness::Ready => &mut ready,
                Readiness::Leaving => &mut leaving,
                Readiness::Unready => continue,
            };
            for (address, number) in pairs(endpoint, &numbers) {
                let made = v1::Endpoint {
                    address: address.to_owned(),
                    port: u32::from(number),
                    zone: endpoint.zone.clone().unwrap_or_default(),
                    node: endpoint.node_name.clone().unwrap_or_default(),
                    weight: 0,
                };
                let slot = chosen.entry((address.to_owned(), number));
                // Of two slices that list one endpoint the order must not matter.
                let first = slot.or_insert_with(|| made.clone());
                if (&made.zone, &made.node) > (&first.zone, &first.node) {
                    *first = made;
                }
            }
        }
    }
    if ready.is_empty() { leaving } else { ready }
}

fn pairs<'a>(
    endpoint: &'a Endpoint,
    ports: &'a BTreeSet<u16>,
) -> impl Iterator<Item = (&'a str, u16)> {
    endpoint
        .addresses
        .iter()
        .flat_map(move |address| ports.iter().map(move |port| (address.as_str(), *port)))
}

fn slice_ports(slice: &EndpointSlice, port: &ServicePort) -> BTreeSet<u16> {
    let name = port.name.as_deref().unwrap_or_default();
    let ports = slice.ports.as_deref().unwrap_or_default().iter();
    ports
        .filter(|candidate| candidate.name.as_deref().unwrap_or_default() == name)
        .filter(|candidate| candidate.protocol.as_deref().unwrap_or("TCP") == protocol_of(port))
        .filter_map(|candidate| u16::try_from(candidate.port?).ok())
        .collect()
}

enum Readiness {
    Ready,
    /// Serves while it terminates.
    Leaving,
    Unready,
}

fn readiness(endpoint: &Endpoint) -> Readiness {
    let Some(conditions) = &endpoint.conditions else {
        return Readiness::Ready;
    };
    let terminating = conditions.terminating == Some(true);
    let ready = conditions.ready != Some(false);
    if ready && !terminating {
        return Readiness::Ready;
    }
    if terminating && conditions.serving.unwrap_or(ready) {
        return Readiness::Leaving;
    }
    Readiness::Unready
}

fn entry(address: &str, port: u16) -> ((String, u16), v1::Endpoint) {
    let made = v1::Endpoint {
        address: address.to_owned(),
        port: u32::from(port),
        ..v1::Endpoint::default()
    };
    ((address.to_owned(), port), made)
}

/// Judges an endpoint that a user wrote.
pub(crate) fn check(endpoint: &ProxyEndpoint) -> Result<(), String> {
    if endpoint.port == 0 {
        return Err("port 0 cannot be connected to; use 1 to 65535".to_owned());
    }
    let address = endpoint.address.as_str();
    if address.parse::<IpAddr>().is_ok() || is_dns_name(address) {
        return Ok(());
    }
    Err(format!(
        "{address:?} is neither an IP address nor a DNS name"
    ))
}

fn is_dns_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}
