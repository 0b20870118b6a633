//! Routes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::place::At;
use super::text::{HEADER_NAME, HEADER_VALUE, HOSTNAME, URL_PATH};
use super::{filters, refs};
use crate::gateway::{
    CookieLifetimeType, Duration, GrpcMethodMatch, GrpcRouteMatch, GrpcRouteRule, GrpcRouteSpec,
    HttpPathMatch, HttpPathModifier, HttpRouteFilter, HttpRouteMatch, HttpRouteRetry,
    HttpRouteRule, HttpRouteSpec, HttpRouteTimeouts, MatchType, PathMatchType, PathModifierKind,
    SessionPersistence, SessionPersistenceType, StreamRouteRule, TcpRouteSpec, TlsRouteSpec,
    UdpRouteSpec,
};

pub(super) fn http(at: At<'_>, spec: &HttpRouteSpec) {
    refs::parents(at, &spec.parent_refs);
    refs::hostnames(at, &spec.hostnames);
    let at = at.field("rules");
    at.each(&spec.rules, 1..=16, http_rule);
    rule_names(at, spec.rules.iter().map(|rule| rule.name.as_ref()));
    total_matches(at, spec.rules.iter().map(|rule| rule.matches.len()).sum());
}

pub(super) fn grpc(at: At<'_>, spec: &GrpcRouteSpec) {
    refs::parents(at, &spec.parent_refs);
    refs::hostnames(at, &spec.hostnames);
    let at = at.field("rules");
    at.each(&spec.rules, 0..=16, grpc_rule);
    rule_names(at, spec.rules.iter().map(|rule| rule.name.as_ref()));
    total_matches(at, spec.rules.iter().map(|rule| rule.matches.len()).sum());
}

pub(super) fn tls(at: At<'_>, spec: &TlsRouteSpec) {
    refs::parents(at, &spec.parent_refs);
    at.field("hostnames")
        .each(&spec.hostnames, 0..=1024, |at, hostname| {
            at.text(hostname, 1..=253, HOSTNAME);
            if hostname.parse::<IpAddr>().is_ok() {
                at.error_with_fix(
                    "hostnames cannot contain an IP",
                    "use a TCPRoute for connections without a server name",
                );
            }
        });
    at.field("rules").each(&spec.rules, 1..=16, stream_rule);
}

pub(super) fn tcp(at: At<'_>, spec: &TcpRouteSpec) {
    refs::parents(at, &spec.parent_refs);
    at.field("rules").each(&spec.rules, 1..=16, stream_rule);
}

pub(super) fn udp(at: At<'_>, spec: &UdpRouteSpec) {
    refs::parents(at, &spec.parent_refs);
    at.field("rules").each(&spec.rules, 1..=16, stream_rule);
}

fn stream_rule(at: At<'_>, rule: &StreamRouteRule) {
    refs::section(at, "name", rule.name.as_ref());
    at.field("backendRefs")
        .each(&rule.backend_refs, 1..=16, refs::backend);
}

fn rule_names<'r>(at: At<'_>, names: impl Iterator<Item = Option<&'r String>>) {
    let mut seen = BTreeMap::new();
    for (index, name) in names.enumerate() {
        let Some(name) = name else { continue };
        if let Some(first) = seen.get(name) {
            let message =
                format!("rule name must be unique within the route, and [{first}] has the same");
            let at = at.index(index);
            at.field("name")
                .error_with_fix(message, "give it another name");
        } else {
            seen.insert(name, index);
        }
    }
}

fn total_matches(at: At<'_>, total: usize) {
    if total > 128 {
        at.error_with_fix(
            format!("the total number of matches across all rules must be at most 128, is {total}"),
            "split the route",
        );
    }
}

fn http_rule(at: At<'_>, rule: &HttpRouteRule) {
    refs::section(at, "name", rule.name.as_ref());
    at.field("matches").each(&rule.matches, 0..=64, http_match);
    filters::http(at, &rule.filters);
    at.field("backendRefs")
        .each(&rule.backend_refs, 0..=16, |at, backend| {
            refs::backend(at, &backend.backend_ref());
            filters::http(at, &backend.filters);
            prefix_replacement(at, rule, &backend.filters);
        });
    prefix_replacement(at, rule, &rule.filters);
    let redirects = rule
        .filters
        .iter()
        .any(|filter| filter.request_redirect.is_some());
    if redirects && !rule.backend_refs.is_empty() {
        at.field("backendRefs").error_with_fix(
            "RequestRedirect filter must not be used together with backendRefs",
            "remove the backendRefs: the redirect answers every request of the rule",
        );
    }
    if let Some(timeouts) = &rule.timeouts {
        self::timeouts(at.field("timeouts"), timeouts);
    }
    if let Some(retry) = &rule.retry {
        self::retry(at.field("retry"), retry);
    }
    if let Some(session) = &rule.session_persistence {
        self::session(at.field("sessionPersistence"), session);
    }
}

/// A prefix can be replaced only where the rule has exactly one match, and that has a prefix.
fn prefix_replacement(at: At<'_>, rule: &HttpRouteRule, filters: &[HttpRouteFilter]) {
    let one_prefix =
        matches!(rule.matches.as_slice(), [only] if only.path.type_ == PathMatchType::PathPrefix);
    if one_prefix {
        return;
    }
    let at = at.field("filters");
    for (index, filter) in filters.iter().enumerate() {
        let redirect = filter
            .request_redirect
            .as_ref()
            .and_then(|redirect| redirect.path.as_ref());
        let rewrite = filter
            .url_rewrite
            .as_ref()
            .and_then(|rewrite| rewrite.path.as_ref());
        for (field, path) in [("requestRedirect", redirect), ("urlRewrite", rewrite)] {
            let Some(Ok(PathModifierKind::ReplacePrefixMatch(_))) =
                path.map(HttpPathModifier::kind)
            else {
                continue;
            };
            at.index(index).field(field).field("path").error_with_fix(
                format!(
                    "when using {} filter with path.replacePrefixMatch, exactly one PathPrefix match must be specified",
                    filter.type_
                ),
                "give each prefix a rule of its own",
            );
        }
    }
}

fn http_match(at: At<'_>, match_: &HttpRouteMatch) {
    path_match(at.field("path"), &match_.path);
    let headers = at.field("headers");
    headers.each(&match_.headers, 0..=16, |at, header| {
        at.field("name").text(&header.name, 1..=256, HEADER_NAME);
        match_type(at, &header.type_);
        at.field("value")
            .text(&header.value, 1..=4096, HEADER_VALUE);
    });
    headers.unique_field(&match_.headers, "header name", Some("name"), |header| {
        header.name.clone()
    });
    let params = at.field("queryParams");
    params.each(&match_.query_params, 0..=16, |at, param| {
        at.field("name").text(&param.name, 1..=256, HEADER_NAME);
        match_type(at, &param.type_);
        at.field("value").length(&param.value, 1..=1024);
    });
    params.unique_field(
        &match_.query_params,
        "query parameter name",
        Some("name"),
        |param| param.name.clone(),
    );
}

fn match_type(at: At<'_>, type_: &MatchType) {
    if let MatchType::Other(name) = type_ {
        at.field("type").error(format!(
            "unknown type {name}, expected Exact or RegularExpression"
        ));
    }
}

fn path_match(at: At<'_>, path: &HttpPathMatch) {
    match &path.type_ {
        PathMatchType::Other(name) => {
            let message =
                format!("type must be one of Exact, PathPrefix, RegularExpression, is {name}");
            at.field("type").error(message);
        }
        PathMatchType::RegularExpression => {
            at.field("value").length(&path.value, 0..=1024);
        }
        PathMatchType::Exact | PathMatchType::PathPrefix => {
            plain_path(at.field("value"), &path.value);
        }
    }
}

fn plain_path(at: At<'_>, path: &str) {
    if !path.starts_with('/') {
        let fix = format!("write \"/{path}\"");
        return at.error_with_fix("value must be an absolute path and start with '/'", fix);
    }
    for part in ["//", "/./", "/../", "%2f", "%2F", "#"] {
        if path.contains(part) {
            at.error(format!("must not contain '{part}'"));
        }
    }
    for end in ["/..", "/."] {
        if path.ends_with(end) {
            at.error(format!("must not end with '{end}'"));
        }
    }
    at.text(path, 0..=1024, URL_PATH);
}

fn timeouts(at: At<'_>, timeouts: &HttpRouteTimeouts) {
    let request = duration(at, "request", timeouts.request.as_ref());
    let backend = duration(at, "backendRequest", timeouts.backend_request.as_ref());
    if let (Some(request), Some(backend)) = (request, backend)
        && request != 0
        && backend > request
    {
        at.field("backendRequest").error_with_fix(
            "backendRequest timeout cannot be longer than request timeout",
            "lengthen request or shorten backendRequest",
        );
    }
}

/// The value in milliseconds, if there is a good one.
fn duration(at: At<'_>, field: &'static str, duration: Option<&Duration>) -> Option<u64> {
    match duration?.as_millis() {
        Ok(millis) => Some(millis),
        Err(error) => {
            at.field(field).error(error.to_string());
            None
        }
    }
}

fn retry(at: At<'_>, retry: &HttpRouteRetry) {
    let codes = at.field("codes");
    for (index, code) in retry.codes.iter().enumerate() {
        if !(400..=599).contains(code) {
            codes
                .index(index)
                .error(format!("must be from 400 to 599, is {code}"));
        }
    }
    codes.unique(&retry.codes, "code", |code| *code);
    duration(at, "backoff", retry.backoff.as_ref());
}

fn session(at: At<'_>, session: &SessionPersistence) {
    duration(at, "absoluteTimeout", session.absolute_timeout.as_ref());
    duration(at, "idleTimeout", session.idle_timeout.as_ref());
    if let Some(cookie) = &session.cookie {
        let at = at.field("cookie");
        if let Some(name) = &cookie.name {
            at.field("name").text(name, 1..=256, HEADER_NAME);
        }
        at.field("path").length(&cookie.path, 0..=1024);
        let permanent = cookie.lifetime_type == CookieLifetimeType::Permanent;
        if permanent && session.absolute_timeout.is_none() {
            at.field("lifetimeType").error_with_fix(
                "absoluteTimeout must be specified when cookie lifetimeType is Permanent",
                "add sessionPersistence.absoluteTimeout",
            );
        }
    }
    if let Some(header) = &session.header {
        at.field("header")
            .field("name")
            .text(&header.name, 1..=256, HEADER_NAME);
    }
    // Until v1.6 the name stood in sessionName, and neither struct was needed.
    let named = session.session_name.is_some();
    let fields = [
        (
            "cookie",
            SessionPersistenceType::Cookie,
            session.cookie.is_some(),
        ),
        (
            "header",
            SessionPersistenceType::Header,
            session.header.is_some(),
        ),
    ];
    for (field, type_, set) in fields {
        if session.type_ == type_ && !set && !named {
            at.field(field)
                .error(format!("{field} must be specified for {type_} type"));
        } else if session.type_ != type_ && set {
            at.field(field)
                .error(format!("{field} must be nil if type is not {type_}"));
        }
    }
}

fn grpc_rule(at: At<'_>, rule: &GrpcRouteRule) {
    refs::section(at, "name", rule.name.as_ref());
    at.field("matches").each(&rule.matches, 0..=64, grpc_match);
    filters::grpc(at, &rule.filters);
    at.field("backendRefs")
        .each(&rule.backend_refs, 0..=16, |at, backend| {
            refs::backend(at, &backend.backend_ref());
            filters::grpc(at, &backend.filters);
        });
    if let Some(session) = &rule.session_persistence {
        self::session(at.field("sessionPersistence"), session);
    }
}

fn grpc_match(at: At<'_>, match_: &GrpcRouteMatch) {
    if let Some(method) = &match_.method {
        grpc_method(at.field("method"), method);
    }
    let at = at.field("headers");
    at.each(&match_.headers, 0..=16, |at, header| {
        at.field("name").text(&header.name, 1..=256, HEADER_NAME);
        match_type(at, &header.type_);
        at.field("value").length(&header.value, 1..=4096);
    });
    at.unique_field(&match_.headers, "header name", Some("name"), |header| {
        header.name.clone()
    });
}

fn grpc_method(at: At<'_>, method: &GrpcMethodMatch) {
    match_type(at, &method.type_);
    if method.service.is_none() && method.method.is_none() {
        at.error("one or both of 'service' or 'method' must be specified");
    }
    let exact = method.type_ == MatchType::Exact;
    if let Some(service) = &method.service {
        let at = at.field("service");
        at.length(service, 0..=1024);
        let name = service.strip_prefix('.').unwrap_or(service);
        if exact && !name.split('.').all(is_identifier) {
            at.error(format!(
                "\"{service}\" is not a gRPC service: expected letters, digits and '_', with '.' between packages"
            ));
        }
    }
    if let Some(name) = &method.method {
        let at = at.field("method");
        at.length(name, 0..=1024);
        if exact && !is_identifier(name) {
            at.error(format!(
                "\"{name}\" is not a gRPC method: expected letters, digits and '_'"
            ));
        }
    }
}

fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
