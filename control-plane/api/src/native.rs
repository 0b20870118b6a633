//! NovaEdge's own kinds in `novaedge.io/v1alpha1`: ProxyGateway, ProxyRoute and ProxyBackend.
//!
//! They are the durable, inspectable projection of the translation and an API for users who write
//! them by hand. Private keys and endpoints of Services never pass through them. Where the Gateway
//! API has a good shape (matches, filters, header lists), these kinds reuse it.

mod backend;
mod balancing;
mod client_address;
mod crds;
mod gateway;
mod health_check;
mod limits;
mod route;

pub use backend::*;
pub use balancing::*;
pub use client_address::*;
pub use crds::crds;
pub use gateway::*;
pub use health_check::*;
pub use limits::*;
pub use route::*;

/// API group of the native kinds.
pub const GROUP: &str = "novaedge.io";
/// API version of the native kinds.
pub const VERSION: &str = "v1alpha1";

/// Label and annotation that name the Gateway API object a native object was made for.
///
/// The annotation holds `Kind/namespace/name`. Label values may hold neither slashes nor more than
/// 63 characters, so the label holds `Kind.namespace.name`, shortened with a hash when it is too long.
pub const OWNER: &str = "novaedge.io/gateway-api-owner";
/// Annotation on ProxyRoutes of layer 4: `TCP`, `TLS` or `UDP`.
pub const L4_PROTOCOL: &str = "novaedge.io/l4-protocol";
/// Annotation on Gateways: what becomes of connections without a header of the PROXY protocol,
/// `Required` (default) or `Optional`.
pub const PROXY_PROTOCOL: &str = "novaedge.io/proxy-protocol";
/// Annotation on Gateways: the proxies that speak the PROXY protocol, as CIDRs with commas between them.
pub const PROXY_PROTOCOL_TRUSTED_CIDRS: &str = "novaedge.io/proxy-protocol-trusted-cidrs";
/// Annotation on Gateways: the proxies whose `X-Forwarded-*` fields are believed, as CIDRs with commas
/// between them.
pub const FORWARDED_HEADERS_TRUSTED_CIDRS: &str = "novaedge.io/forwarded-headers-trusted-cidrs";
/// Annotation on Gateways: `"true"` serves the HTTPS listeners over HTTP/3, too.
pub const HTTP3: &str = "novaedge.io/http3";
/// Annotation on Gateways: the most connections that an agent has on each of the ports.
pub const MAX_CONNECTIONS: &str = "novaedge.io/max-connections";
/// Annotation on HTTPRoutes and GRPCRoutes: the longest request body, in bytes or as a quantity such as `10Mi`.
pub const MAX_REQUEST_BODY_SIZE: &str = "novaedge.io/max-request-body-size";
/// `controllerName` of the GatewayClasses that NovaEdge manages.
pub const CONTROLLER_NAME: &str = "novaedge.io/gateway-controller";

/// A namespaced reference to an object whose kind the field implies.
#[derive(
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct NamespacedRef {
    /// Namespace. Empty: the namespace of the object that holds the reference.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// A reference to a Secret, ConfigMap or ClusterTrustBundle that holds certificates.
#[derive(
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct CaRef {
    /// `ConfigMap` (key `ca.crt`), `Secret` (key `ca.crt`) or `ClusterTrustBundle`.
    pub kind: String,
    /// Namespace. Empty: the namespace of the object that holds the reference.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// Status that all native kinds share.
#[derive(
    Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct NativeStatus {
    /// Condition `Ready`: reasons `Valid`, `Invalid`, `Pending`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition>,
}
