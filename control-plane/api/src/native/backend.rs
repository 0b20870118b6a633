//! ProxyBackend: endpoints and how to talk to them.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    CaRef, NamespacedRef, NativeStatus, ProxyHashKey, ProxyHealthCheck, ProxyInvalid,
    ProxyLbPolicy, ProxyOutlierDetection, ProxyRetryBudget, ProxyZonePreference,
};

/// Endpoints of a Service, or endpoints written here, and how to talk to them.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "novaedge.io",
    version = "v1alpha1",
    kind = "ProxyBackend",
    namespaced,
    status = "NativeStatus",
    derive = "PartialEq",
    shortname = "pbe",
    doc = "Endpoints of a Service, or endpoints written here, and how to talk to them.",
    printcolumn = r#"{"name":"Service","type":"string","jsonPath":".spec.serviceRef.name"}"#,
    printcolumn = r#"{"name":"Port","type":"integer","jsonPath":".spec.serviceRef.port"}"#,
    printcolumn = r#"{"name":"Protocol","type":"string","jsonPath":".spec.protocol"}"#,
    printcolumn = r#"{"name":"Policy","type":"string","jsonPath":".spec.lbPolicy"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "has(self.invalid) || has(self.serviceRef) != (has(self.endpoints) && size(self.endpoints) > 0)", "message": "exactly one of serviceRef and endpoints must be set"}, {"rule": "!has(self.proxyProtocol) || self.protocol != 'HTTP2'", "message": "proxyProtocol must not be set for the protocol HTTP2"}]))]
pub struct ProxyBackendSpec {
    /// The Service whose ready endpoints are used. Exactly one of this and `endpoints` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_ref: Option<ProxyServiceRef>,
    /// Endpoints by address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    pub endpoints: Vec<ProxyEndpoint>,
    /// HTTP1 (default) or HTTP2.
    #[serde(default)]
    pub protocol: ProxyBackendProtocol,
    /// TLS to the endpoints. Absent: cleartext.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ProxyBackendTls>,
    /// RoundRobin (default), LeastRequest, Ewma, Random, SourceHash, RingHash or Maglev.
    #[serde(default)]
    pub lb_policy: ProxyLbPolicy,
    /// What SourceHash, RingHash and Maglev go by. Absent, and for layer 4: the client's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_key: Option<ProxyHashKey>,
    /// Leaves out endpoints that fail. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outlier_detection: Option<ProxyOutlierDetection>,
    /// Asks endpoints whether they are well, and leaves out those that are not. Absent: none is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<ProxyHealthCheck>,
    /// Milliseconds in which the share of a new endpoint grows to its full size. Absent: it has it at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_start_ms: Option<u64>,
    /// None (default) or Own: endpoints of the agent's own zone first. Policies by hash know no zones.
    #[serde(default, skip_serializing_if = "ProxyZonePreference::is_none")]
    pub zone_preference: ProxyZonePreference,
    /// Fewer usable endpoints than this share, in percent: all are used. 0: never. Absent: 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100))]
    pub panic_percent: Option<u32>,
    /// Milliseconds until a connection attempt fails. Absent: 2000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_timeout_ms: Option<u64>,
    /// Milliseconds until an idle pooled connection is closed. Absent: 60000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout_ms: Option<u64>,
    /// Connections per endpoint and agent. Absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_connections: Option<u32>,
    /// Requests under way, or connections of layer 4, to all endpoints from one agent. HTTP answers 503 to more. Absent:
    /// no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_requests: Option<u32>,
    /// Requests of one agent that wait for a connection, where `maxConnections` is reached. HTTP answers 503 to more.
    /// Absent: 1024 for each endpoint and worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_pending_requests: Option<u32>,
    /// How many requests may be retries, whatever the routes say. Absent: 20 percent, and 3 always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_budget: Option<ProxyRetryBudget>,
    /// Begins each connection with a header of the PROXY protocol, which says who the client is. For
    /// routes of the kinds TCPRoute and TLSRoute: connections of HTTP carry requests of many clients,
    /// which `X-Forwarded-For` tells apart. Absent: no header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<SendProxyProtocol>,
    /// Set when nothing may be sent here as configured, for instance with an unusable
    /// BackendTLSPolicy: HTTP answers 500, never cleartext instead of TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalid: Option<ProxyInvalid>,
}

/// A port of a Service.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct ProxyServiceRef {
    /// Namespace. Empty: the ProxyBackend's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Port number of the Service.
    #[schemars(range(min = 1))]
    pub port: u16,
    /// Which of the Service's ports of that number: TCP (default) or UDP.
    #[serde(default, skip_serializing_if = "ProxyServiceProtocol::is_tcp")]
    pub protocol: ProxyServiceProtocol,
}

/// Transport protocol of a Service's port.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum ProxyServiceProtocol {
    /// TCP.
    #[default]
    TCP,
    /// UDP.
    UDP,
}

/// An endpoint.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct ProxyEndpoint {
    /// IPv4 or IPv6 address, or a DNS name.
    #[schemars(length(min = 1, max = 253))]
    pub address: String,
    /// Port.
    #[schemars(range(min = 1))]
    pub port: u16,
    /// Share of the requests beside the other endpoints'. Absent: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65536))]
    pub weight: Option<u32>,
}

/// Protocol towards the endpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProxyBackendProtocol {
    /// HTTP/1.1, WebSocket included; TCP for routes of layer 4.
    #[default]
    HTTP1,
    /// HTTP/2, with prior knowledge on cleartext.
    HTTP2,
}

/// Which header of the PROXY protocol is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SendProxyProtocol {
    /// Version 1, a line of text.
    V1,
    /// Version 2, binary.
    V2,
}

/// TLS towards the endpoints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxyBackendTls {
    /// SNI, and the certificate's name unless `subjectAltNames` is set.
    #[schemars(length(min = 1, max = 253))]
    pub server_name: String,
    /// The authorities to trust. Empty: the system's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub ca_certificate_refs: Vec<CaRef>,
    /// Any one of these must be in the certificate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub subject_alt_names: Vec<ProxySubjectAltName>,
}

/// A name in a certificate: exactly one field is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ProxySubjectAltName {
    /// DNS name.
    Hostname(String),
    /// URI, such as a SPIFFE ID.
    Uri(String),
}

impl ProxyServiceProtocol {
    /// The word as it stands in JSON and in EndpointSlices.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TCP => "TCP",
            Self::UDP => "UDP",
        }
    }

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde hands out a reference
    fn is_tcp(&self) -> bool {
        *self == Self::TCP
    }
}

impl ProxyServiceRef {
    /// The Service, in the namespace of `holder` unless one is given.
    pub fn service(&self, holder: &str) -> NamespacedRef {
        NamespacedRef {
            namespace: if self.namespace.is_empty() {
                holder.to_owned()
            } else {
                self.namespace.clone()
            },
            name: self.name.clone(),
        }
    }
}
