//! Routes, from the wire.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use novaedge_proto::v1;
use smallvec::SmallVec;

use super::{
    filters::{convert, header_name},
    matches::{Matches, compile_matches},
    version::Version,
};
use crate::{
    conditions::{HostLimit, has_one_label_before},
    error::Fault,
    filters::Filters,
    host::HostPattern,
    route_id::{RouteId, RuleOf},
    rule::{HttpRule, Invalid, L4Rule, Retry, RouteKind, SessionCarrier, SessionPersistence},
    weighted::{BackendChoice, Target, WeightedBackends},
};

/// A rule as it is held: what it takes to find it in the tables again.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) version: Version,
    pub(super) standing: Standing,
    /// Its own hostnames.
    pub(super) hosts: SmallVec<[HostPattern; 1]>,
    /// Those that it is bound to; routes with the same ones share them.
    pub(super) listeners: Arc<[Arc<str>]>,
    pub(super) body: RouteBody,
}

/// Whether a route is one to keep if its successor has a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Good,
    Faulty,
}

/// How many labels the wildcards of a route stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Labels {
    /// One or more, as in the Gateway API.
    Any,
    /// Exactly one, as in an Ingress.
    One,
}

impl Labels {
    fn of(wire: &v1::Route) -> Self {
        if wire.single_label_wildcards {
            Self::One
        } else {
            Self::Any
        }
    }
}

/// What a rule does, by the layer that it works on.
#[derive(Debug)]
pub(super) enum RouteBody {
    Http {
        rule: Arc<HttpRule>,
        matches: Matches,
    },
    L4(Arc<L4Rule>),
}

/// One listener of a route, with the own hostnames that it serves there. Needed until the route is under its listeners.
#[derive(Debug)]
pub(super) struct Binding {
    pub(super) listener: Arc<str>,
    pub(super) hosts: Vec<(HostPattern, HostLimit)>,
}

/// What is held already, so that its names need not be kept again.
pub(super) trait Known {
    /// The name of a listener.
    fn listener(&self, name: &str) -> Arc<str>;
    /// The name of a backend.
    fn backend(&self, name: &str) -> Arc<str>;
    /// A list of listeners.
    fn listeners(&mut self, names: Vec<Arc<str>>) -> Arc<[Arc<str>]>;
}

impl Route {
    pub(super) fn id(&self) -> &RouteId {
        match &self.body {
            RouteBody::Http { rule, .. } => &rule.id,
            RouteBody::L4(rule) => &rule.id,
        }
    }
}

/// Converts a rule. None: nothing of it can be served, not even an error.
pub(super) fn convert_route(
    name: &Arc<str>,
    version: &str,
    wire: &v1::Route,
    known: &mut impl Known,
    faults: &mut Vec<Fault>,
) -> Option<(Route, Vec<Binding>)> {
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
    let rule = RuleOf {
        kind,
        namespace: &reference.namespace,
        name: &reference.name,
        rule_index: wire.rule_index,
        rule_name: &wire.rule_name,
        created: wire.created,
    };
    let id = RouteId::new(Arc::clone(name), rule);
    let labels = Labels::of(wire);
    let bindings: Vec<Binding> = wire
        .bindings
        .iter()
        .filter_map(|binding| convert_binding(binding, (&own, labels), known, faults))
        .collect();
    let body = match kind {
        RouteKind::Http | RouteKind::Grpc => {
            let matches = compile_matches(wire, faults);
            RouteBody::Http {
                rule: Arc::new(http_rule(id, wire, known, faults)),
                matches,
            }
        }
        RouteKind::Tls | RouteKind::Tcp | RouteKind::Udp => {
            let (backends, invalid) = (
                weighted(&wire.backends, known, faults),
                wire.invalid.as_ref().map(convert_invalid),
            );
            RouteBody::L4(Arc::new(L4Rule {
                id,
                backends,
                invalid,
            }))
        }
    };
    let listeners = bindings.iter().map(|one| Arc::clone(&one.listener));
    let route = Route {
        version: version.into(),
        standing: if faults.is_empty() {
            Standing::Good
        } else {
            Standing::Faulty
        },
        hosts: own.into_iter().collect(),
        listeners: known.listeners(listeners.collect()),
        body,
    };
    Some((route, bindings))
}

fn http_rule(
    id: RouteId,
    wire: &v1::Route,
    known: &impl Known,
    faults: &mut Vec<Fault>,
) -> HttpRule {
    let backends = weighted(&wire.backends, known, faults);
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
        invalid: invalid.map(Box::new),
    }
}

/// The backends of a rule. The share of one with a fault is refused.
fn weighted(
    wire: &[v1::WeightedBackend],
    known: &impl Known,
    faults: &mut Vec<Fault>,
) -> WeightedBackends {
    use v1::weighted_backend::Target as WireTarget;
    WeightedBackends::new(wire.iter().map(|backend| {
        let target = match &backend.target {
            Some(WireTarget::Backend(name)) if !name.is_empty() => {
                Ok(Target::Backend(known.backend(name)))
            }
            Some(WireTarget::Invalid(invalid)) => {
                Ok(Target::Invalid(Box::new(convert_invalid(invalid))))
            }
            _ => Err(Fault::Missing("backends.target")),
        };
        let choice = target.and_then(|target| {
            Ok(BackendChoice {
                target,
                filters: convert(&backend.filters)?,
            })
        });
        let choice = choice.unwrap_or_else(|fault| {
            let target = Target::Invalid(Box::new(unsupported(&fault)));
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
    (own, labels): (&BTreeSet<HostPattern>, Labels),
    known: &impl Known,
    faults: &mut Vec<Fault>,
) -> Option<Binding> {
    if wire.listener.is_empty() {
        faults.push(Fault::Missing("bindings.listener"));
        return None;
    }
    let effective = hostnames(&wire.hostnames, faults)?;
    let hosts = own
        .iter()
        .filter_map(|own| Some((own.clone(), limit(own, labels, &effective)?)))
        .collect();
    Some(Binding {
        listener: known.listener(&wire.listener),
        hosts,
    })
}

/// What the binding leaves of an own hostname. None: nothing.
fn limit(
    own: &HostPattern,
    labels: Labels,
    effective: &BTreeSet<HostPattern>,
) -> Option<HostLimit> {
    let single = match (own, labels) {
        (HostPattern::Wildcard(suffix), Labels::One) => Some(suffix),
        _ => None,
    };
    if effective.iter().any(|pattern| pattern.covers(own)) {
        return Some(single.map_or(HostLimit::None, |suffix| {
            HostLimit::OneLabel(Arc::clone(suffix))
        }));
    }
    let within: Arc<[HostPattern]> = effective
        .iter()
        .filter(|pattern| match (single, pattern) {
            (None, _) => own.covers(pattern),
            (Some(suffix), HostPattern::Exact(name)) => has_one_label_before(name, suffix),
            // One label and more than one have no host in common.
            (Some(_), _) => false,
        })
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
