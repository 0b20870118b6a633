//! Nothing is sent before everything is known; then changes as they come.

use serde_json::json;

use crate::harness::{
    CLASSES, ROUTES, Running, SERVICES, SLICES, class, route, server, service, slice,
};

#[tokio::test]
async fn the_first_batch_has_everything_and_waits_for_every_cache() {
    let server = server().await;
    server.put(CLASSES, class("c"));
    for index in 0..600 {
        server.put(ROUTES, route(&format!("r{index:03}"), &json!("a.example")));
    }
    server.put(SERVICES, service("s"));
    server.change(|data| data.stuck.insert(SERVICES.to_owned()));
    let mut running = Running::start(&server);
    running.is_quiet().await;
    let health = running.health.borrow().clone();
    assert!(!health.in_sync);
    assert_eq!(health.waiting.into_iter().collect::<Vec<_>>(), ["Service"]);

    server.change(|data| data.stuck.clear());
    running.next().await;
    assert_eq!(running.objects.len(), 602);
    assert!(
        running.has("Service/n/s")
            && running.has("GatewayClass/c")
            && running.has("HTTPRoute/n/r599")
    );
    let discovered = running.discovered.clone().unwrap();
    let versions: Vec<_> = discovered
        .versions
        .iter()
        .map(|(kind, version)| format!("{kind} {version}"))
        .collect();
    let expect = [
        "GatewayClass v1",
        "Gateway v1",
        "HTTPRoute v1",
        "Service v1",
        "EndpointSlice v1",
        "Namespace v1",
        "Ingress v1",
        "IngressClass v1",
    ];
    assert_eq!(versions, expect);
    assert_eq!(
        discovered.bundles.into_iter().collect::<Vec<_>>(),
        ["v1.6.3"]
    );
    assert!(running.problems.is_empty());
    let health = running.health.borrow().clone();
    assert!(health.waiting.is_empty() && health.failing.is_empty());
    running.is_quiet().await;
    running.stop().await;
}

#[tokio::test]
async fn nothing_at_all_is_a_first_batch_too() {
    let server = crate::server::Server::start().await;
    let mut running = Running::start(&server);
    running.next().await;
    assert!(running.objects.is_empty() && running.discovered.is_some());
    running
        .health
        .wait_for(|health| health.in_sync)
        .await
        .unwrap();
    running.stop().await;
}

#[tokio::test]
async fn changes_are_sent_as_they_come() {
    let server = server().await;
    server.put(ROUTES, route("a", &json!("a.example")));
    let mut running = Running::start(&server);
    running.next().await;
    server.put(ROUTES, route("a", &json!("b.example")));
    running.next().await;
    assert_eq!(
        running.objects["HTTPRoute/n/a"]["spec"]["hostnames"][0],
        "b.example"
    );
    server.delete(ROUTES, "n/a");
    running.next().await;
    assert_eq!(
        running.history,
        ["+HTTPRoute/n/a", "+HTTPRoute/n/a", "-HTTPRoute/n/a"]
    );
}

#[tokio::test]
async fn slices_of_our_own_and_slices_that_say_the_same_are_left_out() {
    let server = server().await;
    server.put(
        SLICES,
        slice(
            "theirs",
            Some("endpointslice-controller.k8s.io"),
            "10.0.0.1",
        ),
    );
    server.put(SLICES, slice("ours", Some("novaedge"), "10.0.0.1"));
    server.put(SLICES, slice("by-hand", None, "10.0.0.1"));
    let mut running = Running::start(&server);
    running.next().await;
    let expect = ["EndpointSlice/n/by-hand", "EndpointSlice/n/theirs"];
    assert_eq!(running.names().into_iter().collect::<Vec<_>>(), expect);
    server.put(SLICES, slice("ours", Some("novaedge"), "10.0.0.2"));
    server.put(SLICES, slice("by-hand", None, "10.0.0.1"));
    running.is_quiet().await;
    server.put(SLICES, slice("by-hand", None, "10.0.0.2"));
    running.next().await;
    assert_eq!(running.history.last().unwrap(), "+EndpointSlice/n/by-hand");
}
