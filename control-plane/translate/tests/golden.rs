//! Runs every case below `tests/golden`: `<area>/<name>.yaml` is what a user writes, with the rule of
//! the specification in its first line, and `<name>.out.yaml` is what it comes to.
//! `UPDATE_GOLDEN=1` writes the outputs; read each one before you commit it.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use novaedge_api::decode::decode;
use novaedge_api::gateway::GatewayStatusAddress;
use novaedge_api::meta::{Kind, Object, ObjectKey};
use novaedge_store::Change;
use novaedge_translate::{DesiredStatus, GatewayFleet, TranslateConfig, Translator};
use serde_json::{Value, json};

#[test]
fn every_case_comes_to_its_output() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut stale = Vec::new();
    let cases = cases(&root);
    assert!(!cases.is_empty(), "no cases in {}", root.display());
    for case in cases {
        let text = fs::read_to_string(&case).unwrap();
        assert!(
            text.starts_with("# "),
            "{} must begin with the rule",
            case.display()
        );
        let output = run(&text, &case);
        let path = case.with_extension("out.yaml");
        if update {
            fs::write(&path, output).unwrap();
        } else if fs::read_to_string(&path).unwrap_or_default() != output {
            stale.push(format!("{}\n{output}", path.display()));
        }
    }
    assert!(
        stale.is_empty(),
        "{} differ:\n{}",
        stale.len(),
        stale.join("\n")
    );
}

fn cases(root: &Path) -> Vec<PathBuf> {
    let mut found = BTreeSet::new();
    for area in fs::read_dir(root).unwrap() {
        for case in fs::read_dir(area.unwrap().path()).unwrap() {
            let path = case.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name
                .strip_suffix(".yaml")
                .is_some_and(|name| !name.contains(".out"))
            {
                found.insert(path);
            }
        }
    }
    found.into_iter().collect()
}

fn run(text: &str, case: &Path) -> String {
    let objects = objects(text, case);
    let forwards = translate(objects.clone());
    let mut reversed = objects;
    reversed.reverse();
    assert_eq!(
        forwards,
        translate(reversed),
        "{}: the order of events shows",
        case.display()
    );
    serde_saphyr::to_string(&forwards).unwrap()
}

fn objects(text: &str, case: &Path) -> Vec<Object> {
    let values: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    let values = values.into_iter().filter(|value| !value.is_null());
    values
        .map(|value| decode(value).unwrap_or_else(|error| panic!("{}: {error}", case.display())))
        .collect()
}

/// Translates objects one by one, and lets agents acknowledge what comes of them.
fn translate(objects: Vec<Object>) -> Value {
    let mut translator = Translator::new(TranslateConfig::cluster(BTreeSet::new()));
    let gateways: Vec<ObjectKey> = objects
        .iter()
        .filter(|o| o.kind() == Kind::Gateway)
        .map(Object::key)
        .collect();
    for object in objects {
        translator.update(vec![Change::Upsert(object)]);
    }
    let fleet = gateways.into_iter().filter_map(|key| {
        let generations = translator.generations(&key)?;
        let address = GatewayStatusAddress {
            value: "192.0.2.1".into(),
            ..GatewayStatusAddress::default()
        };
        let fleet = GatewayFleet {
            acknowledged_generation: Some(generations.gateway),
            acknowledged_listener_sets: generations.listener_sets,
            addresses: vec![address],
            rejected_listeners: BTreeMap::new(),
        };
        Some((key, fleet))
    });
    let fleet = fleet.collect();
    translator.set_fleet(fleet);
    shown(&translator)
}

fn shown(translator: &Translator) -> Value {
    let output = translator.output();
    let natives: Vec<Value> = output
        .natives
        .values()
        .map(|native| native.to_value().unwrap())
        .collect();
    let statuses: BTreeMap<String, Value> = output
        .statuses
        .iter()
        // The class says the same in every case.
        .filter(|(id, _)| id.kind != Kind::GatewayClass)
        .map(|(id, status)| (id.to_string(), untimed(status_value(status))))
        .collect();
    let diagnostics: Vec<String> = output
        .diagnostics
        .values()
        .flatten()
        .map(|d| {
            let severity = d.severity.as_str();
            format!(
                "{severity} {} {}: {}: {}",
                d.object, d.field, d.reason, d.message
            )
        })
        .collect();
    json!({ "natives": natives, "statuses": statuses, "diagnostics": diagnostics })
}

fn status_value(status: &DesiredStatus) -> Value {
    match status {
        DesiredStatus::GatewayClass(status) => json!(status),
        DesiredStatus::Gateway(status) => json!(status),
        DesiredStatus::ListenerSet(status) => json!(status),
        DesiredStatus::Route(parents) => json!({ "parents": parents }),
        DesiredStatus::BackendTlsPolicy(ancestors) => json!({ "ancestors": ancestors }),
    }
}

/// Leaves out transition times, which are the writer's.
fn untimed(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            fields.remove("lastTransitionTime");
            for field in fields.values_mut() {
                *field = untimed(field.take());
            }
        }
        Value::Array(items) => {
            for item in items {
                *item = untimed(item.take());
            }
        }
        _ => {}
    }
    value
}
