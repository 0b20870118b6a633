//! What the translation gives: native objects, statuses, findings.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::networking::v1::IngressStatus;
use novaedge_api::gateway::{
    GatewayClassStatus, GatewayStatus, GatewayStatusAddress, ListenerSetStatus,
    PolicyAncestorStatus, RouteParentStatus,
};
use novaedge_api::meta::{Object, ObjectId, ObjectKey};
use novaedge_store::Change;

use crate::diagnostic::Diagnostic;

/// Everything that the objects read so far come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    /// Native objects.
    pub natives: BTreeMap<ObjectId, Object>,
    /// Statuses of Gateway API objects.
    pub statuses: BTreeMap<ObjectId, DesiredStatus>,
    /// Findings, by the object to change.
    pub diagnostics: BTreeMap<ObjectId, Vec<Diagnostic>>,
}

/// What an update changed in the [`Output`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Delta {
    /// Native objects.
    pub natives: Vec<Change>,
    /// Statuses; none for an object that is gone or no longer ours.
    pub statuses: Vec<(ObjectId, Option<DesiredStatus>)>,
    /// Findings; an empty list for an object without any.
    pub diagnostics: Vec<(ObjectId, Vec<Diagnostic>)>,
}

impl Delta {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.natives.is_empty() && self.statuses.is_empty() && self.diagnostics.is_empty()
    }
}

/// The part of an object's status that is ours to write. Transition times are the epoch: the writer stamps them, and
/// keeps the conditions and entries of other controllers.
#[derive(Clone, Debug, PartialEq)]
pub enum DesiredStatus {
    /// Of a GatewayClass.
    GatewayClass(GatewayClassStatus),
    /// Of a Gateway.
    Gateway(GatewayStatus),
    /// Of a ListenerSet.
    ListenerSet(ListenerSetStatus),
    /// Of a route: our entries of `status.parents`.
    Route(Arc<[RouteParentStatus]>),
    /// Of a BackendTLSPolicy: our entries of `status.ancestors`.
    BackendTlsPolicy(Vec<PolicyAncestorStatus>),
    /// Of an Ingress: where it can be reached.
    Ingress(IngressStatus),
}

/// What the agents say about one Gateway.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GatewayFleet {
    /// The generation of the Gateway that every agent of it has acknowledged.
    pub acknowledged_generation: Option<i64>,
    /// The same for each of its ListenerSets.
    pub acknowledged_listener_sets: BTreeMap<ObjectKey, i64>,
    /// Where the Gateway can be reached.
    pub addresses: Vec<GatewayStatusAddress>,
    /// Listeners that agents cannot serve, by native name, and why.
    pub rejected_listeners: BTreeMap<String, String>,
    /// Listeners that no local port is left for, by native name, and why.
    pub exhausted_listeners: BTreeMap<String, String>,
}

/// The generations that the current output serves; a missing `metadata.generation` counts as 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Generations {
    /// Of the Gateway.
    pub gateway: i64,
    /// Of its ListenerSets.
    pub listener_sets: BTreeMap<ObjectKey, i64>,
}
