//! An object as it was seen last.

use std::cmp::Ordering;

use novaedge_api::{
    meta::{Kind, Object},
    native,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::is_native;
use crate::merge::has_status;

/// A hash of what is compared.
pub(crate) type Digest = [u8; 32];

/// An object as it was seen last.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) uid: Option<String>,
    /// `metadata.resourceVersion`.
    pub(super) version: String,
    pub(super) generation: Option<i64>,
    live: Live,
}

#[derive(Clone, Debug)]
enum Live {
    /// Only its identity matters.
    Plain,
    /// The object as the store shares it.
    Shared(Object),
    /// The status as the API server answered it, until the watch tells the same.
    Status(Value),
    /// A native object.
    Native {
        digest: Digest,
        translated: bool,
        status: Value,
    },
}

/// Whether a native object was made from Gateway API objects. Such an object is a projection: the translation does not
/// read it again.
pub fn is_translated(object: &Object) -> bool {
    let labels = object.metadata().labels.as_ref();
    is_native(object.kind()) && labels.is_some_and(|labels| labels.contains_key(native::OWNER))
}

impl Seen {
    /// None for an object that is never written and that no user is told about.
    pub(super) fn of(object: &Object) -> Option<Self> {
        let kind = object.kind();
        let metadata = object.metadata();
        let live = if is_native(kind) {
            let value = object.to_value().ok()?;
            Live::Native {
                digest: digest(&projection(&value)),
                translated: is_translated(object),
                status: value["status"].clone(),
            }
        } else if has_status(kind) {
            Live::Shared(object.clone())
        } else if kind == Kind::EndpointSlice {
            return None;
        } else {
            Live::Plain
        };
        Some(Self {
            uid: metadata.uid.clone(),
            version: metadata.resource_version.clone().unwrap_or_default(),
            generation: metadata.generation,
            live,
        })
    }

    /// The native object that was applied, where the API server answered `live`.
    pub(super) fn applied(digest: Digest, before: Option<&Self>, live: &Value) -> Self {
        let uid = live["metadata"]["uid"].as_str().map(str::to_owned);
        Self {
            uid: uid.or_else(|| before?.uid.clone()),
            version: version(live),
            generation: live["metadata"]["generation"].as_i64(),
            live: Live::Native {
                digest,
                translated: true,
                status: live["status"].clone(),
            },
        }
    }

    /// The same object with the status that the API server answered.
    pub(super) fn with_status(&self, answer: &Value) -> Self {
        let status = answer["status"].clone();
        let live = match &self.live {
            Live::Native {
                digest, translated, ..
            } => Live::Native {
                digest: *digest,
                translated: *translated,
                status,
            },
            _ => Live::Status(status),
        };
        Self {
            uid: self.uid.clone(),
            version: version(answer),
            generation: self.generation,
            live,
        }
    }

    pub(super) fn status(&self) -> Option<Value> {
        match &self.live {
            Live::Plain => None,
            Live::Shared(object) => Some(status_of(object)),
            Live::Status(status) | Live::Native { status, .. } => Some(status.clone()),
        }
    }

    pub(super) const fn is_translated(&self) -> bool {
        matches!(
            self.live,
            Live::Native {
                translated: true,
                ..
            }
        )
    }

    /// Whether it reads like a native object of that digest.
    pub(super) fn reads_like(&self, wanted: &Digest) -> bool {
        matches!(&self.live, Live::Native { digest, .. } if digest == wanted)
    }

    /// Whether it was seen at the version that the API server answered.
    pub(super) fn is_at(&self, live: &Value) -> bool {
        live["metadata"]["resourceVersion"] == *self.version
    }

    /// Whether this was seen after `other`. Resource versions are numbers that grow, as every API server has them; one
    /// that is no number is never newer.
    pub(super) fn is_newer(&self, other: &Self) -> bool {
        if self.uid != other.uid {
            return false;
        }
        let number = |seen: &Self| seen.version.parse::<u64>().ok();
        match (number(self), number(other)) {
            (Some(this), Some(that)) => this.cmp(&that) == Ordering::Greater,
            _ => false,
        }
    }
}

fn version(live: &Value) -> String {
    let version = live["metadata"]["resourceVersion"].as_str();
    version.unwrap_or_default().to_owned()
}

/// The status of an object, and nothing of its spec.
fn status_of(object: &Object) -> Value {
    match object {
        Object::GatewayClass(object) => json!(object.status),
        Object::Gateway(object) => json!(object.status),
        Object::ListenerSet(object) => json!(object.status),
        Object::HttpRoute(object) => json!(object.status),
        Object::GrpcRoute(object) => json!(object.status),
        Object::TlsRoute(object) => json!(object.status),
        Object::TcpRoute(object) => json!(object.status),
        Object::UdpRoute(object) => json!(object.status),
        Object::BackendTlsPolicy(object) => json!(object.status),
        Object::Ingress(object) => json!(object.status),
        _ => Value::Null,
    }
}

/// What of a native object is ours: its spec, our labels and annotations, and its owner.
pub(super) fn projection(object: &Value) -> Value {
    let metadata = &object["metadata"];
    let ours = |field: &str| -> Value {
        let pairs = metadata[field].as_object();
        let prefix = format!("{}/", native::GROUP);
        pairs
            .into_iter()
            .flatten()
            .filter(|(name, _)| name.starts_with(&prefix))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    };
    let owners = metadata["ownerReferences"].as_array();
    let owner = owners
        .into_iter()
        .flatten()
        .find(|owner| owner["controller"] == true);
    json!({
        "labels": ours("labels"),
        "annotations": ours("annotations"),
        "owner": owner,
        "spec": object["spec"],
    })
}

pub(super) fn digest(value: &Value) -> Digest {
    Sha256::digest(value.to_string()).into()
}
