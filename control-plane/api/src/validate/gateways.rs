//! GatewayClass, Gateway and ListenerSet.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::place::At;
use super::text::{
    CONTROLLER, HOSTNAME, is_domain_path, is_label_value, is_metadata_key, is_subdomain,
};
use super::{listeners, refs};
use crate::gateway::{
    AddressType, FrontendTlsValidation, GatewayClassSpec, GatewayInfrastructure, GatewaySpec,
    GatewaySpecAddress, GatewayTlsConfig, ListenerSetSpec, TlsConfig,
};

pub(super) fn gateway_class(at: At<'_>, spec: &GatewayClassSpec) {
    at.field("controllerName")
        .text(&spec.controller_name, 1..=253, CONTROLLER);
    if let Some(description) = &spec.description {
        at.field("description").length(description, 0..=64);
    }
    if let Some(parameters) = &spec.parameters_ref {
        refs::any(at.field("parametersRef"), parameters);
    }
}

pub(super) fn listener_set(at: At<'_>, spec: &ListenerSetSpec) {
    let parent = &spec.parent_ref;
    let place = at.field("parentRef");
    refs::object(place, &parent.group, &parent.kind, &parent.name);
    refs::namespace(place, parent.namespace.as_ref());
    listeners::listeners(at, &spec.listeners);
}

pub(super) fn gateway(at: At<'_>, spec: &GatewaySpec) {
    at.field("gatewayClassName")
        .length(&spec.gateway_class_name, 1..=253);
    listeners::listeners(at, &spec.listeners);
    addresses(at.field("addresses"), &spec.addresses);
    if let Some(infrastructure) = &spec.infrastructure {
        self::infrastructure(at.field("infrastructure"), infrastructure);
    }
    if let Some(allowed) = &spec.allowed_listeners {
        let at = at.field("allowedListeners");
        listeners::selector(at.field("namespaces"), allowed.namespaces.selector.as_ref());
    }
    if let Some(tls) = &spec.tls {
        gateway_tls(at.field("tls"), tls);
    }
}

fn addresses(at: At<'_>, addresses: &[GatewaySpecAddress]) {
    at.each(addresses, 0..=16, address);
    let mut seen = BTreeMap::new();
    for (index, address) in addresses.iter().enumerate() {
        let (AddressType::IpAddress | AddressType::Hostname, Some(value)) =
            (&address.type_, &address.value)
        else {
            continue;
        };
        if let Some(first) = seen.insert((&address.type_, value), index) {
            let message = format!(
                "{} values must be unique, and [{first}] has the same",
                address.type_
            );
            at.index(index).field("value").error(message);
        }
    }
}

fn address(at: At<'_>, address: &GatewaySpecAddress) {
    let value = at.field("value");
    match (&address.type_, &address.value) {
        (AddressType::Other(name), _) if !is_domain_path(name) => {
            let message = format!("\"{name}\" is not an address type");
            at.field("type")
                .error_with_fix(message, "use IPAddress or Hostname");
        }
        (AddressType::IpAddress, Some(text)) if text.parse::<IpAddr>().is_err() => {
            value.error_with_fix(
                format!("\"{text}\" is not an IP address"),
                "write an IPv4 or IPv6 address, or set type: Hostname",
            );
        }
        (AddressType::Hostname, Some(text)) if !text.is_empty() => {
            value.text(text, 0..=253, HOSTNAME);
        }
        (_, Some(text)) => {
            value.length(text, 0..=253);
        }
        (_, None) => {}
    }
    if let Some(routability) = &address.routability {
        let at = at.field("routability");
        at.length(routability, 0..=253);
        let foreign = routability.split_once('/').is_some_and(|(domain, path)| {
            let reserved = domain == "k8s.io" || domain.ends_with(".k8s.io");
            is_subdomain(domain) && !path.is_empty() && !reserved
        });
        if !routability.is_empty() && routability != "Cluster" && !foreign {
            at.error(
                "routability must be empty, Cluster, or an implementation-specific prefixed path; k8s.io and its \
                 subdomains are reserved",
            );
        }
    }
}

fn infrastructure(at: At<'_>, infrastructure: &GatewayInfrastructure) {
    labels(at.field("labels"), &infrastructure.labels);
    annotations(at.field("annotations"), &infrastructure.annotations);
    if let Some(parameters) = &infrastructure.parameters_ref {
        refs::local(at.field("parametersRef"), parameters);
    }
}

/// Labels of infrastructure.
pub(super) fn labels(labels: At<'_>, map: &BTreeMap<String, String>) {
    labels.count(map.len(), 0..=8);
    for (key, value) in map {
        metadata_key(labels, key);
        if !is_label_value(value) {
            labels
                .key(key)
                .error(format!("\"{value}\" is not a label value"));
        }
    }
}

/// Annotations of infrastructure.
pub(super) fn annotations(annotations: At<'_>, map: &BTreeMap<String, String>) {
    annotations.count(map.len(), 0..=16);
    for (key, value) in map {
        metadata_key(annotations, key);
        annotations.key(key).length(value, 0..=4096);
    }
}

fn metadata_key(at: At<'_>, key: &str) {
    if !is_metadata_key(key) {
        at.key(key).error(
            "the key must be an optional DNS name with a slash, and a name of at most 63 letters, digits, '-', '_' \
             and '.'",
        );
    }
}

fn gateway_tls(at: At<'_>, tls: &GatewayTlsConfig) {
    if let Some(reference) = tls
        .backend
        .as_ref()
        .and_then(|tls| tls.client_certificate_ref.as_ref())
    {
        refs::secret(at.field("backend").field("clientCertificateRef"), reference);
    }
    let Some(frontend) = &tls.frontend else {
        return;
    };
    let at = at.field("frontend");
    tls_config(at.field("default"), &frontend.default);
    let at = at.field("perPort");
    at.each(&frontend.per_port, 0..=64, |at, entry| {
        at.field("port").port(entry.port);
        tls_config(at.field("tls"), &entry.tls);
    });
    at.unique_field(&frontend.per_port, "port", Some("port"), |entry| entry.port);
}

fn tls_config(at: At<'_>, config: &TlsConfig) {
    if let Some(validation) = &config.validation {
        frontend_validation(at.field("validation"), validation);
    }
}

fn frontend_validation(at: At<'_>, validation: &FrontendTlsValidation) {
    at.field("caCertificateRefs")
        .each(&validation.ca_certificate_refs, 1..=16, |at, reference| {
            refs::any(at, reference);
            let bundle = (reference.group.as_str(), reference.kind.as_str())
                == ("certificates.k8s.io", "ClusterTrustBundle");
            if bundle && reference.namespace.is_some() {
                at.field("namespace").error_with_fix(
                    "ClusterTrustBundle references must not specify namespace",
                    "remove it",
                );
            }
        });
}
