//! The Service of a Gateway: what it is to be, whether it is so, and where it can be reached.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use novaedge_api::gateway::{AddressType, GatewayStatusAddress};
use novaedge_api::meta::ObjectKey;
use novaedge_api::native::Transport;

use crate::gateway::WantedGateway;
use crate::name::{self, GATEWAY, MANAGED_BY, MANAGER, WRITTEN};
use crate::port::Ports;
use crate::settings::{Families, ServiceType, Settings};

/// Name of a port of a Service, and of its EndpointSlices.
pub(crate) fn port_name((port, transport): (u16, Transport)) -> String {
    format!("{}-{port}", transport.as_str().to_ascii_lowercase())
}

/// The Gateway that a Service was made for; none for a Service of somebody else.
pub(crate) fn gateway_of(service: &Service) -> Option<ObjectKey> {
    let metadata = &service.metadata;
    let manager = metadata.labels.as_ref()?.get(MANAGED_BY)?;
    let gateway = metadata.annotations.as_ref()?.get(GATEWAY)?;
    (manager == MANAGER).then(|| {
        let namespace = metadata.namespace.clone().unwrap_or_default();
        ObjectKey::new(namespace, gateway)
    })
}

/// The Service that a Gateway is to have.
pub(crate) fn build(
    settings: &Settings,
    key: &ObjectKey,
    gateway: (&ObjectKey, &WantedGateway),
    ports: &Ports,
) -> Service {
    let (gateway, wanted) = gateway;
    let mut labels = wanted.labels.clone();
    labels.extend(name::labels(gateway));
    let mut annotations = wanted.annotations.clone();
    annotations.insert(GATEWAY.to_owned(), gateway.name.clone());
    annotations.remove(WRITTEN);
    let mut service = Service {
        metadata: ObjectMeta {
            name: Some(key.name.clone()),
            namespace: Some(key.namespace.clone()),
            labels: Some(labels),
            annotations: Some(annotations),
            owner_references: Some(vec![wanted.owner.clone()]),
            ..ObjectMeta::default()
        },
        spec: Some(spec(settings, wanted, ports)),
        status: None,
    };
    // What was wanted before and is no longer is not to be seen in what is wanted now: the hash tells.
    let text = serde_json::to_string(&service).unwrap_or_default();
    let annotations = service.metadata.annotations.get_or_insert_default();
    annotations.insert(WRITTEN.to_owned(), name::hex(&[&text], 16));
    service
}

fn spec(settings: &Settings, wanted: &WantedGateway, ports: &Ports) -> ServiceSpec {
    let ports = ports.iter().map(|(port, local)| ServicePort {
        name: Some(port_name(*port)),
        port: i32::from(port.0),
        protocol: Some(port.1.as_str().to_owned()),
        target_port: Some(IntOrString::Int(i32::from(*local))),
        ..ServicePort::default()
    });
    let (policy, family) = match settings.families {
        Families::All => ("PreferDualStack", None),
        Families::Ipv4 => ("SingleStack", Some("IPv4")),
        Families::Ipv6 => ("SingleStack", Some("IPv6")),
    };
    let asked = wanted.addresses.iter().find(|ip| !ip.is_unspecified());
    let asked = asked.filter(|_| settings.service_type == ServiceType::LoadBalancer);
    ServiceSpec {
        type_: Some(settings.service_type.as_str().to_owned()),
        ports: Some(ports.collect()),
        ip_family_policy: Some(policy.to_owned()),
        ip_families: family.map(|family| vec![family.to_owned()]),
        load_balancer_ip: asked.map(ToString::to_string),
        ..ServiceSpec::default()
    }
}

/// Whether a Service is what it is to be. What others have added is theirs.
pub(crate) fn is_as_wanted(found: &Service, wanted: &Service) -> bool {
    let (Some(found_spec), Some(wanted_spec)) = (&found.spec, &wanted.spec) else {
        return false;
    };
    let all_in = |part: &Option<BTreeMap<String, String>>,
                  whole: &Option<BTreeMap<String, String>>| {
        let mut part = part.iter().flatten();
        part.all(|(key, value)| whole.as_ref().and_then(|whole| whole.get(key)) == Some(value))
    };
    let owners = found.metadata.owner_references.as_deref();
    let owned = |uid: &str| owners.unwrap_or_default().iter().any(|o| o.uid == uid);
    let mut references = wanted.metadata.owner_references.iter().flatten();
    let found_ports = found_spec.ports.as_deref().unwrap_or_default();
    let has_port = |port: &ServicePort| {
        found_ports.iter().any(|found| {
            (found.port, &found.protocol) == (port.port, &port.protocol)
                && (&found.target_port, &found.name) == (&port.target_port, &port.name)
        })
    };
    all_in(&wanted.metadata.labels, &found.metadata.labels)
        && all_in(&wanted.metadata.annotations, &found.metadata.annotations)
        && references.all(|reference| owned(&reference.uid))
        && found_spec.type_ == wanted_spec.type_
        && (wanted_spec.load_balancer_ip.is_none()
            || found_spec.load_balancer_ip == wanted_spec.load_balancer_ip)
        && wanted_spec.ports.iter().flatten().all(has_port)
}

/// Where a Service can be reached from outside or, when that is not what it is for, from within the cluster.
pub(crate) fn addresses(service: &Service) -> Vec<GatewayStatusAddress> {
    let Some(spec) = &service.spec else {
        return Vec::new();
    };
    let of = |type_: AddressType, value: &String| GatewayStatusAddress {
        type_,
        value: value.clone(),
        routability: None,
    };
    if spec.type_.as_deref() != Some("LoadBalancer") {
        let own = spec.cluster_ips.iter().flatten();
        let own = own.filter(|ip| !ip.is_empty() && *ip != "None");
        return own.map(|ip| of(AddressType::IpAddress, ip)).collect();
    }
    let status = service.status.as_ref();
    let balancer = status.and_then(|status| status.load_balancer.as_ref());
    let ingress = balancer.and_then(|balancer| balancer.ingress.as_ref());
    let each = ingress.into_iter().flatten().flat_map(|ingress| {
        let ip = ingress.ip.iter().filter(|ip| !ip.is_empty());
        let host = ingress.hostname.iter().filter(|host| !host.is_empty());
        let ips = ip.map(|ip| of(AddressType::IpAddress, ip));
        ips.chain(host.map(|host| of(AddressType::Hostname, host)))
    });
    let mut addresses: Vec<GatewayStatusAddress> = Vec::new();
    for address in each {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}
