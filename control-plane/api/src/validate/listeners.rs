//! Listeners of Gateways and ListenerSets.

use std::collections::BTreeMap;

use super::place::At;
use super::text::{GROUP, HOSTNAME, KIND, SUBDOMAIN, is_domain_path};
use super::{filters, refs};
use crate::gateway::{
    AllowedRoutes, FromNamespaces, LabelSelector, Listener, ListenerFilters, ListenerTlsConfig,
    ProtocolType, TlsModeType,
};

/// One to 64 listeners with unique names, each with a combination of port, protocol and host name of its own.
pub(super) fn listeners(at: At<'_>, listeners: &[Listener]) {
    let at = at.field("listeners");
    at.each(listeners, 1..=64, listener);
    at.unique_field(listeners, "listener name", Some("name"), |listener| {
        listener.name.clone()
    });
    at.unique(
        listeners,
        "combination of port, protocol and hostname",
        |listener| {
            (
                listener.port,
                listener.protocol.clone(),
                listener.hostname.clone(),
            )
        },
    );
}

fn listener(at: At<'_>, listener: &Listener) {
    at.field("name").text(&listener.name, 1..=253, SUBDOMAIN);
    at.field("port").port(listener.port);
    protocol(at.field("protocol"), &listener.protocol);
    if let Some(hostname) = &listener.hostname {
        at.field("hostname").text(hostname, 1..=253, HOSTNAME);
        if matches!(listener.protocol, ProtocolType::Tcp | ProtocolType::Udp) {
            at.field("hostname").error_with_fix(
                format!(
                    "hostname must not be specified for protocol {}",
                    listener.protocol
                ),
                "remove it",
            );
        }
    }
    allowed_routes(at, &listener.allowed_routes);
    if let Some(filters) = &listener.filters {
        listener_filters(at, &listener.protocol, filters);
    }
    match &listener.tls {
        Some(tls) => listener_tls(at.field("tls"), &listener.protocol, tls),
        None if listener.protocol == ProtocolType::Tls => at.field("tls").error_with_fix(
            "tls mode must be set for protocol TLS",
            "add tls.mode: Passthrough, or Terminate with certificateRefs",
        ),
        None => {}
    }
}

fn protocol(at: At<'_>, protocol: &ProtocolType) {
    let ProtocolType::Other(name) = protocol else {
        return;
    };
    let plain = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if at.length(name, 1..=255) && !plain && !is_domain_path(name) {
        at.error_with_fix(
            format!("\"{name}\" is not a protocol"),
            "use HTTP, HTTPS, TLS, TCP or UDP",
        );
    }
}

fn listener_tls(at: At<'_>, protocol: &ProtocolType, tls: &ListenerTlsConfig) {
    at.field("certificateRefs")
        .each(&tls.certificate_refs, 0..=64, refs::secret);
    options(at, &tls.options);
    match (protocol, tls.mode) {
        (ProtocolType::Http | ProtocolType::Tcp | ProtocolType::Udp, _) => {
            at.error_with_fix(
                format!("tls must not be specified for protocol {protocol}"),
                "remove it, or change the protocol to HTTPS or TLS",
            );
        }
        (ProtocolType::Https, TlsModeType::Passthrough) => {
            at.field("mode").error_with_fix(
                "tls mode must be Terminate for protocol HTTPS",
                "use protocol TLS and a TLSRoute to pass TLS through",
            );
        }
        _ => {}
    }
    let empty = tls.certificate_refs.is_empty() && tls.options.is_empty();
    if tls.mode == TlsModeType::Terminate && empty {
        at.error_with_fix(
            "certificateRefs or options must be specified when mode is Terminate",
            "add a certificateRef to a Secret of type kubernetes.io/tls",
        );
    }
}

/// At most 16 options of the implementation.
pub(super) fn options(at: At<'_>, options: &BTreeMap<String, String>) {
    let at = at.field("options");
    at.count(options.len(), 0..=16);
    for (key, value) in options.iter().take(16) {
        at.key(key).length(value, 0..=4096);
    }
}

fn allowed_routes(at: At<'_>, allowed: &AllowedRoutes) {
    let at = at.field("allowedRoutes");
    selector(at.field("namespaces"), allowed.namespaces.selector.as_ref());
    if allowed.namespaces.from == FromNamespaces::None {
        let at = at.field("namespaces");
        at.field("from")
            .error("unknown value \"None\", expected one of \"All\", \"Selector\", \"Same\"");
    }
    at.field("kinds").each(&allowed.kinds, 0..=8, |at, kind| {
        at.field("group").text(&kind.group, 0..=253, GROUP);
        at.field("kind").text(&kind.kind, 1..=63, KIND);
    });
}

/// The types of Kubernetes read an absent key or operator as an empty one.
pub(super) fn selector(at: At<'_>, selector: Option<&LabelSelector>) {
    let at = at.field("selector");
    let requirements = selector.and_then(|selector| selector.match_expressions.as_deref());
    let at = at.field("matchExpressions");
    for (index, requirement) in requirements.unwrap_or_default().iter().enumerate() {
        let at = at.index(index);
        at.field("key").length(&requirement.key, 1..=317);
        at.field("operator").length(&requirement.operator, 1..=63);
    }
}

fn listener_filters(at: At<'_>, protocol: &ProtocolType, filters: &ListenerFilters) {
    let at = at.field("filters");
    if !matches!(protocol, ProtocolType::Http | ProtocolType::Https) {
        at.error_with_fix(
            "filters may only be set when protocol is HTTP or HTTPS",
            "remove them",
        );
    }
    at.field("requests")
        .each(&filters.requests, 0..=16, |at, filter| {
            filters::one_of(at, filter.kind().map(|_| ()));
            if let Some(auth) = &filter.external_auth {
                filters::external_auth(at.field("externalAuth"), auth);
            }
            if let Some(reference) = &filter.extension_ref {
                refs::local(at.field("extensionRef"), reference);
            }
        });
}
