//! Replicas that tell each other of their agents.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use novaedge_proto::v1::{self, agent_message::Message, resource::Body};
use novaedge_publish::{FleetAcks, PeerTransport, Peers, PeersConfig, Publisher, ServerConfig};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::harness::{Running, start};

struct Merged {
    fleet: watch::Receiver<FleetAcks>,
    addresses: watch::Sender<BTreeSet<SocketAddr>>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Merged {
    fn start(publisher: &Publisher, addresses: &[SocketAddr]) -> Self {
        let mut config = PeersConfig::new(PeerTransport::Plaintext);
        config.backoff = (Duration::from_millis(10), Duration::from_millis(50));
        config.grace = Duration::from_millis(500);
        let peers = Peers::new(publisher.clone(), config);
        let (addresses, watched) = watch::channel(addresses.iter().copied().collect());
        let shutdown = CancellationToken::new();
        let fleet = peers.fleet_acks();
        let task = tokio::spawn(peers.run(watched, shutdown.clone().cancelled_owned()));
        Self {
            fleet,
            addresses,
            shutdown,
            task,
        }
    }

    async fn until(&mut self, what: &str, holds: impl FnMut(&FleetAcks) -> bool) -> FleetAcks {
        let wait = self.fleet.wait_for(holds);
        let fleet = tokio::time::timeout(Duration::from_secs(10), wait).await;
        fleet.expect(what).unwrap().clone()
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

fn gateway(running: &Running, generation: i64, port: u32) {
    let resource = |body| v1::Resource {
        body: Some(body),
        ..v1::Resource::default()
    };
    let gateway = Body::Gateway(v1::Gateway {
        generation,
        ..v1::Gateway::default()
    });
    let listener = Body::Listener(v1::Listener {
        gateway: "gateway/a/g".into(),
        bind_port: port,
        protocol: v1::Protocol::Http.into(),
        ..v1::Listener::default()
    });
    let upserts = vec![
        ("gateway/a/g".into(), resource(gateway)),
        ("listener/a/g/http".into(), resource(listener)),
    ];
    running.publisher.update(upserts, Vec::new());
}

fn generation(fleet: &FleetAcks, node: &str) -> Option<i64> {
    let agent = fleet.agents.get(node)?;
    Some(agent.serves.gateways.get("gateway/a/g")?.generation)
}

#[tokio::test]
async fn every_replica_knows_what_the_agents_of_all_serve() {
    let (here, there) = (
        start(ServerConfig::default()).await,
        start(ServerConfig::default()).await,
    );
    gateway(&here, 1, 10_080);
    gateway(&there, 1, 10_080);
    let mut merged = Merged::start(&here.publisher, &[there.address]);
    merged.until("heard", |fleet| fleet.silent_peers == 0).await;
    let mut near = here.agent("near").await;
    let mut far = there.agent("far").await;
    for agent in [&mut near, &mut far] {
        let step = agent.step().await;
        agent.ack(&step[0], &[]).await;
    }
    let both = |fleet: &FleetAcks| ["near", "far"].map(|node| generation(fleet, node));
    let fleet = merged
        .until("both", |f| both(f) == [Some(1), Some(1)])
        .await;
    let served = &fleet.agents["far"].serves.gateways["gateway/a/g"];
    assert_eq!(served.tcp_bind_ports, [10_080].into());
    // A change, which one of them refuses.
    gateway(&there, 2, 10_081);
    let step = far.step().await;
    far.ack(&step[0], &["listener/a/g/http"]).await;
    let fleet = merged.until("changed", |f| both(f)[1] == Some(2)).await;
    let agent = &fleet.agents["far"];
    let served = &agent.serves.gateways["gateway/a/g"];
    assert_eq!(
        served.tcp_bind_ports,
        [10_080].into(),
        "the last good one stays"
    );
    assert_eq!(agent.rejected[0].name, "listener/a/g/http");
    // It is about to end.
    far.send(Message::Drain(v1::Drain {})).await;
    merged.until("drains", |f| f.agents["far"].draining).await;
    merged.stop().await;
    drop((near, far));
    here.stop().await;
    there.stop().await;
}

#[tokio::test]
async fn an_agent_moves_between_replicas_without_a_gap() {
    let (here, there) = (
        start(ServerConfig::default()).await,
        start(ServerConfig::default()).await,
    );
    gateway(&here, 1, 10_080);
    gateway(&there, 1, 10_080);
    let mut merged = Merged::start(&here.publisher, &[there.address]);
    let mut agent = there.agent("a").await;
    let step = agent.step().await;
    agent.ack(&step[0], &[]).await;
    merged.until("far", |f| generation(f, "a") == Some(1)).await;
    there.shutdown.cancel();
    assert!(agent.message().await.is_err());
    let fleet = merged.until("gone", |f| !f.agents["a"].connected).await;
    assert_eq!(generation(&fleet, "a"), Some(1), "it serves on");
    let mut agent = here.agent("a").await;
    let step = agent.step().await;
    agent.ack(&step[0], &[]).await;
    let back = |f: &FleetAcks| f.agents["a"].connected && generation(f, "a") == Some(1);
    merged.until("back", back).await;
    merged.addresses.send_replace(BTreeSet::new());
    drop(agent);
    merged.until("forgotten", |f| f.agents.is_empty()).await;
    merged.stop().await;
    here.stop().await;
    there.stop().await;
}
