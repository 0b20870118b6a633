//! A server on a loopback socket, and an agent that speaks the protocol by hand.

use std::{net::SocketAddr, time::Duration};

use novaedge_proto::v1::{
    self, agent_message::Message, snapshot_discovery_client::SnapshotDiscoveryClient,
};
use novaedge_publish::{Publisher, ServeError, Server, ServerConfig};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming, transport::Channel};

pub struct Running {
    pub publisher: Publisher,
    pub address: SocketAddr,
    pub shutdown: CancellationToken,
    pub server: JoinHandle<Result<(), ServeError>>,
}

pub async fn start(config: ServerConfig) -> Running {
    let publisher = Publisher::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let server = Server::new(publisher.clone(), config);
    let server = tokio::spawn(server.serve(listener, shutdown.clone().cancelled_owned()));
    Running {
        publisher,
        address,
        shutdown,
        server,
    }
}

impl Running {
    pub fn publish(&self, upserts: &[(&str, u64)]) -> u64 {
        let upserts = upserts.iter().map(|(n, c)| ((*n).into(), route(*c)));
        let updated = self.publisher.update(upserts.collect(), Vec::new());
        updated.version.unwrap().sequence
    }

    pub async fn channel(&self) -> Channel {
        let endpoint = format!("http://{}", self.address);
        Channel::from_shared(endpoint)
            .unwrap()
            .connect()
            .await
            .unwrap()
    }

    pub async fn client(&self) -> SnapshotDiscoveryClient<Channel> {
        SnapshotDiscoveryClient::new(self.channel().await)
    }

    pub async fn agent(&self, node: &str) -> Agent {
        let mut agent = self.silent_agent().await.unwrap();
        agent.subscribe(node).await;
        agent
    }

    pub async fn silent_agent(&self) -> Result<Agent, Status> {
        let mut client = self.client().await;
        let (outbound, messages) = mpsc::channel(8);
        let stream = client.stream_snapshots(ReceiverStream::new(messages));
        let inbound = stream.await?.into_inner();
        Ok(Agent { outbound, inbound })
    }

    pub async fn stop(self) {
        self.shutdown.cancel();
        let stopped = tokio::time::timeout(Duration::from_secs(10), self.server);
        stopped.await.unwrap().unwrap().unwrap();
    }
}

pub struct Agent {
    pub outbound: mpsc::Sender<v1::AgentMessage>,
    pub inbound: Streaming<v1::SnapshotStep>,
}

impl Agent {
    pub async fn send(&self, message: Message) {
        let message = v1::AgentMessage {
            message: Some(message),
        };
        self.outbound.send(message).await.unwrap();
    }

    pub async fn subscribe(&mut self, node: &str) {
        let node = v1::Node {
            id: node.into(),
            agent_version: "test".into(),
            ..v1::Node::default()
        };
        self.send(Message::Subscribe(v1::Subscribe {
            node: Some(node),
            ..v1::Subscribe::default()
        }))
        .await;
    }

    /// The messages of one whole step.
    pub async fn step(&mut self) -> Vec<v1::SnapshotStep> {
        let mut messages = Vec::new();
        loop {
            let message = self.message().await.unwrap();
            let last = message.last;
            messages.push(message);
            if last {
                return messages;
            }
        }
    }

    pub async fn message(&mut self) -> Result<v1::SnapshotStep, Status> {
        let message = tokio::time::timeout(Duration::from_secs(20), self.inbound.message());
        let message = message.await.expect("no message in 20 s")?;
        message.ok_or_else(|| Status::ok("end"))
    }

    pub async fn ack(&self, step: &v1::SnapshotStep, rejected: &[&str]) {
        let rejected = rejected.iter().map(|name| v1::RejectedResource {
            name: (*name).into(),
            version: String::new(),
            error: "bad regex: write another".into(),
        });
        self.send(Message::Ack(v1::Ack {
            nonce: step.nonce.clone(),
            version: step.version.clone(),
            rejected: rejected.collect(),
            more: false,
        }))
        .await;
    }
}

pub fn route(content: u64) -> v1::Resource {
    v1::Resource {
        body: Some(v1::resource::Body::Route(v1::Route {
            hostnames: vec![format!("{content}.example")],
            ..v1::Route::default()
        })),
        ..v1::Resource::default()
    }
}

pub fn certificate() -> v1::Resource {
    v1::Resource {
        body: Some(v1::resource::Body::Certificate(v1::Certificate {
            chain_pem: b"CHAIN"[..].into(),
            private_key_pem: b"VERY-PRIVATE"[..].into(),
            fingerprint: "ab".into(),
        })),
        ..v1::Resource::default()
    }
}

pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..1_000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within 10 s: {what}");
}
