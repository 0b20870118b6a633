//! Manifests as text, the way a user writes them.

use std::net::SocketAddr;

/// The GatewayClass `novaedge`.
pub const GATEWAY_CLASS: &str = "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\n\
    metadata: {name: novaedge}\nspec: {controllerName: novaedge.io/gateway-controller}\n";

/// A Gateway `name` of class `novaedge`; `listeners` is the YAML list, indented by two.
pub fn gateway(name: &str, listeners: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: {name}}}\n\
         spec:\n  gatewayClassName: novaedge\n  listeners:\n{listeners}"
    )
}

/// A Gateway `name` of class `novaedge` with one listener, `http`.
pub fn http_gateway(name: &str, port: u16) -> String {
    let listener = format!("  - {{name: http, protocol: HTTP, port: {port}}}\n");
    gateway(name, &listener)
}

/// A Service with one port and the EndpointSlice behind it. `protocol`: TCP or UDP.
pub fn service(name: &str, port: u16, protocol: &str, endpoints: &[SocketAddr]) -> String {
    service_with(name, port, protocol, "", endpoints)
}

/// The same with an appProtocol, for instance `kubernetes.io/h2c`.
pub fn service_with(
    name: &str,
    port: u16,
    protocol: &str,
    app_protocol: &str,
    endpoints: &[SocketAddr],
) -> String {
    let app = if app_protocol.is_empty() {
        String::new()
    } else {
        format!(", appProtocol: {app_protocol}")
    };
    let service = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec:\n  ports:\n  \
         - {{name: main, port: {port}, protocol: {protocol}{app}}}\n"
    );
    let slices = endpoints.iter().enumerate().map(|(index, endpoint)| {
        format!(
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
             metadata:\n  name: {name}-{index}\n  labels: {{kubernetes.io/service-name: {name}}}\n\
             addressType: IPv4\nports:\n- {{name: main, port: {}, protocol: {protocol}}}\n\
             endpoints:\n- addresses: [\"{}\"]\n",
            endpoint.port(),
            endpoint.ip()
        )
    });
    documents([service].into_iter().chain(slices))
}

/// An HTTPRoute `name` on Gateway `gateway` for `host`, all paths to `backend`:80.
pub fn http_route(name: &str, gateway: &str, host: &str, backend: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\n\
         spec:\n  parentRefs:\n  - name: {gateway}\n  hostnames: [\"{host}\"]\n  rules:\n  \
         - backendRefs:\n    - {{name: {backend}, port: 80}}\n"
    )
}

/// Several documents as one text.
pub fn documents<S: AsRef<str>>(parts: impl IntoIterator<Item = S>) -> String {
    let parts: Vec<S> = parts.into_iter().collect();
    let texts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
    texts.join("\n---\n")
}
