//! What units of the translation come to, and what other units may read of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use novaedge_api::gateway::{PolicyAncestorStatus, RouteParentStatus};
use novaedge_api::meta::{Kind, ObjectKey};
use novaedge_api::native::{ProxyBackend, ProxyRoute, ProxyTlsMode};

use crate::diagnostic::Diagnostic;
use crate::selector;

/// What routes see of a parent: a Gateway with its own listeners, or a ListenerSet with its listeners.
#[derive(Clone, Debug, PartialEq)]
pub struct ParentPlan {
    /// The Gateway, also behind a ListenerSet.
    pub gateway: ObjectKey,
    /// Whether the parent is accepted.
    pub accepted: bool,
    /// Its listeners in the order of its spec, refused ones included.
    pub listeners: Vec<ListenerPlan>,
}

/// One listener as routes see it.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerPlan {
    /// Name in the ProxyGateway, unique there.
    pub name: String,
    /// Name as its user wrote it.
    pub section_name: String,
    /// The object that it stands in.
    pub owner: ListenerOwner,
    /// Namespace of that object: what `allowedRoutes.namespaces.from: Same` means.
    pub owner_namespace: String,
    /// Port that clients see.
    pub port: u16,
    /// Protocol as written, such as `HTTPS`.
    pub protocol: String,
    /// Host name, exact or with a leading `*.`; every one when absent.
    pub hostname: Option<String>,
    /// Where TLS ends; absent for protocols without TLS.
    pub tls_mode: Option<ProxyTlsMode>,
    /// Kinds of routes that may attach: those of the protocol, cut to `allowedRoutes.kinds`.
    pub allowed_kinds: Vec<Kind>,
    /// Namespaces of routes that may attach.
    pub allowed_namespaces: AllowedNamespaces,
    /// Whether it stands in the ProxyGateway: accepted, and its references are good enough to serve.
    pub usable: bool,
    /// Whether it is accepted. Routes attach either way, and `attachedRoutes` counts them.
    pub accepted: bool,
}

/// The object that a listener stands in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListenerOwner {
    /// The Gateway itself.
    Gateway,
    /// A ListenerSet.
    ListenerSet(ObjectKey),
}

/// Namespaces of objects that may attach.
#[derive(Clone, Debug, PartialEq)]
pub enum AllowedNamespaces {
    /// None at all.
    None,
    /// That of the listener's own object.
    Same,
    /// Every one.
    All,
    /// Those whose labels the selector chooses.
    Selector(LabelSelector),
}

impl AllowedNamespaces {
    /// Whether an object in `namespace` with these labels may attach to one in `home`. A namespace that is not known
    /// has no labels.
    pub fn admits(
        &self,
        home: &str,
        namespace: &str,
        labels: impl FnOnce() -> Option<BTreeMap<String, String>>,
    ) -> bool {
        match self {
            Self::None => false,
            Self::Same => home == namespace,
            Self::All => true,
            Self::Selector(selector) => {
                labels().is_some_and(|labels| selector::matches(selector, &labels))
            }
        }
    }
}

/// What a route comes to. There is one for each of many routes, so what others hold too is shared, and nothing has room
/// to spare.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RoutePlan {
    /// The native route; absent when it is attached nowhere.
    pub native: Option<Arc<ProxyRoute>>,
    /// Our entries of `status.parents`, in the order of `spec.parentRefs`.
    pub parents: Arc<[RouteParentStatus]>,
    /// The listeners that count this route, sorted: Gateway and native listener name.
    pub attached: Box<[(ObjectKey, String)]>,
    /// The ProxyBackends that the native route needs, sorted.
    pub backends: Box<[BackendKey]>,
    /// The Services that are referred to and may be, existing or not, sorted.
    pub services: Box<[ObjectKey]>,
    /// Findings.
    pub diagnostics: Vec<Diagnostic>,
}

/// A port of a Service, and how it is spoken to: what one ProxyBackend is made for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BackendKey {
    /// The Service.
    pub service: ObjectKey,
    /// Its port number.
    pub port: u16,
    /// How it is spoken to.
    pub traffic: Traffic,
    /// The Ingress of the same namespace whose annotations say more about that.
    pub tuned_by: Option<Box<str>>,
}

impl BackendKey {
    /// The Ingress whose annotations say how it is spoken to.
    pub(crate) fn ingress(&self) -> Option<ObjectKey> {
        let name = self.tuned_by.as_deref()?;
        Some(ObjectKey::new(&self.service.namespace, name))
    }
}

/// What goes to a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Traffic {
    /// HTTP, gRPC, and TLS that ended here: a BackendTLSPolicy applies.
    Http,
    /// Bytes as they come, TLS passed through included: no policy applies.
    Tcp,
    /// Datagrams to the Service's UDP port.
    Udp,
}

/// What a port of a Service comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct BackendPlan {
    /// The native backend.
    pub native: Arc<ProxyBackend>,
    /// Findings.
    pub diagnostics: Vec<Diagnostic>,
}

/// What a BackendTLSPolicy comes to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PolicyPlan {
    /// Our entries of `status.ancestors`.
    pub ancestors: Vec<PolicyAncestorStatus>,
    /// Findings.
    pub diagnostics: Vec<Diagnostic>,
}
