//! Names, kinds and the union of every object that the system reads.

use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::certificates::v1beta1::ClusterTrustBundle;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::Status;
use serde::{Deserialize, Serialize};

use crate::gateway::{
    BackendTlsPolicy, Gateway, GatewayClass, GrpcRoute, HttpRoute, ListenerSet, ReferenceGrant,
    TcpRoute, TlsRoute, UdpRoute,
};
use crate::native::{ProxyBackend, ProxyGateway, ProxyRoute};

/// Namespace and name of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectKey {
    /// Namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl ObjectKey {
    /// A key; an empty namespace is that of cluster-scoped objects.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// The key in an object's metadata.
    pub fn of(metadata: &ObjectMeta) -> Self {
        Self {
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
        }
    }
}

impl fmt::Display for ObjectKey {
    /// `namespace/name`, or `name` alone for cluster-scoped objects.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

/// Whether an API server refuses an object because its namespace is there no longer, or not for long.
pub fn is_namespace_ending(status: &Status) -> bool {
    let Some(details) = &status.details else {
        return false;
    };
    let mut causes = details.causes.iter();
    match status.code {
        403 => causes.any(|cause| cause.reason == "NamespaceTerminating"),
        404 => details.kind == "namespaces",
        _ => false,
    }
}

/// Kind, namespace and name of an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    /// Kind.
    pub kind: Kind,
    /// Namespace and name.
    pub key: ObjectKey,
}

impl ObjectId {
    /// An id.
    pub fn new(kind: Kind, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            kind,
            key: ObjectKey::new(namespace, name),
        }
    }
}

impl fmt::Display for ObjectId {
    /// `Kind/namespace/name`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.key)
    }
}

/// Whether objects of a kind live in namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// They do.
    Namespaced,
    /// They don't.
    Cluster,
}

/// A type that is one of the kinds that the system reads.
pub trait Typed: Sized {
    /// The kind.
    const KIND: Kind;

    /// The object of this kind inside the union.
    fn of(object: &Object) -> Option<&Arc<Self>>;

    /// Metadata of the object.
    fn object_meta(&self) -> &ObjectMeta;

    /// Namespace and name of the object.
    fn object_key(&self) -> ObjectKey {
        ObjectKey::of(self.object_meta())
    }
}

/// Defines `Kind`, `Object` and `Typed` from one table.
macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident($type:ty) = $name:literal in $group:expr, $scope:ident;)+) => {
        /// Every kind that the system reads, in the order in which a reader wants them listed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind {
            $($(#[$doc])* $variant,)+
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Name of the kind, such as `HTTPRoute`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// API group; empty for the core group.
            pub const fn group(self) -> &'static str {
                match self {
                    $(Self::$variant => $group,)+
                }
            }

            /// Whether its objects live in namespaces.
            pub const fn scope(self) -> Scope {
                match self {
                    $(Self::$variant => Scope::$scope,)+
                }
            }
        }

        /// An object of any kind that the system reads.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Object {
            $($(#[$doc])* $variant(Arc<$type>),)+
        }

        impl Object {
            /// Its kind.
            pub const fn kind(&self) -> Kind {
                match self {
                    $(Self::$variant(_) => Kind::$variant,)+
                }
            }

            /// Its metadata.
            pub fn metadata(&self) -> &ObjectMeta {
                match self {
                    $(Self::$variant(object) => &object.metadata,)+
                }
            }

            /// The same object at another `metadata.generation`.
            #[must_use]
            pub fn with_generation(mut self, generation: i64) -> Self {
                match &mut self {
                    $(Self::$variant(object) => {
                        Arc::make_mut(object).metadata.generation = Some(generation);
                    })+
                }
                self
            }

            /// The object as JSON, with `apiVersion` and `kind`.
            pub fn to_value(&self) -> Result<serde_json::Value, serde_json::Error> {
                match self {
                    $(Self::$variant(object) => serde_json::to_value(object),)+
                }
            }
        }

        $(
            impl From<$type> for Object {
                fn from(object: $type) -> Self {
                    Self::$variant(Arc::new(object))
                }
            }

            impl Typed for $type {
                const KIND: Kind = Kind::$variant;

                fn of(object: &Object) -> Option<&Arc<Self>> {
                    match object {
                        Object::$variant(object) => Some(object),
                        _ => None,
                    }
                }

                fn object_meta(&self) -> &ObjectMeta {
                    &self.metadata
                }
            }
        )+
    };
}

kinds! {
    /// A class of Gateways.
    GatewayClass(GatewayClass) = "GatewayClass" in crate::gateway::GROUP, Cluster;
    /// Listeners on addresses.
    Gateway(Gateway) = "Gateway" in crate::gateway::GROUP, Namespaced;
    /// Listeners that somebody else adds to a Gateway.
    ListenerSet(ListenerSet) = "ListenerSet" in crate::gateway::GROUP, Namespaced;
    /// Routes HTTP requests.
    HttpRoute(HttpRoute) = "HTTPRoute" in crate::gateway::GROUP, Namespaced;
    /// Routes gRPC calls.
    GrpcRoute(GrpcRoute) = "GRPCRoute" in crate::gateway::GROUP, Namespaced;
    /// Routes TLS connections.
    TlsRoute(TlsRoute) = "TLSRoute" in crate::gateway::GROUP, Namespaced;
    /// Forwards byte streams.
    TcpRoute(TcpRoute) = "TCPRoute" in crate::gateway::GROUP, Namespaced;
    /// Forwards datagrams.
    UdpRoute(UdpRoute) = "UDPRoute" in crate::gateway::GROUP, Namespaced;
    /// Who may refer to what.
    ReferenceGrant(ReferenceGrant) = "ReferenceGrant" in crate::gateway::GROUP, Namespaced;
    /// TLS towards Services.
    BackendTlsPolicy(BackendTlsPolicy) = "BackendTLSPolicy" in crate::gateway::GROUP, Namespaced;
    /// A native gateway.
    ProxyGateway(ProxyGateway) = "ProxyGateway" in crate::native::GROUP, Namespaced;
    /// A native route.
    ProxyRoute(ProxyRoute) = "ProxyRoute" in crate::native::GROUP, Namespaced;
    /// A native backend.
    ProxyBackend(ProxyBackend) = "ProxyBackend" in crate::native::GROUP, Namespaced;
    /// A Service.
    Service(Service) = "Service" in "", Namespaced;
    /// Endpoints of a Service.
    EndpointSlice(EndpointSlice) = "EndpointSlice" in "discovery.k8s.io", Namespaced;
    /// A Secret.
    Secret(Secret) = "Secret" in "", Namespaced;
    /// A ConfigMap.
    ConfigMap(ConfigMap) = "ConfigMap" in "", Namespaced;
    /// Trust anchors for the whole cluster.
    ClusterTrustBundle(ClusterTrustBundle) = "ClusterTrustBundle" in "certificates.k8s.io", Cluster;
    /// A Namespace.
    Namespace(Namespace) = "Namespace" in "", Cluster;
    /// An Ingress.
    Ingress(Ingress) = "Ingress" in "networking.k8s.io", Namespaced;
    /// A class of Ingresses.
    IngressClass(IngressClass) = "IngressClass" in "networking.k8s.io", Cluster;
}

impl Kind {
    /// The kind of a group and a kind name. XListenerSet is ListenerSet.
    pub fn find(group: &str, kind: &str) -> Option<Self> {
        if group == crate::gateway::X_GROUP {
            return (kind == "XListenerSet").then_some(Self::ListenerSet);
        }
        Self::ALL
            .iter()
            .copied()
            .find(|k| k.group() == group && k.as_str() == kind)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Object {
    /// Its kind, namespace and name.
    pub fn id(&self) -> ObjectId {
        ObjectId {
            kind: self.kind(),
            key: self.key(),
        }
    }

    /// Its namespace and name.
    pub fn key(&self) -> ObjectKey {
        ObjectKey::of(self.metadata())
    }
}
