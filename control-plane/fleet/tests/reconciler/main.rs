//! The reconciler against an API server in memory.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod server;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use novaedge_api::meta::ObjectKey;
use novaedge_api::native::Transport;
use novaedge_fleet::{
    AgentWord, Agents, FleetState, GatewayState, Gateways, Inputs, Reconciler, Served, Settings,
    WantedGateway,
};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::server::Server;

/// One replica.
struct Replica {
    gateways: watch::Sender<Gateways>,
    agents: watch::Sender<Agents>,
    leads: watch::Sender<bool>,
    state: watch::Receiver<FleetState>,
    drain: CancellationToken,
}

impl Replica {
    fn start(server: &Server) -> Self {
        let gateways = watch::Sender::new(Gateways::new());
        let agents = watch::Sender::new(Agents::new());
        let leads = watch::Sender::new(false);
        let inputs = Inputs {
            gateways: gateways.subscribe(),
            agents: agents.subscribe(),
            leads: leads.subscribe(),
        };
        let settings = Settings::new("system");
        let (reconciler, state) = Reconciler::new(server.client(), settings, inputs);
        let drain = CancellationToken::new();
        tokio::spawn(reconciler.run(drain.clone()));
        Self {
            gateways,
            agents,
            leads,
            state,
            drain,
        }
    }

    fn want(&self, name: &str) {
        let mut wanted = WantedGateway::resting(OwnerReference {
            uid: format!("uid-of-{name}"),
            name: name.to_owned(),
            ..OwnerReference::default()
        });
        let port = vec![(80, Transport::Tcp)];
        wanted.listeners.insert("http".to_owned(), port);
        self.gateways.send_modify(|gateways| {
            gateways.insert(key(name), wanted);
        });
    }

    /// The agent acknowledges what the Gateway has.
    async fn acknowledge(&mut self, name: &str) {
        let state = self.until(name, |state| !state.ports.is_empty()).await;
        let ports = state.ports.iter().map(|((_, t), local)| (*local, *t));
        let served = Served {
            generation: 1,
            ports: ports.collect(),
            ..Served::default()
        };
        let word = AgentWord {
            draining: false,
            gateways: Arc::new([(key(name), served)].into()),
            refuses: BTreeSet::new(),
        };
        self.agents.send_modify(|agents| {
            agents.insert("agent".to_owned(), word);
        });
    }

    async fn until(&mut self, name: &str, is: impl Fn(&GatewayState) -> bool) -> GatewayState {
        let key = key(name);
        let wait = self
            .state
            .wait_for(|state| state.gateways.get(&key).is_some_and(&is));
        let state = tokio::time::timeout(Duration::from_secs(20), wait).await;
        state.unwrap().unwrap().gateways[&key].clone()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.drain.cancel();
    }
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("infra", name)
}

fn with_agent() -> Server {
    let server = Server::new();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": "system", "name": "agent"},
        "status": {"podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]},
    });
    server.change(|data| data.put("pods", "system/agent", pod));
    server
}

async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(300)).await;
}

#[tokio::test]
async fn a_gateway_is_reached_once_its_agent_has_acknowledged_it() {
    let server = with_agent();
    let mut leader = Replica::start(&server);
    leader.leads.send_replace(true);
    leader.want("gw");
    leader.acknowledge("gw").await;
    let state = leader
        .until("gw", |state| state.acknowledged_generation == Some(1))
        .await;
    assert_eq!(state.addresses[0].value, "192.0.2.1");
    assert!(state.agents.contains("agent"));
    a_moment().await;
    let writes = server.change(|data| std::mem::take(&mut data.writes));
    let slice = "PATCH endpointslices infra/gw-ipv4-0";
    assert_eq!(writes, ["PATCH services infra/gw", slice], "each once");

    // A second replica reads the same, and writes nothing when it takes over.
    let mut other = Replica::start(&server);
    other.want("gw");
    let read = other.until("gw", |state| !state.ports.is_empty()).await;
    assert_eq!(read.ports, state.ports);
    leader.leads.send_replace(false);
    other.leads.send_replace(true);
    a_moment().await;
    assert_eq!(server.change(|data| data.writes.clone()), [""; 0]);

    other.gateways.send_replace(Gateways::new());
    a_moment().await;
    server.change(|data| {
        assert!(data.objects["services"].is_empty());
        assert!(data.objects["endpointslices"].is_empty());
        assert_eq!(data.writes.len(), 2, "{:?}", data.writes);
    });
}

#[tokio::test]
async fn who_does_not_lead_or_knows_no_gateways_yet_writes_nothing() {
    let server = with_agent();
    let left = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "namespace": "infra", "name": "gw",
            "labels": {"app.kubernetes.io/managed-by": "novaedge"},
            "annotations": {"novaedge.io/gateway": "gw"},
        },
        "spec": {},
    });
    server.change(|data| data.put("services", "infra/gw", left));
    let leader = Replica::start(&server);
    leader.leads.send_replace(true);
    a_moment().await;
    let follower = Replica::start(&server);
    follower.want("other");
    a_moment().await;
    assert_eq!(server.change(|data| data.writes.clone()), [""; 0]);
}

#[tokio::test]
async fn a_write_that_fails_is_told_and_tried_again() {
    let server = with_agent();
    server.change(|data| data.failing = 2);
    let mut leader = Replica::start(&server);
    leader.leads.send_replace(true);
    leader.want("gw");
    let told = leader.until("gw", |state| !state.problems.is_empty()).await;
    assert_eq!(told.problems[0].reason, "NotWritten");
    let state = leader.until("gw", |state| !state.ports.is_empty()).await;
    assert_eq!(state.problems, []);
}

#[tokio::test]
async fn a_namespace_that_ends_is_asked_once_in_five_seconds() {
    let server = with_agent();
    server.change(|data| data.ending = true);
    let mut leader = Replica::start(&server);
    for n in 0..40 {
        leader.want(&format!("gw-{n}"));
    }
    leader.leads.send_replace(true);
    let told = leader.until("gw-0", |state| !state.problems.is_empty());
    assert_eq!(told.await.problems[0].reason, "NotWritten");
    a_moment().await;
    // Those that were under way when the first answer came.
    let first = server.change(|data| data.writes.len());
    assert!(first <= 16, "{first} writes");
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(server.change(|data| data.writes.len()), first + 1);
    // A new namespace of that name.
    server.change(|data| data.ending = false);
    for n in 0..40 {
        let name = format!("gw-{n}");
        leader.until(&name, |state| !state.ports.is_empty()).await;
    }
}

#[tokio::test]
async fn a_service_of_somebody_else_stays_as_it_is() {
    let server = with_agent();
    let theirs = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": "infra", "name": "gw"}, "spec": {},
    });
    server.change(|data| data.put("services", "infra/gw", theirs));
    let mut leader = Replica::start(&server);
    leader.leads.send_replace(true);
    leader.want("gw");
    leader.until("gw", |state| !state.ports.is_empty()).await;
    server.change(|data| {
        assert_eq!(data.objects["services"].len(), 2);
        assert!(data.writes.iter().all(|write| !write.ends_with("infra/gw")));
    });
}
