use novaedge_proto::v1;
use novaedge_publish::ServerConfig;
use prost::Message as _;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::harness::{Running, certificate, start};

#[tokio::test]
async fn people_see_agents_with_their_rejections() {
    let running = start(ServerConfig::default()).await;
    let sequence = running.publish(&[("a", 1), ("b", 1)]);
    let mut agent = running.agent("agent-0").await;
    let step = agent.step().await;
    agent.ack(&step[0], &["b"]).await;
    running.publisher.wait_acknowledged(sequence).await;
    let mut client = running.client().await;
    let listed = client.list_agents(v1::ListAgentsRequest {}).await.unwrap();
    let status = &listed.get_ref().agents[0];
    assert_eq!(status.node.as_ref().unwrap().id, "agent-0");
    assert_eq!(status.node.as_ref().unwrap().agent_version, "test");
    assert!(status.peer_address.starts_with("127.0.0.1:"));
    assert_eq!(status.acknowledged, Some(running.publisher.current()));
    assert_eq!(status.rejected[0].name, "b");
    assert_eq!(status.rejected[0].error, "bad regex: write another");
    assert_eq!(status.sent, None);
    assert!(status.connected_at_ms > 1_600_000_000_000);
    assert!(status.acknowledged_at_ms >= status.connected_at_ms);
    running.stop().await;
}

#[tokio::test]
async fn a_snapshot_is_read_page_by_page_without_keys() {
    let running = start(ServerConfig::default()).await;
    let mut client = running.client().await;
    let request = v1::FetchSnapshotRequest {
        page_size: 2,
        ..v1::FetchSnapshotRequest::default()
    };
    let nothing = client.fetch_snapshot(request.clone()).await.unwrap_err();
    assert_eq!(nothing.code(), Code::Unavailable);
    let upserts = ["certificate/a/a", "certificate/a/b", "certificate/a/c"];
    let upserts = upserts.map(|name| (name.to_owned(), certificate()));
    running.publisher.update(upserts.into(), Vec::new());
    let first = client
        .fetch_snapshot(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!((first.resources.len(), first.total), (2, 3));
    assert_eq!(first.next_page_token, "certificate/a/b");
    let request = v1::FetchSnapshotRequest {
        page_token: first.next_page_token.clone(),
        ..request
    };
    let second = client.fetch_snapshot(request).await.unwrap().into_inner();
    assert_eq!(second.resources[0].name, "certificate/a/c");
    assert_eq!(second.next_page_token, "");
    for page in [first, second] {
        let bytes = page.encode_to_vec();
        assert!(!bytes.windows(12).any(|window| window == b"VERY-PRIVATE"));
        assert!(bytes.windows(5).any(|window| window == b"CHAIN"));
        assert!(!format!("{page:?}").contains("VERY-PRIVATE"));
    }
    let agent = running.agent("agent-0").await.step().await;
    assert!(!format!("{agent:?}").contains("VERY-PRIVATE"));
    let wrong = v1::FetchSnapshotRequest {
        name_prefix: "route/".into(),
        page_token: "certificate/a/b".into(),
        ..v1::FetchSnapshotRequest::default()
    };
    let error = client.fetch_snapshot(wrong).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    running.stop().await;
}

#[tokio::test]
async fn health_waits_for_the_first_snapshot() {
    let running = start(ServerConfig::default()).await;
    assert_eq!(health(&running, "").await, 1);
    let service = "novaedge.v1.SnapshotDiscovery";
    assert_eq!(health(&running, service).await, 2);
    running.publish(&[("a", 1)]);
    crate::harness::eventually("serving", async || health(&running, service).await == 1).await;
    running.stop().await;
}

async fn health(running: &Running, service: &str) -> i32 {
    let mut client = HealthClient::new(running.channel().await);
    let request = HealthCheckRequest {
        service: service.into(),
    };
    client.check(request).await.unwrap().into_inner().status
}

#[tokio::test]
async fn reflection_describes_the_services_in_both_versions() {
    let running = start(ServerConfig::default()).await;
    let expected = ["grpc.health.v1.Health", "novaedge.v1.SnapshotDiscovery"];
    {
        use tonic_reflection::pb::v1::{
            ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
            server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
        };
        let ask = async |message| {
            let request = ServerReflectionRequest {
                host: String::new(),
                message_request: Some(message),
            };
            let mut client = ServerReflectionClient::new(running.channel().await);
            let answers = client.server_reflection_info(tokio_stream::once(request));
            let answer = answers.await.unwrap().into_inner().message().await.unwrap();
            answer.unwrap().message_response.unwrap()
        };
        let MessageResponse::ListServicesResponse(list) =
            ask(MessageRequest::ListServices(String::new())).await
        else {
            panic!("no list");
        };
        let names: Vec<_> = list.service.iter().map(|s| s.name.as_str()).collect();
        assert!(
            expected.iter().all(|name| names.contains(name)),
            "{names:?}"
        );
        let symbol = MessageRequest::FileContainingSymbol("novaedge.v1.Resource".into());
        let MessageResponse::FileDescriptorResponse(files) = ask(symbol).await else {
            panic!("no file");
        };
        assert!(!files.file_descriptor_proto.is_empty());
    }
    {
        use tonic_reflection::pb::v1alpha::{
            ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
            server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
        };
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut client = ServerReflectionClient::new(running.channel().await);
        let answers = client.server_reflection_info(tokio_stream::once(request));
        let answer = answers.await.unwrap().into_inner().message().await.unwrap();
        let Some(MessageResponse::ListServicesResponse(list)) = answer.unwrap().message_response
        else {
            panic!("no list");
        };
        assert!(list.service.iter().any(|s| s.name == expected[1]));
    }
    running.stop().await;
}
