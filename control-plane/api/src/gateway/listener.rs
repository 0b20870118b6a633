//! Listeners of Gateways and ListenerSets, and their statuses.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use serde::{Deserialize, Serialize};

use super::http_filter::{HttpExternalAuthFilter, OneOf, OneOfError, one_of};
use super::refs::{LocalObjectReference, SecretObjectReference, gateway_group};
use super::words::{FromNamespaces, ListenerFilterType, ProtocolType, TlsModeType};

/// A port, a protocol and a host name that a Gateway or a ListenerSet serves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// Name; unique in its object.
    pub name: String,
    /// Host name, exact or with a leading `*.`; every one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Port, 1 to 65535.
    pub port: u16,
    /// Protocol.
    pub protocol: ProtocolType,
    /// TLS of HTTPS and TLS listeners.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTlsConfig>,
    /// Which routes may attach.
    #[serde(default)]
    pub allowed_routes: AllowedRoutes,
    /// Filters before routing (experimental).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filters: Option<ListenerFilters>,
}

/// A listener of a ListenerSet; the same shape as a Gateway's.
pub type ListenerEntry = Listener;

/// TLS of a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerTlsConfig {
    /// Who ends TLS.
    #[serde(default)]
    pub mode: TlsModeType,
    /// Certificates when the gateway ends TLS; at most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificate_refs: Vec<SecretObjectReference>,
    /// Options of the implementation; at most 16.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// Which routes may attach to a listener.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AllowedRoutes {
    /// Namespaces of the routes.
    #[serde(default)]
    pub namespaces: RouteNamespaces,
    /// Kinds of the routes, at most eight; those that fit the protocol when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<RouteGroupKind>,
}

/// Namespaces whose routes may attach.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteNamespaces {
    /// How namespaces are chosen.
    #[serde(default)]
    pub from: FromNamespaces,
    /// Chooses namespaces when `from` is Selector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// A kind of route.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteGroupKind {
    /// API group.
    #[serde(default = "gateway_group")]
    pub group: String,
    /// Kind.
    pub kind: String,
}

impl Default for RouteGroupKind {
    fn default() -> Self {
        Self {
            group: gateway_group(),
            kind: String::new(),
        }
    }
}

/// Filters of a listener (experimental).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerFilters {
    /// Filters of requests, in order; at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<ListenerFilter>,
}

/// One filter of a listener (experimental).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerFilter {
    /// Which of the fields is set.
    #[serde(rename = "type")]
    pub type_: ListenerFilterType,
    /// Set for ExternalAuth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_auth: Option<HttpExternalAuthFilter>,
    /// Set for ExtensionRef.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension_ref: Option<LocalObjectReference>,
}

/// A listener's filter as the enum it stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ListenerFilterKind<'a> {
    /// Asks an authorisation service.
    ExternalAuth(&'a HttpExternalAuthFilter),
    /// A filter of the implementation.
    ExtensionRef(&'a LocalObjectReference),
}

impl ListenerFilter {
    /// The filter as an enum.
    pub fn kind(&self) -> Result<ListenerFilterKind<'_>, OneOfError> {
        let fields: [OneOf<ListenerFilterKind<'_>>; 2] = [
            (
                "externalAuth",
                "ExternalAuth",
                self.external_auth
                    .as_ref()
                    .map(ListenerFilterKind::ExternalAuth),
            ),
            (
                "extensionRef",
                "ExtensionRef",
                self.extension_ref
                    .as_ref()
                    .map(ListenerFilterKind::ExtensionRef),
            ),
        ];
        one_of(self.type_.as_str(), fields)
    }
}

/// Status of one listener.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerStatus {
    /// Name of the listener.
    pub name: String,
    /// Kinds of routes that may attach; at most eight.
    #[serde(default)]
    pub supported_kinds: Vec<RouteGroupKind>,
    /// Number of routes attached.
    pub attached_routes: i32,
    /// At most eight conditions.
    #[serde(default)]
    pub conditions: Vec<Condition>,
}

/// Status of one listener of a ListenerSet; the same shape as a Gateway's.
pub type ListenerEntryStatus = ListenerStatus;
