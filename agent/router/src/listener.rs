//! Listeners: what is known about them, and their routes.

use std::sync::Arc;

use http::HeaderValue;

use crate::{
    host::without_trailing_dot,
    host_index::HostIndex,
    host_table::HostTable,
    l4_table::L4Table,
    network::Network,
    request::RequestHead,
    rule::{HttpRule, L4Rule},
};

/// What a listener is, apart from its routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerInfo {
    /// Resource name.
    pub name: Arc<str>,
    /// Resource name of the Gateway.
    pub gateway: Arc<str>,
    /// The listener's name as users wrote it.
    pub section_name: Arc<str>,
    /// The port as clients see it; redirects use it.
    pub port: u16,
    /// The hostname, lower case, perhaps with a leading `*.`. None: any.
    pub hostname: Option<Arc<str>>,
    /// Resource names, in the order of `certificateRefs`.
    pub certificates: Arc<[Arc<str>]>,
    /// What clients must show. None: nothing.
    pub client_validation: Option<ClientValidation>,
    /// Resource name of the certificate that the Gateway shows to TLS backends.
    pub backend_client_certificate: Option<Arc<str>>,
    /// Headers of the PROXY protocol before the bytes of clients; the same for all listeners of a socket. None: there
    /// are none.
    pub accept_proxy_protocol: Option<AcceptProxyProtocol>,
    /// Peers whose `X-Forwarded-*` fields are believed.
    pub trusted_forwarders: Arc<[Network]>,
    /// The field that tells clients of HTTP/3, where it is served (RFC 7838).
    pub alt_svc: Option<HeaderValue>,
    /// Connections of this agent on the listener's sockets.
    pub max_connections: Option<u32>,
}

/// How headers of the PROXY protocol are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptProxyProtocol {
    /// What becomes of connections without one.
    pub mode: ProxyProtocolMode,
    /// Peers that may send one.
    pub trusted: Arc<[Network]>,
}

/// What becomes of connections without a header of the PROXY protocol, and of those of peers that may not send one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocolMode {
    /// They are closed.
    Required,
    /// They are served with their peer's address.
    Optional,
}

/// How client certificates are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientValidation {
    /// What becomes of clients without a valid one.
    pub mode: ClientValidationMode,
    /// Resource names of the accepted roots.
    pub trust_bundles: Arc<[Arc<str>]>,
}

/// What becomes of clients without a valid certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientValidationMode {
    /// Their handshake fails.
    RequireValid,
    /// They are let in (`AllowInsecureFallback`).
    InsecureFallback,
}

/// An HTTP or HTTPS listener with its routes.
#[derive(Debug)]
pub struct HttpListener {
    /// What it is.
    pub info: ListenerInfo,
    pub(crate) hosts: HostIndex<HostTable>,
}

/// A TLS listener with its routes.
#[derive(Debug)]
pub struct TlsListener {
    /// What it is.
    pub info: ListenerInfo,
    /// Who ends TLS.
    pub mode: TlsMode,
    pub(crate) hosts: HostIndex<L4Table>,
}

/// Who ends TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// The gateway.
    Terminate,
    /// The backend.
    Passthrough,
}

/// The rule that won a request.
#[derive(Clone, Copy, Debug)]
pub struct Matched<'t> {
    /// The rule.
    pub rule: &'t Arc<HttpRule>,
    /// The PathPrefix that matched, without a trailing `/` unless it is the root.
    pub prefix: Option<&'t str>,
    /// The exact path that matched. Neither this nor a prefix: an expression matched, or a gRPC method.
    pub exact: Option<&'t str>,
}

impl HttpListener {
    /// The rule that wins a request, by the precedence of HTTPRoute and GRPCRoute. None: 404 (gRPC `UNIMPLEMENTED`).
    ///
    /// Hosts come first, judged by the routes' own hostnames: exact before longest wildcard before none. What the routes
    /// of one hostname don't match falls through to the next.
    pub fn route<'t>(&'t self, request: &impl RequestHead) -> Option<Matched<'t>> {
        let host = without_trailing_dot(request.host());
        self.hosts.find(host, |table| table.route(host, request))
    }
}

impl TlsListener {
    /// The rule for a connection, by its server name. None: close.
    pub fn route(&self, sni: Option<&str>) -> Option<&Arc<L4Rule>> {
        let host = without_trailing_dot(sni.unwrap_or_default());
        self.hosts.find(host, |table| table.route(host))
    }
}
