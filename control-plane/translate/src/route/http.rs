//! Rules of HTTPRoutes and GRPCRoutes.

use novaedge_api::gateway::{
    GrpcRouteRule, GrpcRouteSpec, HttpRouteRetry, HttpRouteRule, HttpRouteSpec, HttpRouteTimeouts,
};
use novaedge_api::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use novaedge_api::meta::ObjectId;
use novaedge_api::native::{
    ProxyMatch, ProxyPathMatchType, ProxyRetry, ProxyRouteRule, ProxyTimeouts,
};

use super::body;
use super::fault::Fault;
use super::matches;
use super::rules::{Rules, answers, millis};
use super::session;
use crate::filter::{self, Place};

/// Rules of an HTTPRoute.
pub(super) fn http_rules(
    rules: &mut Rules<'_, '_>,
    id: &ObjectId,
    metadata: &ObjectMeta,
    spec: &HttpRouteSpec,
) {
    let limit = body::limit(metadata);
    for (index, given) in spec.rules.iter().enumerate() {
        http_rule(rules, id, &limit, (index, given));
    }
}

/// Rules of a GRPCRoute.
pub(super) fn grpc_rules(
    rules: &mut Rules<'_, '_>,
    id: &ObjectId,
    metadata: &ObjectMeta,
    spec: &GrpcRouteSpec,
) {
    let limit = body::limit(metadata);
    for (index, given) in spec.rules.iter().enumerate() {
        grpc_rule(rules, id, &limit, (index, given));
    }
}

fn http_rule(
    rules: &mut Rules<'_, '_>,
    id: &ObjectId,
    limit: &body::Limit,
    (index, given): (usize, &HttpRouteRule),
) {
    let field = rules.begin(index);
    let needed = rules.refs.needed().clone();
    let matches = rules.matches(matches::http(&given.matches, &format!("{field}.matches")));
    let prefix = matches
        .as_deref()
        .is_none_or(|matches| matches.iter().all(is_prefix));
    let mut backend_refs = Vec::new();
    for (index, backend) in given.backend_refs.iter().enumerate() {
        let field = format!("{field}.backendRefs[{index}]");
        let filters = backend
            .filters
            .iter()
            .map(|filter| (&filter.type_, filter.kind()));
        backend_refs.push(rules.backend(&field, &backend.backend_ref(), filters, prefix));
    }
    let filters_field = format!("{field}.filters");
    let place = Place {
        field: &filters_field,
        prefix,
        backends: !given.backend_refs.is_empty(),
    };
    let filters = given
        .filters
        .iter()
        .map(|filter| (&filter.type_, filter.kind()));
    let filters = filter::convert(filters, place, &mut rules.refs);
    let rest = filters.and_then(|filters| {
        Ok(ProxyRouteRule {
            filters,
            timeouts: timeouts(given.timeouts.as_ref(), &format!("{field}.timeouts"))?,
            retry: retry(given.retry.as_ref(), &format!("{field}.retry"))?,
            session_persistence: session::convert(
                given.session_persistence.as_ref(),
                &format!("{field}.sessionPersistence"),
                &session::seed(id, index),
                rules.refs.ignored(),
            )?,
            max_request_body_size: limit.clone()?,
            ..ProxyRouteRule::default()
        })
    });
    let Some(matches) = matches else {
        *rules.refs.needed() = needed;
        return;
    };
    let rule = ProxyRouteRule {
        name: given.name.clone(),
        matches,
        ..ProxyRouteRule::default()
    };
    match rest {
        Ok(rest) => {
            if !answers(&rest.filters) {
                rules.note_silence(&field, &backend_refs, "answers 500");
            }
            let ProxyRouteRule { name, matches, .. } = rule;
            rules.serve(ProxyRouteRule {
                name,
                matches,
                backend_refs,
                ..rest
            });
        }
        Err(fault) => {
            *rules.refs.needed() = needed;
            rules.refuse(rule, fault);
        }
    }
}

fn grpc_rule(
    rules: &mut Rules<'_, '_>,
    id: &ObjectId,
    limit: &body::Limit,
    (index, given): (usize, &GrpcRouteRule),
) {
    let field = rules.begin(index);
    let needed = rules.refs.needed().clone();
    let matches = rules.matches(matches::grpc(&given.matches, &format!("{field}.matches")));
    let mut backend_refs = Vec::new();
    for (index, backend) in given.backend_refs.iter().enumerate() {
        let field = format!("{field}.backendRefs[{index}]");
        let filters = backend
            .filters
            .iter()
            .map(|filter| (&filter.type_, filter.kind()));
        backend_refs.push(rules.backend(&field, &backend.backend_ref(), filters, false));
    }
    let filters_field = format!("{field}.filters");
    let place = Place {
        field: &filters_field,
        prefix: false,
        backends: true,
    };
    let filters = given
        .filters
        .iter()
        .map(|filter| (&filter.type_, filter.kind()));
    let filters = filter::convert(filters, place, &mut rules.refs);
    let rest = filters.and_then(|filters| {
        let session_persistence = session::convert(
            given.session_persistence.as_ref(),
            &format!("{field}.sessionPersistence"),
            &session::seed(id, index),
            rules.refs.ignored(),
        )?;
        Ok(ProxyRouteRule {
            filters,
            session_persistence,
            max_request_body_size: limit.clone()?,
            ..ProxyRouteRule::default()
        })
    });
    let Some(matches) = matches else {
        *rules.refs.needed() = needed;
        return;
    };
    let name = given.name.clone();
    match rest {
        Ok(rest) => {
            rules.note_silence(&field, &backend_refs, "answers UNAVAILABLE");
            rules.serve(ProxyRouteRule {
                name,
                matches,
                backend_refs,
                ..rest
            });
        }
        Err(fault) => {
            *rules.refs.needed() = needed;
            rules.refuse(
                ProxyRouteRule {
                    name,
                    matches,
                    ..ProxyRouteRule::default()
                },
                fault,
            );
        }
    }
}

fn is_prefix(given: &ProxyMatch) -> bool {
    given
        .path
        .as_ref()
        .is_none_or(|path| path.type_ == ProxyPathMatchType::PathPrefix)
}

fn timeouts(
    given: Option<&HttpRouteTimeouts>,
    field: &str,
) -> Result<Option<ProxyTimeouts>, Fault> {
    let Some(given) = given else { return Ok(None) };
    let request_ms = millis(given.request.as_ref(), &format!("{field}.request"))?;
    let backend_field = format!("{field}.backendRequest");
    let backend_request_ms = millis(given.backend_request.as_ref(), &backend_field)?;
    if let (Some(request @ 1..), Some(backend)) = (request_ms, backend_request_ms)
        && backend > request
    {
        let text = "a try may not take longer than the whole request; shorten it, or lengthen timeouts.request";
        return Err(Fault::unsupported(backend_field, text));
    }
    let timeouts = ProxyTimeouts {
        request_ms,
        backend_request_ms,
    };
    Ok((timeouts != ProxyTimeouts::default()).then_some(timeouts))
}

/// Retries; none for zero attempts, which disable them.
fn retry(given: Option<&HttpRouteRetry>, field: &str) -> Result<Option<ProxyRetry>, Fault> {
    let Some(given) = given else { return Ok(None) };
    let mut codes: Vec<u16> = Vec::new();
    for (index, code) in given.codes.iter().copied().enumerate() {
        if !(400..=599).contains(&code) {
            let text = format!("status code {code} cannot be retried; use codes from 400 to 599");
            return Err(Fault::unsupported(format!("{field}.codes[{index}]"), text));
        }
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    let backoff_ms = millis(given.backoff.as_ref(), &format!("{field}.backoff"))?;
    let retry = ProxyRetry {
        codes,
        attempts: given.attempts,
        backoff_ms,
    };
    Ok((given.attempts > 0).then_some(retry))
}
