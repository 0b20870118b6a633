//! A cluster with the quickstart in it: its objects with their statuses, pods, and replicas of the control plane.

use std::{collections::BTreeMap, fs, path::PathBuf};

use k8s_openapi::{ByteString, api::core::v1::Secret, jiff::Timestamp};
use novactl::source::translated;
use novaedge_api::meta::{Kind, Object};
use novaedge_control_plane::{folder::FolderSource, translate::translate};
use novaedge_store::Change;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    api::{Answers, Api},
    control_plane::{Authority, Replica},
    process::{Answer, answer, novactl},
    quickstart,
};

/// When all objects were made, in seconds before now.
const AGE: i64 = 7_260;
/// The group of the Gateway API's kinds.
pub const GATEWAY: &str = "/apis/gateway.networking.k8s.io";
/// Where pods of the system are.
pub const PODS: &str = "/api/v1/namespaces/novaedge-system/pods";
/// The ConfigMap of the control plane's authorities.
pub const BUNDLE: &str = "/api/v1/namespaces/novaedge-system/configmaps/novaedge-ca-bundle";

/// Kinds as the API server names them, with version and plural.
const KINDS: [(Kind, &str, &str); 9] = [
    (Kind::GatewayClass, "v1", "gatewayclasses"),
    (Kind::Gateway, "v1", "gateways"),
    (Kind::ListenerSet, "v1", "listenersets"),
    (Kind::HttpRoute, "v1", "httproutes"),
    (Kind::GrpcRoute, "v1", "grpcroutes"),
    (Kind::BackendTlsPolicy, "v1", "backendtlspolicies"),
    (Kind::TlsRoute, "v1alpha2", "tlsroutes"),
    (Kind::TcpRoute, "v1alpha2", "tcproutes"),
    (Kind::UdpRoute, "v1alpha2", "udproutes"),
];

/// A cluster, and a folder with the kubeconfig for it.
pub struct Bed {
    pub api: Api,
    pub home: TempDir,
    pub authority: Authority,
    pub replicas: Vec<Replica>,
    snapshot: Vec<novaedge_proto::v1::Resource>,
}

impl Bed {
    /// A cluster with one replica of the control plane.
    pub async fn start() -> Self {
        let manifests = quickstart::folder();
        let now = Timestamp::now().as_second();
        let translation = translate(manifests.path(), now).expect("a translation");
        let mut answers = Answers::default();
        discovery(&mut answers);
        let inventory = translated(manifests.path(), &translation).expect("an inventory");
        let created = Timestamp::from_second(now - AGE)
            .expect("a time")
            .to_string();
        for (kind, version, plural) in KINDS {
            let objects = inventory.of_kind(kind).map(|resource| {
                let mut value = resource.value.clone();
                value["metadata"]["creationTimestamp"] = created.clone().into();
                value["metadata"]["managedFields"] = json!([{"manager": "kubectl"}]);
                value
            });
            list(&mut answers, GATEWAY, version, plural, objects.collect());
        }
        secrets(&mut answers, manifests.path());
        let mut bed = Self {
            api: Api::start(answers).await,
            home: tempfile::tempdir().expect("a folder"),
            authority: Authority::new(),
            replicas: Vec::new(),
            snapshot: translation.snapshot,
        };
        let bundle = json!({"kind": "ConfigMap", "data": {"ca.crt": bed.authority.bundle}});
        bed.api.change(|answers| {
            answers.values.insert(BUNDLE.to_owned(), bundle);
        });
        bed.replica("control-plane-0").await;
        bed.kubeconfig();
        bed
    }

    /// Adds a replica of the control plane, and its pod.
    pub async fn replica(&mut self, pod: &str) {
        let replica = Replica::start(&self.authority, &self.snapshot).await;
        let to = replica.address;
        self.replicas.push(replica);
        let value = control_plane_pod(pod);
        self.api.change(|answers| {
            answers.forwards.insert(format!("{pod}:18000"), to);
            let of_system = answers.values.entry(PODS.to_owned());
            let pods = of_system
                .or_insert_with(|| json!({"kind": "PodList", "apiVersion": "v1", "items": []}));
            pods["items"].as_array_mut().expect("a list").push(value);
        });
    }

    fn kubeconfig(&self) {
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
             clusters: [{{name: c, cluster: {{server: 'http://{}'}}}}]\n\
             users: [{{name: u, user: {{token: token-of-the-user}}}}]\n\
             contexts:\n- {{name: here, context: {{cluster: c, user: u}}}}\n\
             - {{name: shop, context: {{cluster: c, user: u, namespace: shop}}}}\n",
            self.api.address
        );
        fs::write(self.file(), kubeconfig).expect("the folder is writable");
    }

    /// The kubeconfig.
    pub fn file(&self) -> PathBuf {
        self.home.path().join("config")
    }

    /// novactl with the kubeconfig in its environment, in an empty folder.
    pub fn run(&self, line: &[&str]) -> Answer {
        let mut command = novactl(line);
        command
            .current_dir(self.home.path())
            .env("KUBECONFIG", self.file());
        // The API server goes on meanwhile.
        tokio::task::block_in_place(|| answer(command.output()))
    }

    /// The same for a line that has to succeed.
    pub fn ok(&self, line: &[&str]) -> String {
        let answer = self.run(line);
        assert_eq!(answer.code, 0, "{line:?}: {answer:?}");
        answer.out
    }
}

/// Enters a list, and the part of it in each namespace.
pub fn list(answers: &mut Answers, group: &str, version: &str, plural: &str, objects: Vec<Value>) {
    let page = |items: Vec<Value>| json!({"kind": "x", "apiVersion": "v1", "metadata": {}, "items": items});
    let mut by_namespace: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for namespace in ["default", "shop"] {
        by_namespace.insert(namespace.to_owned(), Vec::new());
    }
    for object in &objects {
        let namespace = object["metadata"]["namespace"].as_str();
        let of = by_namespace.entry(namespace.unwrap_or_default().to_owned());
        of.or_default().push(object.clone());
    }
    let base = format!("{group}/{version}");
    answers
        .values
        .insert(format!("{base}/{plural}"), page(objects));
    for (namespace, objects) in by_namespace {
        let path = format!("{base}/namespaces/{namespace}/{plural}");
        answers.values.insert(path, page(objects));
    }
}

fn discovery(answers: &mut Answers) {
    let versions = json!([{"version": "v1"}, {"version": "v1alpha2"}]);
    answers
        .values
        .insert(GATEWAY.to_owned(), json!({"versions": versions}));
    for version in ["v1", "v1alpha2"] {
        let served = KINDS.iter().filter(|(_, at, _)| *at == version);
        let served = served.map(|(kind, _, plural)| json!({"name": plural, "kind": kind.as_str()}));
        let resources: Vec<Value> = served.collect();
        answers.values.insert(
            format!("{GATEWAY}/{version}"),
            json!({"resources": resources}),
        );
    }
}

/// The Secrets of a folder as the API server gives them.
fn secrets(answers: &mut Answers, manifests: &std::path::Path) {
    let batch = FolderSource::read(manifests).expect("manifests");
    for change in batch.changes {
        let Change::Upsert(Object::Secret(secret)) = change else {
            continue;
        };
        let mut secret = Secret::clone(&secret);
        let written = secret.string_data.take().unwrap_or_default();
        let data = written
            .into_iter()
            .map(|(key, text)| (key, ByteString(text.into_bytes())));
        secret.data.get_or_insert_default().extend(data);
        let name = secret.metadata.name.clone().expect("a name");
        let value = serde_json::to_value(&secret).expect("JSON");
        answers
            .values
            .insert(format!("/api/v1/namespaces/default/secrets/{name}"), value);
    }
}

fn control_plane_pod(name: &str) -> Value {
    json!({
        "metadata": {"namespace": "novaedge-system", "name": name,
            "labels": {"app.kubernetes.io/name": "novaedge-control-plane"}},
        "spec": {"containers": [{"name": "control-plane", "args": ["serve"], "ports": [
            {"name": "grpc", "containerPort": 18000}, {"name": "admin", "containerPort": 18001}]}]},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    })
}
