//! References from one object to another.

use serde::{Deserialize, Serialize};

use super::GROUP;

/// A reference from a route or a policy's status to the object it attaches to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentReference {
    /// API group of the parent.
    #[serde(default = "gateway_group")]
    pub group: String,
    /// Kind of the parent.
    #[serde(default = "gateway_kind")]
    pub kind: String,
    /// Namespace of the parent; the referrer's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name of the parent.
    pub name: String,
    /// Listener (or Service port) name inside the parent; every one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
    /// Listener port inside the parent; every one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// A ListenerSet's reference to its Gateway.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentGatewayReference {
    /// API group of the parent.
    #[serde(default = "gateway_group")]
    pub group: String,
    /// Kind of the parent.
    #[serde(default = "gateway_kind")]
    pub kind: String,
    /// Name of the parent.
    pub name: String,
    /// Namespace of the parent; the ListenerSet's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// A reference to something that answers traffic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendObjectReference {
    /// API group; empty is the core group.
    #[serde(default)]
    pub group: String,
    /// Kind.
    #[serde(default = "service_kind")]
    pub kind: String,
    /// Name.
    pub name: String,
    /// Namespace; the referrer's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Service port; required for Services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// A weighted reference to a backend, in the rules of TLS, TCP and UDP routes, and the common part of those in HTTP
/// and gRPC rules.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendRef {
    /// API group; empty is the core group.
    #[serde(default)]
    pub group: String,
    /// Kind.
    #[serde(default = "service_kind")]
    pub kind: String,
    /// Name.
    pub name: String,
    /// Namespace; the referrer's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Service port; required for Services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Share of the rule's traffic, relative to the sum of all weights; 0 to 1,000,000.
    #[serde(default = "weight_one")]
    pub weight: u32,
}

/// A reference to a Secret, or to another kind that holds a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretObjectReference {
    /// API group; empty is the core group.
    #[serde(default)]
    pub group: String,
    /// Kind.
    #[serde(default = "secret_kind")]
    pub kind: String,
    /// Name.
    pub name: String,
    /// Namespace; the referrer's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// A reference to an object of any kind in any namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectReference {
    /// API group; empty is the core group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Namespace; the referrer's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// A GatewayClass's reference to its parameters, which may be cluster-scoped.
pub type ParametersReference = ObjectReference;

/// A reference to an object of any kind in the referrer's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LocalObjectReference {
    /// API group; empty is the core group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
}

/// A Gateway's reference to its parameters.
pub type LocalParametersReference = LocalObjectReference;

/// What a policy applies to: an object in its namespace, or one section of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LocalPolicyTargetReferenceWithSectionName {
    /// API group; empty is the core group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Section, such as a Service port's name; the whole object when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
}

impl BackendRef {
    /// The reference without its weight.
    pub fn object(&self) -> BackendObjectReference {
        BackendObjectReference {
            group: self.group.clone(),
            kind: self.kind.clone(),
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            port: self.port,
        }
    }
}

impl Default for ParentReference {
    fn default() -> Self {
        Self {
            group: gateway_group(),
            kind: gateway_kind(),
            namespace: None,
            name: String::new(),
            section_name: None,
            port: None,
        }
    }
}

impl Default for ParentGatewayReference {
    fn default() -> Self {
        Self {
            group: gateway_group(),
            kind: gateway_kind(),
            name: String::new(),
            namespace: None,
        }
    }
}

impl Default for BackendObjectReference {
    fn default() -> Self {
        Self {
            group: String::new(),
            kind: service_kind(),
            name: String::new(),
            namespace: None,
            port: None,
        }
    }
}

impl Default for BackendRef {
    fn default() -> Self {
        Self {
            group: String::new(),
            kind: service_kind(),
            name: String::new(),
            namespace: None,
            port: None,
            weight: 1,
        }
    }
}

impl Default for SecretObjectReference {
    fn default() -> Self {
        Self {
            group: String::new(),
            kind: secret_kind(),
            name: String::new(),
            namespace: None,
        }
    }
}

pub(super) fn gateway_group() -> String {
    GROUP.to_owned()
}

fn gateway_kind() -> String {
    "Gateway".to_owned()
}

pub(super) fn service_kind() -> String {
    "Service".to_owned()
}

fn secret_kind() -> String {
    "Secret".to_owned()
}

pub(super) fn weight_one() -> u32 {
    1
}
