//! BackendTLSPolicy.

use std::collections::BTreeMap;

use kube::CustomResource;
use serde::{Deserialize, Serialize};

use super::refs::{LocalObjectReference, LocalPolicyTargetReferenceWithSectionName};
use super::status::PolicyStatus;
use super::words::SubjectAltNameType;

/// Spec of a BackendTLSPolicy: how the gateway speaks TLS to Services.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "gateway.networking.k8s.io",
    version = "v1",
    kind = "BackendTLSPolicy",
    root = "BackendTlsPolicy",
    plural = "backendtlspolicies",
    doc = "How the gateway speaks TLS to Services.",
    namespaced,
    status = "PolicyStatus",
    derive = "PartialEq",
    derive = "Default",
    schema = "disabled"
)]
#[serde(rename_all = "camelCase")]
pub struct BackendTlsPolicySpec {
    /// What the policy applies to; one to 16.
    pub target_refs: Vec<LocalPolicyTargetReferenceWithSectionName>,
    /// How the backend's certificate is checked.
    pub validation: BackendTlsPolicyValidation,
    /// Options of the implementation; at most 16.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// How a backend's certificate is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendTlsPolicyValidation {
    /// Sources of trust anchors, at most eight; either these or `well_known_ca_certificates`.
    #[serde(
        rename = "caCertificateRefs",
        default,
        skip_serializing_if = "Vec::is_empty"
    )]
    pub ca_certificate_refs: Vec<LocalObjectReference>,
    /// `System`, or a word of the implementation's; either this or `ca_certificate_refs`.
    #[serde(
        rename = "wellKnownCACertificates",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub well_known_ca_certificates: Option<String>,
    /// SNI, and the name that the certificate must carry unless `subject_alt_names` says otherwise.
    pub hostname: String,
    /// Names of which the certificate must carry one; at most five.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subject_alt_names: Vec<SubjectAltName>,
}

/// A name that a certificate may carry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubjectAltName {
    /// Which of the fields is set.
    #[serde(rename = "type")]
    pub type_: SubjectAltNameType,
    /// Set for Hostname; exact or with a leading `*.`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Set for URI; absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
}
