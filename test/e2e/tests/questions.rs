//! People ask agents through the control plane.

use novaedge_e2e::{clients::eventually, manifests::GATEWAY_CLASS, system::System};
use novaedge_proto::v1::{
    AskAgentsRequest, MetricsQuestion, agents_answer, ask_agents_request,
    snapshot_discovery_client::SnapshotDiscoveryClient,
};

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_tells_what_it_has_counted() {
    let system = System::start(&[("class.yaml", GATEWAY_CLASS)]).await;
    let url = format!("http://{}", system.grpc());
    let mut client = SnapshotDiscoveryClient::connect(url)
        .await
        .expect("a client");
    // The agent opens the stream for questions a moment after that for snapshots.
    let mut answers = eventually("the agent", async || {
        let request = AskAgentsRequest {
            node_id: "standalone".to_owned(),
            seconds: 0,
            question: Some(ask_agents_request::Question::Metrics(MetricsQuestion {})),
        };
        client.ask_agents(request).await.ok()
    })
    .await
    .into_inner();
    let mut text = String::new();
    while let Some(answer) = answers.message().await.expect("no error") {
        assert_eq!(answer.node_id, "standalone");
        match answer.answer {
            Some(agents_answer::Answer::Metrics(part)) => text += &part.text,
            other => panic!("{other:?}"),
        }
    }
    assert!(text.contains("\nnovaedge_"), "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
    system.stop().await;
}
