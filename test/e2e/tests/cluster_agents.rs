//! Agents restart, come, go and die under load: on a real cluster.

use std::time::Duration;

use novaedge_e2e::{
    clients::Http1,
    cluster::{
        FixedScale, Load, SYSTEM, agents, bed, grpc, kill, kubectl, rolled_out, route, serves,
        serves_grpc, within,
    },
};

const HOST: &str = "hello.example.com";
const GRPC: &str = "grpc.example.com";
const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn agents_restart_and_scale_under_load_without_an_error() {
    let (namespace, address) = bed("agents", HOST, 2).await;
    namespace.apply(&grpc(GRPC));
    serves_grpc(address, GRPC).await;
    let scale = FixedScale::take();
    let mut load = Load::start(address, HOST, 6);
    load.add_grpc(address, GRPC, 6);
    for replicas in [1, 5, 3] {
        scale.set(replicas);
        drained().await;
        eprintln!("{replicas} agents: {} answers", load.answers());
    }
    kubectl(&[
        "--namespace",
        SYSTEM,
        "rollout",
        "restart",
        "deployment/novaedge-agent",
    ]);
    rolled_out("novaedge-agent");
    drained().await;
    load.finish_without_failure().await;
}

/// Waits for the end of the agents that leave.
async fn drained() {
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
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn others_do_not_notice_a_killed_agent() {
    let (namespace, address) = bed("killed", HOST, 2).await;
    let mut others = agents(&namespace);
    let killed = others.pop().expect("an agent");
    let mut load = Load::start(others[0].address, HOST, 2);
    for other in &others[1..] {
        load.add(other.address, HOST, 2);
    }
    kill(&killed.pod);
    // New connections go to those that live as soon as the slices and the rules of the node have changed.
    tokio::time::sleep(Duration::from_secs(5)).await;
    for _ in 0..100 {
        let client =
            tokio::time::timeout(Duration::from_secs(2), Http1::try_connect(address)).await;
        let mut client = client
            .expect("no connection to the dead")
            .expect("a connection");
        let answer = client.get(HOST, "/").await.expect("an answer");
        assert_eq!(answer.status, 200);
    }
    rolled_out("novaedge-agent");
    namespace.apply(&route("after", "after.example.com"));
    serves(address, "after.example.com").await;
    for agent in within(MINUTE, "all agents", async || {
        let agents = agents(&namespace);
        (agents.len() > others.len()).then_some(agents)
    })
    .await
    {
        serves(agent.address, "after.example.com").await;
    }
    load.finish_without_failure().await;
}
