//! Manifests as people write them, beside those of the benchmarks.

use std::{fmt::Write as _, net::SocketAddr};

/// The port that all Services here have.
const PORT: u16 = 80;

/// What a Service is spoken to in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP, and whatever is in it.
    Tcp,
    /// Cleartext HTTP/2 over TCP.
    Http2,
    /// UDP.
    Udp,
}

impl Transport {
    fn protocol(self) -> &'static str {
        match self {
            Self::Tcp | Self::Http2 => "TCP",
            Self::Udp => "UDP",
        }
    }
}

/// A Gateway on loopback; `listeners` holds those of the list, one a line.
pub fn gateway(name: &str, listeners: &[String]) -> String {
    let mut text = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: {name}}}\n\
         spec:\n  gatewayClassName: novaedge\n  addresses: [{{type: IPAddress, value: \
         127.0.0.1}}]\n  listeners:\n"
    );
    for listener in listeners {
        let _ = writeln!(text, "  - {{{listener}}}");
    }
    text
}

/// A route of any kind from a listener to a Service.
pub fn route(kind: &str, name: &str, parent: &str, host: Option<&str>, service: &str) -> String {
    let (gateway, section) = parent.split_once('/').unwrap_or((parent, ""));
    let section = match section {
        "" => String::new(),
        section => format!(", sectionName: {section}"),
    };
    let hosts = host.map_or_else(String::new, |host| format!("  hostnames: [{host}]\n"));
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n  \
         parentRefs: [{{name: {gateway}{section}}}]\n{hosts}  rules: [{{backendRefs: [{{name: \
         {service}, port: {PORT}}}]}}]\n"
    )
}

/// A Service.
pub fn service(name: &str, transport: Transport) -> String {
    let app = match transport {
        Transport::Http2 => ", appProtocol: kubernetes.io/h2c",
        Transport::Tcp | Transport::Udp => "",
    };
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec:\n  ports: [{{name: main, \
         port: {PORT}, protocol: {}{app}}}]\n",
        transport.protocol()
    )
}

/// The EndpointSlices of a Service, one for each endpoint, for each has a port of its own.
pub fn endpoints(service: &str, transport: Transport, endpoints: &[SocketAddr]) -> String {
    let slices = endpoints.iter().enumerate().map(|(index, endpoint)| {
        format!(
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: \
             {service}-{index}\n  labels: {{kubernetes.io/service-name: {service}}}\n\
             addressType: IPv4\nports: [{{name: main, port: {}, protocol: {}}}]\nendpoints: \
             [{{addresses: [\"{}\"]}}]\n",
            endpoint.port(),
            transport.protocol(),
            endpoint.ip()
        )
    });
    documents(slices)
}

/// Several documents as one text.
pub fn documents(parts: impl IntoIterator<Item = String>) -> String {
    let parts: Vec<String> = parts.into_iter().collect();
    parts.join("---\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a panic is how a test fails

    use novaedge_api::validate::validate;
    use novaedge_bench::world::object;

    use super::*;

    #[test]
    fn every_manifest_is_valid() {
        let address = "127.0.0.1:80".parse().unwrap();
        let texts = [
            gateway("g", &["name: a, protocol: TCP, port: 1".to_owned()]),
            route("TCPRoute", "r", "g/a", None, "s"),
            route("GRPCRoute", "r", "g", Some("a.example.com"), "s"),
            service("s", Transport::Http2),
            service("s", Transport::Udp),
            endpoints("s", Transport::Udp, &[address]),
        ];
        for text in texts {
            assert!(validate(&object(&text).unwrap()).is_empty(), "{text}");
        }
    }
}
