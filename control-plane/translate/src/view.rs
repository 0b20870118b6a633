//! The only way in which a unit sees the world: every look is recorded.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use novaedge_api::gateway::{BackendTlsPolicy, ListenerSet, ReferenceGrant};
use novaedge_api::meta::{Kind, ObjectId, ObjectKey, Typed};
use novaedge_store::Store;

use crate::certificate::{CertificateError, Validity};
use crate::config::{Mode, TranslateConfig};
use crate::gateway::certificates::CertificateCache;
use crate::gateway::{GatewayDetail, SetDetail};
use crate::ingress::{
    CanaryClaim, Crowd, Entrance, IngressClaims, IngressClassPlan, PathClaim, Place, TlsClaim,
};
use crate::layout::{Claim, Layout};
use crate::output::GatewayFleet;
use crate::plan::ParentPlan;
use crate::plans::Plans;
use crate::read::{Read, Transport};

/// The label by which an API server gives every namespace its name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Objects and the results of earlier units, as one unit sees them.
#[derive(Debug)]
pub struct View<'a> {
    config: &'a TranslateConfig,
    store: &'a Store,
    plans: &'a Plans,
    certificates: &'a CertificateCache,
    reads: RefCell<BTreeSet<Read>>,
}

impl<'a> View<'a> {
    pub(crate) fn new(
        config: &'a TranslateConfig,
        store: &'a Store,
        plans: &'a Plans,
        certificates: &'a CertificateCache,
    ) -> Self {
        Self {
            config,
            store,
            plans,
            certificates,
            reads: RefCell::default(),
        }
    }

    /// What was looked at.
    pub(crate) fn into_reads(self) -> BTreeSet<Read> {
        self.reads.into_inner()
    }

    fn record(&self, read: Read) {
        self.reads.borrow_mut().insert(read);
    }

    /// The settings.
    pub fn config(&self) -> &TranslateConfig {
        self.config
    }

    /// An object.
    pub fn get<K: Typed>(&self, key: &ObjectKey) -> Option<Arc<K>> {
        self.record(Read::Object(ObjectId {
            kind: K::KIND,
            key: key.clone(),
        }));
        self.store.get(key).cloned()
    }

    /// Whether an object exists. Cheaper to depend on than [`get`](Self::get): its content may change.
    pub fn exists(&self, id: &ObjectId) -> bool {
        self.record(Read::Exists(id.clone()));
        self.store.object(id).is_some()
    }

    /// Labels of a namespace, its name among them as an API server has it; none when the namespace is
    /// not known. On one machine namespaces need no object of their own.
    pub fn namespace_labels(&self, namespace: &str) -> Option<BTreeMap<String, String>> {
        let object = self.get::<Namespace>(&ObjectKey::new("", namespace));
        if object.is_none() && self.config.mode == Mode::Cluster {
            return None;
        }
        let labels = object.and_then(|object| object.metadata.labels.clone());
        let mut labels = labels.unwrap_or_default();
        labels.insert(NAMESPACE_NAME.to_owned(), namespace.to_owned());
        Some(labels)
    }

    /// The ReferenceGrants in a namespace, by name.
    pub fn grants_in(&self, namespace: &str) -> Vec<Arc<ReferenceGrant>> {
        self.record(Read::Grants(namespace.to_owned()));
        self.store.grants_in(namespace).cloned().collect()
    }

    /// The objects of a kind that refer to `target`, by namespace and name.
    pub fn referrers<K: Typed>(&self, target: &ObjectId) -> Vec<Arc<K>> {
        self.record(Read::Referrers(target.clone(), K::KIND));
        let keys: Vec<&ObjectKey> = self.store.referrers(target, K::KIND).collect();
        keys.into_iter().filter_map(|key| self.get(key)).collect()
    }

    /// The BackendTLSPolicies that target a Service, by name.
    pub fn policies_of(&self, service: &ObjectKey) -> Vec<Arc<BackendTlsPolicy>> {
        self.referrers(&ObjectId {
            kind: Kind::Service,
            key: service.clone(),
        })
    }

    /// The EndpointSlices of a Service, by name.
    pub fn slices_of(&self, service: &ObjectKey) -> Vec<Arc<EndpointSlice>> {
        self.referrers(&ObjectId {
            kind: Kind::Service,
            key: service.clone(),
        })
    }

    /// The ListenerSets that name a Gateway as their parent, by namespace and name.
    pub fn listener_sets_of(&self, gateway: &ObjectKey) -> Vec<Arc<ListenerSet>> {
        self.referrers(&ObjectId {
            kind: Kind::Gateway,
            key: gateway.clone(),
        })
    }

    /// What a Gateway of ours offers to routes, or a ListenerSet that names one. None for anything else: whoever
    /// manages it, it is not us.
    pub fn parent_plan(&self, parent: &ObjectId) -> Option<Arc<ParentPlan>> {
        self.record(Read::Parent(parent.clone()));
        self.plans.parents.get(parent).cloned()
    }

    /// The Gateways with attached routes that refer to a Service: the ancestors of a policy on it.
    pub fn gateways_using(&self, service: &ObjectKey) -> BTreeSet<ObjectKey> {
        self.record(Read::ServiceGateways(service.clone()));
        self.plans.ledger.gateways_using(service)
    }

    /// Whether a class is ours, and whether it is accepted.
    pub(crate) fn class(&self, name: &str) -> Option<bool> {
        let key = ObjectKey::new("", name);
        let accepted = self.plans.classes.get(&key).map(|plan| plan.accepted);
        self.record(Read::Class(key));
        accepted
    }

    pub(crate) fn layout(&self, gateway: &ObjectKey) -> Option<Arc<Layout>> {
        self.record(Read::Layout(gateway.clone()));
        self.plans.layouts.get(gateway).cloned()
    }

    /// Who claims a port, the first in line first.
    pub(crate) fn claims(&self, port: u16, transport: Transport) -> Vec<Claim> {
        self.record(Read::Port(port, transport));
        self.plans
            .claims
            .get(&(port, transport))
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    pub(crate) fn gateway_detail(&self, gateway: &ObjectKey) -> Option<Arc<GatewayDetail>> {
        self.record(Read::GatewayDetail(gateway.clone()));
        self.plans
            .gateways
            .get(gateway)
            .map(|result| Arc::clone(&result.detail))
    }

    pub(crate) fn set_detail(&self, set: &ObjectKey) -> Option<Arc<SetDetail>> {
        self.record(Read::SetDetail(set.clone()));
        self.plans.sets.get(set).cloned()
    }

    pub(crate) fn attached(&self, gateway: &ObjectKey, listener: &str) -> i32 {
        self.record(Read::Attached(gateway.clone(), listener.to_owned()));
        self.plans.ledger.attached(gateway, listener)
    }

    /// What an IngressClass of ours comes to.
    pub(crate) fn ingress_class(&self, class: &ObjectKey) -> Option<Arc<IngressClassPlan>> {
        self.record(Read::IngressClass(class.clone()));
        self.plans.ingress_classes.get(class).cloned()
    }

    /// What an Ingress of ours claims.
    pub(crate) fn ingress_claims(&self, ingress: &ObjectKey) -> Option<Arc<IngressClaims>> {
        self.record(Read::IngressClaims(ingress.clone()));
        self.plans.ingresses.get(ingress).cloned()
    }

    /// The Ingresses of a class, if there are any, for what they claim of certificates.
    pub(crate) fn crowd(&self, class: &ObjectKey) -> Option<&Crowd> {
        self.record(Read::Crowd(class.clone()));
        self.plans.crowds.get(class)
    }

    /// Who claims the certificate of a host, the first in line first.
    pub(crate) fn tls_claims(&self, class: &ObjectKey, host: &str) -> Vec<TlsClaim> {
        self.record(Read::IngressTls(class.clone(), host.to_owned()));
        let crowd = self.plans.crowds.get(class);
        let claims = crowd.and_then(|crowd| crowd.tls.get(host));
        claims.into_iter().flatten().cloned().collect()
    }

    /// Who claims a host with a path, the first in line first.
    pub(crate) fn path_claims(&self, class: &ObjectKey, place: &Place) -> Vec<PathClaim> {
        self.record(Read::IngressPlace(class.clone(), place.clone()));
        let crowd = self.plans.crowds.get(class);
        let claims = crowd.and_then(|crowd| crowd.paths.get(place));
        claims.into_iter().flatten().cloned().collect()
    }

    /// Who claims a part of the traffic of a host with a path, the first in line first.
    pub(crate) fn canary_claims(&self, class: &ObjectKey, place: &Place) -> Vec<CanaryClaim> {
        self.record(Read::IngressPlace(class.clone(), place.clone()));
        let crowd = self.plans.crowds.get(class);
        let claims = crowd.and_then(|crowd| crowd.canaries.get(place));
        claims
            .into_iter()
            .flat_map(BTreeMap::values)
            .cloned()
            .collect()
    }

    /// The entrance of a class of ours.
    pub(crate) fn entrance(&self, class: &ObjectKey) -> Option<Arc<Entrance>> {
        self.record(Read::Entrance(class.clone()));
        self.plans.entrances.get(class).cloned()
    }

    pub(crate) fn fleet(&self, gateway: &ObjectKey) -> Option<&GatewayFleet> {
        self.record(Read::Fleet(gateway.clone()));
        self.plans.fleet.get(gateway)
    }

    /// Why the agents cannot serve rules of a route, by place in the native route.
    pub(crate) fn rejected_rules(&self, route: &ObjectId) -> Option<&BTreeMap<usize, String>> {
        self.record(Read::RejectedRules(route.clone()));
        self.plans.rejected_rules.get(route)
    }

    /// Whether a time in seconds since 1970 is past; none when nobody has told the time.
    pub(crate) fn is_past(&self, seconds: i64) -> Option<bool> {
        self.record(Read::Past(seconds));
        Some(self.plans.clock? > seconds)
    }

    /// Judges the certificate and key in a Secret: when it is valid. None: there is no such Secret.
    pub fn tls_secret(&self, key: &ObjectKey) -> Option<Result<Validity, CertificateError>> {
        let secret = self.get(key)?;
        Some(self.certificates.tls_secret(key, &secret))
    }
}
