//! Many Ingresses of one class: what an edit costs, and where the bounds are.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use novaedge_api::decode::decode;
use novaedge_api::meta::{Kind, Object, ObjectId};
use novaedge_store::Change;
use novaedge_translate::{TranslateConfig, Translator};
use serde_json::{Value, json};

/// The Secret of a golden case.
fn secret() -> Object {
    let case = "tests/golden/ingress/tls-is-chosen-by-host-and-requests-over-http-go-there.yaml";
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(case)).unwrap();
    let values: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    let secret = values.into_iter().find(|value| value["kind"] == "Secret");
    decode(secret.unwrap()).unwrap()
}

fn objects() -> Vec<Object> {
    let class = json!({"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
        "metadata": {"name": "novaedge"}, "spec": {"controller": "novaedge.io/ingress-controller"}});
    let service = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "app", "namespace": "web"}, "spec": {"ports": [{"port": 80}]}});
    let made = [class, service].map(|value| decode(value).unwrap());
    made.into_iter().chain([secret()]).collect()
}

fn ingress(index: usize, path: &str) -> Object {
    let host = format!("h{index}.example.com");
    decode(
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": format!("i{index}"), "namespace": "web",
            "creationTimestamp": format!("2025-01-01T{:02}:{:02}:{:02}Z", index / 3600, index / 60 % 60, index % 60)},
        "spec": {"ingressClassName": "novaedge",
            "tls": [{"hosts": [host], "secretName": "web-cert"}],
            "rules": [{"host": host, "http": {"paths": [{"path": path, "pathType": "Prefix",
                "backend": {"service": {"name": "app", "port": {"number": 80}}}}]}}]}}),
    )
    .unwrap()
}

fn translator(count: usize) -> Translator {
    let mut translator = Translator::new(TranslateConfig::cluster(BTreeSet::new()));
    let ingresses = (0..count).map(|index| ingress(index, "/"));
    let all = objects().into_iter().chain(ingresses);
    translator.update(all.map(Change::Upsert).collect());
    translator
}

/// Units computed by one change.
fn cost(translator: &mut Translator, change: Change) -> u64 {
    let before = translator.load().computed;
    translator.update(vec![change]);
    translator.load().computed - before
}

#[test]
fn an_edit_costs_what_reads_it_and_not_what_there_is() {
    let mut few = translator(10);
    let mut many = translator(300);
    let edit = || Change::Upsert(ingress(3, "/other"));
    let (less, more) = (cost(&mut few, edit()), cost(&mut many, edit()));
    assert_eq!(less, more);
    // Its claims, its rules, its status.
    assert!(more <= 4, "{more}");
}

#[test]
fn a_class_has_as_many_hosts_with_tls_as_a_proxygateway_has_listeners() {
    let translator = translator(4_100);
    let output = translator.output();
    let id = ObjectId::new(Kind::ProxyGateway, "novaedge-system", "novaedge-ingress");
    let Some(Object::ProxyGateway(gateway)) = output.natives.get(&id) else {
        panic!("there is no {id}");
    };
    assert_eq!(gateway.spec.listeners.len(), 4_096);
    let told: Vec<String> = output
        .diagnostics
        .values()
        .flatten()
        .map(|found| format!("{} {}", found.object, found.reason))
        .collect();
    // The youngest have to go.
    let expect = (4_095..4_100).map(|index| format!("Ingress/web/i{index} NoResources"));
    assert_eq!(told, expect.collect::<Vec<_>>());
}
