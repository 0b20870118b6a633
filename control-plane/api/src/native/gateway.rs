//! ProxyGateway: the listeners of one Gateway, its ListenerSets included.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AcceptProxyProtocol, CaRef, ForwardedHeaders, NamespacedRef, NativeStatus};

/// Listeners to serve under one set of addresses.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "novaedge.io",
    version = "v1alpha1",
    kind = "ProxyGateway",
    namespaced,
    status = "NativeStatus",
    derive = "PartialEq",
    shortname = "pgw",
    doc = "Listeners to serve under one set of addresses.",
    printcolumn = r#"{"name":"Addresses","type":"string","jsonPath":".spec.addresses"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ProxyGatewaySpec {
    /// Addresses to serve on. Empty: whatever the environment assigns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub addresses: Vec<String>,
    /// The listeners, in the order of the Gateway, then of its ListenerSets by precedence.
    #[schemars(
        length(max = 4096),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub listeners: Vec<ProxyListener>,
    /// Secret of type kubernetes.io/tls that is shown to TLS backends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_client_certificate_ref: Option<NamespacedRef>,
    /// What the Service of this gateway carries, in a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub infrastructure: Option<ProxyInfrastructure>,
}

/// What the Service of a gateway carries beside what NovaEdge itself puts there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxyInfrastructure {
    /// Labels; those that NovaEdge finds the Service by cannot be replaced.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8))]
    pub labels: BTreeMap<String, String>,
    /// Annotations; those that NovaEdge finds the Service by cannot be replaced.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub annotations: BTreeMap<String, String>,
}

/// A port, a protocol and a hostname.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "self.protocol in ['HTTPS', 'TLS'] == has(self.tls)", "message": "tls must be set for the protocols HTTPS and TLS, and for no other"}, {"rule": "!(self.protocol in ['TCP', 'UDP']) || !has(self.hostname)", "message": "hostname must not be set for the protocols TCP and UDP"}, {"rule": "self.protocol != 'HTTPS' || !has(self.tls) || self.tls.mode == 'Terminate'", "message": "tls.mode must be Terminate for the protocol HTTPS"}, {"rule": "self.protocol != 'UDP' || !has(self.proxyProtocol)", "message": "proxyProtocol must not be set for the protocol UDP"}, {"rule": "self.protocol in ['HTTP', 'HTTPS'] || !has(self.forwardedHeaders)", "message": "forwardedHeaders must be set for the protocols HTTP and HTTPS only"}, {"rule": "!has(self.http3) || !self.http3 || self.protocol == 'HTTPS'", "message": "http3 must be set for the protocol HTTPS only"}, {"rule": "!has(self.http3) || !self.http3 || !has(self.proxyProtocol)", "message": "http3 must not be set beside proxyProtocol"}, {"rule": "!has(self.http3) || !self.http3 || !has(self.tls) || !has(self.tls.clientValidation)", "message": "http3 must not be set beside tls.clientValidation"}]))]
pub struct ProxyListener {
    /// Name, unique in the ProxyGateway. For a listener of a ListenerSet:
    /// `<namespace>.<listener set>.<section name>`, shortened with a hash past 253 characters.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The ListenerSet that the listener comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener_set_ref: Option<NamespacedRef>,
    /// The name as its user wrote it. Empty: the same as `name`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub section_name: String,
    /// The port that clients see, 1 to 65535.
    #[schemars(range(min = 1))]
    pub port: u16,
    /// HTTP, HTTPS, TLS, TCP or UDP.
    pub protocol: ProxyProtocol,
    /// Host to serve; `*.` in front matches one or more labels. Absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub hostname: Option<String>,
    /// TLS settings; required for HTTPS and TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ProxyListenerTls>,
    /// Headers of the PROXY protocol, versions 1 and 2, before the bytes of clients; the same for all
    /// listeners of a port. Absent: there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<AcceptProxyProtocol>,
    /// Whose `X-Forwarded-*` fields are believed. Absent: nobody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarded_headers: Option<ForwardedHeaders>,
    /// Serves HTTP/3 on the UDP port of the same number, which answers over TCP tell of (`Alt-Svc`). For the protocol HTTPS,
    /// and neither with `proxyProtocol` nor with `tls.clientValidation`. Absent: no.
    #[serde(default, skip_serializing_if = "is_false")]
    pub http3: bool,
    /// Connections of one agent on the port; more wait until others end. Of the listeners of a port the lowest counts for
    /// all. For every protocol but UDP. Absent: no limit of the listener's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_connections: Option<u32>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands out a reference
fn is_false(value: &bool) -> bool {
    !value
}

impl ProxyListener {
    /// What agents open for it: ports as clients see them.
    pub fn ports(&self) -> Vec<(u16, Transport)> {
        let http3 = self.http3.then_some((self.port, Transport::Udp));
        let own = (self.port, self.protocol.transport());
        [Some(own), http3].into_iter().flatten().collect()
    }
}

/// Protocol of a listener.
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
pub enum ProxyProtocol {
    /// Cleartext HTTP/1.1 and HTTP/2 with prior knowledge.
    #[default]
    HTTP,
    /// HTTP over TLS that ends here.
    HTTPS,
    /// TLS that is passed through by SNI, or ends here and goes on as TCP.
    TLS,
    /// TCP.
    TCP,
    /// UDP.
    UDP,
}

impl ProxyProtocol {
    /// What its sockets are of.
    pub const fn transport(self) -> Transport {
        match self {
            Self::UDP => Transport::Udp,
            Self::HTTP | Self::HTTPS | Self::TLS | Self::TCP => Transport::Tcp,
        }
    }
}

/// What a socket is of. The ports of each are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Byte streams.
    Tcp,
    /// Datagrams.
    Udp,
}

impl Transport {
    /// The word that Kubernetes has for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }
}

/// TLS settings of a listener.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxyListenerTls {
    /// Terminate (default) or Passthrough.
    #[serde(default)]
    pub mode: ProxyTlsMode,
    /// Secrets of type kubernetes.io/tls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub certificate_refs: Vec<NamespacedRef>,
    /// What clients must show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_validation: Option<ProxyClientValidation>,
}

/// Where TLS ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProxyTlsMode {
    /// At the gateway.
    #[default]
    Terminate,
    /// At the backend.
    Passthrough,
}

/// Validation of client certificates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxyClientValidation {
    /// AllowValidOnly (default) or AllowInsecureFallback.
    #[serde(default)]
    pub mode: ProxyClientValidationMode,
    /// The authorities that may have signed it.
    #[schemars(length(min = 1, max = 64))]
    pub ca_certificate_refs: Vec<CaRef>,
}

/// What happens to a client without a valid certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProxyClientValidationMode {
    /// Its handshake fails.
    #[default]
    AllowValidOnly,
    /// It is let in.
    AllowInsecureFallback,
}
