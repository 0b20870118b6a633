//! From what an agent answers over gRPC to the files that people read.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a harness may panic

use std::{fs, path::Path, time::Duration};

use novaedge_control_plane::{Config, ControlPlane, folder::Watch};
use novaedge_proto::v1::{
    self, agent_message::Message, snapshot_discovery_client::SnapshotDiscoveryClient,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

const EDGE: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: novaedge}
spec: {controllerName: novaedge.io/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: novaedge
  listeners:
  - {name: one, protocol: HTTP, port: 8080}
  - {name: two, protocol: HTTP, port: 8081}
";
const SHOP: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs: [{name: edge}]
  rules:
  - matches: [{path: {value: /a}}]
    backendRefs: [{name: shop, port: 80}]
  - matches: [{path: {value: /b}}]
    backendRefs: [{name: shop, port: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {ports: [{port: 80}]}
";

fn text() -> String {
    format!("{EDGE}---\n{SHOP}")
}

struct Bed {
    folder: TempDir,
    control_plane: ControlPlane,
    outbound: mpsc::Sender<v1::AgentMessage>,
    inbound: Streaming<v1::SnapshotStep>,
}

impl Bed {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("all.yaml"), text()).unwrap();
        let control_plane = ControlPlane::start(Config {
            folder: folder.path().to_owned(),
            watch: Watch::Yes,
            grpc: "127.0.0.1:0".parse().unwrap(),
            state_dir: folder.path().join(".novaedge"),
            tracer: None,
        })
        .await
        .unwrap();
        let address = format!("http://{}", control_plane.address());
        let mut client = SnapshotDiscoveryClient::connect(address).await.unwrap();
        let (outbound, messages) = mpsc::channel(8);
        let inbound = client.stream_snapshots(ReceiverStream::new(messages)).await;
        let bed = Self {
            folder,
            control_plane,
            outbound,
            inbound: inbound.unwrap().into_inner(),
        };
        let node = v1::Node {
            id: "one".into(),
            ..v1::Node::default()
        };
        bed.send(Message::Subscribe(v1::Subscribe {
            node: Some(node),
            ..v1::Subscribe::default()
        }))
        .await;
        bed
    }

    async fn send(&self, message: Message) {
        let message = Some(message);
        self.outbound
            .send(v1::AgentMessage { message })
            .await
            .unwrap();
    }

    /// Waits for the next step and answers it.
    async fn answer(&mut self, rejected: &[(&str, &str)]) {
        let step = loop {
            let step = tokio::time::timeout(Duration::from_secs(10), self.inbound.message());
            let step = step.await.expect("a step in time").unwrap().unwrap();
            if step.last {
                break step;
            }
        };
        let rejected = rejected.iter().map(|(name, error)| v1::RejectedResource {
            name: (*name).to_owned(),
            error: (*error).to_owned(),
            ..v1::RejectedResource::default()
        });
        self.send(Message::Ack(v1::Ack {
            nonce: step.nonce,
            version: step.version,
            rejected: rejected.collect(),
            more: false,
        }))
        .await;
    }

    /// Waits until what a status file holds is as it should be.
    async fn until(&self, file: &str, holds: impl Fn(&Value) -> bool) {
        let path = self.folder.path().join(".novaedge/status").join(file);
        let mut last = Value::Null;
        for _ in 0..500 {
            last = read(&path);
            if holds(&last) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{file}: {last:#}");
    }
}

fn read(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_default();
    serde_saphyr::from_str(&text).unwrap_or_default()
}

/// Whether a condition has a status and a message with these words.
fn is(conditions: &Value, type_: &str, status: &str, words: &str) -> bool {
    let mut conditions = conditions.as_array().into_iter().flatten();
    conditions.any(|condition| {
        condition["type"] == type_
            && condition["status"] == status
            && condition["message"]
                .as_str()
                .unwrap_or_default()
                .contains(words)
    })
}

const GATEWAY: &str = "Gateway/default/edge.yaml";
const ROUTE: &str = "HTTPRoute/default/shop.yaml";

#[tokio::test]
async fn statuses_follow_what_the_agent_acknowledges_and_refuses() {
    let mut bed = Bed::start().await;
    let pending = |gateway: &Value| is(&gateway["status"]["conditions"], "Programmed", "False", "");
    bed.until(GATEWAY, pending).await;

    bed.answer(&[
        ("listener/default/edge/two", "port is taken"),
        ("route/HTTPRoute/default/shop/1", "too hard"),
    ])
    .await;
    bed.until(GATEWAY, |gateway| {
        let listener = |n: usize| &gateway["status"]["listeners"][n]["conditions"];
        is(listener(0), "Programmed", "True", "")
            && is(listener(1), "Programmed", "False", "port is taken")
    })
    .await;
    bed.until(ROUTE, |route| {
        let conditions = &route["status"]["parents"][0]["conditions"];
        is(conditions, "PartiallyInvalid", "True", "too hard")
    })
    .await;
    bed.until("diagnostics.yaml", |diagnostics| {
        let problems = diagnostics["problems"].to_string();
        problems.contains("port is taken")
            && problems.contains("HTTPRoute/default/shop")
            && problems.contains("spec.rules[1]")
    })
    .await;

    // Both come again with new content, and are fine now.
    let mended = text().replace("8081", "8082").replace("/b", "/c");
    fs::write(bed.folder.path().join("all.yaml"), mended).unwrap();
    bed.answer(&[]).await;
    let healed = |gateway: &Value| is(&gateway["status"]["conditions"], "Programmed", "True", "");
    bed.until(GATEWAY, healed).await;
    bed.until(ROUTE, |route| {
        let conditions = &route["status"]["parents"][0]["conditions"];
        is(conditions, "Accepted", "True", "") && !is(conditions, "PartiallyInvalid", "True", "")
    })
    .await;
    bed.until("diagnostics.yaml", |diagnostics| {
        diagnostics["problems"] == json!([])
    })
    .await;
    bed.control_plane.stop().await;
}
