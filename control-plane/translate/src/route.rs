//! Routes of every kind: where they attach, what they serve, and what their statuses say.

mod attach;
mod body;
pub(crate) mod fault;
pub(crate) mod hostname;
mod http;
mod matches;
pub(crate) mod regex;
mod rules;
pub(crate) mod session;
mod status;

pub use hostname::intersect as intersect_hostnames;
use std::collections::{BTreeMap, BTreeSet};
use std::iter::empty;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use novaedge_api::gateway::{
    GROUP, GatewayDefaultScope, GrpcRoute, HttpRoute, ParentReference, StreamRouteRule, TcpRoute,
    TlsRoute, UdpRoute,
};
use novaedge_api::meta::{Kind, ObjectId, ObjectKey};
use novaedge_api::native::{
    self, ProxyParentRef, ProxyRoute, ProxyRouteProtocol, ProxyRouteRule, ProxyRouteSpec,
    ProxyWildcard,
};

use crate::backend::reference::Refs;
use crate::clash;
use crate::config::Mode;
use crate::diagnostic::Diagnostic;
use crate::ingress;
use crate::names;
use crate::plan::{RoutePlan, Traffic};
use crate::view::View;
use attach::{Attachment, Candidate, NO_MATCHING_PARENT, attach};
use fault::Fault;
use rules::{Converted, Rules};

/// What a route comes to. None when there is no such route.
///
/// A rule that cannot be served as written keeps its matches and answers 500, also when that makes
/// the whole route unaccepted: its requests must not fall through to a broader rule.
pub fn plan_route(view: &View<'_>, kind: Kind, key: &ObjectKey) -> Option<RoutePlan> {
    let id = ObjectId {
        kind,
        key: key.clone(),
    };
    match kind {
        Kind::HttpRoute => {
            let route = view.get::<HttpRoute>(key)?;
            let (meta, spec) = (&route.metadata, &route.spec);
            let head = Head::new(&id, meta, &spec.parent_refs, spec.use_default_gateways);
            let head = Head {
                hostnames: &spec.hostnames,
                ..head
            };
            Some(plan(view, &head, |rules| {
                http::http_rules(rules, &id, meta, spec);
            }))
        }
        Kind::GrpcRoute => {
            let route = view.get::<GrpcRoute>(key)?;
            let (meta, spec) = (&route.metadata, &route.spec);
            let head = Head::new(&id, meta, &spec.parent_refs, spec.use_default_gateways);
            let head = Head {
                hostnames: &spec.hostnames,
                ..head
            };
            Some(plan(view, &head, |rules| {
                http::grpc_rules(rules, &id, meta, spec);
            }))
        }
        Kind::TlsRoute => {
            let route = view.get::<TlsRoute>(key)?;
            let (meta, spec) = (&route.metadata, &route.spec);
            let head = Head::new(&id, meta, &spec.parent_refs, spec.use_default_gateways);
            let head = Head {
                hostnames: &spec.hostnames,
                ..head
            };
            Some(plan(view, &head, |rules| stream_rules(rules, &spec.rules)))
        }
        Kind::TcpRoute => {
            let route = view.get::<TcpRoute>(key)?;
            let (meta, spec) = (&route.metadata, &route.spec);
            let head = Head::new(&id, meta, &spec.parent_refs, spec.use_default_gateways);
            Some(plan(view, &head, |rules| stream_rules(rules, &spec.rules)))
        }
        Kind::UdpRoute => {
            let route = view.get::<UdpRoute>(key)?;
            let (meta, spec) = (&route.metadata, &route.spec);
            let head = Head::new(&id, meta, &spec.parent_refs, spec.use_default_gateways);
            Some(plan(view, &head, |rules| stream_rules(rules, &spec.rules)))
        }
        Kind::Ingress => ingress::plan_ingress(view, key),
        _ => None,
    }
}

/// What routes of all kinds have.
struct Head<'a> {
    id: &'a ObjectId,
    meta: &'a ObjectMeta,
    parents: &'a [ParentReference],
    default_gateways: Option<GatewayDefaultScope>,
    hostnames: &'a [String],
}

impl<'a> Head<'a> {
    fn new(
        id: &'a ObjectId,
        meta: &'a ObjectMeta,
        parents: &'a [ParentReference],
        default_gateways: Option<GatewayDefaultScope>,
    ) -> Self {
        Self {
            id,
            meta,
            parents,
            default_gateways,
            hostnames: &[],
        }
    }

    fn diagnostic(&self, fault: &Fault) -> Diagnostic {
        fault.diagnostic(self.id)
    }

    fn warning(&self, fault: &Fault) -> Diagnostic {
        Diagnostic::warning(self.id.clone(), &fault.field, fault.reason, &fault.message)
    }
}

fn plan(view: &View<'_>, head: &Head<'_>, convert: impl FnOnce(&mut Rules<'_, '_>)) -> RoutePlan {
    let (hostnames, bad_hostnames) = hostnames(head.hostnames);
    let mut plan = RoutePlan {
        diagnostics: notes(view, head),
        ..RoutePlan::default()
    };
    let attachments = attachments(view, head, &hostnames, &bad_hostnames);
    if attachments.is_empty() {
        // No parent is ours, so nothing about the route is ours to judge.
        return plan;
    }
    let traffic = traffic(head.id.kind, &attachments);
    let namespace = &head.id.key.namespace;
    let mut rules = Rules::new(Refs::new(view, head.id.kind, namespace, traffic));
    convert(&mut rules);
    let mut converted = rules.finish();
    if let Some(rejected) = view.rejected_rules(head.id) {
        converted.reject(rejected);
    }
    let Converted {
        native,
        judgement,
        found,
        ..
    } = converted;
    let mut parents = Vec::with_capacity(attachments.len());
    let mut attached = BTreeSet::new();
    for (parent, attachment) in &attachments {
        let refusal = attachment.refusal.as_ref();
        parents.push(status::parent_status(
            parent,
            &view.config().controller_name,
            refusal,
            &judgement,
            head.meta.generation,
        ));
        if refusal.is_none() && !judgement.hopeless {
            let bound = attachment.listeners.iter();
            attached.extend(bound.map(|bound| (attachment.gateway.clone(), bound.name.clone())));
        }
    }
    plan.parents = parents.into();
    plan.attached = attached.into_iter().collect();
    let parent_refs = native_parents(head, &attachments);
    if !parent_refs.is_empty() && !native.is_empty() {
        let name = names::proxy_route(head.id.kind, &head.id.key);
        let clash = clash::check::<ProxyRoute>(view, &name, head.id);
        plan.diagnostics.extend(clash);
        let native = native_route(head, name, hostnames, parent_refs, native);
        plan.native = Some(Arc::new(tight(&native)));
        plan.backends = found.backends.into_iter().collect();
    }
    plan.services = found.services.into_iter().collect();
    let refusals = attachments
        .iter()
        .filter_map(|(_, attachment)| attachment.refusal.as_ref());
    let rules = judgement.rules.iter().chain(&judgement.references);
    let mut told: Vec<&Fault> = Vec::new();
    for fault in refusals.chain(&bad_hostnames).chain(rules) {
        // A filter may be a fault of its rule and a reference at once: one finding says both.
        let said = |other: &&Fault| other.field == fault.field && other.message == fault.message;
        if !told.iter().any(said) {
            told.push(fault);
            plan.diagnostics.push(head.diagnostic(fault));
        }
    }
    plan.diagnostics
        .extend(found.ignored.iter().map(|fault| head.warning(fault)));
    plan
}

/// The same without room to spare in its lists: it is kept as long as the route.
fn tight(native: &ProxyRoute) -> ProxyRoute {
    native.clone()
}

/// The hostnames that can be used, in lower case, and a fault for each other one.
fn hostnames(given: &[String]) -> (Vec<String>, Vec<Fault>) {
    let mut good: Vec<String> = Vec::new();
    let mut bad = Vec::new();
    for (index, host) in given.iter().enumerate() {
        match hostname::fault(host) {
            None if good.contains(&host.to_ascii_lowercase()) => {}
            None => good.push(host.to_ascii_lowercase()),
            Some(fault) => {
                let field = format!("spec.hostnames[{index}]");
                let text = format!("\"{host}\" is left out: {fault}; correct it");
                bad.push(Fault::unsupported(field, text));
            }
        }
    }
    (good, bad)
}

/// What each parentRef to a parent of ours comes to.
fn attachments<'h>(
    view: &View<'_>,
    head: &Head<'h>,
    hostnames: &[String],
    bad_hostnames: &[Fault],
) -> Vec<(&'h ParentReference, Attachment)> {
    let route = Candidate {
        kind: head.id.kind,
        namespace: &head.id.key.namespace,
        hostnames,
    };
    let mut found = Vec::new();
    for (index, parent) in head.parents.iter().enumerate() {
        let Some(mut attachment) = attach(view, route, index, parent) else {
            continue;
        };
        if hostnames.is_empty() && !bad_hostnames.is_empty() && attachment.refusal.is_none() {
            // A list without a usable host must not become the list that means every host.
            attachment.listeners.clear();
            attachment.refusal = bad_hostnames.first().cloned();
        }
        found.push((parent, attachment));
    }
    found
}

/// How the backends of a route are spoken to. A TLSRoute that ends TLS somewhere speaks as the
/// policies of its Services want it; the agents leave those aside where TLS is passed through.
fn traffic(kind: Kind, attachments: &[(&ParentReference, Attachment)]) -> Traffic {
    let mut bound = attachments
        .iter()
        .flat_map(|(_, attachment)| &attachment.listeners)
        .peekable();
    match kind {
        Kind::UdpRoute => Traffic::Udp,
        Kind::TcpRoute => Traffic::Tcp,
        Kind::TlsRoute if bound.peek().is_none() || bound.all(|bound| bound.passthrough) => {
            Traffic::Tcp
        }
        _ => Traffic::Http,
    }
}

/// The listeners that serve the route. One that two parentRefs reach stands once.
fn native_parents(
    head: &Head<'_>,
    attachments: &[(&ParentReference, Attachment)],
) -> Vec<ProxyParentRef> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for (_, attachment) in attachments {
        let gateway = &attachment.gateway;
        for bound in attachment.listeners.iter().filter(|bound| bound.usable) {
            if !seen.insert((gateway, &bound.name)) {
                continue;
            }
            let local = gateway.namespace == head.id.key.namespace;
            found.push(ProxyParentRef {
                namespace: if local {
                    String::new()
                } else {
                    gateway.namespace.clone()
                },
                name: gateway.name.clone(),
                listener: Some(bound.name.clone()),
                hostnames: bound.hostnames.clone(),
            });
        }
    }
    found
}

fn native_route(
    head: &Head<'_>,
    name: ObjectKey,
    hostnames: Vec<String>,
    parent_refs: Vec<ProxyParentRef>,
    rules: Vec<ProxyRouteRule>,
) -> ProxyRoute {
    let (protocol, l4) = match head.id.kind {
        Kind::GrpcRoute => (ProxyRouteProtocol::GRPC, None),
        Kind::TlsRoute => (ProxyRouteProtocol::TLS, Some("TLS")),
        Kind::TcpRoute => (ProxyRouteProtocol::TCP, Some("TCP")),
        Kind::UdpRoute => (ProxyRouteProtocol::UDP, Some("UDP")),
        _ => (ProxyRouteProtocol::HTTP, None),
    };
    let kind = head.id.kind;
    let mut metadata = names::native_metadata(name, kind, head.meta);
    if let Some(l4) = l4 {
        let annotations = metadata.annotations.get_or_insert_with(BTreeMap::new);
        annotations.insert(native::L4_PROTOCOL.to_owned(), l4.to_owned());
    }
    let created = head.meta.creation_timestamp.as_ref();
    let spec = ProxyRouteSpec {
        protocol,
        parent_refs,
        hostnames,
        wildcard: ProxyWildcard::default(),
        source_created: created.map(|time| time.0.to_string()),
        rules,
    };
    ProxyRoute {
        metadata,
        spec,
        status: None,
    }
}

/// Rules of TLSRoutes, TCPRoutes and UDPRoutes.
fn stream_rules(rules: &mut Rules<'_, '_>, given: &[StreamRouteRule]) {
    for (index, rule) in given.iter().enumerate() {
        let field = rules.begin(index);
        let mut backend_refs = Vec::new();
        for (index, backend) in rule.backend_refs.iter().enumerate() {
            let field = format!("{field}.backendRefs[{index}]");
            backend_refs.push(rules.backend(&field, backend, empty(), false));
        }
        rules.note_silence(&field, &backend_refs, "refuses all traffic");
        if index > 0 {
            let text =
                "every connection takes the first rule; move this rule to a route of its own";
            rules.refs.ignored().push(Fault::unsupported(&field, text));
        }
        let name = rule.name.clone();
        rules.serve(ProxyRouteRule {
            name,
            backend_refs,
            ..ProxyRouteRule::default()
        });
    }
}

/// Findings that have nothing to do with the rules.
fn notes(view: &View<'_>, head: &Head<'_>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    if head.default_gateways == Some(GatewayDefaultScope::All) {
        let text = "default Gateways are not supported; name the Gateway in parentRefs";
        found.push(head.warning(&Fault::unsupported("spec.useDefaultGateways", text)));
    }
    let parents = head.parents.iter().enumerate();
    found.extend(parents.filter_map(|(index, parent)| {
        let fault = parent_note(view, head, &format!("spec.parentRefs[{index}]"), parent)?;
        Some(head.warning(&fault))
    }));
    found
}

/// Why a parentRef leads nowhere. Such a parent is nobody's, so no status tells.
fn parent_note(
    view: &View<'_>,
    head: &Head<'_>,
    field: &str,
    parent: &ParentReference,
) -> Option<Fault> {
    let Some(id) = attach::parent_id(parent, &head.id.key.namespace) else {
        // Others may know the kind, except on one machine.
        let text = format!(
            "kind {} of group \"{}\" is no parent here; refer to a Gateway or a ListenerSet",
            parent.kind, parent.group
        );
        let ours = parent.group == GROUP || view.config().mode == Mode::Standalone;
        return ours.then(|| Fault::new(format!("{field}.kind"), NO_MATCHING_PARENT, text));
    };
    let text = format!("{id} does not exist; create it or correct the name");
    (!view.exists(&id)).then(|| Fault::new(format!("{field}.name"), NO_MATCHING_PARENT, text))
}
