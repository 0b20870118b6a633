//! Kinds that come, change their version and go.

use novaedge_api::meta::Kind;
use serde_json::json;

use crate::harness::{ROUTES, Running, SERVICES, route, server, service};
use crate::server::{DEFINITIONS, Server};

const GRANTS: &str = "/apis/gateway.networking.k8s.io/v1beta1/referencegrants";

fn version(running: &Running, kind: Kind) -> Option<String> {
    running.discovered.as_ref()?.versions.get(&kind).cloned()
}

fn bundles(running: &Running) -> Vec<&str> {
    let discovered = running.discovered.iter();
    discovered
        .flat_map(|discovered| discovered.bundles.iter().map(String::as_str))
        .collect()
}

#[tokio::test]
async fn definitions_that_come_later_are_watched() {
    let server = Server::start().await;
    server.put(SERVICES, service("s"));
    let mut running = Running::start(&server);
    running.next().await;
    server.define(
        "gateway.networking.k8s.io/v1",
        "httproutes",
        "HTTPRoute",
        "v1.7.0",
    );
    server.put(ROUTES, route("a", &json!("a.example")));
    running
        .until("watched", |running| running.has("HTTPRoute/n/a"))
        .await;
    assert_eq!(version(&running, Kind::HttpRoute).unwrap(), "v1");
    running
        .until("bundle", |running| bundles(running) == ["v1.7.0"])
        .await;
    server.define(
        "gateway.networking.k8s.io/v1",
        "httproutes",
        "HTTPRoute",
        "v1.7.1",
    );
    running
        .until("upgraded", |running| bundles(running) == ["v1.7.1"])
        .await;
}

#[tokio::test]
async fn a_better_version_replaces_the_one_before_without_deleting() {
    let server = server().await;
    let grant = json!({"metadata": {"name": "g", "namespace": "n"}, "spec": {
        "from": [{"group": "", "kind": "Service", "namespace": "n"}], "to": [{"group": "", "kind": "Secret"}]}});
    server.define(
        "gateway.networking.k8s.io/v1beta1",
        "referencegrants",
        "ReferenceGrant",
        "v1.4.0",
    );
    server.put(GRANTS, grant.clone());
    let mut running = Running::start(&server);
    running.next().await;
    assert_eq!(version(&running, Kind::ReferenceGrant).unwrap(), "v1beta1");
    server.put(&GRANTS.replace("v1beta1", "v1"), grant);
    server.define(
        "gateway.networking.k8s.io/v1",
        "referencegrants",
        "ReferenceGrant",
        "v1.5.0",
    );
    running
        .until("upgraded", |running| {
            version(running, Kind::ReferenceGrant).unwrap() == "v1"
        })
        .await;
    assert!(running.has("ReferenceGrant/n/g"));
    assert!(
        !running.history.iter().any(|change| change.starts_with('-')),
        "{:?}",
        running.history
    );
}

#[tokio::test]
async fn a_kind_goes_with_its_definition_and_not_before() {
    let server = server().await;
    server.put(ROUTES, route("a", &json!("a.example")));
    let mut running = Running::start(&server);
    running.next().await;
    // An API server that has just started does not serve everything yet.
    server.withdraw("gateway.networking.k8s.io/v1", "httproutes");
    running.is_quiet().await;
    running
        .health
        .wait_for(|health| health.failing.contains_key("HTTPRoute"))
        .await
        .unwrap();
    assert!(running.has("HTTPRoute/n/a"));
    server.delete(DEFINITIONS, "/httproutes.gateway.networking.k8s.io");
    running
        .until("gone", |running| !running.has("HTTPRoute/n/a"))
        .await;
    assert_eq!(version(&running, Kind::HttpRoute), None);
    running
        .health
        .wait_for(|health| health.failing.is_empty())
        .await
        .unwrap();
}
