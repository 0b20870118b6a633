//! What version 1.7 adds for GRPCRoutes.

use std::net::SocketAddr;

use novaedge_e2e::{
    manifests::{http_gateway, service_with},
    origins::{self, Origin},
    system::System,
};
use novaedge_ports::free_port;

use crate::bed::{DESCRIBE, accepted, call, described, grpc_status, start};

const HOST: &str = "grpc.example.com";

fn h2c(origin: &Origin, name: &str) -> String {
    service_with(name, 80, "TCP", "kubernetes.io/h2c", &[origin.address])
}

const MODIFIERS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: modifiers}
spec:
  parentRefs: [{name: gw}]
  rules:
  - matches: [{method: {service: set.Echo, method: Describe}}]
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier: {set: [{name: X-Header-Set, value: set}]}
    backendRefs: [{name: a, port: 80}]
  - matches: [{method: {service: add.Echo, method: Describe}}]
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier: {add: [{name: X-Header-Add, value: added}]}
    backendRefs: [{name: a, port: 80}]
  - matches: [{method: {service: remove.Echo, method: Describe}}]
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier: {remove: [X-Header-Remove]}
    backendRefs: [{name: a, port: 80}]
  - matches: [{method: {service: many.Echo, method: Describe}}]
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier:
        set: [{name: X-Header-Set-1, value: set-1}, {name: X-Header-Set-2, value: set-2}]
        add: [{name: X-Header-Add-1, value: add-1}, {name: X-Header-Add-2, value: add-2}]
        remove: [X-Header-Remove-1, X-Header-Remove-2]
    backendRefs:
    - name: a
      port: 80
      filters:
      - type: RequestHeaderModifier
        requestHeaderModifier: {set: [{name: X-Backend, value: a}]}
";

/// GRPCRouteRequestHeaderModifier.
#[tokio::test]
async fn grpcroute_sets_adds_and_removes_headers_of_requests() {
    type Headers = &'static [(&'static str, &'static str)];
    /// A service, headers of the request, and what the origin sees; nothing stands for no such header.
    const CASES: [(&str, Headers, Headers); 7] = [
        (
            "set",
            &[("other", "kept")],
            &[("other", "kept"), ("x-header-set", "set")],
        ),
        (
            "set",
            &[("x-header-set", "old")],
            &[("x-header-set", "set")],
        ),
        (
            "add",
            &[("other", "kept")],
            &[("other", "kept"), ("x-header-add", "added")],
        ),
        (
            "add",
            &[("x-header-add", "old")],
            &[("x-header-add", "old,added")],
        ),
        (
            "remove",
            &[("x-header-remove", "old")],
            &[("x-header-remove", "")],
        ),
        (
            "many",
            &[
                ("x-header-set-2", "old"),
                ("x-header-add-2", "old"),
                ("x-header-remove-2", "old"),
                ("other", "kept"),
            ],
            &[
                ("x-header-set-1", "set-1"),
                ("x-header-set-2", "set-2"),
                ("x-header-add-1", "add-1"),
                ("x-header-add-2", "old,add-2"),
                ("x-header-remove-2", ""),
                ("x-backend", "a"),
                ("other", "kept"),
            ],
        ),
        // Names in a filter are in any case, those of HTTP/2 in lower case.
        (
            "many",
            &[
                ("x-header-set-1", "old"),
                ("x-header-add-1", "old"),
                ("x-header-remove-1", "old"),
            ],
            &[
                ("x-header-set-1", "set-1"),
                ("x-header-add-1", "old,add-1"),
                ("x-header-remove-1", ""),
            ],
        ),
    ];
    let origin = origins::http("a").await;
    let port = free_port();
    let system = start([
        http_gateway("gw", port),
        MODIFIERS.to_owned(),
        h2c(&origin, "a"),
    ])
    .await;
    accepted(&system, &["GRPCRoute/default/modifiers"]).await;
    for (service, headers, expect) in CASES {
        let method = format!("/{service}.Echo/Describe");
        let echo = described(&call(System::local(port), HOST, &method, headers).await);
        for (name, value) in expect {
            let values = echo.headers.get(*name).cloned().unwrap_or_default();
            assert_eq!(values.join(","), *value, "{service} {headers:?}: {name}");
        }
    }
    system.stop().await;
}

/// GRPCRouteMultipleGateways. Both Gateways listen on one port, each at an address of its own.
#[tokio::test]
async fn grpcroutes_of_two_gateways_do_not_meet() {
    const ADDRESSES: [[u8; 4]; 2] = [[127, 0, 0, 1], [127, 0, 0, 2]];
    let origins = [
        origins::http("shared").await,
        origins::http("first").await,
        origins::http("second").await,
    ];
    let port = free_port();
    let gateway = |name: &str, address: &str| {
        let text = http_gateway(name, port);
        text + &format!("  addresses: [{{type: IPAddress, value: {address}}}]\n")
    };
    let route = |name: &str, parents: &str, method: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: GRPCRoute\nmetadata: {{name: {name}}}\nspec:\n  \
             parentRefs: [{parents}]\n  rules:\n  - matches: [{{method: {{service: {method}, method: Describe}}}}]\n    \
             backendRefs: [{{name: {name}, port: 80}}]\n"
        )
    };
    let [shared, first, second] = &origins;
    let system = start([
        gateway("one", "127.0.0.1"),
        gateway("two", "127.0.0.2"),
        route("shared", "{name: one}, {name: two}", "echo.Echo"),
        route("first", "{name: one}", "own.Echo"),
        route("second", "{name: two}", "own.Echo"),
        h2c(shared, "shared"),
        h2c(first, "first"),
        h2c(second, "second"),
    ])
    .await;
    let names = ["shared", "first", "second"].map(|name| format!("GRPCRoute/default/{name}"));
    accepted(&system, &names.each_ref().map(String::as_str)).await;
    for (address, own) in ADDRESSES.into_iter().zip(["first", "second"]) {
        let address = SocketAddr::from((address, port));
        let answer = call(address, HOST, DESCRIBE, &[]).await;
        assert_eq!(described(&answer).origin, "shared", "{address}");
        let answer = call(address, HOST, "/own.Echo/Describe", &[]).await;
        assert_eq!(described(&answer).origin, own, "{address}");
        let answer = call(address, HOST, "/nobodys.Echo/Describe", &[]).await;
        assert_eq!(grpc_status(&answer), "12", "{address}");
    }
    system.stop().await;
}
