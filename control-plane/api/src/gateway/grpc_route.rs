//! GRPCRoute.

use kube::CustomResource;
use serde::{Deserialize, Serialize};

use super::http_filter::{
    FilterKind, HttpHeaderFilter, HttpRequestMirrorFilter, OneOfError, one_of,
};
use super::refs::{BackendRef, LocalObjectReference, ParentReference, service_kind, weight_one};
use super::session::SessionPersistence;
use super::status::RouteStatus;
use super::words::{GatewayDefaultScope, HttpRouteFilterType, MatchType};

/// Spec of a GRPCRoute: routes gRPC calls.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "gateway.networking.k8s.io",
    version = "v1",
    kind = "GRPCRoute",
    root = "GrpcRoute",
    doc = "Routes gRPC calls.",
    namespaced,
    status = "RouteStatus",
    derive = "PartialEq",
    derive = "Default",
    schema = "disabled"
)]
#[serde(rename_all = "camelCase")]
pub struct GrpcRouteSpec {
    /// Parents to attach to; at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<ParentReference>,
    /// Whether default Gateways are parents too (experimental).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_default_gateways: Option<GatewayDefaultScope>,
    /// Host names, exact or with a leading `*.`, at most 16; every one when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
    /// At most 16 rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<GrpcRouteRule>,
}

/// A rule of a GRPCRoute.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrpcRouteRule {
    /// Name; unique in the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Any of these must match, at most 64; every call matches when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<GrpcRouteMatch>,
    /// At most 16 filters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<GrpcRouteFilter>,
    /// Where calls go, by weight; at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backend_refs: Vec<GrpcBackendRef>,
    /// Session persistence (experimental).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_persistence: Option<SessionPersistence>,
}

/// Conditions that a call must meet, all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrpcRouteMatch {
    /// On service and method; every one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<GrpcMethodMatch>,
    /// On metadata; at most 16, and of several with one name only the first counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<GrpcHeaderMatch>,
}

/// A condition on service and method; one of the two at least.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrpcMethodMatch {
    /// How both are compared.
    #[serde(rename = "type", default)]
    pub type_: MatchType,
    /// Service with its package; every one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Method; every one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
}

/// A condition on a header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrpcHeaderMatch {
    /// How the value is compared.
    #[serde(rename = "type", default)]
    pub type_: MatchType,
    /// Name; case does not matter.
    pub name: String,
    /// Value or regular expression.
    pub value: String,
}

/// One filter of a GRPCRoute's rule or backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrpcRouteFilter {
    /// Which of the fields is set.
    #[serde(rename = "type")]
    pub type_: HttpRouteFilterType,
    /// Set for RequestHeaderModifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_header_modifier: Option<HttpHeaderFilter>,
    /// Set for ResponseHeaderModifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_header_modifier: Option<HttpHeaderFilter>,
    /// Set for RequestMirror.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_mirror: Option<HttpRequestMirrorFilter>,
    /// Set for ExtensionRef.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension_ref: Option<LocalObjectReference>,
}

impl GrpcRouteFilter {
    /// The filter as an enum; only the four kinds that a GRPCRoute knows occur.
    pub fn kind(&self) -> Result<FilterKind<'_>, OneOfError> {
        use FilterKind as K;
        one_of(
            self.type_.as_str(),
            [
                (
                    "requestHeaderModifier",
                    "RequestHeaderModifier",
                    self.request_header_modifier
                        .as_ref()
                        .map(K::RequestHeaderModifier),
                ),
                (
                    "responseHeaderModifier",
                    "ResponseHeaderModifier",
                    self.response_header_modifier
                        .as_ref()
                        .map(K::ResponseHeaderModifier),
                ),
                (
                    "requestMirror",
                    "RequestMirror",
                    self.request_mirror.as_ref().map(K::RequestMirror),
                ),
                (
                    "extensionRef",
                    "ExtensionRef",
                    self.extension_ref.as_ref().map(K::ExtensionRef),
                ),
            ],
        )
    }
}

/// A weighted reference to a backend with filters of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrpcBackendRef {
    /// API group; empty is the core group.
    #[serde(default)]
    pub group: String,
    /// Kind.
    #[serde(default = "service_kind")]
    pub kind: String,
    /// Name.
    pub name: String,
    /// Namespace; the route's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Service port; required for Services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Share of the rule's traffic, relative to the sum of all weights; 0 to 1,000,000.
    #[serde(default = "weight_one")]
    pub weight: u32,
    /// Filters for calls that go to this backend; at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<GrpcRouteFilter>,
}

impl GrpcBackendRef {
    /// The reference without its filters.
    pub fn backend_ref(&self) -> BackendRef {
        BackendRef {
            group: self.group.clone(),
            kind: self.kind.clone(),
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            port: self.port,
            weight: self.weight,
        }
    }
}

impl From<BackendRef> for GrpcBackendRef {
    fn from(backend: BackendRef) -> Self {
        let BackendRef {
            group,
            kind,
            name,
            namespace,
            port,
            weight,
        } = backend;
        Self {
            group,
            kind,
            name,
            namespace,
            port,
            weight,
            filters: Vec::new(),
        }
    }
}

impl Default for GrpcBackendRef {
    fn default() -> Self {
        BackendRef::default().into()
    }
}
