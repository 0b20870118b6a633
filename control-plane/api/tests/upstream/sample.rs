//! Objects made from schemas.

use serde_json::{Map, Value, json};

use super::module::Schema;

/// Which properties an object gets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Every one.
    Full,
    /// Only those that the schema requires.
    Minimal,
}

/// Texts of which one fits every pattern in the schemas.
const TEXTS: [&str; 10] = [
    "10.0.0.1",
    "a",
    "Service",
    "/a",
    "a.example/b",
    "10s",
    "https://a.example",
    "True",
    "System",
    "2026-01-02T03:04:05Z",
];

/// An object that the schema describes.
pub fn object(schema: &Schema, extent: Extent) -> Value {
    let mut object = json!({
        "apiVersion": schema.api_version, "kind": schema.name,
        "metadata": {"name": "a", "namespace": "ns"},
    });
    if schema.name == "GatewayClass" {
        object["metadata"] = json!({"name": "a"});
    }
    let properties = &schema.object["properties"];
    object["spec"] = value(&properties["spec"], extent);
    if extent == Extent::Full && properties.get("status").is_some() {
        object["status"] = value(&properties["status"], extent);
    }
    object
}

/// A value that the schema describes.
pub fn value(schema: &Value, extent: Extent) -> Value {
    if let Some(words) = schema["enum"].as_array() {
        return words.first().cloned().expect("an enum with a word");
    }
    match schema["type"].as_str() {
        Some("object") => Value::Object(properties(schema, extent)),
        Some("array") => {
            let count = match extent {
                Extent::Full => 1,
                Extent::Minimal => schema["minItems"].as_u64().unwrap_or(0),
            };
            let item = value(&schema["items"], extent);
            Value::Array(vec![item; usize::try_from(count).expect("a small count")])
        }
        Some("integer") => {
            let least = schema["minimum"].as_i64().unwrap_or(1);
            schema
                .get("default")
                .cloned()
                .unwrap_or_else(|| json!(least.max(1)))
        }
        Some("boolean") => json!(true),
        Some("string") => text(schema),
        other => panic!("a schema of type {other:?}: {schema}"),
    }
}

fn properties(schema: &Value, extent: Extent) -> Map<String, Value> {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let mut map = Map::new();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        if extent == Extent::Full || required.iter().any(|field| field == name) {
            map.insert(name.clone(), value(property, extent));
        }
    }
    if let Some(entries) = schema
        .get("additionalProperties")
        .filter(|_| extent == Extent::Full)
    {
        map.insert("a".to_owned(), value(entries, extent));
    }
    map
}

fn text(schema: &Value) -> Value {
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(schema)
        .unwrap_or_else(|error| panic!("{schema}: {error}"));
    let fits = |text: &&str| validator.is_valid(&json!(text));
    json!(
        TEXTS
            .iter()
            .find(|text| fits(text))
            .unwrap_or_else(|| panic!("no text fits {schema}"))
    )
}

/// Fills in the schema's defaults as an API server does.
pub fn apply_defaults(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                if let (Some(default), false) = (property.get("default"), map.contains_key(name)) {
                    map.insert(name.clone(), default.clone());
                }
                if let Some(value) = map.get_mut(name) {
                    apply_defaults(property, value);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                apply_defaults(&schema["items"], item);
            }
        }
        _ => {}
    }
}

/// A place in a value, as a JSON pointer, and the schema there.
pub type Place<'s> = (String, &'s Value);

/// Every place that a value and its schema share.
pub fn places<'s>(schema: &'s Value, value: &Value, pointer: &str, found: &mut Vec<Place<'s>>) {
    found.push((pointer.to_owned(), schema));
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                if let Some(property) = schema["properties"].get(name) {
                    places(property, value, &format!("{pointer}/{name}"), found);
                }
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                places(
                    &schema["items"],
                    value,
                    &format!("{pointer}/{index}"),
                    found,
                );
            }
        }
        _ => {}
    }
}
