//! The API server, its history and the network go away and come back: on a real cluster.

// The numbers that were seen.
#![allow(clippy::print_stderr)]

use std::{
    net::IpAddr,
    process::Command,
    time::{Duration, Instant},
};

use novaedge_e2e::cluster::{
    CutOff, Load, Namespace, agents, alone, answers, bed, component, holder, is_own, kill, kubectl,
    ready_pods, restarts, rolled_out, route, run_as_host, serves, size, try_kubectl, within,
};

const HOST: &str = "hello.example.com";
const AFTER: &str = "after.example.com";
const CONTROL_PLANE: &str = "novaedge-control-plane";
const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn nobody_notices_a_killed_replica() {
    let (namespace, address) = bed("replica", HOST, 2).await;
    let leader = holder();
    let pods = ready_pods(CONTROL_PLANE);
    let other = pods.iter().find(|(name, _)| *name != leader);
    let (other, _) = other.expect("a replica that does not lead");
    let load = Load::start(address, HOST, 4);
    kill(other);
    everywhere(&namespace).await;
    assert_eq!(holder(), leader);
    load.finish_without_failure().await;
    rolled_out(CONTROL_PLANE);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn traffic_goes_on_while_the_api_server_is_away() {
    if !is_own() {
        return;
    }
    let away = Duration::from_secs(size("NOVAEDGE_E2E_AWAY_SECONDS", 15) as u64);
    let (namespace, address) = bed("apiserver", HOST, 2).await;
    alone().await;
    let before = restarts();
    let load = Load::start(address, HOST, 4);
    component("apiserver", "stop");
    tokio::time::sleep(away).await;
    component("apiserver", "start");
    api_server_answers().await;
    everywhere(&namespace).await;
    assert_eq!(restarts(), before);
    load.finish_without_failure().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn agents_that_were_cut_off_catch_up() {
    if !is_own() {
        return;
    }
    let cut_off = Duration::from_secs(size("NOVAEDGE_E2E_AWAY_SECONDS", 15) as u64);
    let (namespace, address) = bed("cut", HOST, 2).await;
    let before = restarts();
    let load = Load::start(address, HOST, 4);
    let pods: Vec<IpAddr> = agents(&namespace)
        .iter()
        .map(|agent| agent.address.ip())
        .collect();
    let cut = CutOff::from_control_plane(&pods);
    namespace.apply(&route("missed", "missed.example.com"));
    tokio::time::sleep(cut_off).await;
    for agent in agents(&namespace) {
        // What they last heard is what they serve.
        assert_eq!(
            novaedge_e2e::clients::get(agent.address, HOST, "/")
                .await
                .status,
            200
        );
    }
    drop(cut);
    for agent in agents(&namespace) {
        serves(agent.address, "missed.example.com").await;
    }
    everywhere(&namespace).await;
    assert_eq!(restarts(), before);
    load.finish_without_failure().await;
}

/// The control plane misses an edit and a deletion, and when it asks again, their history is gone.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn what_a_compaction_hid_is_found_by_listing_again() {
    if !is_own() {
        return;
    }
    let (namespace, address) = bed("compaction", HOST, 2).await;
    alone().await;
    namespace.apply(&route("deleted", "deleted.example.com"));
    serves(address, "deleted.example.com").await;
    let before = restarts();
    let load = Load::start(address, HOST, 4);
    let pods: Vec<_> = ready_pods(CONTROL_PLANE)
        .into_iter()
        .map(|(_, ip)| ip)
        .collect();
    let cut = CutOff::from_api_server(&pods);
    namespace.apply(&route("missed", "missed.example.com"));
    namespace.kubectl(&["delete", "httproute/deleted"]);
    // An API server that starts knows only what is after its start, and etcd nothing before.
    component("apiserver", "stop");
    compact();
    component("apiserver", "start");
    api_server_answers().await;
    drop(cut);
    for agent in agents(&namespace) {
        serves(agent.address, "missed.example.com").await;
        answers(agent.address, "deleted.example.com", 404).await;
    }
    everywhere(&namespace).await;
    assert_eq!(restarts(), before);
    load.finish_without_failure().await;
}

/// Drops the history of etcd up to now, through its JSON gateway.
fn compact() {
    let post = |path: &str, body: &str| {
        let url = format!("http://127.0.0.1:12379/v3/kv/{path}");
        let arguments = [
            "-sS",
            "--fail",
            "--max-time",
            "10",
            "-d",
            body,
            url.as_str(),
        ];
        run_as_host(Command::new("curl").args(arguments), "")
    };
    let answer: serde_json::Value =
        serde_json::from_str(&post("range", "{\"key\":\"AA==\"}")).expect("JSON");
    let revision = answer["header"]["revision"].as_str().expect("a revision");
    post(
        "compaction",
        &format!("{{\"revision\":{revision},\"physical\":true}}"),
    );
    eprintln!("etcd knows nothing before {revision}");
}

/// Waits until pods reach the API server again: kube-proxy, as all of Kubernetes' own clients, asks an API server that was
/// away again up to 51 s later.
async fn api_server_answers() {
    let ready = async |server: &[&str]| {
        let command = [server, &["get", "--raw", "/readyz"]].concat();
        within(2 * MINUTE, "the API server", async || {
            try_kubectl(&command, "").ok()
        })
        .await
    };
    ready(&[]).await;
    let service = ["-n", "default", "get", "service/kubernetes"];
    let address = "-o=jsonpath=https://{.spec.clusterIP}";
    let address = kubectl(&[&service[..], &[address]].concat());
    ready(&["--server", address.trim()]).await;
}

/// A route that is written now is served by each agent, and its status comes.
async fn everywhere(namespace: &Namespace) {
    let begin = Instant::now();
    namespace.apply(&route("after", AFTER));
    for agent in agents(namespace) {
        serves(agent.address, AFTER).await;
    }
    eprintln!("a new route is served by all after {:?}", begin.elapsed());
    namespace.kubectl(&[
        "wait",
        "httproute/after",
        "--timeout=60s",
        "--for=jsonpath={.status.parents[0].conditions[?(@.type==\"Accepted\")].status}=True",
    ]);
}
