//! Ports of Services.

use k8s_openapi::api::core::v1::{Service, ServicePort};
use novaedge_api::native::ProxyBackendProtocol;

use crate::plan::Traffic;

/// A port of a Service that traffic can go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    /// Name; empty for an unnamed port. Policies name it as `sectionName`.
    pub(crate) name: String,
    /// Application protocol that the port is said to speak.
    pub(crate) spoken: Spoken,
}

/// What a port's `appProtocol` says (KEP-3726, GEP-1911).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Spoken {
    /// Nothing, or nothing that matters here: HTTP/1.1 to routes of HTTP.
    #[default]
    Any,
    /// `kubernetes.io/h2c`: HTTP/2 with prior knowledge.
    Http2,
    /// `kubernetes.io/ws`: WebSocket over HTTP/1.1.
    WebSocket,
    /// `kubernetes.io/wss`: WebSocket over HTTP/1.1 inside TLS.
    WebSocketTls,
    /// `https`: HTTP inside TLS.
    Https,
}

impl Spoken {
    fn of(port: &ServicePort) -> Self {
        let word = port.app_protocol.as_deref().unwrap_or_default();
        match word.to_ascii_lowercase().as_str() {
            "kubernetes.io/h2c" | "h2c" | "http2" | "grpc" => Self::Http2,
            "kubernetes.io/ws" => Self::WebSocket,
            "kubernetes.io/wss" => Self::WebSocketTls,
            "https" => Self::Https,
            _ => Self::Any,
        }
    }

    /// The protocol of a ProxyBackend.
    pub(crate) const fn protocol(self) -> ProxyBackendProtocol {
        match self {
            Self::Http2 => ProxyBackendProtocol::HTTP2,
            Self::Any | Self::WebSocket | Self::WebSocketTls | Self::Https => {
                ProxyBackendProtocol::HTTP1
            }
        }
    }

    /// Whether the port expects TLS, so that cleartext could only fail there.
    pub(crate) const fn is_tls(self) -> bool {
        matches!(self, Self::WebSocketTls | Self::Https)
    }

    /// Whether the port speaks WebSocket alone.
    pub(crate) const fn is_web_socket(self) -> bool {
        matches!(self, Self::WebSocket | Self::WebSocketTls)
    }
}

/// Why a port cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PortError {
    /// There is no port of this number. Those that exist, as people write them.
    Absent(Vec<String>),
    /// The port of this number is of other transport protocols.
    Transport(Vec<String>),
}

/// The port of `number` that takes the traffic. A Service may have two ports of one number, one for
/// TCP and one for UDP.
pub(crate) fn port(service: &Service, number: u16, traffic: Traffic) -> Result<Port, PortError> {
    let ports = service
        .spec
        .as_ref()
        .and_then(|spec| spec.ports.as_deref())
        .unwrap_or_default();
    if ports.is_empty() && external_name(service).is_some() {
        // Such a Service may leave its ports out, since DNS alone decides where it leads.
        return Ok(Port {
            name: String::new(),
            spoken: Spoken::Any,
        });
    }
    let wanted = match traffic {
        Traffic::Http | Traffic::Tcp => "TCP",
        Traffic::Udp => "UDP",
    };
    let numbered = || ports.iter().filter(|port| port.port == i32::from(number));
    if let Some(port) = numbered().find(|port| transport(port) == wanted) {
        return Ok(Port {
            name: port.name.clone().unwrap_or_default(),
            spoken: Spoken::of(port),
        });
    }
    let others: Vec<String> = numbered().map(|port| transport(port).to_owned()).collect();
    if others.is_empty() {
        return Err(PortError::Absent(
            ports.iter().map(|port| port.port.to_string()).collect(),
        ));
    }
    Err(PortError::Transport(others))
}

/// The number of the TCP port with a name; an error are the names that there are.
pub(crate) fn named(service: &Service, name: &str) -> Result<u16, Vec<String>> {
    let spec = service.spec.as_ref();
    let ports = spec.and_then(|spec| spec.ports.as_deref());
    let ports = ports.unwrap_or_default();
    let mut found = ports
        .iter()
        .filter(|port| port.name.as_deref() == Some(name) && transport(port) == "TCP");
    let number = found.next().and_then(|port| u16::try_from(port.port).ok());
    number.ok_or_else(|| {
        let names = ports.iter().filter_map(|port| port.name.clone());
        names.filter(|name| !name.is_empty()).collect()
    })
}

/// The DNS name that an ExternalName Service stands for.
pub(crate) fn external_name(service: &Service) -> Option<&str> {
    let spec = service.spec.as_ref()?;
    let name = spec
        .external_name
        .as_deref()
        .filter(|name| !name.is_empty());
    name.filter(|_| spec.type_.as_deref() == Some("ExternalName"))
}

fn transport(port: &ServicePort) -> &str {
    port.protocol.as_deref().unwrap_or("TCP")
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};

    use super::{PortError, Spoken, port};
    use crate::plan::Traffic;

    fn service(ports: &[(i32, &str, &str)]) -> Service {
        let ports = ports.iter().map(|(number, protocol, app)| ServicePort {
            port: *number,
            name: Some(format!("{}-{number}", protocol.to_lowercase())),
            protocol: Some((*protocol).to_owned()),
            app_protocol: (!app.is_empty()).then(|| (*app).to_owned()),
            ..ServicePort::default()
        });
        let spec = ServiceSpec {
            ports: Some(ports.collect()),
            ..ServiceSpec::default()
        };
        Service {
            spec: Some(spec),
            ..Service::default()
        }
    }

    #[test]
    fn one_number_may_be_two_ports() {
        let dns = service(&[(53, "UDP", ""), (53, "TCP", ""), (9153, "TCP", "")]);
        assert_eq!(port(&dns, 53, Traffic::Udp).unwrap().name, "udp-53");
        assert_eq!(port(&dns, 53, Traffic::Tcp).unwrap().name, "tcp-53");
        assert_eq!(
            port(&dns, 9153, Traffic::Udp),
            Err(PortError::Transport(vec!["TCP".into()]))
        );
        let absent = PortError::Absent(vec!["53".into(), "53".into(), "9153".into()]);
        assert_eq!(port(&dns, 80, Traffic::Http), Err(absent));
    }

    #[test]
    fn application_protocols_are_known_by_their_words() {
        let check = |word: &str, expect: Spoken| {
            let service = service(&[(80, "TCP", word)]);
            assert_eq!(
                port(&service, 80, Traffic::Http).unwrap().spoken,
                expect,
                "{word}"
            );
        };
        check("", Spoken::Any);
        check("http", Spoken::Any);
        check("example.com/own", Spoken::Any);
        check("kubernetes.io/h2c", Spoken::Http2);
        check("grpc", Spoken::Http2);
        check("kubernetes.io/ws", Spoken::WebSocket);
        check("kubernetes.io/wss", Spoken::WebSocketTls);
        check("HTTPS", Spoken::Https);
    }
}
