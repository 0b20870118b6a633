use std::time::{Duration, Instant};

use novaedge_proto::v1;
use novaedge_publish::{Exposure, Publisher, ServeError, Server, ServerConfig};
use tokio::{io::AsyncWriteExt as _, net::TcpListener, net::TcpStream};
use tonic::Code;

use crate::harness::{Running, eventually, start};

#[tokio::test]
async fn one_agent_too_many_is_refused_by_the_name_of_the_limit() {
    let running = start(ServerConfig {
        max_sessions: 1,
        ..ServerConfig::default()
    })
    .await;
    let first = running.agent("agent-0").await;
    let refused = running.silent_agent().await.err().unwrap();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().contains("max_sessions"), "{refused}");
    assert_eq!(running.publisher.metrics().sessions_refused(), 1);
    drop(first);
    eventually("the place is free again", async || {
        running.silent_agent().await.is_ok()
    })
    .await;
    running.stop().await;
}

#[tokio::test]
async fn an_agent_that_does_not_answer_is_let_go() {
    let running = start(ServerConfig {
        ack_deadline: Duration::from_millis(100),
        ..ServerConfig::default()
    })
    .await;
    running.publish(&[("a", 1)]);
    let mut agent = running.agent("agent-0").await;
    agent.step().await;
    let status = agent.message().await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(
        status.message().contains("acknowledged within 0.1 s"),
        "{status}"
    );
    let mut silent = running.silent_agent().await.unwrap();
    let status = silent.message().await.unwrap_err();
    assert!(status.message().contains("subscription"), "{status}");
    assert_eq!(running.publisher.metrics().sessions_failed(), 2);
    running.stop().await;
}

#[tokio::test]
async fn an_agent_that_is_up_to_date_may_be_silent() {
    let running = start(ServerConfig {
        ack_deadline: Duration::from_millis(100),
        ..ServerConfig::default()
    })
    .await;
    running.publish(&[("a", 1)]);
    let mut agent = running.agent("agent-0").await;
    let step = agent.step().await;
    agent.ack(&step[0], &[]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    running.publish(&[("a", 2)]);
    assert_eq!(agent.step().await[0].upserts.len(), 1);
    running.stop().await;
}

#[tokio::test]
async fn a_newer_stream_of_a_node_takes_over() {
    let running = start(ServerConfig::default()).await;
    running.publish(&[("a", 1)]);
    let mut old = running.agent("agent-0").await;
    old.step().await;
    let mut new = running.agent("agent-0").await;
    new.step().await;
    let status = old.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Aborted);
    assert!(status.message().contains("took over"), "{status}");
    running.stop().await;
}

#[tokio::test]
async fn junk_harms_its_own_connection_alone() {
    let running = start(ServerConfig::default()).await;
    running.publish(&[("a", 1)]);
    let mut agent = running.agent("agent-0").await;
    let step = agent.step().await;
    let mut junk = TcpStream::connect(running.address).await.unwrap();
    junk.write_all(&[0xff; 4_096]).await.unwrap();
    let mut breach = running.agent("agent-1").await;
    breach.step().await;
    breach.subscribe("agent-1").await;
    let status = breach.message().await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    agent.ack(&step[0], &[]).await;
    running.publish(&[("a", 2)]);
    assert_eq!(agent.step().await[0].upserts.len(), 1);
    running.stop().await;
}

#[tokio::test]
async fn a_message_too_large_is_a_breach() {
    let running = start(ServerConfig::default()).await;
    let mut agent = running.silent_agent().await.unwrap();
    agent.subscribe(&"n".repeat(5 << 20)).await;
    let status = agent.message().await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange);
    let metrics = running.publisher.metrics();
    eventually("counted", async || metrics.sessions_failed() == 1).await;
    running.stop().await;
}

#[tokio::test]
async fn plaintext_stays_on_loopback_unless_asked_for() {
    let serve = async |exposure, shutdown| {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let config = ServerConfig {
            exposure,
            ..ServerConfig::default()
        };
        let server = Server::new(Publisher::default(), config);
        server.serve(listener, tokio::time::sleep(shutdown)).await
    };
    let refused = serve(Exposure::LoopbackOnly, Duration::MAX).await;
    assert!(matches!(refused, Err(ServeError::NotLoopback(_))));
    serve(Exposure::AnyAddress, Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn a_peer_that_holds_on_is_cut_at_the_drain_deadline() {
    let running = start(ServerConfig {
        drain_deadline: Duration::from_millis(200),
        ..ServerConfig::default()
    })
    .await;
    let _idle = TcpStream::connect(running.address).await.unwrap();
    let _agent = running.silent_agent().await.unwrap();
    let begin = Instant::now();
    let publisher = running.publisher.clone();
    running.stop().await;
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert_eq!(publisher.metrics().drains_cut(), 1);
}

#[tokio::test]
async fn an_agent_that_does_not_read_is_let_go() {
    let running = start(ServerConfig {
        ack_deadline: Duration::from_millis(200),
        drain_deadline: Duration::from_millis(200),
        ..ServerConfig::default()
    })
    .await;
    publish_twenty_messages(&running);
    let _agent = running.agent("agent-0").await;
    let metrics = running.publisher.metrics();
    eventually("let go", async || metrics.sessions_failed() == 1).await;
    eventually("closed", async || metrics.sessions() == 0).await;
    assert_eq!(metrics.steps_sent(), 0, "it does not fit the windows");
    assert_eq!(running.publisher.acks().borrow().agents.len(), 0);
    running.stop().await;
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_step_is_a_breach() {
    let running = start(ServerConfig::default()).await;
    publish_twenty_messages(&running);
    let mut agent = running.agent("agent-0").await;
    let first = agent.message().await.unwrap();
    assert!(!first.last);
    agent.ack(&first, &[]).await;
    // The rest does not fit the windows, so the answer is there before its end.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let status = loop {
        match agent.message().await {
            Ok(message) => assert!(!message.last),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("before the end"), "{status}");
    running.stop().await;
}

#[tokio::test]
async fn a_message_larger_than_the_limit_ends_its_stream() {
    let running = start(ServerConfig::default()).await;
    running.publish(&[("a", 1)]);
    let mut agent = running.silent_agent().await.unwrap();
    agent.subscribe(&"n".repeat(5 << 20)).await;
    let status = agent.message().await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange);
    assert_eq!(running.agent("agent-1").await.step().await.len(), 1);
    running.stop().await;
}

/// More than the windows of a connection and the buffers around them hold.
fn publish_twenty_messages(running: &Running) {
    let bundle = v1::TrustBundle {
        ca_pem: vec![b'x'; 1 << 20].into(),
    };
    let resource = v1::Resource {
        body: Some(v1::resource::Body::TrustBundle(bundle)),
        ..v1::Resource::default()
    };
    let upserts = (0..20).map(|n| (format!("trust/{n}"), resource.clone()));
    running.publisher.update(upserts.collect(), Vec::new());
}
