//! Objects as the API server sends them, before anything is expected of them.

use std::borrow::Cow;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{ApiResource, DynamicResourceScope};
use novaedge_api::meta::ObjectKey;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Annotation in which kubectl keeps a second copy of the object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// An object as JSON. It always decodes, so that no object stops the watch of the others.
#[derive(Clone)]
pub(crate) struct Raw {
    /// Name, namespace, uid and resource version; nothing else.
    meta: ObjectMeta,
    /// The object, without bookkeeping that nobody reads.
    pub value: Value,
}

/// Only the metadata of an object: the API server is asked for no more.
#[derive(Clone)]
pub(crate) struct RawMeta(pub Raw);

/// What the caches need of both.
pub(crate) trait Identified {
    /// Namespace and name.
    fn key(&self) -> ObjectKey;
    /// Resource version; empty when there is none.
    fn version(&self) -> &str;
}

impl Raw {
    pub(crate) fn of(mut value: Value) -> Self {
        if let Some(Value::Object(metadata)) = value.get_mut("metadata") {
            metadata.remove("managedFields");
            if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
                annotations.remove(LAST_APPLIED);
            }
        }
        let metadata = value.get("metadata");
        let text = |field| Some(metadata?.get(field)?.as_str()?.to_owned());
        let meta = ObjectMeta {
            name: text("name"),
            namespace: text("namespace"),
            uid: text("uid"),
            resource_version: text("resourceVersion"),
            ..ObjectMeta::default()
        };
        Self { meta, value }
    }

    /// The uid; empty when there is none.
    pub(crate) fn uid(&self) -> &str {
        self.meta.uid.as_deref().unwrap_or_default()
    }
}

impl Identified for Raw {
    fn key(&self) -> ObjectKey {
        ObjectKey::of(&self.meta)
    }

    fn version(&self) -> &str {
        self.meta.resource_version.as_deref().unwrap_or_default()
    }
}

impl Identified for RawMeta {
    fn key(&self) -> ObjectKey {
        self.0.key()
    }

    fn version(&self) -> &str {
        self.0.version()
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::of)
    }
}

impl<'de> Deserialize<'de> for RawMeta {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Raw::deserialize(deserializer).map(Self)
    }
}

/// Names the object alone: it may be a Secret.
impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Raw({}@{})", self.key(), self.version())
    }
}

impl fmt::Debug for RawMeta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Implements what a client needs to list and watch objects of any kind.
macro_rules! resource {
    ($type:ty, $metadata_only:literal, |$self:ident| $meta:expr) => {
        impl kube::Resource for $type {
            type DynamicType = ApiResource;
            type Scope = DynamicResourceScope;

            fn kind(resource: &ApiResource) -> Cow<'_, str> {
                resource.kind.as_str().into()
            }

            fn group(resource: &ApiResource) -> Cow<'_, str> {
                resource.group.as_str().into()
            }

            fn version(resource: &ApiResource) -> Cow<'_, str> {
                resource.version.as_str().into()
            }

            fn api_version(resource: &ApiResource) -> Cow<'_, str> {
                resource.api_version.as_str().into()
            }

            fn plural(resource: &ApiResource) -> Cow<'_, str> {
                resource.plural.as_str().into()
            }

            fn metadata_api() -> bool {
                $metadata_only
            }

            fn meta(&$self) -> &ObjectMeta {
                &$meta
            }

            fn meta_mut(&mut $self) -> &mut ObjectMeta {
                &mut $meta
            }
        }
    };
}

resource!(Raw, false, |self| self.meta);
resource!(RawMeta, true, |self| self.0.meta);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Identified as _, Raw};

    #[test]
    fn anything_decodes_and_bookkeeping_is_left_out() {
        let check = |value, key: &str, version: &str| {
            let raw: Raw = serde_json::from_value(value).expect("always decodes");
            assert_eq!(
                (raw.key().to_string().as_str(), raw.version()),
                (key, version)
            );
            raw.value
        };
        check(json!({}), "", "");
        check(json!({"metadata": {"name": 5}}), "", "");
        let left = check(
            json!({"spec": 1, "metadata": {
                "name": "a", "namespace": "n", "resourceVersion": "7", "managedFields": [{}],
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "b": "c"},
            }}),
            "n/a",
            "7",
        );
        let expect = json!({"spec": 1, "metadata": {
            "name": "a", "namespace": "n", "resourceVersion": "7", "annotations": {"b": "c"},
        }});
        assert_eq!(left, expect);
    }

    #[test]
    fn data_is_not_shown() {
        let value =
            json!({"metadata": {"name": "a", "resourceVersion": "7"}, "data": {"k": "secret"}});
        assert_eq!(format!("{:?}", Raw::of(value)), "Raw(a@7)");
    }
}
