//! Ingresses in a real cluster. `make e2e` runs these; elsewhere they show as ignored, by name.

use std::{net::SocketAddr, time::Duration};

use novaedge_e2e::{
    clients::get,
    cluster::{GATEWAY, Namespace, SYSTEM, hello, kubectl, route, serves, within},
};

const HOST: &str = "ingress.example.com";
const MINUTE: Duration = Duration::from_mins(1);

/// An Ingress `name` of class `novaedge` for a host and a path, with annotations in YAML's short form.
fn ingress(name: &str, annotations: &str, host: &str, path: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: {name}\n  annotations: {{{annotations}}}\n\
         spec:\n  ingressClassName: novaedge\n  rules:\n  - host: {host}\n    http:\n      paths:\n      \
         - path: {path}\n        pathType: Prefix\n        \
         backend: {{service: {{name: hello, port: {{number: 80}}}}}}\n"
    )
}

/// A namespace with the backend `hello`.
fn bed(name: &str) -> Namespace {
    let namespace = Namespace::new(name);
    namespace.apply(&hello(1));
    namespace.kubectl(&["rollout", "status", "deployment/hello", "--timeout=120s"]);
    namespace
}

/// Where an Ingress can be reached, as its status tells.
async fn address(namespace: &Namespace, name: &str) -> SocketAddr {
    let ip = within(MINUTE, "an address in the status", async || {
        let path = "jsonpath={.status.loadBalancer.ingress[0].ip}";
        let ip = namespace.kubectl(&["get", "ingress", name, "-o", path]);
        ip.parse().ok()
    })
    .await;
    SocketAddr::new(ip, 80)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn an_ingress_is_served_beside_a_gateway_and_its_status_tells_where() {
    let namespace = bed("ingress");
    namespace.apply(&ingress("hello", "", HOST, "/"));
    let at = address(&namespace, "hello").await;
    serves(at, HOST).await;
    assert_eq!(get(at, "other.example.com", "/").await.status, 404);

    namespace.apply(GATEWAY);
    namespace.apply(&route("hello", "gateway.example.com"));
    let gateway = namespace.address("edge", 80);
    assert_ne!(gateway, at, "each has an address of its own");
    serves(gateway, "gateway.example.com").await;
    serves(at, HOST).await;
    let made = kubectl(&[
        "get",
        "proxygateway/novaedge-ingress",
        "--namespace",
        SYSTEM,
        "-o",
        "jsonpath={.metadata.ownerReferences[0].kind}",
    ]);
    assert_eq!(made, "IngressClass");

    // The entrance goes with the last Ingress.
    namespace.kubectl(&["delete", "ingress/hello"]);
    within(MINUTE, "the end of the entrance", async || {
        let kinds = "proxygateways,services";
        let left = kubectl(&["get", kinds, "--namespace", SYSTEM, "-o", "name"]);
        (!left.contains("novaedge-ingress")).then_some(())
    })
    .await;
    serves(gateway, "gateway.example.com").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn the_loser_of_a_conflict_is_told_by_an_event_and_takes_over() {
    let namespace = bed("ingress-conflict");
    namespace.apply(&ingress("first", "", HOST, "/"));
    let at = address(&namespace, "first").await;
    serves(at, HOST).await;
    // Times of creation have whole seconds.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let headers = "novaedge.io/response-headers: '{\"X-Served-By\": \"second\"}'";
    namespace.apply(&ingress("second", headers, HOST, "/"));
    within(MINUTE, "an event", async || {
        let about = "--field-selector=involvedObject.name=second";
        let events = namespace.kubectl(&["get", "events", about, "-o", "wide"]);
        events.contains("Conflicted").then_some(())
    })
    .await;
    let served_by_second = async || {
        let answer = get(at, HOST, "/").await;
        answer.headers.contains_key("x-served-by")
    };
    assert!(!served_by_second().await);
    namespace.kubectl(&["delete", "ingress/first"]);
    within(MINUTE, "the other Ingress", async || {
        served_by_second().await.then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn ingresses_of_other_controllers_are_left_alone() {
    let namespace = bed("ingress-foreign");
    namespace.apply(&ingress("ours", "", HOST, "/"));
    let foreign = ingress("theirs", "", "theirs.example.com", "/");
    namespace.apply(&foreign.replace("ingressClassName: novaedge", "ingressClassName: other"));
    let at = address(&namespace, "ours").await;
    serves(at, HOST).await;
    assert_eq!(get(at, "theirs.example.com", "/").await.status, 404);
    let status = namespace.kubectl(&[
        "get",
        "ingress",
        "theirs",
        "-o",
        "jsonpath={.status.loadBalancer}",
    ]);
    assert!(!status.contains("ingress"), "{status}");
}
