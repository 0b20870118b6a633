//! HTTPRoute.

use kube::CustomResource;
use serde::{Deserialize, Serialize};

use super::duration::Duration;
use super::http_filter::HttpRouteFilter;
use super::refs::{BackendRef, ParentReference, service_kind, weight_one};
use super::session::SessionPersistence;
use super::status::RouteStatus;
use super::words::{GatewayDefaultScope, HttpMethod, MatchType, PathMatchType};

/// Spec of an HTTPRoute: routes HTTP requests.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "gateway.networking.k8s.io",
    version = "v1",
    kind = "HTTPRoute",
    root = "HttpRoute",
    doc = "Routes HTTP requests.",
    namespaced,
    status = "RouteStatus",
    derive = "PartialEq",
    derive = "Default",
    schema = "disabled"
)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteSpec {
    /// Parents to attach to; at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<ParentReference>,
    /// Whether default Gateways are parents too (experimental).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_default_gateways: Option<GatewayDefaultScope>,
    /// Host names, exact or with a leading `*.`, at most 16; every one when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
    /// One to 16 rules; one that matches every request when absent.
    #[serde(default = "default_rules")]
    pub rules: Vec<HttpRouteRule>,
}

impl Default for HttpRouteSpec {
    fn default() -> Self {
        Self {
            parent_refs: Vec::new(),
            use_default_gateways: None,
            hostnames: Vec::new(),
            rules: default_rules(),
        }
    }
}

fn default_rules() -> Vec<HttpRouteRule> {
    vec![HttpRouteRule::default()]
}

/// A rule of an HTTPRoute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteRule {
    /// Name; unique in the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Any of these must match, at most 64; an explicitly empty list matches every request.
    #[serde(default = "default_matches")]
    pub matches: Vec<HttpRouteMatch>,
    /// At most 16 filters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<HttpRouteFilter>,
    /// Where requests go, by weight; at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backend_refs: Vec<HttpBackendRef>,
    /// Timeouts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<HttpRouteTimeouts>,
    /// Retries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<HttpRouteRetry>,
    /// Session persistence (experimental).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_persistence: Option<SessionPersistence>,
}

impl Default for HttpRouteRule {
    fn default() -> Self {
        Self {
            name: None,
            matches: default_matches(),
            filters: Vec::new(),
            backend_refs: Vec::new(),
            timeouts: None,
            retry: None,
            session_persistence: None,
        }
    }
}

fn default_matches() -> Vec<HttpRouteMatch> {
    vec![HttpRouteMatch::default()]
}

/// Conditions that a request must meet, all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteMatch {
    /// On the path.
    #[serde(default)]
    pub path: HttpPathMatch,
    /// On headers; at most 16, and of several with one name only the first counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HttpHeaderMatch>,
    /// On query parameters; at most 16, and of several with one name only the first counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query_params: Vec<HttpQueryParamMatch>,
    /// On the method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<HttpMethod>,
}

/// A condition on the path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpPathMatch {
    /// How the value is compared.
    #[serde(rename = "type", default)]
    pub type_: PathMatchType,
    /// Path, prefix or regular expression.
    #[serde(default = "slash")]
    pub value: String,
}

impl Default for HttpPathMatch {
    fn default() -> Self {
        Self {
            type_: PathMatchType::default(),
            value: slash(),
        }
    }
}

fn slash() -> String {
    "/".to_owned()
}

/// A condition on a header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpHeaderMatch {
    /// How the value is compared.
    #[serde(rename = "type", default)]
    pub type_: MatchType,
    /// Name; case does not matter.
    pub name: String,
    /// Value or regular expression.
    pub value: String,
}

/// A condition on a query parameter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpQueryParamMatch {
    /// How the value is compared.
    #[serde(rename = "type", default)]
    pub type_: MatchType,
    /// Name; case matters.
    pub name: String,
    /// Value or regular expression.
    pub value: String,
}

/// A weighted reference to a backend with filters of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpBackendRef {
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
    /// Filters for requests that go to this backend; at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<HttpRouteFilter>,
}

impl HttpBackendRef {
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

impl From<BackendRef> for HttpBackendRef {
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

impl Default for HttpBackendRef {
    fn default() -> Self {
        BackendRef::default().into()
    }
}

/// Timeouts of a rule; zero disables one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteTimeouts {
    /// From the request's arrival to the end of the response, retries included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Duration>,
    /// For one attempt at a backend; at most `request`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_request: Option<Duration>,
}

/// Retries of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteRetry {
    /// Response codes, 400 to 599, that are retried; only failed connections when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<u16>,
    /// How often at most; 0 disables retries.
    #[serde(default = "one_attempt")]
    pub attempts: u32,
    /// Least time between attempts; the implementation's choice when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Duration>,
}

impl Default for HttpRouteRetry {
    fn default() -> Self {
        Self {
            codes: Vec::new(),
            attempts: one_attempt(),
            backoff: None,
        }
    }
}

fn one_attempt() -> u32 {
    1
}
