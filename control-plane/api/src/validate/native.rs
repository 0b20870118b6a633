//! The native kinds: the limits and rules of their CRDs, and the shapes of names that those leave to agents.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::place::At;
use super::text::{
    AUTHORITY, HEADER_NAME, HEADER_VALUE, HOSTNAME, LABEL, PATH_AND_QUERY, SUBDOMAIN,
};
use crate::native::{
    CaRef, NamespacedRef, ProxyBackendProtocol, ProxyBackendRef, ProxyBackendSpec,
    ProxyBackendTarget, ProxyBackendTls, ProxyFilter, ProxyGatewaySpec, ProxyHashKey,
    ProxyHeaderModifier, ProxyHealthCheck, ProxyListener, ProxyListenerTls, ProxyMatch,
    ProxyPathMatchType, ProxyProbe, ProxyProtocol, ProxyRouteProtocol, ProxyRouteRule,
    ProxyRouteSpec, ProxySubjectAltName, ProxyTlsMode, Transport, parse_cidr,
};

pub(super) fn gateway(at: At<'_>, spec: &ProxyGatewaySpec) {
    at.field("addresses")
        .each(&spec.addresses, 0..=64, |at, address| {
            if address.parse::<IpAddr>().is_err() {
                at.text(address, 1..=253, SUBDOMAIN);
            }
        });
    let listeners = at.field("listeners");
    listeners.each(&spec.listeners, 0..=4096, listener);
    listeners.unique_field(&spec.listeners, "listener name", Some("name"), |listener| {
        listener.name.clone()
    });
    same_headers_on_a_port(listeners, &spec.listeners);
    if let Some(secret) = &spec.backend_client_certificate_ref {
        reference(at.field("backendClientCertificateRef"), secret);
    }
    if let Some(infrastructure) = &spec.infrastructure {
        let at = at.field("infrastructure");
        super::gateways::labels(at.field("labels"), &infrastructure.labels);
        super::gateways::annotations(at.field("annotations"), &infrastructure.annotations);
    }
}

/// A header of the PROXY protocol comes before a connection shows which listener it is for.
fn same_headers_on_a_port(at: At<'_>, listeners: &[ProxyListener]) {
    let mut first = BTreeMap::new();
    for (index, listener) in listeners.iter().enumerate() {
        if listener.protocol.transport() == Transport::Udp {
            continue;
        }
        let one = first.entry(listener.port).or_insert(listener);
        if one.proxy_protocol != listener.proxy_protocol {
            let message = format!(
                "all listeners of a port need the same proxyProtocol, and that of \"{}\" differs",
                one.name
            );
            let at = at.index(index);
            at.field("proxyProtocol").error(message);
        }
    }
}

fn listener(at: At<'_>, listener: &ProxyListener) {
    at.field("name").length(&listener.name, 1..=253);
    at.field("port").port(listener.port);
    if let Some(set) = &listener.listener_set_ref {
        reference(at.field("listenerSetRef"), set);
    }
    let with_tls = matches!(listener.protocol, ProxyProtocol::HTTPS | ProxyProtocol::TLS);
    match &listener.tls {
        Some(tls) if with_tls => listener_tls(at.field("tls"), listener.protocol, tls),
        None if !with_tls => {}
        _ => at
            .field("tls")
            .error("tls must be set for the protocols HTTPS and TLS, and for no other"),
    }
    client_address(at, listener);
    at.field("maxConnections")
        .number(listener.max_connections, 1..=u32::MAX);
    if listener.http3 {
        http3(at.field("http3"), listener);
    }
    if let Some(hostname) = &listener.hostname {
        let at = at.field("hostname");
        at.text(hostname, 1..=253, HOSTNAME);
        if matches!(listener.protocol, ProxyProtocol::TCP | ProxyProtocol::UDP) {
            at.error_with_fix(
                "hostname must not be set for the protocols TCP and UDP",
                "remove it",
            );
        }
    }
}

fn http3(at: At<'_>, listener: &ProxyListener) {
    if listener.protocol != ProxyProtocol::HTTPS {
        at.error_with_fix("http3 must be set for the protocol HTTPS only", "remove it");
    }
    if listener.proxy_protocol.is_some() {
        at.error_with_fix(
            "http3 must not be set beside proxyProtocol",
            "remove one of the two: datagrams have no header",
        );
    }
    let tls = listener.tls.as_ref();
    if tls.is_some_and(|tls| tls.client_validation.is_some()) {
        at.error_with_fix(
            "http3 must not be set beside tls.clientValidation",
            "remove one of the two",
        );
    }
}

fn client_address(at: At<'_>, listener: &ProxyListener) {
    if let Some(accept) = &listener.proxy_protocol {
        let at = at.field("proxyProtocol");
        if listener.protocol == ProxyProtocol::UDP {
            at.error_with_fix(
                "proxyProtocol must not be set for the protocol UDP",
                "remove it",
            );
        }
        at.field("trustedCIDRs")
            .each(&accept.trusted_cidrs, 1..=64, |at, text| cidr(at, text));
    }
    if let Some(forwarded) = &listener.forwarded_headers {
        let at = at.field("forwardedHeaders");
        if !matches!(
            listener.protocol,
            ProxyProtocol::HTTP | ProxyProtocol::HTTPS
        ) {
            at.error_with_fix(
                "forwardedHeaders must be set for the protocols HTTP and HTTPS only",
                "remove it",
            );
        }
        at.field("trustedCIDRs")
            .each(&forwarded.trusted_cidrs, 1..=64, |at, text| cidr(at, text));
    }
}

fn cidr(at: At<'_>, text: &str) {
    if let Err(error) = parse_cidr(text) {
        at.error(error.to_string());
    }
}

fn listener_tls(at: At<'_>, protocol: ProxyProtocol, tls: &ProxyListenerTls) {
    if protocol == ProxyProtocol::HTTPS && tls.mode == ProxyTlsMode::Passthrough {
        at.field("mode").error_with_fix(
            "tls.mode must be Terminate for the protocol HTTPS",
            "use protocol TLS to pass TLS through",
        );
    }
    at.field("certificateRefs")
        .each(&tls.certificate_refs, 0..=64, reference);
    if let Some(validation) = &tls.client_validation {
        let at = at.field("clientValidation");
        at.field("caCertificateRefs")
            .each(&validation.ca_certificate_refs, 1..=64, ca_reference);
    }
}

fn reference(at: At<'_>, reference: &NamespacedRef) {
    namespace(at, &reference.namespace);
    at.field("name").text(&reference.name, 1..=253, SUBDOMAIN);
}

fn ca_reference(at: At<'_>, reference: &CaRef) {
    namespace(at, &reference.namespace);
    at.field("name").length(&reference.name, 1..=253);
    if !["ConfigMap", "Secret", "ClusterTrustBundle"].contains(&reference.kind.as_str()) {
        at.field("kind").error(format!(
            "must be ConfigMap, Secret or ClusterTrustBundle, is \"{}\"",
            reference.kind
        ));
    }
}

fn namespace(at: At<'_>, namespace: &str) {
    if !namespace.is_empty() {
        at.field("namespace").text(namespace, 1..=63, LABEL);
    }
}

fn hostnames(at: At<'_>, hostnames: &[String]) {
    let at = at.field("hostnames");
    for (index, hostname) in hostnames.iter().enumerate() {
        at.index(index).text(hostname, 1..=253, HOSTNAME);
    }
}

pub(super) fn backend(at: At<'_>, spec: &ProxyBackendSpec) {
    if spec.invalid.is_none() && spec.service_ref.is_some() != spec.endpoints.is_empty() {
        at.error("exactly one of serviceRef and endpoints must be set");
    }
    if let Some(service) = &spec.service_ref {
        let at = at.field("serviceRef");
        namespace(at, &service.namespace);
        at.field("name").text(&service.name, 1..=253, SUBDOMAIN);
        at.field("port").port(service.port);
    }
    at.field("endpoints")
        .each(&spec.endpoints, 0..=1024, |at, endpoint| {
            if endpoint.address.parse::<IpAddr>().is_err() {
                at.field("address")
                    .text(&endpoint.address, 1..=253, SUBDOMAIN);
            }
            at.field("port").port(endpoint.port);
            at.field("weight").number(endpoint.weight, 1..=65_536);
        });
    if let Some(tls) = &spec.tls {
        backend_tls(at.field("tls"), tls);
    }
    if spec.proxy_protocol.is_some() && spec.protocol == ProxyBackendProtocol::HTTP2 {
        at.error_with_fix(
            "proxyProtocol must not be set for the protocol HTTP2",
            "remove one of the two: a connection of HTTP carries requests of many clients",
        );
    }
    balancing(at, spec);
    if let Some(check) = &spec.health_check {
        health_check(at.field("healthCheck"), check);
    }
    at.field("maxConnections")
        .number(spec.max_connections, 1..=u32::MAX);
    at.field("maxRequests")
        .number(spec.max_requests, 1..=u32::MAX);
    at.field("maxPendingRequests")
        .number(spec.max_pending_requests, 1..=u32::MAX);
    if let Some(budget) = &spec.retry_budget {
        at.field("retryBudget")
            .field("percent")
            .number(budget.percent, 0..=100);
    }
}

fn health_check(at: At<'_>, check: &ProxyHealthCheck) {
    if let Some(port) = check.port {
        at.field("port").port(port);
    }
    at.field("intervalMs")
        .number(check.interval_ms, 100..=u64::MAX);
    at.field("timeoutMs").number(check.timeout_ms, 1..=60_000);
    at.field("healthyThreshold")
        .number(check.healthy_threshold, 1..=u32::MAX);
    at.field("unhealthyThreshold")
        .number(check.unhealthy_threshold, 1..=u32::MAX);
    let at = at.field("probe");
    match &check.probe {
        ProxyProbe::Http(probe) => {
            let at = at.field("http");
            if let Some(path) = &probe.path {
                at.field("path").text(path, 1..=1024, PATH_AND_QUERY);
            }
            if let Some(host) = &probe.host {
                at.field("host").text(host, 1..=253, AUTHORITY);
            }
            at.field("expectedStatuses")
                .each(&probe.expected_statuses, 0..=32, |at, status| {
                    at.number(Some(*status), 200..=599);
                });
        }
        ProxyProbe::Grpc(probe) => {
            if let Some(service) = &probe.service {
                at.field("grpc").field("service").length(service, 0..=253);
            }
        }
        ProxyProbe::Tcp(_) => {}
    }
}

fn balancing(at: At<'_>, spec: &ProxyBackendSpec) {
    let hash_key = at.field("hashKey");
    match &spec.hash_key {
        Some(ProxyHashKey::Header(name)) => {
            hash_key.field("header").text(name, 1..=256, HEADER_NAME);
        }
        Some(ProxyHashKey::Cookie(name)) => {
            hash_key.field("cookie").text(name, 1..=256, HEADER_NAME);
        }
        Some(ProxyHashKey::QueryParameter(name)) => {
            hash_key.field("queryParameter").length(name, 1..=256);
        }
        None => {}
    }
    at.field("panicPercent").number(spec.panic_percent, 0..=100);
    let Some(outlier) = &spec.outlier_detection else {
        return;
    };
    let at = at.field("outlierDetection");
    at.field("consecutiveFailures")
        .number(outlier.consecutive_failures, 1..=u32::MAX);
    at.field("maxEjectedPercent")
        .number(outlier.max_ejected_percent, 0..=100);
    at.field("baseEjectionMs")
        .number(outlier.base_ejection_ms, 1..=u64::MAX);
    at.field("maxEjectionMs")
        .number(outlier.max_ejection_ms, 1..=u64::MAX);
    if let Some(rate) = &outlier.success_rate {
        let at = at.field("successRate");
        at.field("intervalMs")
            .number(rate.interval_ms, 1..=u64::MAX);
        at.field("minRequests")
            .number(rate.min_requests, 1..=u32::MAX);
        at.field("minEndpoints")
            .number(rate.min_endpoints, 2..=u32::MAX);
    }
}

fn backend_tls(at: At<'_>, tls: &ProxyBackendTls) {
    at.field("serverName")
        .text(&tls.server_name, 1..=253, SUBDOMAIN);
    at.field("caCertificateRefs")
        .each(&tls.ca_certificate_refs, 0..=64, ca_reference);
    at.field("subjectAltNames")
        .each(&tls.subject_alt_names, 0..=64, |at, name| match name {
            ProxySubjectAltName::Hostname(name) => {
                at.field("hostname").text(name, 1..=253, HOSTNAME);
            }
            ProxySubjectAltName::Uri(uri) => at.field("uri").text(uri, 1..=2048, super::text::URI),
        });
}

pub(super) fn route(at: At<'_>, spec: &ProxyRouteSpec) {
    let parents = at.field("parentRefs");
    for (index, parent) in spec.parent_refs.iter().enumerate() {
        let at = parents.index(index);
        namespace(at, &parent.namespace);
        at.field("name").text(&parent.name, 1..=253, SUBDOMAIN);
        hostnames(at, &parent.hostnames);
    }
    hostnames(at, &spec.hostnames);
    let http = matches!(
        spec.protocol,
        ProxyRouteProtocol::HTTP | ProxyRouteProtocol::GRPC
    );
    at.field("rules").each(&spec.rules, 0..=128, |at, rule| {
        let plain = rule.matches.is_empty() && rule.filters.is_empty();
        if !http && !plain {
            at.error("matches and filters need the protocol HTTP or GRPC");
        }
        if !http && (!rule.hostnames.is_empty() || rule.listeners.is_some()) {
            at.error("hostnames and listeners of a rule need the protocol HTTP or GRPC");
        }
        self::rule(at, rule);
    });
}

fn rule(at: At<'_>, rule: &ProxyRouteRule) {
    at.field("hostnames")
        .each(&rule.hostnames, 0..=16, |at, host| {
            at.text(host, 1..=253, HOSTNAME);
        });
    at.field("matches").each(&rule.matches, 0..=128, match_);
    at.field("filters").each(&rule.filters, 0..=32, filter);
    at.field("backendRefs")
        .each(&rule.backend_refs, 0..=64, backend_ref);
    if let Some(timeouts) = &rule.timeouts
        && let (Some(request), Some(backend)) = (timeouts.request_ms, timeouts.backend_request_ms)
        && request != 0
        && backend > request
    {
        at.field("timeouts")
            .error("backendRequestMs must be at most requestMs");
    }
    if let Some(retry) = &rule.retry {
        let at = at.field("retry");
        let at = at.field("codes");
        for (index, code) in retry.codes.iter().enumerate() {
            if !(400..=599).contains(code) {
                at.index(index)
                    .error(format!("must be from 400 to 599, is {code}"));
            }
        }
    }
}

fn match_(at: At<'_>, match_: &ProxyMatch) {
    if let Some(path) = &match_.path
        && path.type_ != ProxyPathMatchType::RegularExpression
        && !path.value.starts_with('/')
    {
        let fix = format!("write \"/{}\"", path.value);
        at.field("path")
            .field("value")
            .error_with_fix("must be an absolute path and start with '/'", fix);
    }
    let headers = at.field("headers");
    for (index, header) in match_.headers.iter().enumerate() {
        headers
            .index(index)
            .field("name")
            .text(&header.name, 1..=256, HEADER_NAME);
    }
    if let Some(method) = &match_.grpc_method
        && method.service.is_none()
        && method.method.is_none()
    {
        at.field("grpcMethod")
            .error("at least one of service and method must be set");
    }
}

fn backend_ref(at: At<'_>, backend: &ProxyBackendRef) {
    if let ProxyBackendTarget::Backend(backend) = &backend.target {
        reference(at.field("backend"), backend);
    }
    if backend.weight > 1_000_000 {
        at.field("weight")
            .error(format!("must be at most 1000000, is {}", backend.weight));
    }
    at.field("filters").each(&backend.filters, 0..=32, filter);
}

fn filter(at: At<'_>, filter: &ProxyFilter) {
    match filter {
        ProxyFilter::RequestHeaderModifier(headers) => {
            self::headers(at.field("requestHeaderModifier"), headers);
        }
        ProxyFilter::ResponseHeaderModifier(headers) => {
            self::headers(at.field("responseHeaderModifier"), headers);
        }
        ProxyFilter::RequestRedirect(redirect) => {
            if !matches!(redirect.status_code, 301 | 302 | 303 | 307 | 308) {
                let message = format!(
                    "must be 301, 302, 303, 307 or 308, is {}",
                    redirect.status_code
                );
                at.field("requestRedirect")
                    .field("statusCode")
                    .error(message);
            }
        }
        ProxyFilter::RequestMirror(mirror) => {
            let at = at.field("requestMirror");
            reference(at.field("backendRef"), &mirror.backend_ref);
            if mirror.denominator == 0 {
                at.field("denominator").error("must be at least 1");
            } else if mirror.numerator > mirror.denominator {
                at.error("numerator must be at most denominator");
            }
        }
        ProxyFilter::UrlRewrite(_) | ProxyFilter::Cors(_) => {}
    }
}

fn headers(at: At<'_>, headers: &ProxyHeaderModifier) {
    for (field, list) in [("set", &headers.set), ("add", &headers.add)] {
        let at = at.field(field);
        for (index, header) in list.iter().enumerate() {
            let at = at.index(index);
            at.field("name").text(&header.name, 1..=256, HEADER_NAME);
            at.field("value")
                .text(&header.value, 1..=4096, HEADER_VALUE);
        }
    }
    let at = at.field("remove");
    for (index, name) in headers.remove.iter().enumerate() {
        at.index(index).text(name, 1..=256, HEADER_NAME);
    }
}
