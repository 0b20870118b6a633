//! Resources as JSON, for people: by their descriptors, so that no field is forgotten, with fields as
//! the proto files name them in JSON, enums by name and PEM as text. Private keys are never shown.

use std::sync::LazyLock;

use novaedge_proto::{FILE_DESCRIPTOR_SET, v1};
use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor,
    Value as Field,
};
use serde_json::{Map, Value, json};

/// The field that nobody is to see, whoever sends it.
const PRIVATE_KEY: &str = "private_key_pem";

static RESOURCE: LazyLock<Option<MessageDescriptor>> = LazyLock::new(|| {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).ok()?;
    pool.get_message_by_name("novaedge.v1.Resource")
});

/// A resource as JSON.
pub fn resource(resource: &v1::Resource) -> Value {
    let message = RESOURCE.as_ref().and_then(|descriptor| {
        let bytes = resource.encode_to_vec();
        DynamicMessage::decode(descriptor.clone(), bytes.as_slice()).ok()
    });
    // The descriptors are compiled in from the same files as the types, so there always is one.
    message.map_or(Value::Null, |message| object(&message))
}

fn object(message: &DynamicMessage) -> Value {
    let fields = message
        .fields()
        .filter(|(descriptor, _)| descriptor.name() != PRIVATE_KEY)
        .map(|(descriptor, field)| {
            let name = descriptor.json_name().to_owned();
            (name, value(&descriptor, field))
        });
    Value::Object(fields.collect::<Map<_, _>>())
}

fn value(descriptor: &FieldDescriptor, field: &Field) -> Value {
    match field {
        Field::Bool(value) => json!(value),
        Field::I32(value) => json!(value),
        Field::I64(value) => json!(value),
        Field::U32(value) => json!(value),
        Field::U64(value) => json!(value),
        Field::F32(value) => json!(value),
        Field::F64(value) => json!(value),
        Field::String(value) => json!(value),
        Field::Bytes(value) => json!(String::from_utf8_lossy(value)),
        Field::EnumNumber(number) => enumeration(descriptor, *number),
        Field::Message(message) => object(message),
        Field::List(items) => items.iter().map(|item| value(descriptor, item)).collect(),
        Field::Map(entries) => {
            let entries = entries
                .iter()
                .map(|(key, entry)| (text(key), value(descriptor, entry)));
            Value::Object(entries.collect())
        }
    }
}

fn enumeration(descriptor: &FieldDescriptor, number: i32) -> Value {
    let Kind::Enum(names) = descriptor.kind() else {
        return json!(number);
    };
    let name = names.get_value(number).map(|value| value.name().to_owned());
    name.map_or_else(|| json!(number), Value::String)
}

fn text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_shown_without_its_key() {
        let certificate = v1::Certificate {
            chain_pem: b"CHAIN".to_vec().into(),
            private_key_pem: b"PRIVATE".to_vec().into(),
            fingerprint: "00ff".into(),
        };
        let shown = resource(&v1::Resource {
            name: "certificate/a/b".into(),
            version: "1".into(),
            body: Some(v1::resource::Body::Certificate(certificate)),
        });
        let expect = json!({"name": "certificate/a/b", "version": "1",
            "certificate": {"chainPem": "CHAIN", "fingerprint": "00ff"}});
        assert_eq!(shown, expect);
    }

    #[test]
    fn enums_have_names_and_what_is_not_set_is_left_out() {
        let route = v1::Route {
            kind: v1::RouteKind::Http.into(),
            rule_index: 2,
            ..v1::Route::default()
        };
        let shown = resource(&v1::Resource {
            body: Some(v1::resource::Body::Route(route)),
            ..v1::Resource::default()
        });
        assert_eq!(shown["route"]["ruleIndex"], 2);
        assert!(shown["route"]["kind"].as_str().unwrap().ends_with("HTTP"));
        assert_eq!(shown["route"].get("ruleName"), None);
    }
}
