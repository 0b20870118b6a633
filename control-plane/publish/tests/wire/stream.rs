use novaedge_proto::v1;
use novaedge_publish::ServerConfig;
use prost::Message as _;

use crate::harness::{route, start};

#[tokio::test]
async fn an_agent_gets_a_step_and_its_ack_is_seen() {
    let running = start(ServerConfig::default()).await;
    let sequence = running.publish(&[("route/a", 1), ("route/b", 1)]);
    let mut agent = running.agent("agent-0").await;
    let step = agent.step().await;
    let names: Vec<_> = step[0].upserts.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["route/a", "route/b"]);
    assert_eq!(step[0].upserts[0].body, route(1).body);
    agent.ack(&step[0], &["route/b"]).await;
    running.publisher.wait_acknowledged(sequence).await;
    let acks = running.publisher.acks().borrow().clone();
    assert_eq!(acks.agents["agent-0"].rejected[0].name, "route/b");
    let metrics = running.publisher.metrics();
    assert_eq!((metrics.steps_sent(), metrics.acks()), (1, 1));
    assert_eq!((metrics.rejections(), metrics.sessions()), (1, 1));
    assert_eq!(metrics.bytes_sent(), step[0].encoded_len() as u64);
    running.stop().await;
}

#[tokio::test]
async fn twenty_thousand_routes_come_in_messages_of_bounded_size() {
    let running = start(ServerConfig::default()).await;
    let routes = (0..20_000).map(|n| {
        let mut resource = route(n);
        if let Some(v1::resource::Body::Route(route)) = &mut resource.body {
            route.rule_name = "x".repeat(300);
        }
        (format!("route/HTTPRoute/default/r{n:05}/0"), resource)
    });
    let updated = running.publisher.update(routes.collect(), Vec::new());
    assert_eq!(updated.refused, []);
    let mut agent = running.agent("agent-0").await;
    let step = agent.step().await;
    assert!(step.len() > 4, "{} messages", step.len());
    assert!(
        step.iter()
            .all(|message| message.encoded_len() <= novaedge_proto::MAX_MESSAGE_BYTES)
    );
    assert!(step.iter().all(|message| message.nonce == step[0].nonce));
    assert_eq!(step.iter().map(|m| m.upserts.len()).sum::<usize>(), 20_000);
    agent.ack(&step[0], &[]).await;
    let sequence = running.publish(&[("route/HTTPRoute/default/r00007/0", 8)]);
    let step = agent.step().await;
    assert_eq!((step.len(), step[0].upserts.len()), (1, 1));
    agent.ack(&step[0], &[]).await;
    running.publisher.wait_acknowledged(sequence).await;
    running.stop().await;
}

#[tokio::test]
async fn a_resource_of_the_largest_size_arrives() {
    let running = start(ServerConfig::default()).await;
    let bundle = v1::TrustBundle {
        ca_pem: vec![b'x'; (3 << 20) - 100].into(),
    };
    let large = v1::Resource {
        body: Some(v1::resource::Body::TrustBundle(bundle)),
        ..v1::Resource::default()
    };
    let upserts = vec![("trust/a".into(), large), ("trust/b".into(), route(1))];
    let updated = running.publisher.update(upserts, Vec::new());
    assert_eq!(updated.refused, []);
    let mut agent = running.agent("agent-0").await;
    let step = agent.step().await;
    assert_eq!(step.len(), 2);
    running.stop().await;
}

#[tokio::test]
async fn changes_meet_all_agents_and_a_drain_tells_them_why() {
    let running = start(ServerConfig::default()).await;
    running.publish(&[("a", 1)]);
    let mut agents = Vec::new();
    for n in 0..10 {
        agents.push(running.agent(&format!("agent-{n}")).await);
    }
    for content in 2..5 {
        for agent in &mut agents {
            let step = agent.step().await;
            assert_eq!(step[0].upserts.len(), 1);
            agent.ack(&step[0], &[]).await;
        }
        let published = running.publisher.current().sequence;
        running.publisher.wait_acknowledged(published).await;
        running.publish(&[("a", content)]);
    }
    for agent in &mut agents {
        agent.step().await;
    }
    running.shutdown.cancel();
    for agent in &mut agents {
        let status = agent.message().await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::Unavailable);
    }
    drop(agents);
    running.stop().await;
}
