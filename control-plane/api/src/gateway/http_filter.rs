//! Filters of HTTPRoutes; GRPCRoutes and listeners share some of them.

use serde::{Deserialize, Serialize};

use super::refs::{BackendObjectReference, LocalObjectReference};
use super::words::{
    ExternalAuthProtocol, HttpMethodWithWildcard, HttpPathModifierType, HttpRouteFilterType,
    RedirectScheme,
};

/// One filter of an HTTPRoute's rule or backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteFilter {
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
    /// Set for RequestRedirect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_redirect: Option<HttpRequestRedirectFilter>,
    /// Set for URLRewrite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_rewrite: Option<HttpUrlRewriteFilter>,
    /// Set for CORS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<HttpCorsFilter>,
    /// Set for ExternalAuth (experimental).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_auth: Option<HttpExternalAuthFilter>,
    /// Set for ExtensionRef.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension_ref: Option<LocalObjectReference>,
}

/// A filter as the enum it stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FilterKind<'a> {
    /// Changes request headers.
    RequestHeaderModifier(&'a HttpHeaderFilter),
    /// Changes response headers.
    ResponseHeaderModifier(&'a HttpHeaderFilter),
    /// Copies requests to a second backend.
    RequestMirror(&'a HttpRequestMirrorFilter),
    /// Answers with a redirect.
    RequestRedirect(&'a HttpRequestRedirectFilter),
    /// Rewrites host or path.
    UrlRewrite(&'a HttpUrlRewriteFilter),
    /// Cross-origin resource sharing.
    Cors(&'a HttpCorsFilter),
    /// Asks an authorisation service.
    ExternalAuth(&'a HttpExternalAuthFilter),
    /// A filter of the implementation.
    ExtensionRef(&'a LocalObjectReference),
}

/// Why a one-of with a `type` stands for nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OneOfError {
    /// The type is none that this version of the API defines.
    #[error("unknown type {0}")]
    UnknownType(String),
    /// The field that the type asks for is absent.
    #[error("{field} must be specified for type {type_}")]
    Missing {
        /// JSON name of the field.
        field: &'static str,
        /// The type.
        type_: String,
    },
    /// A field that belongs to another type is set.
    #[error("{field} must not be specified for type {type_}")]
    Foreign {
        /// JSON name of the field.
        field: &'static str,
        /// The type.
        type_: String,
    },
}

/// One alternative of a one-of: JSON field, the `type` that asks for it, and its value when set.
pub(crate) type OneOf<T> = (&'static str, &'static str, Option<T>);

/// Chooses the alternative that `type_` names, and refuses others that are set.
pub(crate) fn one_of<T, const N: usize>(
    type_: &str,
    alternatives: [OneOf<T>; N],
) -> Result<T, OneOfError> {
    let mut chosen = Err(OneOfError::UnknownType(type_.to_owned()));
    for (field, word, value) in alternatives {
        match value {
            Some(value) if word == type_ => chosen = Ok(value),
            None if word == type_ => {
                return Err(OneOfError::Missing {
                    field,
                    type_: type_.to_owned(),
                });
            }
            Some(_) => {
                return Err(OneOfError::Foreign {
                    field,
                    type_: type_.to_owned(),
                });
            }
            None => {}
        }
    }
    chosen
}

impl HttpRouteFilter {
    /// A filter of the type with no field set.
    pub fn new(type_: HttpRouteFilterType) -> Self {
        Self {
            type_,
            request_header_modifier: None,
            response_header_modifier: None,
            request_mirror: None,
            request_redirect: None,
            url_rewrite: None,
            cors: None,
            external_auth: None,
            extension_ref: None,
        }
    }

    /// The filter as an enum.
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
                    "requestRedirect",
                    "RequestRedirect",
                    self.request_redirect.as_ref().map(K::RequestRedirect),
                ),
                (
                    "urlRewrite",
                    "URLRewrite",
                    self.url_rewrite.as_ref().map(K::UrlRewrite),
                ),
                ("cors", "CORS", self.cors.as_ref().map(K::Cors)),
                (
                    "externalAuth",
                    "ExternalAuth",
                    self.external_auth.as_ref().map(K::ExternalAuth),
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

/// Changes headers: `set` replaces, `add` appends, `remove` drops; each at most 16.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpHeaderFilter {
    /// Headers to replace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<HttpHeader>,
    /// Headers to append.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<HttpHeader>,
    /// Header names to drop.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

/// A header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpHeader {
    /// Name; case does not matter.
    pub name: String,
    /// Value.
    pub value: String,
}

/// Answers with a redirect; absent parts keep those of the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRequestRedirectFilter {
    /// Scheme of `Location`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<RedirectScheme>,
    /// Host of `Location`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// How the path of `Location` is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<HttpPathModifier>,
    /// Port of `Location`; the scheme's, or the listener's, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// 301, 302, 303, 307 or 308.
    #[serde(default = "found")]
    pub status_code: u16,
}

impl Default for HttpRequestRedirectFilter {
    fn default() -> Self {
        Self {
            scheme: None,
            hostname: None,
            path: None,
            port: None,
            status_code: found(),
        }
    }
}

fn found() -> u16 {
    302
}

/// Rewrites the request that goes to the backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpUrlRewriteFilter {
    /// New host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// How the new path is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<HttpPathModifier>,
}

/// How a path is replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpPathModifier {
    /// Which of the fields is set.
    #[serde(rename = "type")]
    pub type_: HttpPathModifierType,
    /// Set for ReplaceFullPath.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace_full_path: Option<String>,
    /// Set for ReplacePrefixMatch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace_prefix_match: Option<String>,
}

/// A path modifier as the enum it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathModifierKind<'a> {
    /// The whole path becomes this.
    ReplaceFullPath(&'a str),
    /// The matched prefix becomes this.
    ReplacePrefixMatch(&'a str),
}

impl HttpPathModifier {
    /// The modifier as an enum.
    pub fn kind(&self) -> Result<PathModifierKind<'_>, OneOfError> {
        one_of(
            self.type_.as_str(),
            [
                (
                    "replaceFullPath",
                    "ReplaceFullPath",
                    self.replace_full_path
                        .as_deref()
                        .map(PathModifierKind::ReplaceFullPath),
                ),
                (
                    "replacePrefixMatch",
                    "ReplacePrefixMatch",
                    self.replace_prefix_match
                        .as_deref()
                        .map(PathModifierKind::ReplacePrefixMatch),
                ),
            ],
        )
    }
}

/// Copies requests to a second backend, whose responses are dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRequestMirrorFilter {
    /// The second backend.
    pub backend_ref: BackendObjectReference,
    /// Share of requests, 0 to 100; all when neither this nor `fraction` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u32>,
    /// Share of requests as a fraction; not together with `percent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fraction: Option<Fraction>,
}

impl HttpRequestMirrorFilter {
    /// The share of requests to copy, as (numerator, denominator).
    pub fn share(&self) -> (u32, u32) {
        match (self.percent, &self.fraction) {
            (Some(percent), _) => (percent, 100),
            (None, Some(fraction)) => (fraction.numerator, fraction.denominator),
            (None, None) => (1, 1),
        }
    }
}

/// A fraction of at most one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fraction {
    /// At least zero.
    pub numerator: u32,
    /// At least one.
    #[serde(default = "hundred")]
    pub denominator: u32,
}

impl Default for Fraction {
    fn default() -> Self {
        Self {
            numerator: 0,
            denominator: hundred(),
        }
    }
}

fn hundred() -> u32 {
    100
}

/// Cross-origin resource sharing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpCorsFilter {
    /// Origins such as `https://*.example.com`, or `*` alone; at most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_origins: Vec<String>,
    /// Whether browsers may send credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_credentials: Option<bool>,
    /// Methods, or `*` alone; at most nine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_methods: Vec<HttpMethodWithWildcard>,
    /// Request headers, or `*` alone; at most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_headers: Vec<String>,
    /// Response headers that scripts may read; at most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expose_headers: Vec<String>,
    /// Seconds that browsers may keep a preflight's answer; at least one.
    #[serde(default = "five")]
    pub max_age: u32,
}

impl Default for HttpCorsFilter {
    fn default() -> Self {
        Self {
            allow_origins: Vec::new(),
            allow_credentials: None,
            allow_methods: Vec::new(),
            allow_headers: Vec::new(),
            expose_headers: Vec::new(),
            max_age: five(),
        }
    }
}

fn five() -> u32 {
    5
}

/// Asks an authorisation service before a request is forwarded (experimental).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpExternalAuthFilter {
    /// How the service is asked.
    pub protocol: ExternalAuthProtocol,
    /// The service.
    pub backend_ref: BackendObjectReference,
    /// Set for GRPC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc: Option<GrpcAuthConfig>,
    /// Set for HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpAuthConfig>,
    /// Whether and how much of the request's body is forwarded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward_body: Option<ForwardBodyConfig>,
}

/// Authorisation over gRPC (experimental).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrpcAuthConfig {
    /// Request headers that the service gets; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_headers: Vec<String>,
}

/// Authorisation over HTTP (experimental).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpAuthConfig {
    /// Prefix of the path that the service is asked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Request headers that the service gets besides the usual ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_headers: Vec<String>,
    /// Headers of the service's answer that the backend gets; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_response_headers: Vec<String>,
}

/// How much of a body the authorisation service gets (experimental).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ForwardBodyConfig {
    /// Bytes; 0 forwards no body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<u32>,
}
