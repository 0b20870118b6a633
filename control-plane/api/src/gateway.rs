//! Kinds of the Gateway API, v1.7 with its experimental fields.
//!
//! Fields have the upstream names in Rust's casing. Defaults of the CRD schema are applied while decoding, as the API
//! server would, so an `Option` means that absence has a meaning of its own. One type per kind reads every served
//! version. A one-of keeps the shape of its JSON (`type` beside optional structs) and has a `kind()` that gives the
//! enum.

mod backend_tls_policy;
mod duration;
mod gateway_class;
mod gateways;
mod grpc_route;
mod http_filter;
mod http_route;
mod listener;
mod listener_set;
mod reference_grant;
mod refs;
mod session;
mod status;
mod stream_route;
mod words;

pub use backend_tls_policy::{
    BackendTlsPolicy, BackendTlsPolicySpec, BackendTlsPolicyValidation, SubjectAltName,
};
pub use duration::{Duration, DurationError};
pub use gateway_class::{GatewayClass, GatewayClassSpec, GatewayClassStatus, SupportedFeature};
pub use gateways::{
    AllowedListeners, FrontendTlsConfig, FrontendTlsValidation, Gateway, GatewayBackendTls,
    GatewayInfrastructure, GatewaySpec, GatewaySpecAddress, GatewayStatus, GatewayStatusAddress,
    GatewayTlsConfig, ListenerNamespaces, TlsConfig, TlsPortConfig,
};
pub use grpc_route::{
    GrpcBackendRef, GrpcHeaderMatch, GrpcMethodMatch, GrpcRoute, GrpcRouteFilter, GrpcRouteMatch,
    GrpcRouteRule, GrpcRouteSpec,
};
pub use http_filter::{
    FilterKind, ForwardBodyConfig, Fraction, GrpcAuthConfig, HttpAuthConfig, HttpCorsFilter,
    HttpExternalAuthFilter, HttpHeader, HttpHeaderFilter, HttpPathModifier,
    HttpRequestMirrorFilter, HttpRequestRedirectFilter, HttpRouteFilter, HttpUrlRewriteFilter,
    OneOfError, PathModifierKind,
};
pub use http_route::{
    HttpBackendRef, HttpHeaderMatch, HttpPathMatch, HttpQueryParamMatch, HttpRoute, HttpRouteMatch,
    HttpRouteRetry, HttpRouteRule, HttpRouteSpec, HttpRouteTimeouts,
};
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
pub use listener::{
    AllowedRoutes, Listener, ListenerEntry, ListenerEntryStatus, ListenerFilter,
    ListenerFilterKind, ListenerFilters, ListenerStatus, ListenerTlsConfig, RouteGroupKind,
    RouteNamespaces,
};
pub use listener_set::{ListenerSet, ListenerSetSpec, ListenerSetStatus};
pub use reference_grant::{
    ReferenceGrant, ReferenceGrantFrom, ReferenceGrantSpec, ReferenceGrantTo,
};
pub use refs::{
    BackendObjectReference, BackendRef, LocalObjectReference, LocalParametersReference,
    LocalPolicyTargetReferenceWithSectionName, ObjectReference, ParametersReference,
    ParentGatewayReference, ParentReference, SecretObjectReference,
};
pub use session::{CookieConfig, HeaderConfig, SessionPersistence};
pub use status::{PolicyAncestorStatus, PolicyStatus, RouteParentStatus, RouteStatus};
pub use stream_route::{
    StreamRouteRule, TcpRoute, TcpRouteRule, TcpRouteSpec, TlsRoute, TlsRouteRule, TlsRouteSpec,
    UdpRoute, UdpRouteRule, UdpRouteSpec,
};
pub use words::{
    AddressType, CookieLifetimeType, ExternalAuthProtocol, FromNamespaces,
    FrontendValidationModeType, GatewayDefaultScope, HttpMethod, HttpMethodWithWildcard,
    HttpPathModifierType, HttpRouteFilterType, ListenerFilterType, MatchType, PathMatchType,
    ProtocolType, RedirectScheme, SessionPersistenceType, SubjectAltNameType, TlsModeType,
};

/// The API group of the Gateway API.
pub const GROUP: &str = "gateway.networking.k8s.io";

/// The API group of the Gateway API's experiments.
pub const X_GROUP: &str = "gateway.networking.x-k8s.io";

/// The newest release whose fields these types know.
pub const BUNDLE_VERSION: &str = "v1.7.0";

/// Versions of a kind of the Gateway API that some supported release (v1.4 to v1.7) serves, the best first; empty for
/// kinds that are not read.
pub fn served_versions(kind: &str) -> &'static [&'static str] {
    match kind {
        "GatewayClass" | "Gateway" | "HTTPRoute" | "ReferenceGrant" => &["v1", "v1beta1"],
        "GRPCRoute" | "ListenerSet" => &["v1"],
        "BackendTLSPolicy" => &["v1", "v1alpha3"],
        "TLSRoute" => &["v1", "v1alpha3", "v1alpha2"],
        "TCPRoute" | "UDPRoute" => &["v1", "v1alpha2"],
        "XListenerSet" => &["v1alpha1"],
        _ => &[],
    }
}
