//! ProxyRoute: where the traffic of listeners goes.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{NamespacedRef, NativeStatus};

/// Rules that are attached to listeners of ProxyGateways.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "novaedge.io",
    version = "v1alpha1",
    kind = "ProxyRoute",
    namespaced,
    status = "NativeStatus",
    derive = "PartialEq",
    shortname = "prt",
    doc = "Rules that are attached to listeners of ProxyGateways.",
    printcolumn = r#"{"name":"Protocol","type":"string","jsonPath":".spec.protocol"}"#,
    printcolumn = r#"{"name":"Hostnames","type":"string","jsonPath":".spec.hostnames"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "self.protocol in ['HTTP', 'GRPC'] || self.rules.all(r, !has(r.matches) && !has(r.filters))", "message": "matches and filters need the protocol HTTP or GRPC"}, {"rule": "self.protocol in ['HTTP', 'GRPC'] || self.rules.all(r, !has(r.hostnames) && !has(r.listeners))", "message": "hostnames and listeners of a rule need the protocol HTTP or GRPC"}]))]
pub struct ProxyRouteSpec {
    /// HTTP (default), GRPC, TLS, TCP or UDP.
    #[serde(default)]
    pub protocol: ProxyRouteProtocol,
    /// The listeners that the route is attached to.
    pub parent_refs: Vec<ProxyParentRef>,
    /// The route's own hostnames; precedence is judged by these. Empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
    /// What `*` of hostnames stands for: AnyLabels (default) or OneLabel.
    #[serde(default, skip_serializing_if = "ProxyWildcard::is_default")]
    pub wildcard: ProxyWildcard,
    /// Creation time of the object that the route was made for, RFC 3339: the older route wins a tie.
    /// Absent: the creation time of this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_created: Option<String>,
    /// The rules, in order.
    #[schemars(length(max = 128))]
    pub rules: Vec<ProxyRouteRule>,
}

/// What `*` of hostnames stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProxyWildcard {
    /// One label or more, as in the Gateway API.
    #[default]
    AnyLabels,
    /// Exactly one label, as in an Ingress.
    OneLabel,
}

impl ProxyWildcard {
    #[allow(clippy::trivially_copy_pass_by_ref)] // serde hands out a reference
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Which of a route's listeners serve a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProxyRuleListeners {
    /// Those of the protocol HTTP.
    HTTP,
    /// Those of the protocol HTTPS.
    HTTPS,
}

/// Protocol of a route.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
pub enum ProxyRouteProtocol {
    /// HTTP requests.
    #[default]
    HTTP,
    /// gRPC calls.
    GRPC,
    /// TLS connections by SNI.
    TLS,
    /// TCP connections.
    TCP,
    /// UDP datagrams.
    UDP,
}

/// A ProxyGateway's listener, and the hosts that are served there.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct ProxyParentRef {
    /// Namespace of the ProxyGateway. Empty: the route's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name of the ProxyGateway.
    pub name: String,
    /// Name of the listener. Absent: every listener whose protocol fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener: Option<String>,
    /// Hosts served there: the intersection of route and listener. Empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
}

/// Matches, filters and backends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxyRouteRule {
    /// Name of the rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Hosts of this rule, in place of the route's. Empty: the route's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub hostnames: Vec<String>,
    /// Serves the rule on the route's listeners of one protocol only, HTTP or HTTPS. Absent: on all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listeners: Option<ProxyRuleListeners>,
    /// Any one of these suffices. Empty: everything matches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub matches: Vec<ProxyMatch>,
    /// What happens to requests and responses, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub filters: Vec<ProxyFilter>,
    /// Where the traffic goes, by weight. Empty and no redirect: HTTP answers 500.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub backend_refs: Vec<ProxyBackendRef>,
    /// Time limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<ProxyTimeouts>,
    /// Retries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<ProxyRetry>,
    /// Keeps a client on one endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_persistence: Option<ProxySessionPersistence>,
    /// Bytes of a request body; a longer one is answered with 413. For the protocols HTTP and GRPC. Absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_request_body_size: Option<u64>,
    /// Set when the rule cannot be served as written: it still matches, and answers 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalid: Option<ProxyInvalid>,
}

/// Why something is not served, by a reason of the Gateway API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxyInvalid {
    /// Such as `BackendNotFound`, `RefNotPermitted`, `InvalidKind`, `UnsupportedValue`.
    pub reason: String,
    /// Object, field and fix.
    pub message: String,
}

/// A match on one request: all parts that are given must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxyMatch {
    /// On the path. Absent: every path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<ProxyPathMatch>,
    /// On headers; names are case-insensitive.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<ProxyValueMatch>,
    /// On query parameters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query_params: Vec<ProxyValueMatch>,
    /// On the method of an HTTP request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// On service and method of a gRPC call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc_method: Option<ProxyGrpcMethodMatch>,
}

/// A match on the path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxyPathMatch {
    /// Exact, PathPrefix or RegularExpression.
    #[serde(rename = "type")]
    pub type_: ProxyPathMatchType,
    /// Path, prefix (by element) or RE2 expression over the whole path.
    pub value: String,
}

/// How a path is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProxyPathMatchType {
    /// Byte for byte.
    Exact,
    /// By path element.
    #[default]
    PathPrefix,
    /// RE2 over the whole path.
    RegularExpression,
}

/// A match on a named value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxyValueMatch {
    /// Exact (default) or RegularExpression.
    #[serde(rename = "type", default)]
    pub type_: ProxyMatchType,
    /// Header or parameter name.
    pub name: String,
    /// Value or RE2 expression over the whole value.
    pub value: String,
}

/// How a value is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProxyMatchType {
    /// Byte for byte.
    #[default]
    Exact,
    /// RE2 over the whole value.
    RegularExpression,
}

/// A match on a gRPC call; at least one of service and method is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "has(self.service) || has(self.method)", "message": "at least one of service and method must be set"}]))]
pub struct ProxyGrpcMethodMatch {
    /// Exact (default) or RegularExpression.
    #[serde(rename = "type", default)]
    pub type_: ProxyMatchType,
    /// Full service name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Method name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
}

/// What happens to a request or response: exactly one field is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ProxyFilter {
    /// Changes request headers.
    RequestHeaderModifier(ProxyHeaderModifier),
    /// Changes response headers.
    ResponseHeaderModifier(ProxyHeaderModifier),
    /// Answers with a redirect.
    RequestRedirect(ProxyRedirect),
    /// Rewrites host and path.
    UrlRewrite(ProxyUrlRewrite),
    /// Copies requests to another backend.
    RequestMirror(ProxyMirror),
    /// Answers cross-origin checks (Fetch standard).
    Cors(ProxyCors),
}

/// A header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProxyHeader {
    /// Name, case-insensitive.
    pub name: String,
    /// Value.
    pub value: String,
}

/// Changes of headers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxyHeaderModifier {
    /// Replaced or added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<ProxyHeader>,
    /// Appended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<ProxyHeader>,
    /// Removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

/// A change of the path: exactly one field is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ProxyPathModifier {
    /// The whole path.
    ReplaceFullPath(String),
    /// What the PathPrefix match matched.
    ReplacePrefixMatch(String),
}

/// A redirect; absent parts are kept from the request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxyRedirect {
    /// http or https.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// Host of the Location.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Path of the Location.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<ProxyPathModifier>,
    /// Port of the Location. Absent: the scheme's when a scheme is given, else the listener's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// 301, 302, 303, 307 or 308.
    #[schemars(extend("enum" = [301, 302, 303, 307, 308]))]
    pub status_code: u16,
}

/// A rewrite; absent parts are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxyUrlRewrite {
    /// Host that the backend sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Path that the backend sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<ProxyPathModifier>,
}

/// A copy of requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "self.numerator <= self.denominator", "message": "numerator must be at most denominator"}]))]
pub struct ProxyMirror {
    /// The ProxyBackend.
    pub backend_ref: NamespacedRef,
    /// Share copied: numerator of numerator/denominator.
    pub numerator: u32,
    /// Share copied: denominator, at least 1.
    #[schemars(range(min = 1))]
    pub denominator: u32,
}

/// Cross-origin answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxyCors {
    /// `*`, an origin, or one with `*` in its host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_origins: Vec<String>,
    /// Methods, or `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_methods: Vec<String>,
    /// Headers, or `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_headers: Vec<String>,
    /// Headers that scripts may read, or `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expose_headers: Vec<String>,
    /// Whether credentials may be sent.
    #[serde(default)]
    pub allow_credentials: bool,
    /// Seconds that a preflight answer may be cached.
    pub max_age: u32,
}

/// A share of the traffic: `backend` or `invalid` is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "BackendRefFields", into = "BackendRefFields")]
pub struct ProxyBackendRef {
    /// Share of the sum of all weights. 0: none.
    pub weight: u32,
    /// Where it goes.
    pub target: ProxyBackendTarget,
    /// Filters for this share only, after the rule's.
    pub filters: Vec<ProxyFilter>,
}

/// A share of the traffic: `backend` or `invalid` is set.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "has(self.backend) != has(self.invalid)", "message": "exactly one of backend and invalid must be set"}]))]
struct BackendRefFields {
    /// Share of the sum of all weights. 0: none.
    #[serde(default = "one")]
    #[schemars(range(max = 1_000_000))]
    weight: u32,
    /// The ProxyBackend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    backend: Option<NamespacedRef>,
    /// Nowhere: HTTP answers 500, TCP and TLS close, UDP drops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    invalid: Option<ProxyInvalid>,
    /// Filters for this share only, after the rule's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    filters: Vec<ProxyFilter>,
}

impl TryFrom<BackendRefFields> for ProxyBackendRef {
    type Error = &'static str;

    fn try_from(fields: BackendRefFields) -> Result<Self, Self::Error> {
        let BackendRefFields {
            weight,
            backend,
            invalid,
            filters,
        } = fields;
        let target = match (backend, invalid) {
            (Some(backend), None) => ProxyBackendTarget::Backend(backend),
            (None, Some(invalid)) => ProxyBackendTarget::Invalid(invalid),
            _ => return Err("exactly one of backend and invalid must be set"),
        };
        Ok(Self {
            weight,
            target,
            filters,
        })
    }
}

impl From<ProxyBackendRef> for BackendRefFields {
    fn from(reference: ProxyBackendRef) -> Self {
        let ProxyBackendRef {
            weight,
            target,
            filters,
        } = reference;
        let (backend, invalid) = match target {
            ProxyBackendTarget::Backend(backend) => (Some(backend), None),
            ProxyBackendTarget::Invalid(invalid) => (None, Some(invalid)),
        };
        Self {
            weight,
            backend,
            invalid,
            filters,
        }
    }
}

impl JsonSchema for ProxyBackendRef {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        BackendRefFields::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        BackendRefFields::json_schema(generator)
    }
}

/// Where a share of the traffic goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ProxyBackendTarget {
    /// A ProxyBackend.
    Backend(NamespacedRef),
    /// Nowhere: HTTP answers 500, TCP and TLS close, UDP drops.
    Invalid(ProxyInvalid),
}

fn one() -> u32 {
    1
}

/// Time limits of a rule, in milliseconds; 0 disables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "!has(self.requestMs) || !has(self.backendRequestMs) || self.requestMs == 0 || self.backendRequestMs <= self.requestMs", "message": "backendRequestMs must be at most requestMs"}]))]
pub struct ProxyTimeouts {
    /// For the whole request, retries included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_ms: Option<u64>,
    /// For each try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_request_ms: Option<u64>,
}

/// Retries of a rule. Connection errors are always among the causes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxyRetry {
    /// Status codes that are retried, 400 to 599.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(range(min = 400, max = 599)))]
    pub codes: Vec<u16>,
    /// Extra tries after the first.
    pub attempts: u32,
    /// Wait before a retry, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff_ms: Option<u64>,
}

/// Keeps a client on one endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxySessionPersistence {
    /// Cookie or Header.
    #[serde(rename = "type")]
    pub type_: ProxySessionType,
    /// Name of cookie or header.
    pub session_name: String,
    /// Milliseconds after which a session ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absolute_timeout_ms: Option<u64>,
    /// Milliseconds without use after which a session ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout_ms: Option<u64>,
    /// Whether the cookie outlives the browser's session.
    #[serde(default)]
    pub permanent_cookie: bool,
}

/// What carries the session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProxySessionType {
    /// A cookie.
    #[default]
    Cookie,
    /// A header.
    Header,
}
