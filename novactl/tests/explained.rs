//! What `novactl explain` tells of a request that no rule takes.

#[path = "support/quickstart.rs"]
mod quickstart;

use std::collections::BTreeMap;

use novactl::{
    explain::{Answer, Asked, Told, Words, explain},
    table::Paint,
};
use novaedge_control_plane::translate::translate;

/// What each rule of the quickstart differs by.
fn misses(url: &str, method: &str, headers: &[&str]) -> BTreeMap<String, String> {
    let folder = quickstart::folder();
    let snapshot = translate(folder.path(), 1_800_000_000)
        .expect("a translation")
        .snapshot;
    let headers: Vec<String> = headers.iter().map(|line| (*line).to_owned()).collect();
    let asked = Asked::new(&Words {
        url,
        method,
        headers: &headers,
        ..Words::default()
    });
    let told = explain(&snapshot, &asked.expect("a request")).expect("one Gateway");
    let rules = told.candidates.expect("no rule takes it").rules;
    rules
        .into_iter()
        .map(|one| (one.rule, one.misses.join(", ")))
        .collect()
}

#[test]
fn the_fewest_parts_that_must_be_others_are_told() {
    let told = misses("http://nobody.example.com:8080/", "GET", &[]);
    let differs = |rule: &str| told.get(rule).map(String::as_str);
    assert_eq!(differs("1 of HTTPRoute default/www"), Some("host"));
    assert_eq!(differs("0 of HTTPRoute default/www"), Some("host, path"));
    assert_eq!(
        differs("0 of HTTPRoute default/header-routing"),
        Some("host, headers")
    );
    assert_eq!(
        differs("0 of GRPCRoute default/grpc"),
        Some("host, path, content-type")
    );
    let told = misses(
        "https://nobody.example.com:8443/api",
        "GET",
        &["X-API-Version: v2"],
    );
    let differs = |rule: &str| told.get(rule).map(String::as_str);
    assert_eq!(differs("0 of HTTPRoute default/www"), Some("host"));
    assert_eq!(
        differs("0 of HTTPRoute default/header-routing"),
        Some("host")
    );
}

const SPREAD: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: novaedge}
spec: {controllerName: novaedge.io/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: novaedge
  addresses: [{type: IPAddress, value: 127.0.0.1}]
  listeners:
  - {name: http, protocol: HTTP, port: 18080}
  - {name: tcp, protocol: TCP, port: 18081}
  - {name: lost, protocol: TCP, port: 18082}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 9000}]
endpoints: [{addresses: [127.0.0.1]}, {addresses: [127.0.0.2]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{name: gw, sectionName: http}]
  rules:
  - backendRefs: [{name: web, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: tcp}
spec:
  parentRefs: [{name: gw, sectionName: tcp}]
  rules: [{backendRefs: [{name: web, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: lost}
spec:
  parentRefs: [{name: gw, sectionName: lost}]
  rules: [{backendRefs: [{name: nobody, port: 80}, {name: web, port: 80}]}]
";

/// What is told of a request.
fn told(url: &str) -> Told {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("a.yaml"), SPREAD).expect("the folder is writable");
    let translation = translate(folder.path(), 1_800_000_000).expect("a translation");
    let asked = Asked::new(&Words {
        url,
        client: Some("192.0.2.7".parse().expect("an address")),
        ..Words::default()
    });
    explain(&translation.snapshot, &asked.expect("a request")).expect("one Gateway")
}

#[test]
fn connections_of_a_backend_that_is_not_there_are_closed() {
    let told = told("http://a.example:18082/");
    let Answer::Backends { shares } = &told.answer else {
        panic!("{told:?}");
    };
    assert_eq!(shares[0].instead, None, "a connection has no status");
    assert!(
        shares[0]
            .closed
            .as_ref()
            .is_some_and(|why| why.contains("nobody"))
    );
    assert_eq!((&shares[1].closed, shares[1].endpoints.len()), (&None, 2));
    assert!(!told.is_well());
    let text = told.text(Paint::Plain);
    assert!(
        text.contains("the connection is closed: ") && !text.contains("500"),
        "{text}"
    );
}

#[test]
fn where_turns_decide_no_endpoint_is_named_for_a_client() {
    for port in [18_080, 18_081] {
        let told = told(&format!("http://a.example:{port}/"));
        assert!(told.is_well(), "{told:?}");
        let Answer::Backends { shares } = &told.answer else {
            panic!("{told:?}");
        };
        assert_eq!(shares[0].for_client, None);
        let text = told.text(Paint::Plain);
        assert!(
            text.contains("FOR CLIENT") && text.contains("any of them"),
            "{text}"
        );
    }
}
