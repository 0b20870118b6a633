//! Where objects of a kind stand in the API, and the requests to them.

use std::{collections::BTreeMap, fmt::Write as _};

use http::{Method, Request, header::CONTENT_TYPE};
use novaedge_api::meta::{Kind, ObjectKey, Scope};
use novaedge_translate::names::api_version;
use serde_json::Value;

/// Content type of a JSON merge patch (RFC 7386).
const MERGE_PATCH: &str = "application/merge-patch+json";
/// Content type of a JSON patch (RFC 6902).
const JSON_PATCH: &str = "application/json-patch+json";
/// Content type of a server-side apply; JSON is YAML.
const APPLY_PATCH: &str = "application/apply-patch+yaml";

/// One served version of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// `group/version`, or `v1` of the core group.
    pub api_version: String,
    /// Kind as the API server spells it, such as `XListenerSet`.
    pub kind: String,
    /// Name in paths, such as `httproutes`.
    pub plural: String,
    /// Whether its objects live in namespaces.
    pub scope: Scope,
}

/// The version of each kind that the cluster serves. A kind that is absent is not written.
pub type Served = BTreeMap<Kind, Resource>;

impl Resource {
    /// A resource; `plural` is the name in paths.
    pub fn new(api_version: &str, kind: &str, plural: &str, scope: Scope) -> Self {
        Self {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
            scope,
        }
    }

    /// The kind at its newest version.
    pub fn newest(kind: Kind) -> Self {
        let name = kind.as_str();
        let lower = name.to_lowercase();
        let plural = match lower.strip_suffix('y') {
            // Not `gatewaies`.
            Some(stem) if !stem.ends_with('a') => format!("{stem}ies"),
            _ if lower.ends_with('s') => format!("{lower}es"),
            _ => format!("{lower}s"),
        };
        Self::new(&api_version(kind), name, &plural, kind.scope())
    }

    /// The kinds that a cluster serves, with their version, such as `v1alpha2`. Those of NovaEdge and of the Gateway API
    /// stand under the same plural in each version.
    pub fn served(versions: &BTreeMap<Kind, String>) -> Served {
        let at = |(kind, version): (&Kind, &String)| {
            let mut resource = Self::newest(*kind);
            let group = match resource.api_version.rsplit_once('/') {
                Some((group, _)) => format!("{group}/"),
                None => String::new(),
            };
            resource.api_version = format!("{group}{version}");
            (*kind, resource)
        };
        versions.iter().map(at).collect()
    }

    /// Every kind at its newest version.
    pub fn all_newest() -> Served {
        let newest = |kind: &Kind| (*kind, Self::newest(*kind));
        Kind::ALL.iter().map(newest).collect()
    }

    /// Path of all objects in a namespace; of all in the cluster where it is empty.
    fn collection(&self, namespace: &str) -> String {
        let root = if self.api_version.contains('/') {
            "/apis"
        } else {
            "/api"
        };
        let mut path = format!("{root}/{}", self.api_version);
        if self.scope == Scope::Namespaced && !namespace.is_empty() {
            write!(path, "/namespaces/{namespace}").expect("writing to a String never fails");
        }
        format!("{path}/{}", self.plural)
    }

    fn path(&self, key: &ObjectKey) -> String {
        format!("{}/{}", self.collection(&key.namespace), key.name)
    }

    /// Reads an object.
    pub(crate) fn get(&self, key: &ObjectKey) -> Call {
        Call::new(Method::GET, self.path(key), None, None)
    }

    /// Creates an object.
    pub(crate) fn create(&self, namespace: &str, object: Value) -> Call {
        let path = self.collection(namespace);
        Call::new(Method::POST, path, Some("application/json"), Some(object))
    }

    /// Replaces an object.
    pub(crate) fn replace(&self, key: &ObjectKey, object: Value) -> Call {
        let json = Some("application/json");
        Call::new(Method::PUT, self.path(key), json, Some(object))
    }

    /// Merges `patch` into an object.
    pub(crate) fn merge(&self, key: &ObjectKey, patch: Value) -> Call {
        Call::new(
            Method::PATCH,
            self.path(key),
            Some(MERGE_PATCH),
            Some(patch),
        )
    }

    /// Merges `patch` into the status of an object.
    pub(crate) fn merge_status(&self, key: &ObjectKey, patch: Value) -> Call {
        let path = format!("{}/status", self.path(key));
        Call::new(Method::PATCH, path, Some(MERGE_PATCH), Some(patch))
    }

    /// Applies `object` as `manager`, taking fields over from whoever had them.
    pub(crate) fn apply(&self, key: &ObjectKey, manager: &str, object: Value) -> Call {
        let path = format!("{}?fieldManager={manager}&force=true", self.path(key));
        Call::new(Method::PATCH, path, Some(APPLY_PATCH), Some(object))
    }

    /// Replaces the spec of an object, fields of others included.
    pub(crate) fn replace_spec(&self, key: &ObjectKey, manager: &str, spec: &Value) -> Call {
        let path = format!("{}?fieldManager={manager}", self.path(key));
        let patch = serde_json::json!([{"op": "replace", "path": "/spec", "value": spec}]);
        Call::new(Method::PATCH, path, Some(JSON_PATCH), Some(patch))
    }

    /// Deletes the object with that UID; another one of the same name stays.
    pub(crate) fn delete(&self, key: &ObjectKey, uid: Option<&str>) -> Call {
        let mut options = serde_json::json!({"propagationPolicy": "Background"});
        if let Some(uid) = uid {
            options["preconditions"] = serde_json::json!({"uid": uid});
        }
        let json = Some("application/json");
        Call::new(Method::DELETE, self.path(key), json, Some(options))
    }
}

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    method: Method,
    path: String,
    content_type: Option<&'static str>,
    body: Option<Value>,
}

impl Call {
    fn new(
        method: Method,
        path: String,
        content_type: Option<&'static str>,
        body: Option<Value>,
    ) -> Self {
        Self {
            method,
            path,
            content_type,
            body,
        }
    }

    /// The request as the client takes it.
    pub(crate) fn request(&self) -> Result<Request<Vec<u8>>, http::Error> {
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(&self.path);
        if let Some(content_type) = self.content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        let body = self.body.as_ref().map(Value::to_string);
        request.body(body.unwrap_or_default().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_found_under_their_plural() {
        let path = |kind, namespace| {
            Resource::newest(kind)
                .get(&ObjectKey::new(namespace, "x"))
                .path
        };
        let group = "/apis/gateway.networking.k8s.io/v1";
        let in_default = |plural| format!("{group}/namespaces/default/{plural}/x");
        assert_eq!(path(Kind::Gateway, "default"), in_default("gateways"));
        assert_eq!(path(Kind::HttpRoute, "default"), in_default("httproutes"));
        let policies = in_default("backendtlspolicies");
        assert_eq!(path(Kind::BackendTlsPolicy, "default"), policies);
        assert_eq!(
            path(Kind::GatewayClass, ""),
            format!("{group}/gatewayclasses/x")
        );
        assert_eq!(
            path(Kind::ProxyGateway, "a"),
            "/apis/novaedge.io/v1alpha1/namespaces/a/proxygateways/x"
        );
        assert_eq!(path(Kind::Secret, "a"), "/api/v1/namespaces/a/secrets/x");
        assert_eq!(
            path(Kind::IngressClass, ""),
            "/apis/networking.k8s.io/v1/ingressclasses/x"
        );
        let versions = [(Kind::TcpRoute, "v1alpha2"), (Kind::Service, "v1")];
        let versions = versions.map(|(kind, version)| (kind, version.to_owned()));
        let served = Resource::served(&versions.into());
        let version = |kind| Some(served.get(&kind)?.api_version.as_str());
        let group = "gateway.networking.k8s.io";
        assert_eq!(
            version(Kind::TcpRoute),
            Some(format!("{group}/v1alpha2").as_str())
        );
        assert_eq!(version(Kind::Service), Some("v1"));
        assert_eq!(version(Kind::Gateway), None);
    }
}
