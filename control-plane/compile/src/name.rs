//! Names of resources, as the wire contract lays them out.

use novaedge_api::meta::{Kind, ObjectKey};
use novaedge_proto::v1;

pub(crate) fn gateway(key: &ObjectKey) -> String {
    format!("gateway/{}/{}", key.namespace, key.name)
}

pub(crate) fn listener(gateway: &ObjectKey, name: &str) -> String {
    format!("listener/{}/{}/{name}", gateway.namespace, gateway.name)
}

pub(crate) fn route(source: &v1::ObjectRef, rule: usize) -> String {
    format!(
        "route/{}/{}/{}/{rule}",
        source.kind, source.namespace, source.name
    )
}

pub(crate) fn backend(key: &ObjectKey) -> String {
    format!("backend/{}/{}", key.namespace, key.name)
}

pub(crate) fn endpoints(key: &ObjectKey) -> String {
    format!("endpoints/{}/{}", key.namespace, key.name)
}

pub(crate) fn certificate(secret: &ObjectKey) -> String {
    format!("certificate/{}/{}", secret.namespace, secret.name)
}

/// A cluster-scoped bundle has an empty namespace, and its name keeps the empty part.
pub(crate) fn trust(kind: Kind, key: &ObjectKey) -> String {
    format!("trust/{kind}/{}/{}", key.namespace, key.name)
}

pub(crate) fn object_ref(kind: Kind, key: &ObjectKey) -> v1::ObjectRef {
    v1::ObjectRef {
        kind: kind.as_str().to_owned(),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
    }
}
