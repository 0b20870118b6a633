//! The source against a real cluster: `KUBECONFIG=... cargo test -p novaedge-watch --test real -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, clippy::print_stderr)] // a harness may panic, and tells what it measured

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Namespace, Service, ServicePort, ServiceSpec};
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use kube::{Api, Client};
use novaedge_api::meta::{Kind, ObjectId};
use novaedge_store::Change;
use novaedge_watch::{Batch, ClusterSource, Settings};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const LONG: Duration = Duration::from_secs(20);
const NAMESPACE: &str = "watch-real";
const EDITS: u32 = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBECONFIG of a cluster"]
async fn changes_come_soon_after_the_api_server_took_them() {
    let client = Client::try_default().await.unwrap();
    make_namespace(&client).await;
    let (sender, mut batches) = mpsc::channel(16);
    let shutdown = CancellationToken::new();
    let source = ClusterSource::new(client.clone(), Settings::default());
    let began = Instant::now();
    let task = tokio::spawn(source.run(sender, shutdown.clone()));
    let first = next(&mut batches).await;
    let mut kinds: BTreeMap<Kind, usize> = BTreeMap::new();
    for change in &first.changes {
        *kinds.entry(change.id().kind).or_default() += 1;
    }
    eprintln!("first batch after {:?}: {kinds:?}", began.elapsed());
    eprintln!("{:?} {:?}", first.discovered, first.problems);
    assert!(kinds.contains_key(&Kind::Namespace) && first.discovered.is_some());

    let services: Api<Service> = Api::namespaced(client.clone(), NAMESPACE);
    let id = ObjectId::new(Kind::Service, NAMESPACE, "s");
    let mut service = services
        .create(&PostParams::default(), &service())
        .await
        .unwrap();
    let (mut whole, mut after) = (Vec::new(), Vec::new());
    for edit in 0..EDITS {
        let labels = BTreeMap::from([("edit".to_owned(), edit.to_string())]);
        service.metadata.labels = Some(labels.clone());
        let asked = Instant::now();
        service = services
            .replace("s", &PostParams::default(), &service)
            .await
            .unwrap();
        let answered = asked.elapsed();
        while !has(&next(&mut batches).await, &id, &labels) {}
        whole.push(asked.elapsed());
        after.push(asked.elapsed().saturating_sub(answered));
    }
    tell("from the write to the batch", whole);
    tell("from the answer to the write to the batch", after);

    let namespaces: Api<Namespace> = Api::all(client);
    namespaces
        .delete(NAMESPACE, &DeleteParams::default())
        .await
        .unwrap();
    while !next(&mut batches)
        .await
        .changes
        .contains(&Change::Delete(id.clone()))
    {}
    shutdown.cancel();
    timeout(LONG, task).await.unwrap().unwrap();
}

fn tell(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |percent| times[times.len() * percent / 100];
    eprintln!("{what}: p50 {:?}, p99 {:?}", at(50), at(99));
}

async fn next(batches: &mut mpsc::Receiver<Batch>) -> Batch {
    timeout(LONG, batches.recv())
        .await
        .expect("a batch in time")
        .unwrap()
}

async fn make_namespace(client: &Client) {
    let namespace = Namespace {
        metadata: ObjectMeta {
            name: Some(NAMESPACE.to_owned()),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    };
    let namespaces: Api<Namespace> = Api::all(client.clone());
    namespaces
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
}

fn service() -> Service {
    Service {
        metadata: ObjectMeta {
            name: Some("s".to_owned()),
            ..ObjectMeta::default()
        },
        spec: Some(ServiceSpec {
            ports: Some(vec![ServicePort {
                port: 80,
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn has(batch: &Batch, id: &ObjectId, labels: &BTreeMap<String, String>) -> bool {
    batch.changes.iter().any(|change| match change {
        Change::Upsert(object) => {
            object.id() == *id && object.metadata().labels.as_ref() == Some(labels)
        }
        Change::Delete(_) => false,
    })
}
