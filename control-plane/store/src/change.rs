//! Changes of objects, and what they amount to.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use novaedge_api::meta::{Object, ObjectId};

/// One change of one object.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The object is there, and reads like this.
    Upsert(Object),
    /// The object is gone.
    Delete(ObjectId),
}

impl Change {
    /// The object that changes.
    pub fn id(&self) -> ObjectId {
        match self {
            Self::Upsert(object) => object.id(),
            Self::Delete(id) => id.clone(),
        }
    }
}

/// A change that made a difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// The object that changed.
    pub id: ObjectId,
    /// What it was; absent for a new object.
    pub old: Option<Object>,
    /// What it is; absent for a deleted object.
    pub new: Option<Object>,
    /// How deep the change goes.
    pub touch: Touch,
    /// Objects that this object began or ceased to refer to.
    pub references: BTreeSet<ObjectId>,
}

/// How deep a change goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// What a user wrote changed, or the object came or went.
    Content,
    /// Only bookkeeping changed: status, resource version, managed fields.
    Bookkeeping,
}

impl Touch {
    /// Compares two states of one object.
    pub(crate) fn between(old: &Object, new: &Object) -> Self {
        if meta_equal(old.metadata(), new.metadata()) && content_equal(old, new) {
            Self::Bookkeeping
        } else {
            Self::Content
        }
    }
}

fn meta_equal(a: &ObjectMeta, b: &ObjectMeta) -> bool {
    a.uid == b.uid
        && a.generation == b.generation
        && a.labels == b.labels
        && a.annotations == b.annotations
        && a.creation_timestamp == b.creation_timestamp
        && a.deletion_timestamp == b.deletion_timestamp
}

/// Compares what is beside metadata and status.
fn content_equal(old: &Object, new: &Object) -> bool {
    match (old, new) {
        (Object::GatewayClass(a), Object::GatewayClass(b)) => a.spec == b.spec,
        (Object::Gateway(a), Object::Gateway(b)) => a.spec == b.spec,
        (Object::ListenerSet(a), Object::ListenerSet(b)) => a.spec == b.spec,
        (Object::HttpRoute(a), Object::HttpRoute(b)) => a.spec == b.spec,
        (Object::GrpcRoute(a), Object::GrpcRoute(b)) => a.spec == b.spec,
        (Object::TlsRoute(a), Object::TlsRoute(b)) => a.spec == b.spec,
        (Object::TcpRoute(a), Object::TcpRoute(b)) => a.spec == b.spec,
        (Object::UdpRoute(a), Object::UdpRoute(b)) => a.spec == b.spec,
        (Object::ReferenceGrant(a), Object::ReferenceGrant(b)) => a.spec == b.spec,
        (Object::BackendTlsPolicy(a), Object::BackendTlsPolicy(b)) => a.spec == b.spec,
        (Object::ProxyGateway(a), Object::ProxyGateway(b)) => a.spec == b.spec,
        (Object::ProxyRoute(a), Object::ProxyRoute(b)) => a.spec == b.spec,
        (Object::ProxyBackend(a), Object::ProxyBackend(b)) => a.spec == b.spec,
        (Object::Service(a), Object::Service(b)) => a.spec == b.spec,
        (Object::EndpointSlice(a), Object::EndpointSlice(b)) => {
            a.endpoints == b.endpoints && a.ports == b.ports && a.address_type == b.address_type
        }
        (Object::Secret(a), Object::Secret(b)) => {
            a.data == b.data && a.string_data == b.string_data && a.type_ == b.type_
        }
        (Object::ConfigMap(a), Object::ConfigMap(b)) => {
            a.data == b.data && a.binary_data == b.binary_data
        }
        (Object::ClusterTrustBundle(a), Object::ClusterTrustBundle(b)) => a.spec == b.spec,
        (Object::Namespace(_), Object::Namespace(_)) => true,
        (Object::Ingress(a), Object::Ingress(b)) => a.spec == b.spec,
        (Object::IngressClass(a), Object::IngressClass(b)) => a.spec == b.spec,
        _ => false,
    }
}
