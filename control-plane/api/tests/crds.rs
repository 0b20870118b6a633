//! The CRDs in `deploy/` are those that the types describe.
//!
//! `UPDATE_GOLDEN=1` rewrites them.

use std::fs;
use std::path::PathBuf;

use novaedge_api::native::crds;
use serde_json::{Value, json};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy/kustomize/base/crds")
}

/// File names and contents.
fn files() -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = crds()
        .iter()
        .map(|crd| {
            let mut value = serde_json::to_value(crd).expect("a CRD is JSON");
            whole_numbers(&mut value);
            let name = format!("{}_{}.yaml", crd.spec.group, crd.spec.names.plural);
            (name, serde_saphyr::to_string(&value).expect("JSON is YAML"))
        })
        .collect();
    let resources: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": resources,
    });
    let kustomization = serde_saphyr::to_string(&kustomization).expect("JSON is YAML");
    files.push(("kustomization.yaml".to_owned(), kustomization));
    files
}

/// Limits are floating-point numbers in the types of Kubernetes, and whole ones to a reader.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Object(map) => map.values_mut().for_each(whole_numbers),
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Number(number) => {
            let whole = number.as_f64().map(|number| format!("{number:.0}"));
            if let Some(whole) = whole.and_then(|whole| whole.parse::<i64>().ok()) {
                *value = json!(whole);
            }
        }
        _ => {}
    }
}

#[test]
fn the_files_are_fresh() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1");
    for (name, content) in files() {
        let path = folder().join(&name);
        if update {
            fs::create_dir_all(folder()).expect("the folder can be made");
            fs::write(&path, &content).expect("the file can be written");
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == content,
            "{name} is stale; run UPDATE_GOLDEN=1 cargo test -p novaedge-api --test crds"
        );
    }
}

/// What an API server asks of every schema: a type everywhere, and only known formats.
#[test]
fn the_schemas_are_structural() {
    for crd in crds() {
        let value = serde_json::to_value(&crd).expect("a CRD is JSON");
        check_structure(
            &value["spec"]["versions"][0]["schema"]["openAPIV3Schema"],
            &crd.spec.names.kind,
        );
    }
}

fn check_structure(schema: &Value, path: &str) {
    let type_ = schema["type"]
        .as_str()
        .unwrap_or_else(|| panic!("{path} has no type"));
    assert!(
        ["object", "array", "string", "integer", "boolean"].contains(&type_),
        "{path}: {type_}"
    );
    if let Some(format) = schema["format"].as_str() {
        assert!(
            ["int32", "int64", "date-time"].contains(&format),
            "{path}: {format}"
        );
    }
    for field in ["$ref", "definitions", "anyOf"] {
        assert!(schema.get(field).is_none(), "{path} has {field}");
    }
    // A map says what its values are, and has no other fields.
    if let Some(values) = schema.get("additionalProperties") {
        assert!(
            schema.get("properties").is_none(),
            "{path} is map and object"
        );
        check_structure(values, &format!("{path}{{}}"));
    }
    // Within a logical junction only values may be judged.
    for branch in schema["oneOf"].as_array().into_iter().flatten() {
        assert!(
            branch.get("type").is_none() && branch.get("description").is_none(),
            "{path}: {branch}"
        );
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        check_structure(property, &format!("{path}.{name}"));
    }
    if let Some(items) = schema.get("items") {
        check_structure(items, &format!("{path}[]"));
    }
}

/// Rules are costed by the number of values that they may see, so every list above a rule has a limit.
#[test]
fn rules_stand_below_bounded_lists_only() {
    for crd in crds() {
        let value = serde_json::to_value(&crd).expect("a CRD is JSON");
        check_bounds(
            &value["spec"]["versions"][0]["schema"]["openAPIV3Schema"],
            &crd.spec.names.kind,
            1,
        );
    }
}

fn check_bounds(schema: &Value, path: &str, count: u64) {
    if schema.get("x-kubernetes-validations").is_some() {
        assert!(
            count <= 1_000_000,
            "the rule at {path} may run {count} times"
        );
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        check_bounds(property, &format!("{path}.{name}"), count);
    }
    if let Some(items) = schema.get("items") {
        let most = schema["maxItems"].as_u64().unwrap_or(1_000_000);
        check_bounds(items, &format!("{path}[]"), count.saturating_mul(most));
    }
}
