//! What becomes of the shares of a rule: which backend has each, and what is answered where none can.

use std::sync::Arc;

use http::header::LOCATION;
use novaedge_proxy::{
    Reason,
    explain::{Share as Judged, ShareOutcome, endpoint_for_connection, endpoint_for_request},
};
use novaedge_router::{
    Backend, BackendChoice, Filters, Invalid, Matched, Tables, Target, WeightedBackends,
};

use super::{Asked, Own, Share};

pub(super) fn connections(
    tables: &Tables,
    backends: &WeightedBackends,
    asked: &Asked,
) -> Vec<Share> {
    let shares = backends.iter().map(|(weight, choice)| {
        let (name, invalid) = target(tables, choice);
        let backend = name.and_then(|name| tables.backends.get(name));
        let endpoints = backend.map(|backend| backend.endpoints.iter().map(endpoint).collect());
        let client = asked.request.client.zip(backend);
        let for_client =
            client.and_then(|(client, backend)| endpoint_for_connection(backend, client));
        let endpoints: Vec<String> = endpoints.unwrap_or_default();
        let closed = match invalid {
            Some(invalid) => Some(format!("{}: {}", invalid.reason, invalid.message)),
            None if endpoints.is_empty() => Some("no endpoint is ready".to_owned()),
            None => None,
        };
        Share {
            weight,
            backend: name.map(ToString::to_string),
            filters: Vec::new(),
            endpoints: if closed.is_none() {
                endpoints
            } else {
                Vec::new()
            },
            for_client: for_client.filter(|_| closed.is_none()).map(endpoint),
            instead: None,
            closed,
        }
    });
    shares.collect()
}

/// The backend of a choice, and why nothing may be sent there.
fn target<'t>(
    tables: &'t Tables,
    choice: &'t BackendChoice,
) -> (Option<&'t Arc<str>>, Option<&'t Invalid>) {
    match &choice.target {
        Target::Backend(name) => {
            let backend = tables.backends.get(name);
            (
                Some(name),
                backend.and_then(|backend| backend.invalid.as_ref()),
            )
        }
        Target::Invalid(invalid) => (None, Some(invalid)),
    }
}

pub(super) fn share(
    tables: &Tables,
    judged: &Judged<'_>,
    matched: Option<&Matched<'_>>,
    asked: &Asked,
) -> Share {
    let (name, invalid) = target(tables, judged.choice);
    let mut for_client = None;
    let (endpoints, instead) = match &judged.outcome {
        ShareOutcome::Forwarded(backend) => {
            for_client = for_client_of(backend, judged, matched, asked);
            (backend.endpoints.iter().map(endpoint).collect(), None)
        }
        ShareOutcome::Answered(answer) => (Vec::new(), Some(own(answer))),
        ShareOutcome::Refused(reason) => {
            let why = why(*reason, invalid, String::new);
            (Vec::new(), Some(own_error(*reason, why)))
        }
    };
    Share {
        weight: judged.weight,
        backend: name.map(ToString::to_string),
        filters: filters(&judged.choice.filters),
        endpoints,
        for_client,
        instead,
        closed: None,
    }
}

/// The endpoint of the client that was asked about. A session may lead elsewhere, so a rule with sessions tells none.
fn for_client_of(
    backend: &Backend,
    judged: &Judged<'_>,
    matched: Option<&Matched<'_>>,
    asked: &Asked,
) -> Option<String> {
    let rule = matched?.rule;
    if rule.session.is_some() {
        return None;
    }
    let filters = [&rule.filters, &judged.choice.filters];
    let chosen = endpoint_for_request(backend, filters, &asked.parts, asked.request.client?);
    chosen.map(endpoint)
}

fn endpoint(endpoint: &novaedge_router::Endpoint) -> String {
    match endpoint.socket_addr() {
        Some(address) => address.to_string(),
        None => format!("{}:{}", endpoint.address, endpoint.port),
    }
}

pub(super) fn own(answer: &http::Response<()>) -> Own {
    let location = answer.headers().get(LOCATION);
    let location = location.and_then(|value| value.to_str().ok());
    let why = match location {
        Some(_) => "a filter redirects",
        None => "a filter answers the CORS preflight",
    };
    Own {
        status: answer.status().as_u16(),
        reason: None,
        why: why.to_owned(),
        location: location.map(str::to_owned),
    }
}

pub(super) fn own_error(reason: Reason, why: String) -> Own {
    Own {
        status: reason.status().as_u16(),
        reason: Some(reason.code()),
        why,
        location: None,
    }
}

/// The gateway's own words, with what the object's status says or else what else is known.
pub(super) fn why(reason: Reason, invalid: Option<&Invalid>, more: impl Fn() -> String) -> String {
    let text = reason.text().trim_end();
    let more = match invalid {
        Some(invalid) => format!("{}: {}", invalid.reason, invalid.message),
        None => more(),
    };
    if more.is_empty() {
        text.to_owned()
    } else {
        format!("{text}; {more}")
    }
}

/// What filters do, in a few words each.
pub(super) fn filters(filters: &Filters) -> Vec<String> {
    let mut told = Vec::new();
    for (what, all) in [
        ("request", &filters.request_headers),
        ("response", &filters.response_headers),
    ] {
        for ops in all {
            for (verb, names) in [
                (
                    "sets",
                    ops.set.iter().map(|(name, _)| name).collect::<Vec<_>>(),
                ),
                ("adds", ops.add.iter().map(|(name, _)| name).collect()),
                ("removes", ops.remove.iter().collect()),
            ] {
                if !names.is_empty() {
                    let names: Vec<&str> =
                        names.into_iter().map(http::HeaderName::as_str).collect();
                    told.push(format!("{verb} {what} headers {}", names.join(", ")));
                }
            }
        }
    }
    if let Some(rewrite) = &filters.rewrite {
        if let Some(host) = rewrite.host() {
            told.push(format!("rewrites the host to {host}"));
        }
        if rewrite.path.is_some() {
            told.push("rewrites the path".to_owned());
        }
    }
    let mirrors = filters.mirrors.iter();
    told.extend(mirrors.map(|mirror| format!("mirrors to {}", mirror.backend)));
    if filters.cors.is_some() {
        told.push("answers CORS preflights".to_owned());
    }
    if filters.redirect.is_some() {
        told.push("redirects".to_owned());
    }
    told
}
