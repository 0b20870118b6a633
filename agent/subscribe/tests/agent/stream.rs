use std::time::Duration;

use novaedge_proto::v1::{self, snapshot_discovery_client::SnapshotDiscoveryClient};
use novaedge_publish::Publisher;
use novaedge_subscribe::{Origin, Phase, SubscribeError, Subscriber};

use crate::harness::{Agent, ControlPlane, certificate, config, names, publish, route};

#[tokio::test]
async fn twenty_thousand_routes_are_one_step() {
    let control_plane = ControlPlane::start().await;
    let routes = (0..20_000).map(|n| (format!("route/{n:05}"), route(n + 100)));
    control_plane.publisher.update(routes.collect(), Vec::new());
    let mut agent = Agent::start(config(control_plane.address), None);
    agent.until("synced", |s| s.phase == Phase::Synced).await;
    control_plane.publisher.wait_acknowledged(1).await;
    let metrics = control_plane.publisher.metrics();
    assert!(metrics.messages_sent() > 5);
    assert_eq!(metrics.bytes_sent(), agent.metrics.bytes());
    let steps = agent.steps();
    assert_eq!(steps.len(), 1);
    assert_eq!(steps[0].upserts.len(), 20_000);
    assert!(steps[0].full);
    assert_eq!(steps[0].origin, Origin::Stream);
    let sequence = control_plane.publish(&[("route/00005", 1)]);
    control_plane.publisher.wait_acknowledged(sequence).await;
    let steps = agent.steps();
    assert_eq!(names(&steps[0]), ["route/00005"]);
    assert!(!steps[0].full);
    agent.stop().await;
    control_plane.stop().await;
}

#[tokio::test]
async fn a_restarted_control_plane_sends_the_difference_alone() {
    let control_plane = ControlPlane::start().await;
    let address = control_plane.address;
    control_plane.publish(&[("a", 1), ("b", 1), ("c", 1)]);
    let mut agent = Agent::start(config(address), None);
    agent.until("synced", |s| s.phase == Phase::Synced).await;
    control_plane.stop().await;
    let status = agent
        .until("cut off", |s| s.phase == Phase::Connecting)
        .await;
    assert!(status.last_error.unwrap().contains("shuts down"));
    assert_eq!(agent.steps().len(), 1);
    // It has not loaded its source yet: the agent keeps what it has.
    let control_plane = ControlPlane::start_at(address, Publisher::default()).await;
    agent.until("back", |s| s.phase == Phase::Subscribed).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(agent.steps(), []);
    control_plane.publish(&[("a", 1), ("c", 2), ("d", 1)]);
    control_plane.publisher.wait_acknowledged(1).await;
    let steps = agent.steps();
    assert_eq!(names(&steps[0]), ["c", "d"]);
    assert_eq!(steps[0].removed, ["b"]);
    assert!(!steps[0].full);
    agent.stop().await;
    control_plane.stop().await;
}

#[tokio::test]
async fn the_same_snapshot_on_another_replica_sends_no_resource() {
    let first = ControlPlane::start().await;
    let address = first.address;
    first.publish(&[("a", 0)]);
    first.publish(&[("a", 1)]);
    let mut agent = Agent::start(config(address), None);
    agent.until("synced", |s| s.phase == Phase::Synced).await;
    agent.steps();
    first.stop().await;
    let publisher = Publisher::default();
    publish(&publisher, &[("a", 1)]);
    let second = ControlPlane::start_at(address, publisher).await;
    second.publisher.wait_acknowledged(1).await;
    let steps = agent.steps();
    assert_eq!((steps.len(), names(&steps[0]).len()), (1, 0));
    assert_eq!(steps[0].version.sequence, 1, "of the other replica");
    agent.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn a_refused_resource_is_seen_everywhere_and_heals() {
    let control_plane = ControlPlane::start().await;
    control_plane.publish(&[("a", 1), ("b", 13)]);
    let mut agent = Agent::start(config(control_plane.address), None);
    control_plane.publisher.wait_acknowledged(1).await;
    let status = agent.until("refused", |s| !s.rejected.is_empty()).await;
    assert_eq!(status.rejected[0].name, "b");
    let acks = control_plane.publisher.acks().borrow().clone();
    assert_eq!(acks.agents["agent-0"].rejected, status.rejected);
    let endpoint = format!("http://{}", control_plane.address);
    let mut client = SnapshotDiscoveryClient::connect(endpoint).await.unwrap();
    let listed = client.list_agents(v1::ListAgentsRequest {}).await.unwrap();
    let listed = &listed.get_ref().agents[0];
    assert_eq!(listed.rejected, status.rejected);
    assert!(listed.rejected[0].error.contains("take another number"));
    let sequence = control_plane.publish(&[("b", 14)]);
    control_plane.publisher.wait_acknowledged(sequence).await;
    agent.until("healed", |s| s.rejected.is_empty()).await;
    let acks = control_plane.publisher.acks().borrow().clone();
    assert_eq!(acks.agents["agent-0"].rejected, []);
    agent.stop().await;
    control_plane.stop().await;
}

#[tokio::test]
async fn a_refused_resource_comes_again_after_a_reconnection() {
    let control_plane = ControlPlane::start().await;
    let address = control_plane.address;
    control_plane.publish(&[("a", 1), ("b", 13)]);
    let mut agent = Agent::start(config(address), None);
    control_plane.publisher.wait_acknowledged(1).await;
    let publisher = control_plane.publisher.clone();
    control_plane.stop().await;
    agent
        .until("cut off", |s| s.phase == Phase::Connecting)
        .await;
    agent.steps();
    let control_plane = ControlPlane::start_at(address, publisher).await;
    control_plane.publisher.wait_acknowledged(1).await;
    assert_eq!(names(&agent.steps()[0]), ["b"]);
    let acks = control_plane.publisher.acks().borrow().clone();
    assert_eq!(acks.agents["agent-0"].rejected.len(), 1);
    agent.stop().await;
    control_plane.stop().await;
}

#[tokio::test]
async fn a_step_larger_than_the_room_is_not_taken() {
    let control_plane = ControlPlane::start().await;
    let routes = (0..1_000).map(|n| (format!("route/{n:05}"), route(n + 100)));
    control_plane.publisher.update(routes.collect(), Vec::new());
    let mut config = config(control_plane.address);
    config.max_staged_bytes = 100_000;
    let mut agent = Agent::start(config, None);
    let status = agent.until("refused", |s| s.last_error.is_some()).await;
    let error = status.last_error.unwrap();
    assert!(
        error.contains("limit of 100000 bytes (max_staged_bytes)"),
        "{error}"
    );
    assert_eq!(agent.steps(), []);
    assert!(agent.metrics.protocol_errors() > 0);
    agent.stop().await;
    control_plane.stop().await;
}

#[tokio::test]
async fn no_key_is_shown() {
    let control_plane = ControlPlane::start().await;
    let upserts = vec![("certificate/a/b".into(), certificate())];
    control_plane.publisher.update(upserts, Vec::new());
    let agent = Agent::start(config(control_plane.address), None);
    control_plane.publisher.wait_acknowledged(1).await;
    let steps = agent.steps();
    assert_eq!(steps[0].upserts[0].resource().body, certificate().body);
    assert!(!format!("{steps:?}").contains("VERY-PRIVATE"));
    agent.stop().await;
    control_plane.stop().await;
}

#[tokio::test]
async fn an_agent_without_a_control_plane_tries_on_and_ends_when_told() {
    let control_plane = ControlPlane::start().await;
    let address = control_plane.address;
    control_plane.stop().await;
    let mut agent = Agent::start(config(address), None);
    agent.until("failed", |s| s.last_error.is_some()).await;
    let control_plane = ControlPlane::start_at(address, Publisher::default()).await;
    control_plane.publish(&[("a", 1)]);
    let status = agent.until("synced", |s| s.phase == Phase::Synced).await;
    assert_eq!(status.last_error, None);
    control_plane.stop().await;
    agent.stop().await;
}

#[test]
fn wrong_settings_are_named() {
    let subscriber = |mut config: novaedge_subscribe::SubscriberConfig, endpoint: &str| {
        config.endpoint = endpoint.into();
        Subscriber::new(config, None, Box::new(|| 0.5)).err()
    };
    let good = config(([127, 0, 0, 1], 1).into());
    let error = subscriber(good.clone(), "not a url").unwrap();
    assert!(matches!(error, SubscribeError::Endpoint { .. }), "{error}");
    let nameless = novaedge_subscribe::SubscriberConfig {
        node: v1::Node::default(),
        ..good
    };
    let error = subscriber(nameless, "http://localhost:1").unwrap();
    assert!(error.to_string().contains("node id is empty"));
}
