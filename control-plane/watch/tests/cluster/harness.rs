//! The source, run against the server.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use novaedge_store::Change;
use novaedge_watch::{Batch, ClusterSource, Discovered, Health, Settings};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::server::Server;

const GATEWAY: &str = "gateway.networking.k8s.io/v1";
pub const CLASSES: &str = "/apis/gateway.networking.k8s.io/v1/gatewayclasses";
pub const GATEWAYS: &str = "/apis/gateway.networking.k8s.io/v1/gateways";
pub const ROUTES: &str = "/apis/gateway.networking.k8s.io/v1/httproutes";
pub const SERVICES: &str = "/api/v1/services";
pub const SECRETS: &str = "/api/v1/secrets";
pub const SLICES: &str = "/apis/discovery.k8s.io/v1/endpointslices";

/// Longer than anything takes.
const LONG: Duration = Duration::from_secs(20);
/// Long enough to see that nothing comes.
const QUIET: Duration = Duration::from_millis(300);

/// A running source, and all that it has sent.
pub struct Running {
    batches: mpsc::Receiver<Batch>,
    pub health: watch::Receiver<Health>,
    /// Objects there are now, as JSON.
    pub objects: BTreeMap<String, Value>,
    /// What is wrong now, by place.
    pub problems: BTreeMap<String, Vec<String>>,
    pub discovered: Option<Discovered>,
    /// Changes in the order in which they came.
    pub history: Vec<String>,
    /// Batches so far.
    pub received: usize,
    task: JoinHandle<()>,
    shutdown: DropGuard,
}

/// A server that serves GatewayClasses, Gateways and HTTPRoutes.
pub async fn server() -> Server {
    let server = Server::start().await;
    server.define(GATEWAY, "gatewayclasses", "GatewayClass", "v1.6.3");
    server.define(GATEWAY, "gateways", "Gateway", "v1.6.3");
    server.define(GATEWAY, "httproutes", "HTTPRoute", "v1.6.3");
    server
}

impl Running {
    pub fn start(server: &Server) -> Self {
        let config = kube::Config::new(server.url.parse().unwrap());
        let client = kube::Client::try_from(config).unwrap();
        let source = ClusterSource::new(client, Settings::default());
        let (sender, batches) = mpsc::channel(16);
        let shutdown = CancellationToken::new();
        Self {
            batches,
            health: source.health(),
            objects: BTreeMap::new(),
            problems: BTreeMap::new(),
            discovered: None,
            history: Vec::new(),
            received: 0,
            task: tokio::spawn(source.run(sender, shutdown.clone())),
            shutdown: shutdown.drop_guard(),
        }
    }

    /// Takes in the next batch.
    pub async fn next(&mut self) {
        let batch = timeout(LONG, self.batches.recv()).await;
        self.take(batch.expect("a batch in time").expect("a running source"));
    }

    /// Takes in batches until something holds.
    pub async fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !holds(self) {
                self.next().await;
            }
        };
        let waited = timeout(LONG, waiting).await;
        assert!(
            waited.is_ok(),
            "not in time: {what}; {:?} {:?}",
            self.history,
            self.problems
        );
    }

    /// Nothing comes for a while.
    pub async fn is_quiet(&mut self) {
        if let Ok(batch) = timeout(QUIET, self.batches.recv()).await {
            panic!("not quiet: {batch:?}");
        }
    }

    pub async fn stop(self) {
        drop(self.shutdown);
        timeout(LONG, self.task).await.unwrap().unwrap();
    }

    pub fn has(&self, id: &str) -> bool {
        self.objects.contains_key(id)
    }

    pub fn names(&self) -> BTreeSet<&str> {
        self.objects.keys().map(String::as_str).collect()
    }

    fn take(&mut self, batch: Batch) {
        self.received += 1;
        for change in batch.changes {
            let id = change.id().to_string();
            match change {
                Change::Upsert(object) => {
                    self.history.push(format!("+{id}"));
                    self.objects.insert(id, object.to_value().unwrap());
                }
                Change::Delete(_) => {
                    self.history.push(format!("-{id}"));
                    self.objects.remove(&id);
                }
            }
        }
        for (place, findings) in batch.problems {
            let findings: Vec<_> = findings.iter().map(ToString::to_string).collect();
            self.problems.insert(place, findings);
        }
        self.problems.retain(|_, findings| !findings.is_empty());
        if let Some(discovered) = batch.discovered {
            self.discovered = Some((*discovered).clone());
        }
    }
}

pub fn class(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"controllerName": "novaedge.io/gateway-controller"}})
}

pub fn route(name: &str, hostname: &Value) -> Value {
    json!({"metadata": {"name": name, "namespace": "n"}, "spec": {"hostnames": [hostname]}})
}

/// A Gateway with an HTTPS listener.
pub fn gateway(name: &str, secret: &str) -> Value {
    let listener = json!({"name": "a", "port": 443, "protocol": "HTTPS",
                          "tls": {"certificateRefs": [{"name": secret}]}});
    json!({"metadata": {"name": name, "namespace": "n"},
           "spec": {"gatewayClassName": "c", "listeners": [listener]}})
}

pub fn secret(name: &str, value: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "n"}, "type": "kubernetes.io/tls",
           "data": {"tls.crt": value, "tls.key": value, "other": value}})
}

pub fn service(name: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "n"}, "spec": {"ports": [{"port": 80}]}})
}

pub fn slice(name: &str, manager: Option<&str>, address: &str) -> Value {
    let labels = manager.map(|manager| json!({"endpointslice.kubernetes.io/managed-by": manager}));
    json!({"metadata": {"name": name, "namespace": "n", "labels": labels},
           "addressType": "IPv4", "endpoints": [{"addresses": [address]}], "ports": []})
}
