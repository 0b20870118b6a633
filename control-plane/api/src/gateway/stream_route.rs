//! TLSRoute, TCPRoute and UDPRoute.

use kube::CustomResource;
use serde::{Deserialize, Serialize};

use super::refs::{BackendRef, ParentReference};
use super::status::RouteStatus;
use super::words::GatewayDefaultScope;

/// Spec of a TLSRoute: routes TLS connections by SNI.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "gateway.networking.k8s.io",
    version = "v1",
    kind = "TLSRoute",
    root = "TlsRoute",
    doc = "Routes TLS connections by SNI.",
    namespaced,
    status = "RouteStatus",
    derive = "PartialEq",
    derive = "Default",
    schema = "disabled"
)]
#[serde(rename_all = "camelCase")]
pub struct TlsRouteSpec {
    /// Parents to attach to; at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<ParentReference>,
    /// Whether default Gateways are parents too (experimental).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_default_gateways: Option<GatewayDefaultScope>,
    /// SNI names, one to 1024; absent only in versions before v1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
    /// Exactly one rule; up to 16 in versions before v1.
    pub rules: Vec<TlsRouteRule>,
}

/// Spec of a TCPRoute: forwards byte streams.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "gateway.networking.k8s.io",
    version = "v1",
    kind = "TCPRoute",
    root = "TcpRoute",
    doc = "Forwards byte streams.",
    namespaced,
    status = "RouteStatus",
    derive = "PartialEq",
    derive = "Default",
    schema = "disabled"
)]
#[serde(rename_all = "camelCase")]
pub struct TcpRouteSpec {
    /// Parents to attach to; at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<ParentReference>,
    /// Whether default Gateways are parents too (experimental).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_default_gateways: Option<GatewayDefaultScope>,
    /// Exactly one rule; up to 16 in versions before v1.
    pub rules: Vec<TcpRouteRule>,
}

/// Spec of a UDPRoute: forwards datagrams.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "gateway.networking.k8s.io",
    version = "v1",
    kind = "UDPRoute",
    root = "UdpRoute",
    doc = "Forwards datagrams.",
    namespaced,
    status = "RouteStatus",
    derive = "PartialEq",
    derive = "Default",
    schema = "disabled"
)]
#[serde(rename_all = "camelCase")]
pub struct UdpRouteSpec {
    /// Parents to attach to; at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<ParentReference>,
    /// Whether default Gateways are parents too (experimental).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_default_gateways: Option<GatewayDefaultScope>,
    /// Exactly one rule; up to 16 in versions before v1.
    pub rules: Vec<UdpRouteRule>,
}

/// A rule of a TLS, TCP or UDP route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamRouteRule {
    /// Name; unique in the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where traffic goes, by weight; one to 16.
    #[serde(default)]
    pub backend_refs: Vec<BackendRef>,
}

/// A rule of a TLSRoute.
pub type TlsRouteRule = StreamRouteRule;
/// A rule of a TCPRoute.
pub type TcpRouteRule = StreamRouteRule;
/// A rule of a UDPRoute.
pub type UdpRouteRule = StreamRouteRule;
