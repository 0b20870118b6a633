//! Routes, from the wire.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use novaedge_proto::v1;

use super::{
    filters::{convert, header_name},
    matches::{CompiledMatch, compile_matches},
};
use crate::{
    conditions::HostLimit,
    error::Fault,
    filters::Filters,
    host::HostPattern,
    rank::RouteOrder,
    rule::{
        HttpRule, Invalid, L4Rule, Retry, RouteId, RouteKind, SessionCarrier, SessionPersistence,
    },
    weighted::{BackendChoice, Target, WeightedBackends},
};

/// A rule, ready to be put under the listeners that it is bound to.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) version: String,
    pub(super) order: Arc<RouteOrder>,
    pub(super) bindings: Box<[Binding]>,
    pub(super) body: RouteBody,
}

/// What a rule does, by the layer that it works on.
#[derive(Debug)]
pub(super) enum RouteBody {
    Http {
        rule: Arc<HttpRule>,
        matches: Vec<CompiledMatch>,
    },
    L4(Arc<L4Rule>),
}

/// One listener of a route, with the own hostnames that it serves there.
#[derive(Debug)]
pub(super) struct Binding {
    pub(super) listener: Arc<str>,
    pub(super) hosts: Box<[(HostPattern, HostLimit)]>,
}

/// Converts a rule. None: nothing of it can be served, not even an error.
pub(super) fn convert_route(
    name: &Arc<str>,
    version: &str,
    wire: &v1::Route,
    faults: &mut Vec<Fault>,
) -> Option<Route> {
    let Some(kind) = route_kind(wire.kind()) else {
        let expected = "expected a known kind of route";
        faults.push(Fault::Value {
            field: "kind",
            value: wire.kind.to_string(),
            expected,
        });
        return None;
    };
    let Some(reference) = wire
        .r#ref
        .as_ref()
        .filter(|reference| !reference.name.is_empty())
    else {
        faults.push(Fault::Missing("ref"));
        return None;
    };
    // Without a valid hostname the rule must not become one for every host.
    let own = hostnames(&wire.hostnames, faults)?;
    let order = Arc::new(RouteOrder {
        created: if wire.created == 0 {
            i64::MAX
        } else {
            wire.created
        },
        name: format!("{}/{}", reference.namespace, reference.name).into(),
        kind,
        rule_index: wire.rule_index,
        resource: Arc::clone(name),
    });
    let id = RouteId {
        resource: Arc::clone(name),
        kind,
        namespace: reference.namespace.as_str().into(),
        name: reference.name.as_str().into(),
        rule_index: wire.rule_index,
        rule_name: (!wire.rule_name.is_empty()).then(|| wire.rule_name.as_str().into()),
    };
    let bindings = wire
        .bindings
        .iter()
        .filter_map(|binding| convert_binding(binding, &own, faults))
        .collect();
    let body = match kind {
        RouteKind::Http | RouteKind::Grpc => {
            let matches = compile_matches(wire, &order, faults);
            RouteBody::Http {
                rule: Arc::new(http_rule(id, wire, faults)),
                matches,
            }
        }
        RouteKind::Tls | RouteKind::Tcp | RouteKind::Udp => {
            let (backends, invalid) = (
                weighted(&wire.backends, faults),
                wire.invalid.as_ref().map(convert_invalid),
            );
            RouteBody::L4(Arc::new(L4Rule {
                id,
                backends,
                invalid,
            }))
        }
    };
    Some(Route {
        version: version.to_owned(),
        order,
        bindings,
        body,
    })
}

fn http_rule(id: RouteId, wire: &v1::Route, faults: &mut Vec<Fault>) -> HttpRule {
    let backends = weighted(&wire.backends, faults);
    let mut invalid = wire.invalid.as_ref().map(convert_invalid);
    // A fault here must not let traffic pass as if the field were absent, nor fall to a broader rule: answer 500.
    let mut note = |fault: Fault| {
        invalid.get_or_insert_with(|| unsupported(&fault));
        faults.push(fault);
    };
    let filters = convert(&wire.filters).unwrap_or_else(|fault| {
        note(fault);
        Filters::default()
    });
    let retry = wire
        .retry
        .as_ref()
        .and_then(|retry| convert_retry(retry).map_err(&mut note).ok());
    let session = wire
        .session_persistence
        .as_ref()
        .and_then(|wire| convert_session(wire).map_err(&mut note).ok());
    HttpRule {
        grpc: id.kind == RouteKind::Grpc,
        id,
        filters,
        backends,
        request_timeout: wire.request_timeout_ms.and_then(duration),
        backend_request_timeout: wire.backend_request_timeout_ms.and_then(duration),
        max_request_body: wire.max_request_body_bytes,
        retry: retry.map(Box::new),
        session: session.map(Box::new),
        invalid,
    }
}

/// The backends of a rule. The share of one with a fault is refused.
fn weighted(wire: &[v1::WeightedBackend], faults: &mut Vec<Fault>) -> WeightedBackends {
    use v1::weighted_backend::Target as WireTarget;
    WeightedBackends::new(wire.iter().map(|backend| {
        let target = match &backend.target {
            Some(WireTarget::Backend(name)) if !name.is_empty() => {
                Ok(Target::Backend(name.as_str().into()))
            }
            Some(WireTarget::Invalid(invalid)) => Ok(Target::Invalid(convert_invalid(invalid))),
            _ => Err(Fault::Missing("backends.target")),
        };
        let choice = target.and_then(|target| {
            Ok(BackendChoice {
                target,
                filters: convert(&backend.filters)?,
            })
        });
        let choice = choice.unwrap_or_else(|fault| {
            let target = Target::Invalid(unsupported(&fault));
            faults.push(fault);
            BackendChoice {
                target,
                filters: Filters::default(),
            }
        });
        (backend.weight, choice)
    }))
}

fn convert_binding(
    wire: &v1::Binding,
    own: &BTreeSet<HostPattern>,
    faults: &mut Vec<Fault>,
) -> Option<Binding> {
    if wire.listener.is_empty() {
        faults.push(Fault::Missing("bindings.listener"));
        return None;
    }
    let effective = hostnames(&wire.hostnames, faults)?;
    let hosts = own
        .iter()
        .filter_map(|own| Some((own.clone(), limit(own, &effective)?)))
        .collect();
    Some(Binding {
        listener: wire.listener.as_str().into(),
        hosts,
    })
}

/// What the binding leaves of an own hostname. None: nothing.
fn limit(own: &HostPattern, effective: &BTreeSet<HostPattern>) -> Option<HostLimit> {
    if effective.iter().any(|pattern| pattern.covers(own)) {
        return Some(HostLimit::None);
    }
    let within: Arc<[HostPattern]> = effective
        .iter()
        .filter(|pattern| own.covers(pattern))
        .cloned()
        .collect();
    (!within.is_empty()).then_some(HostLimit::To(within))
}

/// Hostnames without those that are none. Empty means any, unless it became empty by that: then there are none at all.
fn hostnames(wire: &[String], faults: &mut Vec<Fault>) -> Option<BTreeSet<HostPattern>> {
    if wire.is_empty() {
        return Some(BTreeSet::from([HostPattern::Any]));
    }
    let mut patterns = BTreeSet::new();
    for text in wire {
        match HostPattern::parse(text) {
            Ok(pattern) => _ = patterns.insert(pattern),
            Err(fault) => faults.push(fault),
        }
    }
    (!patterns.is_empty()).then_some(patterns)
}

fn convert_retry(wire: &v1::Retry) -> Result<Retry, Fault> {
    let code = |code: &u32| {
        u16::try_from(*code)
            .ok()
            .filter(|code| (400..600).contains(code))
            .ok_or_else(|| Fault::Value {
                field: "retry.codes",
                value: code.to_string(),
                expected: "expected 400 to 599",
            })
    };
    let codes: BTreeSet<u16> = wire.codes.iter().map(code).collect::<Result<_, _>>()?;
    let backoff = Duration::from_millis(wire.backoff_ms);
    Ok(Retry {
        codes: codes.into_iter().collect(),
        attempts: wire.attempts,
        backoff,
    })
}

fn convert_session(wire: &v1::SessionPersistence) -> Result<SessionPersistence, Fault> {
    use v1::session_persistence::Type;
    let carrier = match wire.r#type() {
        Type::Header => SessionCarrier::Header(header_name(&wire.session_name)?),
        // RFC 6265 section 4.1.1: a cookie's name is a token, as a header's is.
        Type::Cookie => {
            header_name(&wire.session_name)?;
            SessionCarrier::Cookie {
                name: wire.session_name.as_str().into(),
                permanent: wire.permanent_cookie,
            }
        }
        Type::Unspecified => {
            let expected = "expected a known type";
            return Err(Fault::Value {
                field: "session_persistence.type",
                value: wire.r#type.to_string(),
                expected,
            });
        }
    };
    let absolute_timeout = duration(wire.absolute_timeout_ms);
    Ok(SessionPersistence {
        carrier,
        absolute_timeout,
        idle_timeout: duration(wire.idle_timeout_ms),
    })
}

fn route_kind(wire: v1::RouteKind) -> Option<RouteKind> {
    match wire {
        v1::RouteKind::Unspecified => None,
        v1::RouteKind::Http => Some(RouteKind::Http),
        v1::RouteKind::Grpc => Some(RouteKind::Grpc),
        v1::RouteKind::Tls => Some(RouteKind::Tls),
        v1::RouteKind::Tcp => Some(RouteKind::Tcp),
        v1::RouteKind::Udp => Some(RouteKind::Udp),
    }
}

/// The API's way to say what can't be served.
pub(super) fn convert_invalid(wire: &v1::InvalidConfiguration) -> Invalid {
    Invalid {
        reason: wire.reason.as_str().into(),
        message: wire.message.as_str().into(),
    }
}

/// What a fault found by the agent looks like to the data path.
pub(super) fn unsupported(fault: &Fault) -> Invalid {
    Invalid {
        reason: "UnsupportedValue".into(),
        message: fault.to_string().into(),
    }
}

/// A time of the wire, where 0 is none.
pub(super) fn duration(milliseconds: u64) -> Option<Duration> {
    (milliseconds > 0).then(|| Duration::from_millis(milliseconds))
}
