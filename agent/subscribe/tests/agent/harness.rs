//! A control plane and an agent in one process.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use novaedge_proto::v1;
use novaedge_publish::{Publisher, Server, ServerConfig};
use novaedge_subscribe::{
    Applier, BackoffConfig, LastGood, LastGoodConfig, Metrics, Status, Step, Subscriber,
    SubscriberConfig, Upsert,
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub struct ControlPlane {
    pub publisher: Publisher,
    pub address: SocketAddr,
    shutdown: CancellationToken,
    server: JoinHandle<()>,
}

impl ControlPlane {
    pub async fn start() -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), Publisher::default()).await
    }

    pub async fn start_at(address: SocketAddr, publisher: Publisher) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let server = Server::new(publisher.clone(), ServerConfig::default());
        let served = server.serve(listener, shutdown.clone().cancelled_owned());
        let server = tokio::spawn(async { served.await.unwrap() });
        Self {
            publisher,
            address,
            shutdown,
            server,
        }
    }

    pub fn publish(&self, upserts: &[(&str, u64)]) -> u64 {
        publish(&self.publisher, upserts)
    }

    pub async fn stop(self) {
        self.shutdown.cancel();
        self.server.await.unwrap();
    }
}

pub fn publish(publisher: &Publisher, upserts: &[(&str, u64)]) -> u64 {
    let upserts = upserts.iter().map(|(n, c)| ((*n).into(), route(*c)));
    let updated = publisher.update(upserts.collect(), Vec::new());
    updated.version.unwrap().sequence
}

/// Notes the steps, and refuses the routes of content 13.
#[derive(Clone, Default)]
pub struct Recorder {
    pub steps: Arc<Mutex<Vec<Step>>>,
}

impl Applier for Recorder {
    async fn apply(&mut self, step: Step) -> Vec<v1::RejectedResource> {
        let bad = step.upserts.iter().map(Upsert::resource);
        let bad = bad.filter(|r| r.body == route(13).body);
        let rejected = bad.map(|resource| v1::RejectedResource {
            name: resource.name,
            version: resource.version,
            error: "13 is refused: take another number".into(),
        });
        let rejected = rejected.collect();
        self.steps.lock().unwrap().push(step);
        rejected
    }
}

pub struct Agent {
    pub recorder: Recorder,
    pub status: watch::Receiver<Status>,
    pub metrics: Arc<Metrics>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

pub fn config(address: SocketAddr) -> SubscriberConfig {
    let node = v1::Node {
        id: "agent-0".into(),
        ..v1::Node::default()
    };
    let mut config = SubscriberConfig::new(format!("http://{address}"), node);
    config.backoff = BackoffConfig {
        min: Duration::from_millis(10),
        max: Duration::from_millis(100),
    };
    config
}

pub fn last_good(directory: &std::path::Path) -> LastGood {
    let mut config = LastGoodConfig::new(directory);
    config.min_interval = Duration::from_millis(20);
    LastGood::new(config)
}

impl Agent {
    pub fn start(config: SubscriberConfig, last_good: Option<LastGood>) -> Self {
        Self::run(Subscriber::new(config, last_good, Box::new(|| 0.5)).unwrap())
    }

    pub fn run(subscriber: Subscriber) -> Self {
        let recorder = Recorder::default();
        let mut applier = recorder.clone();
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone().cancelled_owned();
        let status = subscriber.status();
        let metrics = subscriber.metrics();
        let task = tokio::spawn(async move { subscriber.run(&mut applier, stop).await });
        Self {
            recorder,
            status,
            metrics,
            shutdown,
            task,
        }
    }

    /// Waits for the status to be as wanted.
    pub async fn until(&mut self, what: &str, holds: impl FnMut(&Status) -> bool) -> Status {
        let wait = self.status.wait_for(holds);
        let status = tokio::time::timeout(Duration::from_secs(20), wait).await;
        status.expect(what).unwrap().clone()
    }

    /// The steps since the last call: names upserted, names removed, full.
    pub fn steps(&self) -> Vec<Step> {
        std::mem::take(&mut *self.recorder.steps.lock().unwrap())
    }

    pub async fn stop(self) {
        self.shutdown.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(10), self.task);
        ended.await.expect("ends in 10 s").unwrap();
    }
}

pub fn names(step: &Step) -> Vec<&str> {
    step.upserts.iter().map(Upsert::name).collect()
}

pub fn route(content: u64) -> v1::Resource {
    v1::Resource {
        body: Some(v1::resource::Body::Route(v1::Route {
            hostnames: vec![format!("{content}.example")],
            rule_name: "x".repeat(300),
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
