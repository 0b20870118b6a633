//! Our types against the upstream CRDs and examples, which Go's module cache holds.
//!
//! `./test/upstream/fetch.sh` puts them there. Nothing is skipped when they are missing: the tests fail.

#[path = "upstream/module.rs"]
mod module;
#[path = "upstream/sample.rs"]
mod sample;

use std::collections::BTreeSet;

use module::{Schema, VERSIONS, documents, folder, manifests, schemas, yaml_files};
use novaedge_api::decode::{DecodeError, decode};
use novaedge_api::field::FieldError;
use novaedge_api::meta::Kind;
use novaedge_api::validate::validate;
use sample::{Extent, apply_defaults, object, places};
use serde_json::{Value, json};

const NEWEST: &str = VERSIONS[VERSIONS.len() - 1];

#[test]
fn every_kind_has_a_schema_in_the_newest_release() {
    let found: BTreeSet<String> = schemas(NEWEST)
        .into_iter()
        .map(|schema| schema.name)
        .collect();
    let group = novaedge_api::gateway::GROUP;
    let ours = Kind::ALL.iter().filter(|kind| kind.group() == group);
    assert_eq!(found, ours.map(|kind| kind.as_str().to_owned()).collect());
}

#[test]
fn every_field_of_every_release_survives() {
    for schema in VERSIONS.into_iter().flat_map(schemas) {
        let sample = object(&schema, Extent::Full);
        let decoded = reencode(&schema, sample.clone());
        for part in ["spec", "status"] {
            assert_contains(&schema, part, &sample[part], &decoded[part]);
        }
    }
}

/// Everything in `part` is in `whole`. `cookieConfig` (until v1.6) is written as `cookie`.
fn assert_contains(schema: &Schema, path: &str, part: &Value, whole: &Value) {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            for (name, value) in part {
                let written = if name == "cookieConfig" {
                    "cookie"
                } else {
                    name
                };
                let path = format!("{path}.{name}");
                // Only XListenerSet has it; every controller writes its own statuses.
                if path == "status.listeners[0].port" {
                    continue;
                }
                let found = whole
                    .get(written)
                    .unwrap_or_else(|| panic!("{}: {path} is lost", schema.label()));
                assert_contains(schema, &path, value, found);
            }
        }
        (Value::Array(part), Value::Array(whole)) => {
            assert_eq!(part.len(), whole.len(), "{}: {path}", schema.label());
            for (index, (part, whole)) in part.iter().zip(whole).enumerate() {
                assert_contains(schema, &format!("{path}[{index}]"), part, whole);
            }
        }
        _ => assert_eq!(part, whole, "{}: {path}", schema.label()),
    }
}

#[test]
fn defaults_are_those_of_the_newest_schema() {
    for schema in schemas(NEWEST)
        .iter()
        .filter(|schema| schema.api_version.ends_with("/v1"))
    {
        let spec = &schema.object["properties"]["spec"];
        let full = object(schema, Extent::Full);
        let mut samples = vec![object(schema, Extent::Minimal), full.clone()];
        // Each object of the full sample, cut down to what its schema requires.
        let mut found = Vec::new();
        places(spec, &full["spec"], "/spec", &mut found);
        for (pointer, schema) in found {
            if schema["type"] == "object" {
                let mut sample = full.clone();
                *sample.pointer_mut(&pointer).expect("a place") =
                    sample::value(schema, Extent::Minimal);
                samples.push(sample);
            }
        }
        for sample in samples {
            let mut expect = sample.clone();
            apply_defaults(spec, &mut expect["spec"]);
            let mut decoded = reencode(schema, sample.clone());
            drop_empty(&mut expect["spec"]);
            drop_empty(&mut decoded["spec"]);
            assert_eq!(
                decoded["spec"],
                expect["spec"],
                "{} from {sample:#}",
                schema.label()
            );
        }
    }
}

/// Drops empty lists and maps, which mean the same as none where the schema has no default.
fn drop_empty(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(drop_empty);
            map.retain(|_, value| *value != json!([]) && *value != json!({}));
        }
        Value::Array(items) => items.iter_mut().for_each(drop_empty),
        _ => {}
    }
}

#[test]
fn what_we_write_is_valid_upstream() {
    for schema in schemas(NEWEST) {
        let validator = jsonschema::validator_for(&schema.object).expect("the schema compiles");
        for extent in [Extent::Full, Extent::Minimal] {
            let written = reencode(&schema, object(&schema, extent));
            let errors: Vec<String> = validator
                .iter_errors(&written)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(
                errors.is_empty(),
                "{}: {errors:#?}\n{written:#}",
                schema.label()
            );
        }
    }
}

#[test]
fn what_upstream_refuses_we_refuse() {
    let mut tried = 0;
    for schema in schemas(NEWEST)
        .iter()
        .filter(|schema| schema.api_version.ends_with("/v1"))
    {
        let full = object(schema, Extent::Full);
        let before = problems(full.clone());
        let mut found = Vec::new();
        places(
            &schema.object["properties"]["spec"],
            &full["spec"],
            "/spec",
            &mut found,
        );
        for (pointer, place) in found {
            let validator = jsonschema::validator_for(place).expect("the schema compiles");
            for value in spoilt(place, full.pointer(&pointer).expect("a place")) {
                // An empty list reads as none, which is an error only without wellKnownCACertificates.
                let reads_as_none =
                    pointer.ends_with("/validation/caCertificateRefs") && value == json!([]);
                if validator.is_valid(&value) || reads_as_none {
                    continue;
                }
                let mut sample = full.clone();
                *sample.pointer_mut(&pointer).expect("a place") = value.clone();
                let text = value.to_string();
                let shown = text.get(..80).unwrap_or(&text);
                let new = problems(sample).difference(&before).count();
                assert!(new > 0, "{} takes {pointer} = {shown}", schema.label());
                tried += 1;
            }
        }
    }
    assert!(tried > 1000, "only {tried} spoilt values were tried");
}

/// Values that a schema may refuse.
fn spoilt(schema: &Value, good: &Value) -> Vec<Value> {
    match good {
        Value::String(_) => {
            let long = "a".repeat(
                usize::try_from(schema["maxLength"].as_u64().unwrap_or(0)).expect("small") + 1,
            );
            vec![
                json!(""),
                json!("A b!"),
                json!("-"),
                json!("nonsense"),
                json!("\u{e9}"),
                json!(long),
                json!(1),
            ]
        }
        Value::Number(_) => {
            let more = schema["maximum"].as_i64().map_or(-1, |most| most + 1);
            vec![json!(0), json!(-1), json!(more), json!(299), json!("1")]
        }
        Value::Array(items) => {
            let most = schema["maxItems"].as_u64().unwrap_or(0);
            let many = vec![items[0].clone(); usize::try_from(most).expect("small") + 1];
            vec![json!([]), Value::Array(many), json!({}), json!("a")]
        }
        Value::Object(map) => {
            let missing = schema["required"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|name| {
                    let mut map = map.clone();
                    map.remove(name.as_str()?);
                    Some(Value::Object(map))
                });
            let entries = schema["maxProperties"].as_u64().unwrap_or(0);
            let many = (0..=entries)
                .map(|index| (format!("a{index}"), json!("a")))
                .collect();
            missing
                .chain([json!([]), json!("a"), Value::Object(many)])
                .collect()
        }
        _ => vec![json!("a"), json!(1)],
    }
}

#[test]
fn examples_and_conformance_manifests_decode() {
    for release in VERSIONS {
        let (mut ours, mut bad) = (0, Vec::new());
        for file in &manifests(release) {
            for document in documents(file)
                .into_iter()
                .flat_map(novaedge_api::decode::items)
            {
                match decode(document) {
                    Ok(_) => ours += 1,
                    Err(DecodeError::Foreign { .. } | DecodeError::NotAnObject { .. }) => {}
                    Err(error) => bad.push(format!("{}: {error}", file.display())),
                }
            }
        }
        assert!(bad.is_empty(), "{release}: {bad:#?}");
        assert!(ours > 50, "{release}: only {ours} objects were found");
    }
}

/// An API server takes every manifest of the suite, so validation must find nothing there.
#[test]
fn examples_and_conformance_manifests_are_valid() {
    let mut bad = Vec::new();
    for file in VERSIONS.into_iter().flat_map(manifests) {
        for document in documents(&file) {
            let Ok(object) = decode(document) else {
                continue;
            };
            let errors = validate(&object);
            bad.extend(
                errors
                    .iter()
                    .map(|error| format!("{} {}: {error}", file.display(), object.id())),
            );
        }
    }
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn upstreams_invalid_examples_are_refused() {
    let mut tried = 0;
    for file in VERSIONS
        .into_iter()
        .flat_map(|release| yaml_files(&folder(release).join("hack/invalid-examples")))
    {
        // One bad document makes the file bad.
        let refused = documents(&file)
            .into_iter()
            .any(|document| !problems(document).is_empty());
        assert!(refused, "{} is taken", file.display());
        tried += 1;
    }
    assert!(tried > 100, "only {tried} files were found");
}

fn reencode(schema: &Schema, value: Value) -> Value {
    let object = decode(value).unwrap_or_else(|error| panic!("{}: {error}", schema.label()));
    object.to_value().expect("an object is JSON")
}

/// What decoding and validation find.
fn problems(value: Value) -> BTreeSet<FieldError> {
    match decode(value) {
        Ok(object) => validate(&object).into_iter().collect(),
        Err(DecodeError::Invalid { errors, .. }) => errors.into_iter().collect(),
        Err(error) => BTreeSet::from([FieldError::new("", error.to_string())]),
    }
}
