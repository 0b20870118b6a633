//! Gateways with everything that they and their ListenerSets refer to.

mod addresses;
pub(crate) mod certificates;
mod client_validation;
mod findings;
mod listener;
mod listener_status;
mod native;
mod overlap;
mod set_status;
mod status;

use std::collections::BTreeMap;
use std::sync::Arc;

use novaedge_api::gateway::{Gateway, Listener, ListenerSet, RouteGroupKind};
use novaedge_api::meta::{Kind, ObjectId, ObjectKey, Typed as _};
use novaedge_api::native::{NamespacedRef, ProxyGateway, ProxyListener};

use self::listener_status::Observed;
pub(crate) use self::set_status::listener_set_status;
pub(crate) use self::status::gateway_status;
use crate::clash;
use crate::diagnostic::Diagnostic;
use crate::layout::{Fault, Layout, SetEntry};
use crate::output::Generations;
use crate::plan::{ListenerOwner, ListenerPlan, ParentPlan};
use crate::view::View;

/// What a Gateway unit comes to, for routes, for statuses and for the data plane.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GatewayResult {
    pub(crate) detail: Arc<GatewayDetail>,
    pub(crate) native: Option<Arc<ProxyGateway>>,
    pub(crate) parents: BTreeMap<ObjectId, Arc<ParentPlan>>,
    pub(crate) sets: BTreeMap<ObjectKey, Arc<SetDetail>>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl GatewayResult {
    pub(crate) fn generations(&self) -> Generations {
        let sets = self.sets.iter().filter(|(_, detail)| detail.allowed);
        Generations {
            gateway: self.detail.generation.unwrap_or(0),
            listener_sets: sets
                .map(|(key, detail)| (key.clone(), detail.generation.unwrap_or(0)))
                .collect(),
        }
    }
}

/// What the status of a Gateway is made of, beside what the agents say and the numbers of routes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GatewayDetail {
    pub(crate) generation: Option<i64>,
    /// Why the Gateway is not accepted, whatever its listeners.
    pub(crate) refusal: Option<Fault>,
    /// Why its addresses cannot be used.
    pub(crate) unusable_address: Option<Fault>,
    /// Why nothing of it is served, whatever its listeners.
    pub(crate) unserved: Option<&'static str>,
    /// Addresses that it asks for.
    pub(crate) addresses: Vec<std::net::IpAddr>,
    /// What is wrong with its client certificate: reason and message.
    pub(crate) client_certificate: Option<(&'static str, String)>,
    /// Whether clients without a valid certificate are let in somewhere.
    pub(crate) insecure_frontend: bool,
    pub(crate) listeners: Vec<ListenerDetail>,
    /// Whether some listener, those of ListenerSets included, is accepted.
    pub(crate) accepted: bool,
    /// Whether some listener, those of ListenerSets included, is served.
    pub(crate) served: bool,
    pub(crate) attached_listener_sets: i32,
}

/// What the status of a ListenerSet is made of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SetDetail {
    pub(crate) gateway: ObjectKey,
    pub(crate) generation: Option<i64>,
    /// Whether the Gateway lets it in.
    pub(crate) allowed: bool,
    /// Whether the Gateway itself is refused.
    pub(crate) parent_refused: bool,
    /// Why nothing of the Gateway is served, whatever its listeners.
    pub(crate) parent_unserved: Option<&'static str>,
    pub(crate) listeners: Vec<ListenerDetail>,
}

impl SetDetail {
    /// Whether it is attached: let in, and with something to serve.
    pub(crate) fn accepted(&self) -> bool {
        self.allowed && !self.parent_refused && self.listeners.iter().any(|l| l.plan.usable)
    }
}

/// One listener with all that its status says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ListenerDetail {
    /// Its place in `spec.listeners` of its object.
    pub(crate) index: usize,
    pub(crate) plan: ListenerPlan,
    pub(crate) supported_kinds: Vec<RouteGroupKind>,
    /// Why it is not accepted: reason and message.
    pub(crate) refusal: Option<(&'static str, String)>,
    /// The conflict that it lost: reason and message.
    pub(crate) conflict: Option<(&'static str, String)>,
    /// What it refers to in vain: reason and message.
    pub(crate) unresolved: Option<(&'static str, String)>,
    /// The listeners that share certificates' host names with it.
    pub(crate) overlapping: Option<String>,
}

impl ListenerDetail {
    /// Path of the listener in its object.
    fn field(&self) -> String {
        format!("spec.listeners[{}]", self.index)
    }
}

/// What a status unit comes to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StatusPlan<T> {
    /// The status; none when it is not ours to write.
    pub(crate) status: Option<T>,
    /// What is wrong beside the specs: with what the agents say, or with an object that nobody serves.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl<T> StatusPlan<T> {
    /// An object that nobody serves, perhaps with a finding why.
    fn of_nobody(finding: Option<Diagnostic>) -> Self {
        Self {
            status: None,
            diagnostics: finding.into_iter().collect(),
        }
    }
}

/// The listeners that the agents cannot serve, with what a condition says of each.
fn rejections<'d>(
    listeners: &'d [ListenerDetail],
    observed: &Observed<'d>,
) -> impl Iterator<Item = (String, &'d str)> {
    let usable = listeners.iter().filter(|listener| listener.plan.usable);
    usable.filter_map(|listener| {
        let error = observed.fleet.rejected_listeners.get(&listener.plan.name)?;
        Some((listener.field(), error.as_str()))
    })
}

/// The listeners that no local port is left for, with what a condition says of each.
fn exhausted<'d>(
    listeners: &'d [ListenerDetail],
    observed: &Observed<'d>,
) -> impl Iterator<Item = (String, &'d str)> {
    let usable = listeners.iter().filter(|listener| listener.plan.usable);
    usable.filter_map(|listener| {
        let why = observed
            .fleet
            .exhausted_listeners
            .get(&listener.plan.name)?;
        Some((listener.field(), why.as_str()))
    })
}

/// Findings about listeners that the agents cannot serve.
fn rejected(
    id: &ObjectId,
    listeners: &[ListenerDetail],
    observed: &Observed<'_>,
) -> Vec<Diagnostic> {
    let found = |reason| {
        move |(field, error): (String, &str)| Diagnostic::error(id.clone(), field, reason, error)
    };
    rejections(listeners, observed)
        .map(found("Rejected"))
        .chain(exhausted(listeners, observed).map(found("NoResources")))
        .collect()
}

/// The objects whose listeners make up a Gateway.
struct Owners {
    gateway: Arc<Gateway>,
    sets: BTreeMap<ObjectKey, Arc<ListenerSet>>,
}

impl Owners {
    fn listener(&self, owner: &ListenerOwner, index: usize) -> Option<&Listener> {
        match owner {
            ListenerOwner::Gateway => self.gateway.spec.listeners.get(index),
            ListenerOwner::ListenerSet(set) => self.sets.get(set)?.spec.listeners.get(index),
        }
    }
}

/// Plans a Gateway; none when its class is not ours.
pub(crate) fn plan_gateway(view: &View<'_>, key: &ObjectKey) -> Option<GatewayResult> {
    let layout = view.layout(key)?;
    let gateway = view.get::<Gateway>(key)?;
    let sets = layout
        .sets
        .iter()
        .filter_map(|set| Some((set.key.clone(), view.get(&set.key)?)));
    let owners = Owners {
        gateway,
        sets: sets.collect(),
    };
    let mut diagnostics = Vec::new();
    findings::of_gateway(&owners, &layout, &mut diagnostics);

    let client_certificate = client_certificate(view, &owners.gateway, &mut diagnostics);
    let validation = client_validation::read(view, &owners.gateway, &mut diagnostics);
    let mut listeners = Vec::new();
    let mut natives = Vec::new();
    for entry in &layout.listeners {
        let Some(spec) = owners.listener(&entry.owner, entry.index) else {
            continue;
        };
        let scope = listener::Scope {
            view,
            gateway: key,
            layout: &layout,
            validation: &validation,
        };
        let (detail, native) = listener::plan(&scope, entry, spec, &mut diagnostics);
        natives.extend(native);
        listeners.push(detail);
    }
    overlap::mark(&mut listeners);

    let (certificate, fault) = client_certificate;
    let native = native::build(&owners.gateway, &layout, natives, certificate);
    if let Some(native) = &native {
        let id = ObjectId {
            kind: Kind::Gateway,
            key: key.clone(),
        };
        diagnostics.extend(clash::check::<ProxyGateway>(
            view,
            &native.object_key(),
            &id,
        ));
    }
    Some(assemble(
        key,
        &owners,
        &layout,
        listeners,
        native,
        fault,
        diagnostics,
    ))
}

/// Shares the listeners out among the Gateway and its ListenerSets.
fn assemble(
    key: &ObjectKey,
    owners: &Owners,
    layout: &Layout,
    listeners: Vec<ListenerDetail>,
    native: Option<ProxyGateway>,
    client_certificate: Option<(&'static str, String)>,
    diagnostics: Vec<Diagnostic>,
) -> GatewayResult {
    let refused = layout.refusal.is_some();
    let accepted = !refused && listeners.iter().any(|listener| listener.plan.accepted);
    let served = native.is_some();
    let (own, others): (Vec<_>, Vec<_>) = listeners
        .into_iter()
        .partition(|listener| listener.plan.owner == ListenerOwner::Gateway);
    let mut sets: BTreeMap<ObjectKey, SetDetail> = layout
        .sets
        .iter()
        .map(|set| set_detail(key, owners, set, layout))
        .collect();
    for listener in others {
        if let ListenerOwner::ListenerSet(set) = &listener.plan.owner
            && let Some(detail) = sets.get_mut(set)
        {
            detail.listeners.push(listener);
        }
    }
    let attached = sets.values().filter(|set| set.accepted()).count();
    let parent = |accepted: bool, listeners: &[ListenerDetail]| {
        Arc::new(ParentPlan {
            gateway: key.clone(),
            accepted,
            listeners: listeners
                .iter()
                .map(|listener| listener.plan.clone())
                .collect(),
        })
    };
    let own_id = ObjectId {
        kind: Kind::Gateway,
        key: key.clone(),
    };
    let parents = sets.iter().map(|(set, detail)| {
        let id = ObjectId {
            kind: Kind::ListenerSet,
            key: set.clone(),
        };
        (id, parent(detail.accepted(), &detail.listeners))
    });
    let parents = parents.chain([(own_id, parent(accepted, &own))]).collect();
    let spec = &owners.gateway.spec;
    let detail = GatewayDetail {
        generation: owners.gateway.metadata.generation,
        refusal: layout.refusal.clone(),
        unusable_address: layout.addresses.unusable.clone(),
        unserved: layout.unserved(),
        addresses: layout.addresses.bind.clone(),
        client_certificate,
        insecure_frontend: client_validation::is_insecure(spec),
        listeners: own,
        accepted,
        served,
        attached_listener_sets: i32::try_from(attached).unwrap_or(i32::MAX),
    };
    GatewayResult {
        detail: Arc::new(detail),
        native: native.map(Arc::new),
        parents,
        sets: sets
            .into_iter()
            .map(|(set, detail)| (set, Arc::new(detail)))
            .collect(),
        diagnostics,
    }
}

fn set_detail(
    gateway: &ObjectKey,
    owners: &Owners,
    set: &SetEntry,
    layout: &Layout,
) -> (ObjectKey, SetDetail) {
    let object = owners.sets.get(&set.key);
    let detail = SetDetail {
        gateway: gateway.clone(),
        generation: object.and_then(|object| object.metadata.generation),
        allowed: set.allowed,
        parent_refused: layout.refusal.is_some(),
        parent_unserved: layout.unserved(),
        listeners: Vec::new(),
    };
    (set.key.clone(), detail)
}

/// The certificate shown to TLS backends, or why there is none.
type ClientCertificate = (Option<NamespacedRef>, Option<(&'static str, String)>);

fn client_certificate(
    view: &View<'_>,
    gateway: &Gateway,
    diagnostics: &mut Vec<Diagnostic>,
) -> ClientCertificate {
    let tls = gateway
        .spec
        .tls
        .as_ref()
        .and_then(|tls| tls.backend.as_ref());
    let Some(reference) = tls.and_then(|tls| tls.client_certificate_ref.as_ref()) else {
        return (None, None);
    };
    let key = ObjectKey::of(&gateway.metadata);
    let holder = ObjectId {
        kind: Kind::Gateway,
        key: key.clone(),
    };
    let field = "spec.tls.backend.clientCertificateRef";
    match certificates::resolve(view, &holder, reference) {
        Ok(certificate) => {
            diagnostics.extend(certificate.timing(view, &holder, field));
            let secret = certificates::native_ref(&certificate.secret, &key.namespace);
            (Some(secret), None)
        }
        Err(fault) => {
            let reason = match fault.permitted {
                certificates::Permitted::Yes => "InvalidClientCertificateRef",
                certificates::Permitted::No => "RefNotPermitted",
            };
            let said = (reason, format!("{field}: {}", fault.message));
            diagnostics.push(Diagnostic::error(holder, field, reason, fault.message));
            (None, Some(said))
        }
    }
}

/// A listener of the ProxyGateway.
type NativeListener = ProxyListener;
