//! Resources as JSON, by their descriptors, so that no field is forgotten; and the one secret in them left out.

use novaedge_proto::{FILE_DESCRIPTOR_SET, v1};
use prost_reflect::prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, Value as Field};
use serde_json::{Map, Value, json};

pub(crate) struct Shower(DescriptorPool);

impl Shower {
    pub(crate) fn new() -> Self {
        Self(DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap())
    }

    /// The body of a resource.
    pub(crate) fn show(&self, resource: &v1::Resource) -> Value {
        let descriptor = self.0.get_message_by_name("novaedge.v1.Resource").unwrap();
        let bytes = resource.encode_to_vec();
        let mut value = object(&DynamicMessage::decode(descriptor, bytes.as_slice()).unwrap());
        let fields = value.as_object_mut().unwrap();
        fields.remove("name");
        // The version is the hash of the body, which stands here whole.
        fields.remove("version");
        value
    }
}

fn object(message: &DynamicMessage) -> Value {
    let fields = message.fields().map(|(descriptor, field)| {
        let shown = match descriptor.name() {
            "private_key_pem" => json!("(private)"),
            "chain_pem" | "ca_pem" | "fingerprint" => json!("(given)"),
            _ => value(&descriptor, field),
        };
        (descriptor.json_name().to_owned(), shown)
    });
    Value::Object(fields.collect::<Map<_, _>>())
}

fn value(descriptor: &FieldDescriptor, field: &Field) -> Value {
    match field {
        Field::Bool(value) => json!(value),
        Field::I64(value) => json!(value),
        Field::U32(value) => json!(value),
        Field::U64(value) => json!(value),
        Field::String(value) => json!(value),
        Field::EnumNumber(number) => match descriptor.kind() {
            Kind::Enum(kind) => json!(kind.get_value(*number).unwrap().name()),
            _ => json!(number),
        },
        Field::Message(message) => object(message),
        Field::List(items) => items.iter().map(|item| value(descriptor, item)).collect(),
        other => panic!("no resource has a field like {other:?} yet; show it here"),
    }
}
