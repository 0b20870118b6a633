use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use novaedge_api::{
    gateway::{ParentReference, RouteParentStatus},
    meta::{Kind, ObjectId, ObjectKey},
    native::{CONTROLLER_NAME, ProxyBackend, ProxyBackendSpec, ProxyGateway, ProxyGatewaySpec},
};
use novaedge_translate::{DesiredStatus, names::native_metadata};
use serde_json::json;

mod ending;

use super::*;
use crate::testing::{Fault, Server};

const ROUTES: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes";
const NATIVES: &str = "/apis/novaedge.io/v1alpha1/namespaces/default/proxygateways";
const BACKENDS: &str = "/apis/novaedge.io/v1alpha1/namespaces/default/proxybackends";
const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/default/events";

/// One replica on a server.
struct Replica {
    server: Server,
    intake: Intake,
    metrics: Arc<Metrics>,
    leads: watch::Sender<bool>,
}

impl Replica {
    fn start(server: &Server) -> Self {
        let metrics = Arc::new(Metrics::default());
        let (intake, writer) =
            Writer::new(server.client(), WriteConfig::default(), metrics.clone());
        let leads = watch::Sender::new(false);
        tokio::spawn(writer.run(leads.subscribe(), CancellationToken::new()));
        Self {
            server: server.clone(),
            intake,
            metrics,
            leads,
        }
    }

    /// Observes everything, as the watches would by now.
    fn observe(&self) {
        self.intake.observe(&self.server.watched());
    }

    fn lead(&self, leads: bool) {
        self.leads.send_replace(leads);
    }
}

/// Long enough for everything that is not backing off.
async fn soon() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

fn route_id(name: &str) -> ObjectId {
    ObjectId::new(Kind::HttpRoute, "default", name)
}

fn route(name: &str, parents: &[Value]) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"rules": []}, "status": {"parents": parents},
    })
}

fn accepted(status: &str) -> DesiredStatus {
    let parent = RouteParentStatus {
        parent_ref: ParentReference {
            name: "gw".to_owned(),
            ..ParentReference::default()
        },
        controller_name: CONTROLLER_NAME.to_owned(),
        conditions: vec![Condition {
            type_: "Accepted".to_owned(),
            status: status.to_owned(),
            reason: "Accepted".to_owned(),
            message: String::new(),
            observed_generation: Some(1),
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
        }],
    };
    DesiredStatus::Route([parent].into())
}

fn theirs() -> Value {
    json!({
        "parentRef": {"name": "gw"}, "controllerName": "example.com/other", "future": 1,
        "conditions": [{"type": "Accepted", "status": "True", "reason": "Accepted", "message": "",
                        "lastTransitionTime": "2025-01-01T00:00:00Z"}],
    })
}

fn made_for(kind: Kind, name: &str) -> ObjectMeta {
    let owner = ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some("default".to_owned()),
        uid: Some("owner".to_owned()),
        ..ObjectMeta::default()
    };
    native_metadata(ObjectKey::new("default", name), kind, &owner)
}

fn native(name: &str) -> novaedge_api::meta::Object {
    let mut native = ProxyGateway::new(name, ProxyGatewaySpec::default());
    native.metadata = made_for(Kind::Gateway, name);
    native.into()
}

fn native_backend(name: &str) -> novaedge_api::meta::Object {
    let mut native = ProxyBackend::new(name, ProxyBackendSpec::default());
    native.metadata = made_for(Kind::HttpRoute, name);
    native.into()
}

#[tokio::test(start_paused = true)]
async fn a_status_is_written_once_and_what_others_wrote_stays() {
    let server = Server::default();
    let path = format!("{ROUTES}/a");
    server.put(&path, route("a", &[theirs()]));
    let replica = Replica::start(&server);
    replica.observe();
    replica
        .intake
        .status(&route_id("a"), Some(accepted("True")));
    replica.lead(true);
    soon().await;
    assert!(server.writes().is_empty(), "nothing is settled yet");
    replica.intake.settle();
    soon().await;
    assert_eq!(server.writes(), [format!("PATCH {path}/status")]);
    let parents = &server.get(&path)["status"]["parents"];
    assert_eq!(parents[0], theirs());
    assert_eq!(parents[1]["controllerName"], CONTROLLER_NAME);
    let time = &parents[1]["conditions"][0]["lastTransitionTime"];
    assert_ne!(*time, json!("1970-01-01T00:00:00Z"));

    replica.observe();
    replica
        .intake
        .status(&route_id("a"), Some(accepted("True")));
    soon().await;
    assert!(server.writes().is_empty(), "equal state is not written");
    replica.intake.status(&route_id("a"), None);
    soon().await;
    assert_eq!(server.writes().len(), 1);
    assert_eq!(server.get(&path)["status"]["parents"], json!([theirs()]));
    assert_eq!(replica.metrics.statuses_written(), 2);
    assert_eq!(replica.metrics.queued(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_read_again_and_merged() {
    let server = Server::default();
    let path = format!("{ROUTES}/a");
    server.put(&path, route("a", &[]));
    let replica = Replica::start(&server);
    replica.observe();
    replica.intake.settle();
    server.fail(Fault::Meanwhile(path.clone(), route("a", &[theirs()])));
    replica.lead(true);
    replica
        .intake
        .status(&route_id("a"), Some(accepted("True")));
    soon().await;
    let parents = &server.get(&path)["status"]["parents"];
    assert_eq!(parents[0], theirs());
    assert_eq!(parents[1]["controllerName"], CONTROLLER_NAME);
    assert_eq!(replica.metrics.status_conflicts(), 1);
    assert_eq!(server.writes().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_fails_holds_nobody_up_and_is_told_of() {
    let server = Server::default();
    for name in ["a", "b"] {
        server.put(&format!("{ROUTES}/{name}"), route(name, &[]));
    }
    let replica = Replica::start(&server);
    replica.observe();
    replica.intake.settle();
    replica.lead(true);
    server.fail(Fault::Status(500));
    replica
        .intake
        .status(&route_id("a"), Some(accepted("True")));
    replica
        .intake
        .status(&route_id("b"), Some(accepted("True")));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let troubles = replica.intake.troubles();
    assert_eq!(troubles.borrow().len(), 1);
    assert_eq!(troubles.borrow()[0].message, "refused (500)");
    assert_eq!(server.writes().len(), 2);
    soon().await;
    assert_eq!(server.writes().len(), 1, "and it is tried again");
    assert!(troubles.borrow().is_empty());
    assert_eq!(replica.metrics.status_errors(), 1);
}

#[tokio::test(start_paused = true)]
async fn only_the_newest_state_is_written() {
    let server = Server::default();
    server.put(&format!("{ROUTES}/a"), route("a", &[]));
    let replica = Replica::start(&server);
    replica.observe();
    replica.intake.settle();
    replica.lead(true);
    soon().await;
    for status in ["False", "Unknown", "True"] {
        replica
            .intake
            .status(&route_id("a"), Some(accepted(status)));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    soon().await;
    assert_eq!(server.writes().len(), 1);
    let status = &server.get(&format!("{ROUTES}/a"))["status"];
    assert_eq!(status["parents"][0]["conditions"][0]["status"], "True");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_is_right_soon_after_a_thousand_routes() {
    let server = Server::default();
    let gateway_path = "/apis/gateway.networking.k8s.io/v1/namespaces/default/gateways/gw";
    let gateway = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": {"name": "gw", "namespace": "default"},
        "spec": {"gatewayClassName": "novaedge", "listeners": []},
    });
    server.put(gateway_path, gateway);
    for n in 0..1_000 {
        let name = n.to_string();
        server.put(&format!("{ROUTES}/{name}"), route(&name, &[]));
    }
    let replica = Replica::start(&server);
    replica.observe();
    replica.intake.settle();
    replica.lead(true);
    server.slow_down(Duration::from_millis(20));
    let gateway = ObjectId::new(Kind::Gateway, "default", "gw");
    for n in 0..1_000 {
        let listener = json!({"name": "http", "attachedRoutes": n + 1, "conditions": []});
        let status = serde_json::from_value(json!({"listeners": [listener]}));
        let status = DesiredStatus::Gateway(status.expect("a status"));
        replica.intake.status(&gateway, Some(status));
        let route = route_id(&n.to_string());
        replica.intake.status(&route, Some(accepted("True")));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let attached = &server.get(gateway_path)["status"]["listeners"][0]["attachedRoutes"];
    assert_eq!(*attached, json!(1_000));
    soon().await;
    assert_eq!(replica.metrics.queued(), 0);
    let writes = server.writes();
    let of_gateway = writes.iter().filter(|write| write.contains("/gateways/"));
    assert!(of_gateway.count() <= 3);
    assert!(writes.len() <= 1_003, "{} writes", writes.len());
    assert_eq!(server.busiest(), 16);
}

#[tokio::test(start_paused = true)]
async fn natives_are_applied_pruned_and_never_taken() {
    let server = Server::default();
    let old = native("old").to_value().expect("JSON");
    server.put(&format!("{NATIVES}/old"), old);
    let mut hand = native("hand").to_value().expect("JSON");
    hand["metadata"] = json!({"name": "hand", "namespace": "default"});
    server.put(&format!("{NATIVES}/hand"), hand.clone());
    let replica = Replica::start(&server);
    replica.observe();
    replica.intake.settle();
    let natives = ["new", "hand"].map(|name| Change::Upsert(native(name)));
    replica.intake.take(&Delta {
        natives: natives.into(),
        ..Delta::default()
    });
    replica.lead(true);
    soon().await;
    let mut writes = server.writes();
    writes.sort();
    let expect = [
        format!("DELETE {NATIVES}/old"),
        format!("PATCH {NATIVES}/new"),
    ];
    assert_eq!(writes, expect);
    let applied = server.get(&format!("{NATIVES}/new"));
    assert_eq!(applied["metadata"]["ownerReferences"][0]["uid"], "owner");
    assert_eq!(server.get(&format!("{NATIVES}/hand"))["spec"], hand["spec"]);
    let troubles = replica.intake.troubles().borrow().clone();
    assert_eq!(troubles.len(), 1);
    assert_eq!(troubles[0].reason, "NameTaken");
    replica.observe();
    soon().await;
    assert!(server.writes().is_empty(), "the echo is what was applied");
}

#[tokio::test(start_paused = true)]
async fn natives_of_users_and_gateways_get_a_status_and_translated_backends_none() {
    let server = Server::default();
    let mut hand = native("hand").to_value().expect("JSON");
    hand["metadata"] = json!({"name": "hand", "namespace": "default", "generation": 3});
    server.put(&format!("{NATIVES}/hand"), hand);
    let made = native("made");
    server.put(&format!("{NATIVES}/made"), made.to_value().expect("JSON"));
    let backend = native_backend("made");
    server.put(
        &format!("{BACKENDS}/made"),
        backend.to_value().expect("JSON"),
    );
    let replica = Replica::start(&server);
    replica.intake.take(&Delta {
        natives: vec![Change::Upsert(made), Change::Upsert(backend)],
        ..Delta::default()
    });
    replica.observe();
    replica.intake.settle();
    replica.lead(true);
    soon().await;
    assert!(server.writes().is_empty(), "nothing is compiled yet");
    replica.intake.compiled(&[]);
    soon().await;
    let statuses = ["hand", "made"].map(|name| format!("PATCH {NATIVES}/{name}/status"));
    assert_eq!(server.writes(), statuses);
    let ready = || server.get(&format!("{NATIVES}/hand"))["status"]["conditions"][0].clone();
    assert_eq!(
        (&ready()["status"], &ready()["observedGeneration"]),
        (&json!("True"), &json!(3))
    );
    replica.observe();
    replica.intake.compiled(&[]);
    soon().await;
    assert!(server.writes().is_empty());
    let id = ObjectId::new(Kind::ProxyGateway, "default", "hand");
    let wrong = Diagnostic::error(id.clone(), "spec", "Invalid", "is wrong");
    replica.intake.compiled(&[(id, vec![wrong])]);
    soon().await;
    assert_eq!(ready()["reason"], "Invalid");
    assert_eq!(server.writes().len(), 2, "a status and an event");
}

#[tokio::test(start_paused = true)]
async fn what_somebody_adds_to_a_native_goes() {
    let server = Server::default();
    let replica = Replica::start(&server);
    replica.intake.settle();
    replica.lead(true);
    replica.intake.take(&Delta {
        natives: vec![Change::Upsert(native("new"))],
        ..Delta::default()
    });
    soon().await;
    let path = format!("{NATIVES}/new");
    let mine = server.get(&path)["spec"].clone();
    let mut theirs = server.get(&path);
    theirs["spec"]["drainTimeoutSeconds"] = 7.into();
    theirs["spec"]["listeners"] = json!([{"name": "x", "port": 1, "protocol": "TCP"}]);
    theirs["metadata"]["labels"]["example.com/team"] = "a".into();
    server.put(&path, theirs);
    server.writes();
    replica.observe();
    soon().await;
    assert_eq!(server.get(&path)["spec"], mine);
    assert_eq!(server.writes().len(), 1);
    let labels = &server.get(&path)["metadata"]["labels"];
    assert_eq!(labels["example.com/team"], "a", "labels of others stay");
    replica.observe();
    soon().await;
    assert!(server.writes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_the_kind_nothing_is_written_until_it_comes() {
    let server = Server::default();
    let replica = Replica::start(&server);
    replica.intake.serve(Served::new());
    replica.intake.settle();
    replica.lead(true);
    replica.intake.take(&Delta {
        natives: vec![Change::Upsert(native("new"))],
        ..Delta::default()
    });
    soon().await;
    assert!(server.writes().is_empty());
    let reason = replica.intake.troubles().borrow()[0].reason;
    assert_eq!(reason, "KindNotServed");
    replica.intake.serve(crate::Resource::all_newest());
    soon().await;
    assert_eq!(server.writes().len(), 1);
    assert!(replica.intake.troubles().borrow().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_writes_nothing_when_all_is_equal() {
    let server = Server::default();
    server.put(&format!("{ROUTES}/a"), route("a", &[theirs()]));
    let replicas = [Replica::start(&server), Replica::start(&server)];
    let delta = Delta {
        natives: vec![Change::Upsert(native("gw"))],
        statuses: vec![(route_id("a"), Some(accepted("True")))],
        diagnostics: vec![],
    };
    for replica in &replicas {
        replica.observe();
        replica.intake.take(&delta);
        replica.intake.settle();
    }
    let [first, second] = &replicas;
    first.lead(true);
    soon().await;
    assert_eq!(server.writes().len(), 2);
    replicas.iter().for_each(Replica::observe);
    first.lead(false);
    second.lead(true);
    soon().await;
    assert!(server.writes().is_empty());
    first.intake.status(&route_id("a"), None);
    soon().await;
    assert!(server.writes().is_empty(), "a follower writes nothing");
    second.intake.status(&route_id("a"), None);
    soon().await;
    assert_eq!(server.writes().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn writes_end_with_the_leadership() {
    let server = Server::default();
    server.put(&format!("{ROUTES}/a"), route("a", &[]));
    let replica = Replica::start(&server);
    replica.observe();
    replica.intake.settle();
    replica.lead(true);
    server.fail(Fault::Silence);
    replica
        .intake
        .status(&route_id("a"), Some(accepted("True")));
    soon().await;
    assert_eq!(replica.metrics.queued(), 1);
    replica.lead(false);
    soon().await;
    assert_eq!(replica.metrics.queued(), 0);
    server.writes();
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert!(server.writes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_undoes_our_status_is_answered_slower_each_time() {
    let server = Server::default();
    let path = format!("{ROUTES}/a");
    server.put(&path, route("a", &[]));
    let replica = Replica::start(&server);
    replica.observe();
    replica.intake.settle();
    replica.lead(true);
    replica
        .intake
        .status(&route_id("a"), Some(accepted("True")));
    soon().await;
    assert_eq!(server.writes().len(), 1);
    for _ in 0..6_000 {
        server.put(&path, route("a", &[]));
        replica.observe();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let writes = server.writes().len();
    assert!((5..20).contains(&writes), "{writes} in a minute");
}

#[tokio::test(start_paused = true)]
async fn a_finding_becomes_an_event_once() {
    let server = Server::default();
    let replicas = [Replica::start(&server), Replica::start(&server)];
    let wrong = Diagnostic::error(route_id("a"), "spec", "RefNotPermitted", "add a grant");
    for replica in &replicas {
        replica.intake.settle();
        replica
            .intake
            .diagnose(&route_id("a"), std::slice::from_ref(&wrong));
    }
    replicas[0].lead(true);
    soon().await;
    assert_eq!(server.writes(), [format!("POST {EVENTS}")]);
    replicas[0].lead(false);
    replicas[1].lead(true);
    soon().await;
    assert_eq!(server.writes(), [format!("POST {EVENTS}")]);
    assert_eq!(replicas[0].metrics.events_written(), 1);
    assert_eq!(replicas[1].metrics.events_written(), 0);
    assert_eq!(replicas[1].metrics.events_repeated(), 1);
}
