//! Gateways and listeners, from the wire.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use http::HeaderValue;
use novaedge_proto::v1;

use crate::{
    error::Fault,
    host::HostPattern,
    listener::{
        AcceptProxyProtocol, ClientValidation, ClientValidationMode, ListenerInfo,
        ProxyProtocolMode, TlsMode,
    },
    network::Network,
    rule::RouteKind,
    socket::{SocketKey, Transport},
};

/// A Gateway.
#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) version: String,
    pub(super) addresses: BTreeSet<IpAddr>,
    pub(super) backend_client_certificate: Option<Arc<str>>,
}

/// A listener.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) version: String,
    pub(super) gateway: Arc<str>,
    pub(super) protocol: Protocol,
    pub(super) hostname: HostPattern,
    bind_port: u16,
    port: u16,
    section_name: Arc<str>,
    certificates: Arc<[Arc<str>]>,
    client_validation: Option<ClientValidation>,
    pub(super) accept_proxy_protocol: Option<AcceptProxyProtocol>,
    trusted_forwarders: Arc<[Network]>,
    /// The local port of HTTP/3.
    http3: Option<u16>,
    max_connections: Option<u32>,
}

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http,
    Https,
    Tls(TlsMode),
    Tcp,
    Udp,
}

/// What listeners must have in common to share a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SocketClass {
    Http,
    Tls,
    Quic,
    Tcp,
    Udp,
}

impl Protocol {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Https => "HTTPS",
            Self::Tls(_) => "TLS",
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }

    const fn class(self) -> SocketClass {
        match self {
            Self::Http => SocketClass::Http,
            Self::Https | Self::Tls(_) => SocketClass::Tls,
            Self::Tcp => SocketClass::Tcp,
            Self::Udp => SocketClass::Udp,
        }
    }

    pub(super) const fn carries(self, kind: RouteKind) -> bool {
        match self {
            Self::Http | Self::Https => matches!(kind, RouteKind::Http | RouteKind::Grpc),
            Self::Tls(_) => matches!(kind, RouteKind::Tls),
            Self::Tcp => matches!(kind, RouteKind::Tcp),
            Self::Udp => matches!(kind, RouteKind::Udp),
        }
    }
}

impl Listener {
    /// That its Gateway is not there.
    pub(super) fn without_gateway(&self) -> Fault {
        Fault::Dangling {
            kind: "gateway",
            name: self.gateway.to_string(),
        }
    }

    pub(super) fn info(&self, name: &Arc<str>, gateway: &Gateway) -> ListenerInfo {
        let hostname = match &self.hostname {
            HostPattern::Any => None,
            hostname => Some(hostname.to_string().into()),
        };
        ListenerInfo {
            name: Arc::clone(name),
            gateway: Arc::clone(&self.gateway),
            section_name: Arc::clone(&self.section_name),
            port: self.port,
            hostname,
            certificates: Arc::clone(&self.certificates),
            client_validation: self.client_validation.clone(),
            backend_client_certificate: gateway.backend_client_certificate.clone(),
            accept_proxy_protocol: self.accept_proxy_protocol.clone(),
            trusted_forwarders: Arc::clone(&self.trusted_forwarders),
            alt_svc: self.http3.and_then(|_| alt_svc(self.port)),
            max_connections: self.max_connections,
        }
    }

    /// The sockets that the listener wants.
    pub(super) fn sockets(&self, gateway: &Gateway) -> BTreeSet<SocketKey> {
        let transport = if self.protocol == Protocol::Udp {
            Transport::Udp
        } else {
            Transport::Tcp
        };
        let http3 = self.http3.map(|port| (port, Transport::Quic));
        let ports = [Some((self.bind_port, transport)), http3];
        let keys = ports.into_iter().flatten().flat_map(|(port, transport)| {
            gateway.addresses.iter().map(move |address| SocketKey {
                address: *address,
                port,
                transport,
            })
        });
        keys.collect()
    }

    /// What the listener is on one of its sockets.
    pub(super) const fn class(&self, key: SocketKey) -> SocketClass {
        match key.transport {
            Transport::Quic => SocketClass::Quic,
            Transport::Tcp | Transport::Udp => self.protocol.class(),
        }
    }
}

/// Converts a Gateway. None: no address is usable; the Gateway must not listen on all of them instead.
pub(super) fn convert_gateway(
    version: &str,
    wire: &v1::Gateway,
    faults: &mut Vec<Fault>,
) -> Option<Gateway> {
    let mut addresses = BTreeSet::new();
    for text in &wire.bind_addresses {
        match text.parse::<IpAddr>() {
            Ok(address) => _ = addresses.insert(address),
            Err(_) => faults.push(Fault::BindAddress(text.clone())),
        }
    }
    if wire.bind_addresses.is_empty() {
        addresses.insert(Ipv4Addr::UNSPECIFIED.into());
    }
    let certificate = &wire.backend_client_certificate;
    let backend_client_certificate = (!certificate.is_empty()).then(|| certificate.as_str().into());
    (!addresses.is_empty()).then(|| Gateway {
        version: version.to_owned(),
        addresses,
        backend_client_certificate,
    })
}

/// Converts a listener, which is taken as a whole or not at all.
pub(super) fn convert_listener(version: &str, wire: &v1::Listener) -> Result<Listener, Fault> {
    if wire.gateway.is_empty() {
        return Err(Fault::Missing("gateway"));
    }
    let protocol = match (wire.protocol(), wire.tls_mode()) {
        (v1::Protocol::Http, _) => Protocol::Http,
        (v1::Protocol::Https, v1::TlsMode::Passthrough) => {
            let expected = "expected TERMINATE for a listener of protocol HTTPS";
            return Err(Fault::Value {
                field: "tls_mode",
                value: "PASSTHROUGH".into(),
                expected,
            });
        }
        (v1::Protocol::Https, _) => Protocol::Https,
        (v1::Protocol::Tls, v1::TlsMode::Passthrough) => Protocol::Tls(TlsMode::Passthrough),
        // ListenerTLSConfig.mode: the default is Terminate.
        (v1::Protocol::Tls, _) => Protocol::Tls(TlsMode::Terminate),
        (v1::Protocol::Tcp, _) => Protocol::Tcp,
        (v1::Protocol::Udp, _) => Protocol::Udp,
        (v1::Protocol::Unspecified, _) => {
            let expected = "expected a known protocol";
            return Err(Fault::Value {
                field: "protocol",
                value: wire.protocol.to_string(),
                expected,
            });
        }
    };
    Ok(Listener {
        version: version.to_owned(),
        gateway: wire.gateway.as_str().into(),
        protocol,
        hostname: HostPattern::parse(&wire.hostname)?,
        bind_port: port("bind_port", wire.bind_port)?,
        port: port("port", wire.port)?,
        section_name: wire.section_name.as_str().into(),
        certificates: names(&wire.certificates),
        client_validation: wire
            .client_validation
            .as_ref()
            .map(convert_client_validation),
        accept_proxy_protocol: wire
            .accept_proxy_protocol
            .as_ref()
            .filter(|_| protocol != Protocol::Udp)
            .map(convert_accept_proxy_protocol)
            .transpose()?,
        trusted_forwarders: networks(
            "forwarded_headers_trusted_cidrs",
            &wire.forwarded_headers_trusted_cidrs,
        )?,
        http3: convert_http3(wire)?,
        max_connections: (wire.max_connections > 0).then_some(wire.max_connections),
    })
}

fn convert_http3(wire: &v1::Listener) -> Result<Option<u16>, Fault> {
    if wire.http3_bind_port == 0 {
        return Ok(None);
    }
    let fault = |expected| Fault::Value {
        field: "http3_bind_port",
        value: wire.http3_bind_port.to_string(),
        expected,
    };
    if wire.protocol() != v1::Protocol::Https {
        return Err(fault("expected none but for the protocol HTTPS"));
    }
    if wire.client_validation.is_some() || wire.accept_proxy_protocol.is_some() {
        return Err(fault(
            "expected none beside client_validation or accept_proxy_protocol",
        ));
    }
    port("http3_bind_port", wire.http3_bind_port).map(Some)
}

/// Where HTTP/3 is served, for a day: at the port that clients see.
fn alt_svc(port: u16) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("h3=\":{port}\"; ma=86400")).ok()
}

fn convert_accept_proxy_protocol(
    wire: &v1::AcceptProxyProtocol,
) -> Result<AcceptProxyProtocol, Fault> {
    let mode = match wire.mode() {
        v1::accept_proxy_protocol::Mode::Optional => ProxyProtocolMode::Optional,
        // What is not known must not open the door.
        v1::accept_proxy_protocol::Mode::Required
        | v1::accept_proxy_protocol::Mode::Unspecified => ProxyProtocolMode::Required,
    };
    Ok(AcceptProxyProtocol {
        mode,
        trusted: networks("accept_proxy_protocol.trusted_cidrs", &wire.trusted_cidrs)?,
    })
}

fn networks(field: &'static str, wire: &[String]) -> Result<Arc<[Network]>, Fault> {
    let network = |text: &String| {
        Network::parse(text).ok_or_else(|| Fault::Value {
            field,
            value: format!("{text:?}"),
            expected: "expected an address and a prefix length, such as 192.0.2.0/24",
        })
    };
    wire.iter().map(network).collect()
}

fn convert_client_validation(wire: &v1::ClientValidation) -> ClientValidation {
    let mode = match wire.mode() {
        v1::client_validation::Mode::InsecureFallback => ClientValidationMode::InsecureFallback,
        // What is not known must not open the door.
        v1::client_validation::Mode::RequireValid | v1::client_validation::Mode::Unspecified => {
            ClientValidationMode::RequireValid
        }
    };
    ClientValidation {
        mode,
        trust_bundles: names(&wire.trust_bundles),
    }
}

fn names(wire: &[String]) -> Arc<[Arc<str>]> {
    wire.iter().map(|name| name.as_str().into()).collect()
}

fn port(field: &'static str, wire: u32) -> Result<u16, Fault> {
    u16::try_from(wire)
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| Fault::Value {
            field,
            value: wire.to_string(),
            expected: "expected 1 to 65535",
        })
}
