//! What only a real cluster can show. `make e2e` runs these; elsewhere they show as ignored, by name.

use std::time::Duration;

use novaedge_e2e::{
    clients::get,
    cluster::{GATEWAY, Load, Namespace, SYSTEM, hello, kubectl, route, within},
};

const HOST: &str = "hello.example.com";
const MINUTE: Duration = Duration::from_mins(1);

/// A namespace with the Gateway, the route and the pods behind them, and where it is served.
async fn bed(name: &str, replicas: u32) -> (Namespace, std::net::SocketAddr) {
    let namespace = Namespace::new(name);
    namespace.apply(&hello(replicas));
    namespace.kubectl(&["rollout", "status", "deployment/hello", "--timeout=120s"]);
    namespace.apply(GATEWAY);
    namespace.apply(&route("hello", HOST));
    let address = namespace.address("edge", 80);
    serves(address, HOST).await;
    (namespace, address)
}

async fn serves(address: std::net::SocketAddr, host: &str) {
    within(MINUTE, "an answer of the backend", async || {
        (get(address, host, "/").await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn a_gateway_serves_at_an_address_of_its_own() {
    let (namespace, address) = bed("smoke", 1).await;
    let answer = get(address, HOST, "/").await;
    assert!(String::from_utf8_lossy(&answer.body).starts_with("hello-"));
    assert_eq!(get(address, "other.example.com", "/").await.status, 404);
    let service = namespace.kubectl(&[
        "get",
        "service",
        "-l",
        "gateway.networking.k8s.io/gateway-name=edge",
        "-o",
        "jsonpath={.items[*].metadata.name}",
    ]);
    assert_eq!(service, "edge");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn what_is_made_is_found_by_its_owner_and_goes_with_it() {
    const KINDS: &str = "proxygateways,proxyroutes,proxybackends,endpointslices,services";
    let (namespace, _) = bed("owners", 1).await;
    for kind in ["proxygateways", "proxyroutes", "proxybackends"] {
        within(MINUTE, kind, async || {
            let owned = namespace.objects(kind, &["-l", "novaedge.io/gateway-api-owner"]);
            (!owned.is_empty()).then_some(())
        })
        .await;
    }
    namespace.kubectl(&["delete", "httproute/hello", "gateway/edge"]);
    // The backend is the test's own.
    namespace.kubectl(&["delete", "deployment/hello", "service/hello"]);
    let mut left = Vec::new();
    within(MINUTE, "nothing left behind", async || {
        let now = namespace.objects(KINDS, &[]);
        if now != left {
            eprintln!("left: {now:?}");
            left = now;
        }
        left.is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn nobody_notices_a_killed_leader() {
    let (namespace, address) = bed("leader", 2).await;
    let holder = || {
        kubectl(&[
            "--namespace",
            SYSTEM,
            "get",
            "lease/novaedge-control-plane",
            "-o",
            "jsonpath={.spec.holderIdentity}",
        ])
    };
    let load = Load::start(address, HOST, 4);
    let first = holder();
    kubectl(&[
        "--namespace",
        SYSTEM,
        "delete",
        "pod",
        &first,
        "--grace-period=0",
        "--force",
    ]);
    let second = within(MINUTE, "another leader", async || {
        let now = holder();
        (now != first && !now.is_empty()).then_some(now)
    })
    .await;
    eprintln!("{second} leads after {first}");
    // The new leader translates, serves and writes.
    namespace.apply(&route("other", "other.example.com"));
    serves(address, "other.example.com").await;
    namespace.kubectl(&[
        "wait",
        "httproute/other",
        "--timeout=60s",
        "--for=jsonpath={.status.parents[0].conditions[?(@.type==\"Accepted\")].status}=True",
    ]);
    let (answers, failures) = load.finish().await;
    eprintln!("{answers} answers");
    assert_eq!(failures, Vec::<String>::new());
    rolled_out("novaedge-control-plane");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn agents_restart_under_load_without_an_error() {
    let (_namespace, address) = bed("restart", 2).await;
    let load = Load::start(address, HOST, 8);
    kubectl(&[
        "--namespace",
        SYSTEM,
        "rollout",
        "restart",
        "deployment/novaedge-agent",
    ]);
    rolled_out("novaedge-agent");
    // The last of the old ones leaves after the new ones are there.
    within(3 * MINUTE, "the end of the old agents", async || {
        let pods = kubectl(&[
            "--namespace",
            SYSTEM,
            "get",
            "pods",
            "-l",
            "app.kubernetes.io/name=novaedge-agent",
            "-o",
            "jsonpath={.items[?(@.metadata.deletionTimestamp)].metadata.name}",
        ]);
        pods.is_empty().then_some(())
    })
    .await;
    let (answers, failures) = load.finish().await;
    eprintln!("{answers} answers");
    assert_eq!(failures, Vec::<String>::new());
}

/// Waits for all pods of a Deployment of ours. It asks in the test's own thread: load goes on in the others.
fn rolled_out(name: &str) {
    let deployment = format!("deployment/{name}");
    kubectl(&[
        "--namespace",
        SYSTEM,
        "rollout",
        "status",
        &deployment,
        "--timeout=300s",
    ]);
}
