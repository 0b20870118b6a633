//! What rules of HTTPRoutes say: rewrites for one backend, and which of two equal rules counts.

use novaedge_e2e::{
    manifests::{http_gateway, service},
    origins,
    system::System,
};
use novaedge_ports::free_port;

use crate::bed::{accepted, get, start, told};

const HOST: &str = "www.example.com";

const REWRITES: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: rewrites}
spec:
  parentRefs: [{name: gw}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /full}}]
    backendRefs:
    - name: a
      port: 80
      filters:
      - type: URLRewrite
        urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /rewritten-full}}
  - matches: [{path: {type: PathPrefix, value: /prefix}}]
    backendRefs:
    - name: a
      port: 80
      filters:
      - type: URLRewrite
        urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /rewritten-prefix}}
  - matches: [{path: {type: PathPrefix, value: /strip}}]
    backendRefs:
    - name: a
      port: 80
      filters:
      - type: URLRewrite
        urlRewrite: {hostname: one.example.com, path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}
    - name: b
      port: 80
";

/// HTTPRouteBackendURLRewrite.
#[tokio::test]
async fn a_rewrite_of_a_backend_ref_holds_for_that_backend() {
    let (a, b) = (origins::http("a").await, origins::http("b").await);
    let port = free_port();
    let system = start([
        http_gateway("gw", port),
        REWRITES.to_owned(),
        service("a", 80, "TCP", &[a.address]),
        service("b", 80, "TCP", &[b.address]),
    ])
    .await;
    accepted(&system, &["HTTPRoute/default/rewrites"]).await;
    let http = System::local(port);
    for (path, expect) in [
        ("/full/original", "/rewritten-full"),
        ("/prefix/original", "/rewritten-prefix/original"),
        ("/prefix/original?x=1", "/rewritten-prefix/original?x=1"),
        ("/prefix", "/rewritten-prefix"),
    ] {
        let echo = get(http, HOST, path, &[]).await.echo();
        assert_eq!(
            (echo.path.as_str(), echo.host.as_str()),
            (expect, HOST),
            "{path}"
        );
    }
    let mut seen = Vec::new();
    for _ in 0..4 {
        let echo = get(http, HOST, "/strip", &[]).await.echo();
        seen.push((echo.origin, echo.path, echo.host));
    }
    seen.sort();
    seen.dedup();
    let row = |origin: &str, path: &str, host: &str| {
        (origin.to_owned(), path.to_owned(), host.to_owned())
    };
    let expect = [row("a", "/", "one.example.com"), row("b", "/strip", HOST)];
    assert_eq!(seen, expect, "each backend has its own filters");
    system.stop().await;
}

const EQUAL_RULES: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: equal}
spec:
  parentRefs: [{name: gw}]
  rules:
  - matches: [{path: {type: Exact, value: /equal}, headers: [{name: x-version, value: one}, {name: x-color, value: blue}]}]
    backendRefs: [{name: a, port: 80}]
  - matches: [{path: {type: Exact, value: /equal}, headers: [{name: x-color, value: blue}, {name: x-version, value: one}]}]
    backendRefs: [{name: b, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: invalid}
spec:
  parentRefs: [{name: gw}]
  rules:
  - matches: [{path: {type: Exact, value: /invalid}}]
    backendRefs: [{name: nowhere, port: 80}]
  - matches: [{path: {type: Exact, value: /invalid}}]
    backendRefs: [{name: b, port: 80}]
";

/// HTTPRouteRuleOrder.
#[tokio::test]
async fn the_first_of_two_equal_rules_counts_even_if_it_is_invalid() {
    let (a, b) = (origins::http("a").await, origins::http("b").await);
    let port = free_port();
    let system = start([
        http_gateway("gw", port),
        EQUAL_RULES.to_owned(),
        service("a", 80, "TCP", &[a.address]),
        service("b", 80, "TCP", &[b.address]),
    ])
    .await;
    accepted(&system, &["HTTPRoute/default/equal"]).await;
    told(
        &system,
        "HTTPRoute/default/invalid",
        "Accepted",
        "True Accepted",
    )
    .await;
    told(
        &system,
        "HTTPRoute/default/invalid",
        "ResolvedRefs",
        "False BackendNotFound",
    )
    .await;
    let http = System::local(port);
    let headers = [("x-color", "blue"), ("x-version", "one")];
    let answer = get(http, HOST, "/equal", &headers).await;
    assert_eq!(answer.origin(), "a");
    assert_eq!(get(http, HOST, "/invalid", &[]).await.status, 500);
    assert_eq!(b.hits(), 0, "the second rule is never used");
    system.stop().await;
}
