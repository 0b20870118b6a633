//! The rules that might have taken a request that none of them has taken.

use http::request::Parts;
use novaedge_proto::v1::{
    GrpcMatch, HttpMatch, NameValueMatch, PathMatchType, Resource, Route, StringMatchType,
    resource::Body,
};
use novaedge_router::HostPattern;

use super::{Candidate, Candidates, missed};

/// Rules that are told; the rest is counted.
const TOLD: usize = 20;

/// The HTTP rules on a listener, those for the host first.
pub(super) fn candidates(
    resources: &[Resource],
    listener: &str,
    host: &str,
    asked: &Parts,
) -> Candidates {
    let mut on_listener: Vec<(&Resource, &Route)> = resources
        .iter()
        .filter_map(|resource| match &resource.body {
            Some(Body::Route(route)) => Some((resource, route)),
            _ => None,
        })
        .filter(|(_, route)| route.bindings.iter().any(|b| b.listener == listener))
        .collect();
    on_listener.sort_by_key(|(_, route)| !is_for(route, host));
    let more = on_listener.len().saturating_sub(TOLD);
    let told = on_listener.iter().take(TOLD);
    let rules = told.map(|(resource, route)| Candidate {
        misses: missed::parts(resources, listener, resource, asked),
        ..candidate(route)
    });
    Candidates {
        rules: rules.collect(),
        more,
    }
}

fn is_for(route: &Route, host: &str) -> bool {
    route.hostnames.is_empty()
        || route
            .hostnames
            .iter()
            .filter_map(|hostname| HostPattern::parse(hostname).ok())
            .any(|pattern| pattern.matches(host))
}

fn candidate(route: &Route) -> Candidate {
    let of = route.r#ref.clone().unwrap_or_default();
    let http = route.http_matches.iter().map(http_match);
    let mut matches: Vec<String> = http
        .chain(route.grpc_matches.iter().map(grpc_match))
        .collect();
    if matches.is_empty() {
        matches.push("everything".to_owned());
    }
    Candidate {
        rule: format!(
            "{} of {} {}/{}",
            route.rule_index, of.kind, of.namespace, of.name
        ),
        hostnames: route.hostnames.clone(),
        misses: Vec::new(),
        matches,
    }
}

fn http_match(one: &HttpMatch) -> String {
    let path = one.path.as_ref().map_or_else(
        || "PathPrefix /".to_owned(),
        |path| {
            let kind = match path.r#type() {
                PathMatchType::Exact => "Exact",
                PathMatchType::RegularExpression => "RegularExpression",
                PathMatchType::Prefix | PathMatchType::Unspecified => "PathPrefix",
            };
            format!("{kind} {}", path.value)
        },
    );
    let mut parts = vec![path];
    if !one.method.is_empty() {
        parts.push(format!("method {}", one.method));
    }
    parts.extend(one.headers.iter().map(|h| named("header", h)));
    parts.extend(one.query_params.iter().map(|q| named("query", q)));
    parts.join(", ")
}

fn grpc_match(one: &GrpcMatch) -> String {
    let or_any = |text: &str| {
        if text.is_empty() {
            "*".to_owned()
        } else {
            text.to_owned()
        }
    };
    let mut parts = vec![format!(
        "gRPC {}/{}",
        or_any(&one.service),
        or_any(&one.method)
    )];
    parts.extend(one.headers.iter().map(|h| named("header", h)));
    parts.join(", ")
}

fn named(what: &str, one: &NameValueMatch) -> String {
    let sign = match one.r#type() {
        StringMatchType::RegularExpression => "~",
        StringMatchType::Exact | StringMatchType::Unspecified => "=",
    };
    format!("{what} {}{sign}{}", one.name, one.value)
}
