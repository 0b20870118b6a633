use std::{net::Ipv4Addr, sync::Arc};

use novaedge_api::{decode::decode, meta::Kind};
use novaedge_proto::v1;
use novaedge_publish::{AgentAck, LogLimits};
use serde_json::{Value, json};

use super::*;
use crate::status::to_value;

const GATEWAY: &str = "gateway.networking.k8s.io/v1";

/// A pipeline over objects, with an agent that says what it is told to.
struct Bed {
    pipeline: Pipeline,
    findings: watch::Receiver<Findings>,
    publisher: Publisher,
}

impl Bed {
    fn new(limits: LogLimits) -> Self {
        let publisher = Publisher::new(limits);
        let addresses = || vec![Ipv4Addr::new(192, 0, 2, 7).into()];
        let config = TranslateConfig::standalone();
        let (pipeline, findings) = Pipeline::new(config, publisher.clone(), addresses);
        Self {
            pipeline,
            findings,
            publisher,
        }
    }

    fn apply(&mut self, objects: Vec<Value>) {
        let changes = objects
            .into_iter()
            .map(|object| Change::Upsert(decode(object).unwrap().with_generation(1)));
        self.pipeline.take(Batch {
            changes: changes.collect(),
            ..Batch::default()
        });
    }

    /// The agent acknowledges everything but these.
    fn acknowledge(&mut self, rejected: &[(&str, &str)]) {
        let rejected = rejected.iter().map(|(name, error)| v1::RejectedResource {
            name: (*name).to_owned(),
            error: (*error).to_owned(),
            ..v1::RejectedResource::default()
        });
        let ack = AgentAck {
            version: Some(self.publisher.current()),
            rejected: rejected.collect(),
        };
        let mut acks = Acks::default();
        acks.agents.insert("one".into(), Arc::new(ack));
        self.pipeline.hear(&acks);
    }

    fn status(&self, kind: Kind, name: &str) -> Value {
        let id = ObjectId::new(kind, "default", name);
        to_value(&self.findings.borrow().statuses[&id])
    }

    fn problems(&self) -> Vec<String> {
        let findings = self.findings.borrow();
        findings.problems.iter().map(ToString::to_string).collect()
    }
}

fn objects() -> Vec<Value> {
    vec![
        json!({"apiVersion": GATEWAY, "kind": "GatewayClass", "metadata": {"name": "novaedge"},
            "spec": {"controllerName": "novaedge.io/gateway-controller"}}),
        json!({"apiVersion": GATEWAY, "kind": "Gateway",
            "metadata": {"name": "edge", "namespace": "default"},
            "spec": {"gatewayClassName": "novaedge", "listeners": [
                {"name": "one", "protocol": "HTTP", "port": 8080},
                {"name": "two", "protocol": "HTTP", "port": 8081}]}}),
        json!({"apiVersion": GATEWAY, "kind": "HTTPRoute",
            "metadata": {"name": "shop", "namespace": "default"},
            "spec": {"parentRefs": [{"name": "edge"}], "rules": [
                {"matches": [{"path": {"value": "/a"}}], "backendRefs": [{"name": "s", "port": 80}]},
                {"matches": [{"path": {"value": "/b"}}], "backendRefs": [{"name": "s", "port": 80}]}]}}),
        json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "s", "namespace": "default"},
            "spec": {"ports": [{"port": 80}]}}),
    ]
}

/// Status and message of a condition.
fn condition(conditions: &Value, type_: &str) -> (String, String) {
    let found = conditions.as_array().unwrap().iter();
    let mut found = found.filter(|condition| condition["type"] == type_);
    let Some(condition) = found.next() else {
        return (String::new(), String::new());
    };
    let text = |field: &str| condition[field].as_str().unwrap().to_owned();
    (text("status"), text("message"))
}

#[test]
fn a_gateway_is_programmed_at_the_machines_addresses_once_all_agents_serve_it() {
    let mut bed = Bed::new(LogLimits::default());
    bed.apply(objects());
    let status = bed.status(Kind::Gateway, "edge");
    assert_eq!(condition(&status["conditions"], "Programmed").0, "False");
    bed.acknowledge(&[]);
    let status = bed.status(Kind::Gateway, "edge");
    assert_eq!(condition(&status["conditions"], "Programmed").0, "True");
    assert_eq!(
        status["addresses"],
        json!([{"type": "IPAddress", "value": "192.0.2.7"}])
    );
    assert_eq!(bed.problems(), [] as [&str; 0]);
}

#[test]
fn a_refused_listener_shows_in_its_own_status_and_heals() {
    let mut bed = Bed::new(LogLimits::default());
    bed.apply(objects());
    bed.acknowledge(&[("listener/default/edge/two", "port is taken")]);
    let status = bed.status(Kind::Gateway, "edge");
    let listener = |n: usize| condition(&status["listeners"][n]["conditions"], "Programmed");
    assert_eq!(listener(0).0, "True");
    assert_eq!(listener(1).0, "False");
    assert!(listener(1).1.contains("port is taken"), "{status}");
    bed.acknowledge(&[]);
    let status = bed.status(Kind::Gateway, "edge");
    let healed = condition(&status["listeners"][1]["conditions"], "Programmed");
    assert_eq!(healed.0, "True");
}

#[test]
fn a_refusal_stands_while_its_agent_is_away_or_has_just_come_back() {
    let mut bed = Bed::new(LogLimits::default());
    bed.apply(objects());
    bed.acknowledge(&[("listener/default/edge/two", "port is taken")]);
    let back = Acks {
        agents: [("one".into(), Arc::default())].into(),
    };
    for acks in [Acks::default(), back] {
        bed.pipeline.hear(&acks);
        let status = bed.status(Kind::Gateway, "edge");
        let refused = condition(&status["listeners"][1]["conditions"], "Programmed");
        assert_eq!(refused.0, "False", "{acks:?}");
    }
}

#[test]
fn a_refused_rule_shows_in_the_status_of_its_route_and_heals() {
    let mut bed = Bed::new(LogLimits::default());
    bed.apply(objects());
    bed.acknowledge(&[("route/HTTPRoute/default/shop/1", "too hard")]);
    let status = bed.status(Kind::HttpRoute, "shop");
    let (partly, message) = condition(&status["parents"][0]["conditions"], "PartiallyInvalid");
    assert_eq!(partly, "True");
    assert!(message.contains("too hard"), "{message}");
    let problems = bed.problems();
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].contains("HTTPRoute/default/shop: spec.rules[1]"),
        "{problems:?}"
    );
    bed.acknowledge(&[]);
    let status = bed.status(Kind::HttpRoute, "shop");
    let healed = condition(&status["parents"][0]["conditions"], "PartiallyInvalid");
    assert_eq!(healed.0, "");
    assert_eq!(bed.problems(), [] as [&str; 0]);
}

#[test]
fn a_refused_backend_is_told_of_the_service_behind_it() {
    let mut bed = Bed::new(LogLimits::default());
    bed.apply(objects());
    let natives = &bed.pipeline.engine.translator().output().natives;
    let backend = natives.keys().find(|id| id.kind == Kind::ProxyBackend);
    let name = format!("backend/{}", backend.unwrap().key);
    bed.acknowledge(&[(&name, "no such resolver")]);
    assert_eq!(
        bed.problems(),
        ["error: Service/default/s: agent one: no such resolver (Rejected)"]
    );
    bed.acknowledge(&[]);
    assert_eq!(bed.problems(), [] as [&str; 0]);
}

#[test]
fn what_could_not_be_published_stays_told_whatever_agents_say() {
    let mut bed = Bed::new(LogLimits {
        max_resources: 2,
        ..LogLimits::default()
    });
    bed.apply(objects());
    let refused = bed.problems();
    assert!(!refused.is_empty());
    assert!(
        refused
            .iter()
            .all(|problem| problem.ends_with("(NotPublished)")),
        "{refused:?}"
    );
    bed.acknowledge(&[]);
    assert_eq!(bed.problems(), refused);
    bed.acknowledge(&[("certificate/default/c", "x")]);
    assert_eq!(bed.problems().len(), refused.len() + 1);
    bed.acknowledge(&[]);
    assert_eq!(bed.problems(), refused);
}

#[test]
fn agents_are_not_heard_before_the_source_has_told_of_everything() {
    let mut bed = Bed::new(LogLimits::default());
    bed.acknowledge(&[("certificate/default/c", "x")]);
    assert_eq!(bed.findings.borrow().revision(), 0);
    assert!(!bed.findings.has_changed().unwrap());
}

#[test]
fn problems_are_bounded_and_what_is_left_out_is_counted() {
    let mut bed = Bed::new(LogLimits::default());
    let route = |n: usize| {
        json!({"apiVersion": GATEWAY, "kind": "HTTPRoute",
            "metadata": {"name": format!("r{n}"), "namespace": "default"},
            "spec": {"parentRefs": [{"name": "edge"}], "rules": [
                {"backendRefs": [{"name": "missing", "port": 80}]}]}})
    };
    bed.apply(objects());
    bed.apply((0..1_200).map(route).collect());
    let findings = bed.findings.borrow();
    assert_eq!(findings.problems.len(), 1_000);
    assert_eq!(findings.omitted, 200);
}

/// A certificate for a year from 2001-09-09, as a Secret.
fn secret() -> Value {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
    parameters.not_before = rcgen::date_time_ymd(2001, 9, 9);
    parameters.not_after = rcgen::date_time_ymd(2002, 9, 9);
    let certificate = parameters.self_signed(&key).unwrap();
    json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": "tls", "namespace": "default"},
        "stringData": {"tls.crt": certificate.pem(), "tls.key": key.serialize_pem()}})
}

#[test]
fn the_clock_is_read_when_a_certificate_expires() {
    const IN_TIME: i64 = 1_005_000_000;
    const EXPIRES: i64 = 1_031_529_600;
    let mut bed = Bed::new(LogLimits::default());
    bed.pipeline.tick(IN_TIME);
    assert_eq!(bed.pipeline.pause(), TICK);
    bed.apply(objects());
    bed.apply(vec![
        secret(),
        json!({"apiVersion": GATEWAY, "kind": "Gateway",
            "metadata": {"name": "edge", "namespace": "default"},
            "spec": {"gatewayClassName": "novaedge", "listeners": [
                {"name": "one", "protocol": "HTTPS", "port": 8443,
                    "tls": {"certificateRefs": [{"name": "tls"}]}}]}}),
    ]);
    bed.acknowledge(&[]);
    assert_eq!(bed.problems(), [] as [&str; 0]);
    bed.pipeline.tick(EXPIRES - 20);
    assert_eq!(bed.pipeline.pause(), Duration::from_secs(21));
    bed.pipeline.tick(EXPIRES + 1);
    let problems = bed.problems();
    assert!(
        problems
            .iter()
            .any(|problem| problem.contains("CertificateExpired")),
        "{problems:?}"
    );
    assert_eq!(bed.pipeline.pause(), TICK);
}

/// Whether a change is of the object with this name.
fn is_of(change: &Change, name: &str) -> bool {
    change.id().key.name == name
}

#[test]
fn an_object_that_makes_translation_panic_is_left_out_and_named() {
    let mut bed = Bed::new(LogLimits::default());
    bed.apply(objects());
    bed.acknowledge(&[]);
    bed.pipeline.engine.trip = |changes| changes.iter().any(|change| is_of(change, "bad"));
    let route = |name: &str| {
        json!({"apiVersion": GATEWAY, "kind": "HTTPRoute",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"parentRefs": [{"name": "edge"}], "rules": [
                {"backendRefs": [{"name": "s", "port": 80}]}]}})
    };
    let before = bed.publisher.current().sequence;
    bed.apply(vec![route("a"), route("bad"), route("z")]);
    assert!(
        bed.publisher.current().sequence > before,
        "the others are served"
    );
    bed.acknowledge(&[]);
    let problems = bed.problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].starts_with("error: HTTPRoute/default/bad: "),
        "{problems:?}"
    );
    for name in ["a", "z", "shop"] {
        let status = bed.status(Kind::HttpRoute, name);
        let accepted = condition(&status["parents"][0]["conditions"], "Accepted");
        assert_eq!(accepted.0, "True", "{name}");
    }
    let status = bed.status(Kind::Gateway, "edge");
    let programmed = condition(&status["conditions"], "Programmed");
    assert_eq!(programmed.0, "True");
    assert_eq!(status["listeners"][0]["attachedRoutes"], 3);

    bed.pipeline.engine.trip = |_| false;
    bed.apply(vec![route("bad")]);
    assert_eq!(bed.problems(), [] as [&str; 0]);
}

#[test]
fn many_panics_in_one_batch_end_in_time() {
    let mut bed = Bed::new(LogLimits::default());
    bed.apply(objects());
    bed.pipeline.engine.trip = |changes| !changes.is_empty();
    let service = |n: usize| {
        json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": format!("s{n}"), "namespace": "default"},
            "spec": {"ports": [{"port": 80}]}})
    };
    bed.apply((0..40).map(service).collect());
    assert_eq!(bed.problems().len(), 40);
}
