//! The writer against a real API server: `KUBECONFIG=... cargo test -p novaedge-write --test cluster -- --ignored`.
//! The cluster has the CRDs of the Gateway API and of NovaEdge, and no NovaEdge that would prune what is written here.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Arc,
    time::Duration,
};

use http::Request;
use kube::Client;
use novaedge_api::{
    decode::decode_lenient,
    gateway::{ParentReference, RouteParentStatus},
    meta::{Kind, Object, ObjectId},
    native::CONTROLLER_NAME,
};
use novaedge_store::Change;
use novaedge_translate::{Delta, DesiredStatus, Diagnostic};
use novaedge_write::{
    Elector, Intake, LeaseConfig, Metrics, Resource, Timings, WriteConfig, Writer,
};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// One replica.
struct Replica {
    intake: Intake,
    metrics: Arc<Metrics>,
    leads: watch::Sender<bool>,
}

impl Replica {
    fn start(client: &Client) -> Self {
        let metrics = Arc::new(Metrics::default());
        let config = WriteConfig::default();
        let (intake, writer) = Writer::new(client.clone(), config, metrics.clone());
        let leads = watch::Sender::new(false);
        tokio::spawn(writer.run(leads.subscribe(), CancellationToken::new()));
        Self {
            intake,
            metrics,
            leads,
        }
    }

    /// Until nothing waits any more.
    async fn rest(&self) {
        for _ in 0..600 {
            tokio::time::sleep(Duration::from_millis(200)).await;
            if self.metrics.queued() == 0 {
                return;
            }
        }
        let troubles = self.intake.troubles().borrow().clone();
        panic!("still {} waiting: {troubles:#?}", self.metrics.queued());
    }

    fn writes(&self) -> u64 {
        let m = &self.metrics;
        m.statuses_written() + m.natives_applied() + m.natives_deleted()
    }
}

async fn client() -> Client {
    Client::try_default().await.unwrap()
}

async fn call(client: &Client, method: &str, path: &str, body: Value) -> kube::Result<Value> {
    let content = match method {
        "PATCH" => "application/merge-patch+json",
        _ => "application/json",
    };
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", content)
        .body(body.into_bytes())
        .unwrap();
    client.request(request).await
}

/// An empty namespace.
async fn namespace(client: &Client, name: &str) {
    let path = format!("/api/v1/namespaces/{name}");
    if call(client, "DELETE", &path, Value::Null).await.is_ok() {
        while call(client, "GET", &path, Value::Null).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    call(client, "POST", "/api/v1/namespaces", namespace)
        .await
        .unwrap();
}

fn collection(kind: Kind, namespace: &str) -> String {
    let resource = Resource::newest(kind);
    let Resource {
        api_version,
        plural,
        ..
    } = resource;
    format!("/apis/{api_version}/namespaces/{namespace}/{plural}")
}

/// What watches of these kinds would tell.
async fn watched(client: &Client, kinds: &[Kind], namespace: &str) -> Vec<Change> {
    let mut changes = Vec::new();
    for kind in kinds {
        let path = collection(*kind, namespace);
        let list = call(client, "GET", &path, Value::Null).await.unwrap();
        for item in list["items"].as_array().unwrap() {
            let mut item = item.clone();
            item["apiVersion"] = Resource::newest(*kind).api_version.into();
            item["kind"] = kind.as_str().into();
            changes.push(Change::Upsert(decode_lenient(item).unwrap().0));
        }
    }
    changes
}

/// What all golden cases of the translation come to.
fn golden() -> Vec<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../translate/tests/golden");
    let mut cases = BTreeMap::new();
    for area in fs::read_dir(root).unwrap() {
        for case in fs::read_dir(area.unwrap().path()).unwrap() {
            let path = case.unwrap().path();
            if path.to_string_lossy().ends_with(".out.yaml") {
                let text = fs::read_to_string(&path).unwrap();
                cases.insert(path, serde_saphyr::from_str(&text).unwrap());
            }
        }
    }
    cases.into_values().collect()
}

/// Their native objects, in one namespace and without owners, which the garbage collector would miss.
fn natives(namespace: &str) -> Vec<Object> {
    let cases = golden();
    let natives = cases.iter().filter_map(|case| case["natives"].as_array());
    let natives = natives.flatten().enumerate().map(|(number, native)| {
        let mut native = native.clone();
        let metadata = native["metadata"].as_object_mut().unwrap();
        metadata.remove("ownerReferences");
        metadata.insert("name".to_owned(), format!("golden-{number}").into());
        metadata.insert("namespace".to_owned(), namespace.into());
        decode_lenient(native).unwrap().0
    });
    natives.collect()
}

/// Their statuses but those of GatewayClasses, each for an object of its own.
fn statuses(namespace: &str) -> Vec<(ObjectId, DesiredStatus)> {
    let cases = golden();
    let statuses = cases.iter().filter_map(|case| case["statuses"].as_object());
    let statuses = statuses
        .flatten()
        .enumerate()
        .filter_map(|(n, (id, status))| {
            let (kind, _) = id.split_once('/').unwrap();
            let kind = Kind::find(novaedge_api::gateway::GROUP, kind).unwrap();
            let mut status = status.clone();
            stamp(&mut status);
            let status = match kind {
                Kind::GatewayClass => return None,
                Kind::Gateway => DesiredStatus::Gateway(serde_json::from_value(status).unwrap()),
                Kind::ListenerSet => {
                    DesiredStatus::ListenerSet(serde_json::from_value(status).unwrap())
                }
                Kind::BackendTlsPolicy => DesiredStatus::BackendTlsPolicy(
                    serde_json::from_value(status["ancestors"].clone()).unwrap(),
                ),
                _ => {
                    DesiredStatus::Route(serde_json::from_value(status["parents"].clone()).unwrap())
                }
            };
            Some((
                ObjectId::new(kind, namespace, format!("golden-{n}")),
                status,
            ))
        });
    statuses.collect()
}

/// Golden files show no transition times.
fn stamp(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(stamp),
        Value::Object(fields) => {
            if fields.contains_key("reason") && fields.contains_key("status") {
                let epoch = "1970-01-01T00:00:00Z".into();
                fields.insert("lastTransitionTime".to_owned(), epoch);
            }
            fields.values_mut().for_each(stamp);
        }
        _ => {}
    }
}

/// The least that the API server takes as an object of that kind, which is nobody's.
fn least(id: &ObjectId) -> Value {
    let listeners = json!([{"name": "http", "port": 80, "protocol": "HTTP"}]);
    let rules = json!([{"backendRefs": [{"name": "x", "port": 1}]}]);
    let spec = match id.kind {
        Kind::Gateway => json!({"gatewayClassName": "nobody", "listeners": listeners}),
        Kind::ListenerSet => json!({"parentRef": {"name": "nobody"}, "listeners": listeners}),
        Kind::BackendTlsPolicy => json!({
            "targetRefs": [{"group": "", "kind": "Service", "name": id.key.name}],
            "validation": {"hostname": "x.example", "wellKnownCACertificates": "System"},
        }),
        Kind::TlsRoute => json!({"hostnames": ["x.example"], "rules": rules}),
        Kind::TcpRoute | Kind::UdpRoute => json!({"rules": rules}),
        _ => json!({}),
    };
    json!({
        "apiVersion": Resource::newest(id.kind).api_version, "kind": id.kind.as_str(),
        "metadata": {"name": id.key.name}, "spec": spec,
    })
}

const NATIVES: [Kind; 3] = [Kind::ProxyGateway, Kind::ProxyRoute, Kind::ProxyBackend];

#[tokio::test]
#[ignore = "needs KUBECONFIG of a cluster"]
async fn every_golden_native_is_taken_and_reads_back_equal() {
    let (client, space) = (client().await, "write-natives");
    namespace(&client, space).await;
    let natives = natives(space);
    assert!(natives.len() > 100);
    let changes: Vec<Change> = natives.iter().cloned().map(Change::Upsert).collect();
    let delta = Delta {
        natives: changes,
        ..Delta::default()
    };
    let replicas = [Replica::start(&client), Replica::start(&client)];
    for replica in &replicas {
        replica.intake.take(&delta);
        replica.intake.settle();
    }
    let [first, second] = &replicas;
    let begin = std::time::Instant::now();
    first.leads.send_replace(true);
    first.rest().await;
    assert_eq!(first.writes(), u64::try_from(natives.len()).unwrap());
    assert!(first.intake.troubles().borrow().is_empty());
    eprintln!("{} natives in {:?}", natives.len(), begin.elapsed());

    // The echo is equal, and so is everything to a new leader.
    let echo = watched(&client, &NATIVES, space).await;
    assert_eq!(echo.len(), natives.len());
    for replica in &replicas {
        replica.intake.observe(&echo);
    }
    first.rest().await;
    assert_eq!(first.writes(), u64::try_from(natives.len()).unwrap());
    first.leads.send_replace(false);
    second.leads.send_replace(true);
    second.rest().await;
    assert_eq!(second.writes(), 0);

    let gone = natives.iter().map(|native| Change::Delete(native.id()));
    second.intake.take(&Delta {
        natives: gone.collect(),
        ..Delta::default()
    });
    second.rest().await;
    assert!(watched(&client, &NATIVES, space).await.is_empty());
    let path = format!("/api/v1/namespaces/{space}");
    call(&client, "DELETE", &path, Value::Null).await.unwrap();
}

#[tokio::test]
#[ignore = "needs KUBECONFIG of a cluster"]
async fn every_golden_status_is_taken_and_reads_back_equal() {
    let (client, space) = (client().await, "write-golden");
    namespace(&client, space).await;
    let statuses = statuses(space);
    assert!(statuses.len() > 100);
    for (id, _) in &statuses {
        let path = collection(id.kind, space);
        call(&client, "POST", &path, least(id)).await.unwrap();
    }
    let kinds: BTreeSet<Kind> = statuses.iter().map(|(id, _)| id.kind).collect();
    let kinds: Vec<Kind> = kinds.into_iter().collect();
    let seen = watched(&client, &kinds, space).await;
    let wanted = statuses.iter().cloned();
    let delta = Delta {
        statuses: wanted.map(|(id, status)| (id, Some(status))).collect(),
        ..Delta::default()
    };
    let replicas = [Replica::start(&client), Replica::start(&client)];
    let [first, second] = &replicas;
    for replica in &replicas {
        replica.intake.take(&delta);
        replica.intake.settle();
    }
    first.intake.observe(&seen);
    first.leads.send_replace(true);
    first.rest().await;
    let troubles = first.intake.troubles().borrow().clone();
    assert!(troubles.is_empty(), "{troubles:#?}");
    let writes = first.writes();
    let echo = watched(&client, &kinds, space).await;
    for replica in &replicas {
        replica.intake.observe(&echo);
    }
    first.rest().await;
    assert_eq!(first.writes(), writes);
    first.leads.send_replace(false);
    second.leads.send_replace(true);
    second.rest().await;
    assert_eq!(second.writes(), 0);
    let path = format!("/api/v1/namespaces/{space}");
    call(&client, "DELETE", &path, Value::Null).await.unwrap();
}

#[tokio::test]
#[ignore = "needs KUBECONFIG of a cluster"]
async fn a_thousand_route_statuses_are_written_once_each() {
    let (client, space) = (client().await, "write-statuses");
    namespace(&client, space).await;
    let routes = collection(Kind::HttpRoute, space);
    let theirs = json!({
        "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "gw"},
        "controllerName": "example.com/other",
        "conditions": [{"type": "Accepted", "status": "True", "reason": "Accepted", "message": "",
                        "lastTransitionTime": "2025-01-01T00:00:00Z"}],
    });
    for n in 0..1_000 {
        let name = format!("r{n}");
        let route = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": name}, "spec": {"parentRefs": [{"name": "gw"}]},
        });
        call(&client, "POST", &routes, route).await.unwrap();
    }
    let status = json!({"status": {"parents": [theirs]}});
    let path = format!("{routes}/r0/status");
    call(&client, "PATCH", &path, status).await.unwrap();

    let replicas = [Replica::start(&client), Replica::start(&client)];
    let seen = watched(&client, &[Kind::HttpRoute], space).await;
    let statuses = seen.iter().map(|change| {
        let accepted = json!({
            "type": "Accepted", "status": "True", "reason": "Accepted", "message": "",
            "observedGeneration": 1, "lastTransitionTime": "1970-01-01T00:00:00Z",
        });
        let accepted = serde_json::from_value(accepted).unwrap();
        let ours = RouteParentStatus {
            parent_ref: ParentReference {
                name: "gw".to_owned(),
                ..ParentReference::default()
            },
            controller_name: CONTROLLER_NAME.to_owned(),
            conditions: vec![accepted],
        };
        (change.id(), Some(DesiredStatus::Route([ours].into())))
    });
    let delta = Delta {
        statuses: statuses.collect(),
        ..Delta::default()
    };
    for replica in &replicas {
        replica.intake.observe(&seen);
        replica.intake.take(&delta);
        replica.intake.settle();
    }
    let [first, second] = &replicas;
    let begin = std::time::Instant::now();
    first.leads.send_replace(true);
    first.rest().await;
    eprintln!("1000 statuses in {:?}", begin.elapsed());
    assert_eq!(first.writes(), 1_000);
    let path = format!("{routes}/r0");
    let route = call(&client, "GET", &path, Value::Null).await.unwrap();
    assert_eq!(route["status"]["parents"][0], theirs);
    assert_eq!(
        route["status"]["parents"][1]["controllerName"],
        CONTROLLER_NAME
    );

    // The other replica knows only the old state: it conflicts, reads, and finds nothing to do.
    first.leads.send_replace(false);
    second.leads.send_replace(true);
    second.rest().await;
    assert_eq!(second.writes(), 0);
    let seen = watched(&client, &[Kind::HttpRoute], space).await;
    second.intake.observe(&seen);
    second.rest().await;
    assert_eq!(second.writes(), 0);
    assert_eq!(second.metrics.status_errors(), 0);
    let path = format!("/api/v1/namespaces/{space}");
    call(&client, "DELETE", &path, Value::Null).await.unwrap();
}

#[tokio::test]
#[ignore = "needs KUBECONFIG of a cluster"]
async fn a_lease_is_handed_over_and_an_event_is_told() {
    let (client, space) = (client().await, "write-lease");
    namespace(&client, space).await;
    let stand = |identity: &str| {
        let config = LeaseConfig {
            namespace: space.to_owned(),
            name: "test".to_owned(),
            identity: identity.to_owned(),
            timings: Timings::default(),
        };
        let elector = Elector::new(client.clone(), config, Arc::new(Metrics::default()));
        let (leads, shutdown) = (elector.leads(), CancellationToken::new());
        let task = tokio::spawn(elector.run(shutdown.clone()));
        (leads, shutdown, task)
    };
    let (mut a, end_a, task_a) = stand("a");
    a.wait_for(|leads| *leads).await.unwrap();
    let (mut b, end_b, task_b) = stand("b");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!*b.borrow());
    end_a.cancel();
    task_a.await.unwrap();
    let took = tokio::time::timeout(Duration::from_secs(4), b.wait_for(|leads| *leads));
    took.await.unwrap().unwrap();
    end_b.cancel();
    task_b.await.unwrap();

    let replica = Replica::start(&client);
    let id = ObjectId::new(Kind::HttpRoute, space, "cart");
    let wrong = Diagnostic::error(
        id.clone(),
        "spec",
        "RefNotPermitted",
        "add a ReferenceGrant",
    );
    replica.intake.diagnose(&id, &[wrong]);
    replica.intake.settle();
    replica.leads.send_replace(true);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let path = format!("/apis/events.k8s.io/v1/namespaces/{space}/events");
    let events = call(&client, "GET", &path, Value::Null).await.unwrap();
    assert_eq!(events["items"][0]["note"], "spec: add a ReferenceGrant");
    assert_eq!(events["items"][0]["reportingController"], CONTROLLER_NAME);
    let path = format!("/api/v1/namespaces/{space}");
    call(&client, "DELETE", &path, Value::Null).await.unwrap();
}
