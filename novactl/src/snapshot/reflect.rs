//! Messages of the wire protocol as JSON, by their descriptors, so that no field is forgotten.

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

/// A resource as JSON: fields as the proto file names them in JSON, enums by name, bytes as text.
pub fn resource(resource: &v1::Resource) -> Value {
    let message = RESOURCE.as_ref().and_then(|descriptor| {
        DynamicMessage::decode(descriptor.clone(), resource.encode_to_vec().as_slice()).ok()
    });
    // The descriptors are compiled in from the same files as the types, so this is never empty.
    message.map_or(Value::Null, |message| object(&message))
}

fn object(message: &DynamicMessage) -> Value {
    let mut fields = Map::new();
    for (descriptor, field) in message.fields() {
        if descriptor.name() != PRIVATE_KEY {
            fields.insert(descriptor.json_name().to_owned(), value(&descriptor, field));
        }
    }
    Value::Object(fields)
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
            let entries = entries.iter().map(|(key, entry)| (text(key), entry));
            let entries = entries.map(|(key, entry)| (key, value(descriptor, entry)));
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
