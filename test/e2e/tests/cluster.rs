//! What only a real cluster can show. `make e2e` runs these; elsewhere they show as ignored, by name.

use std::time::Duration;

use novaedge_e2e::{
    clients::get,
    cluster::{Load, bed, holder, kill, rolled_out, route, serves, within},
};

const HOST: &str = "hello.example.com";
const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn a_gateway_serves_at_an_address_of_its_own() {
    let (namespace, address) = bed("smoke", HOST, 1).await;
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
    let (namespace, _) = bed("owners", HOST, 1).await;
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
    let (namespace, address) = bed("leader", HOST, 2).await;
    let load = Load::start(address, HOST, 4);
    let first = holder();
    kill(&first);
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
