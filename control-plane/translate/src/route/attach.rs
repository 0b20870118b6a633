//! Attachment: which listeners of a parent take a route.

use novaedge_api::gateway::{GROUP, ParentReference, X_GROUP};
use novaedge_api::meta::{Kind, ObjectId, ObjectKey};
use novaedge_api::native::ProxyTlsMode;

use super::fault::Fault;
use super::hostname;
use crate::plan::{AllowedNamespaces, ListenerPlan, ParentPlan};
use crate::view::View;

/// What decides a route's attachment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<'a> {
    /// Kind of the route.
    pub(crate) kind: Kind,
    /// Its namespace.
    pub(crate) namespace: &'a str,
    /// Its hostnames that can be used.
    pub(crate) hostnames: &'a [String],
}

/// What one parentRef comes to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Attachment {
    /// The Gateway, also behind a ListenerSet.
    pub(crate) gateway: ObjectKey,
    /// The listeners that take the route; empty exactly when `refusal` is set.
    pub(crate) listeners: Vec<Bound>,
    /// Why no listener takes it.
    pub(crate) refusal: Option<Fault>,
}

/// A listener that takes the route.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bound {
    /// Native name.
    pub(crate) name: String,
    /// Whether it stands in the ProxyGateway.
    pub(crate) usable: bool,
    /// Whether TLS is passed through there.
    pub(crate) passthrough: bool,
    /// Hosts served there; empty for every host.
    pub(crate) hostnames: Vec<String>,
}

/// No listener has the section name and port.
pub(super) const NO_MATCHING_PARENT: &str = "NoMatchingParent";
/// The listeners' `allowedRoutes` or protocol keep the route out.
const NOT_ALLOWED_BY_LISTENERS: &str = "NotAllowedByListeners";
/// No host in common with the listeners.
const NO_MATCHING_LISTENER_HOSTNAME: &str = "NoMatchingListenerHostname";

/// Attaches a route to one parent. None for parents that are not ours, whose status is not ours to
/// write either.
pub(crate) fn attach(
    view: &View<'_>,
    route: Candidate<'_>,
    index: usize,
    parent: &ParentReference,
) -> Option<Attachment> {
    let id = parent_id(parent, route.namespace)?;
    let plan = view.parent_plan(&id)?;
    let labels = || view.namespace_labels(route.namespace);
    let found = select(
        route,
        &format!("spec.parentRefs[{index}]"),
        parent,
        &id,
        &plan,
        labels,
    );
    let (listeners, refusal) = match found {
        Ok(listeners) => (listeners, None),
        Err(refusal) => (Vec::new(), Some(refusal)),
    };
    Some(Attachment {
        gateway: plan.gateway.clone(),
        listeners,
        refusal,
    })
}

/// The Gateway or ListenerSet that a parentRef names. A parentRef to a Gateway never reaches the
/// listeners of its ListenerSets.
pub(super) fn parent_id(parent: &ParentReference, namespace: &str) -> Option<ObjectId> {
    let group = matches!(parent.group.as_str(), GROUP | X_GROUP);
    let kind = Kind::find(&parent.group, &parent.kind)
        .filter(|kind| group && matches!(kind, Kind::Gateway | Kind::ListenerSet))?;
    let given = parent
        .namespace
        .as_deref()
        .filter(|given| !given.is_empty());
    Some(ObjectId::new(
        kind,
        given.unwrap_or(namespace),
        &parent.name,
    ))
}

fn select(
    route: Candidate<'_>,
    field: &str,
    parent: &ParentReference,
    id: &ObjectId,
    plan: &ParentPlan,
    labels: impl Fn() -> Option<std::collections::BTreeMap<String, String>>,
) -> Result<Vec<Bound>, Fault> {
    if id.kind == Kind::ListenerSet && !plan.accepted {
        let text = format!(
            "{id} is not accepted by Gateway {}, see the status of the ListenerSet",
            plan.gateway
        );
        return Err(Fault::new(field, NO_MATCHING_PARENT, text));
    }
    let named: Vec<&ListenerPlan> = plan
        .listeners
        .iter()
        .filter(|listener| is_meant(parent, listener))
        .collect();
    if named.is_empty() {
        return Err(no_matching_parent(field, parent, id, plan));
    }
    let fitting: Vec<&ListenerPlan> = named
        .iter()
        .copied()
        .filter(|l| l.allowed_kinds.contains(&route.kind))
        .collect();
    if fitting.is_empty() {
        let text = kind_text(route, id, &named);
        return Err(Fault::new(field, NOT_ALLOWED_BY_LISTENERS, text));
    }
    let admits = |listener: &&ListenerPlan| {
        let allowed = &listener.allowed_namespaces;
        allowed.admits(&listener.owner_namespace, route.namespace, &labels)
    };
    let allowed: Vec<&ListenerPlan> = fitting.iter().copied().filter(admits).collect();
    if allowed.is_empty() {
        let text = namespace_text(route, id, &fitting);
        return Err(Fault::new(field, NOT_ALLOWED_BY_LISTENERS, text));
    }
    let bound: Vec<Bound> = allowed
        .iter()
        .filter_map(|listener| bind(route, listener))
        .collect();
    if bound.is_empty() {
        let hosts: Vec<&str> = allowed
            .iter()
            .filter_map(|l| l.hostname.as_deref())
            .collect();
        let text = format!(
            "the hostnames {} have no host in common with the listeners of {id}, which serve {}; correct one of the two",
            route.hostnames.join(", "),
            hosts.join(", ")
        );
        return Err(Fault::new(
            "spec.hostnames",
            NO_MATCHING_LISTENER_HOSTNAME,
            text,
        ));
    }
    Ok(bound)
}

fn is_meant(parent: &ParentReference, listener: &ListenerPlan) -> bool {
    section(parent).is_none_or(|name| name == listener.section_name)
        && parent.port.is_none_or(|port| port == listener.port)
}

fn bind(route: Candidate<'_>, listener: &ListenerPlan) -> Option<Bound> {
    let hostnames = match route.kind {
        Kind::TcpRoute | Kind::UdpRoute => Vec::new(),
        _ => hostname::intersect(listener.hostname.as_deref(), route.hostnames)?,
    };
    Some(Bound {
        name: listener.name.clone(),
        usable: listener.usable,
        passthrough: listener.tls_mode == Some(ProxyTlsMode::Passthrough),
        hostnames,
    })
}

fn no_matching_parent(
    field: &str,
    parent: &ParentReference,
    id: &ObjectId,
    plan: &ParentPlan,
) -> Fault {
    let wanted = match (section(parent), parent.port) {
        (Some(name), Some(port)) => format!("named {name} with port {port}"),
        (Some(name), None) => format!("named {name}"),
        (None, Some(port)) => format!("with port {port}"),
        (None, None) => "at all".to_owned(),
    };
    let there: Vec<String> = plan
        .listeners
        .iter()
        .map(|l| format!("{} ({})", l.section_name, l.port))
        .collect();
    let there = if there.is_empty() {
        "none".to_owned()
    } else {
        there.join(", ")
    };
    let text = format!("{id} has no listener {wanted}; its listeners: {there}");
    let has_section = |name: &&str| plan.listeners.iter().any(|l| l.section_name == **name);
    let below = match (section(parent), parent.port) {
        (Some(name), _) if !has_section(&name) => ".sectionName",
        (_, Some(_)) => ".port",
        _ => "",
    };
    Fault::new(format!("{field}{below}"), NO_MATCHING_PARENT, text)
}

/// The section that a parentRef names; an empty name is none.
fn section(parent: &ParentReference) -> Option<&str> {
    let name = parent.section_name.as_deref();
    name.filter(|name| !name.is_empty())
}

fn kind_text(route: Candidate<'_>, id: &ObjectId, named: &[&ListenerPlan]) -> String {
    let kinds = |listener: &&ListenerPlan| {
        let kinds: Vec<&str> = listener
            .allowed_kinds
            .iter()
            .map(|kind| kind.as_str())
            .collect();
        let kinds = if kinds.is_empty() {
            "no kind".to_owned()
        } else {
            kinds.join(", ")
        };
        format!(
            "{} ({}) takes {kinds}",
            listener.section_name, listener.protocol
        )
    };
    let each: Vec<String> = named.iter().map(kinds).collect();
    format!(
        "no listener of {id} takes {}s: {}; change the protocol or allowedRoutes.kinds of a listener, or refer to another",
        route.kind,
        each.join("; ")
    )
}

fn namespace_text(route: Candidate<'_>, id: &ObjectId, fitting: &[&ListenerPlan]) -> String {
    let from = |listener: &&ListenerPlan| {
        let from = match &listener.allowed_namespaces {
            AllowedNamespaces::None => "None",
            AllowedNamespaces::Same => "Same",
            AllowedNamespaces::All => "All",
            AllowedNamespaces::Selector(_) => "Selector",
        };
        format!("{} ({from})", listener.section_name)
    };
    let each: Vec<String> = fitting.iter().map(from).collect();
    format!(
        "no listener of {id} takes routes of namespace {}: {}; change allowedRoutes.namespaces of a listener, or the labels of the namespace",
        route.namespace,
        each.join(", ")
    )
}
