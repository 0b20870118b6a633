//! From JSON values to typed objects.
//!
//! Decoding is as strict as an API server with strict field validation: unknown fields and wrong types are errors
//! that name the field. `status` and `metadata` are not judged, since others write them too.

mod node;
mod spelling;
mod versions;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::field::FieldError;
use crate::meta::{Kind, Object, ObjectKey, Scope};
use crate::{gateway, native};

/// The namespace of namespaced objects that name none.
pub const DEFAULT_NAMESPACE: &str = "default";

/// Why a value is not an object that the system reads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The value has no `apiVersion` or no `kind`, so it is no Kubernetes object.
    #[error("not a Kubernetes object: {field} is missing")]
    NotAnObject {
        /// The missing field.
        field: &'static str,
    },
    /// The kind belongs to a group that the system does not read; callers skip it.
    #[error("{api_version} {kind} is not read")]
    Foreign {
        /// `group/version`.
        api_version: String,
        /// Kind.
        kind: String,
        /// Namespace and name, as far as they are given.
        key: ObjectKey,
    },
    /// The group is ours, the kind is not.
    #[error("{api_version} has no kind {kind}{}", hint(.similar.as_deref()))]
    UnknownKind {
        /// `group/version`.
        api_version: String,
        /// Kind.
        kind: String,
        /// A kind of the group with a similar name.
        similar: Option<String>,
        /// Namespace and name, as far as they are given.
        key: ObjectKey,
    },
    /// The kind is ours, the version is not.
    #[error("{kind} has no version {version}: use {}", .served.join(" or "))]
    UnknownVersion {
        /// Kind.
        kind: Kind,
        /// Version.
        version: String,
        /// Versions to choose from, the best first.
        served: &'static [&'static str],
        /// Namespace and name, as far as they are given.
        key: ObjectKey,
    },
    /// Fields are unknown, missing, or of the wrong type.
    #[error("{kind}/{key}: {}", join(.errors))]
    Invalid {
        /// Kind.
        kind: Kind,
        /// Namespace and name, as far as they are given.
        key: ObjectKey,
        /// Every unknown field, and the first one of a wrong type; sorted by path.
        errors: Vec<FieldError>,
    },
}

impl DecodeError {
    /// The object, as `Kind/namespace/name`, as far as it is given. Namespaced objects that name no namespace are in
    /// [`DEFAULT_NAMESPACE`].
    pub fn object(&self) -> Option<String> {
        match self {
            Self::NotAnObject { .. } => None,
            Self::Foreign { kind, key, .. } | Self::UnknownKind { kind, key, .. } => {
                Some(format!("{kind}/{key}"))
            }
            Self::UnknownVersion { kind, key, .. } | Self::Invalid { kind, key, .. } => {
                Some(format!("{kind}/{key}"))
            }
        }
    }

    /// The field that the error as a whole is about; empty when its parts name fields of their own.
    pub fn field(&self) -> &'static str {
        match self {
            Self::NotAnObject { field } => field,
            Self::Foreign { .. } | Self::UnknownKind { .. } => "kind",
            Self::UnknownVersion { .. } => "apiVersion",
            Self::Invalid { .. } => "",
        }
    }
}

/// Decodes one object.
pub fn decode(value: Value) -> Result<Object, DecodeError> {
    let (object, unknown) = decode_lenient(value)?;
    if unknown.is_empty() {
        return Ok(object);
    }
    Err(DecodeError::Invalid {
        kind: object.kind(),
        key: object.key(),
        errors: unknown,
    })
}

/// Decodes one object that an API server has judged already: unknown fields, which a newer API may define, are
/// returned beside it.
pub fn decode_lenient(mut value: Value) -> Result<(Object, Vec<FieldError>), DecodeError> {
    let (kind, version) = kind_of(&value)?;
    let version = version.to_owned();
    strip_nulls(&mut value);
    normalize_namespace(kind, &mut value);
    let (object, mut unknown) = by_kind(kind, value)?;
    let errors = versions::check(&object, &version);
    if errors.is_empty() {
        return Ok((object, unknown));
    }
    unknown.extend(errors);
    unknown.sort();
    Err(DecodeError::Invalid {
        kind,
        key: object.key(),
        errors: unknown,
    })
}

fn by_kind(kind: Kind, value: Value) -> Result<(Object, Vec<FieldError>), DecodeError> {
    match kind {
        Kind::GatewayClass => read::<gateway::GatewayClass>(kind, value),
        Kind::Gateway => read::<gateway::Gateway>(kind, value),
        Kind::ListenerSet => read::<gateway::ListenerSet>(kind, value),
        Kind::HttpRoute => read::<gateway::HttpRoute>(kind, value),
        Kind::GrpcRoute => read::<gateway::GrpcRoute>(kind, value),
        Kind::TlsRoute => read::<gateway::TlsRoute>(kind, value),
        Kind::TcpRoute => read::<gateway::TcpRoute>(kind, value),
        Kind::UdpRoute => read::<gateway::UdpRoute>(kind, value),
        Kind::ReferenceGrant => read::<gateway::ReferenceGrant>(kind, value),
        Kind::BackendTlsPolicy => read::<gateway::BackendTlsPolicy>(kind, value),
        Kind::ProxyGateway => read::<native::ProxyGateway>(kind, value),
        Kind::ProxyRoute => read::<native::ProxyRoute>(kind, value),
        Kind::ProxyBackend => read::<native::ProxyBackend>(kind, value),
        Kind::Service => read::<k8s_openapi::api::core::v1::Service>(kind, value),
        Kind::EndpointSlice => read::<k8s_openapi::api::discovery::v1::EndpointSlice>(kind, value),
        Kind::Secret => secret(kind, value),
        Kind::ConfigMap => read::<k8s_openapi::api::core::v1::ConfigMap>(kind, value),
        Kind::ClusterTrustBundle => {
            read::<k8s_openapi::api::certificates::v1beta1::ClusterTrustBundle>(kind, value)
        }
        Kind::Namespace => read::<k8s_openapi::api::core::v1::Namespace>(kind, value),
        Kind::Ingress => read::<k8s_openapi::api::networking::v1::Ingress>(kind, value),
        Kind::IngressClass => read::<k8s_openapi::api::networking::v1::IngressClass>(kind, value),
    }
}

/// The items of a `List` (also of nested ones, and of typed lists such as `HTTPRouteList`), or the value itself.
pub fn items(value: Value) -> Vec<Value> {
    let is_list = value["kind"]
        .as_str()
        .is_some_and(|kind| kind.ends_with("List"))
        && value["items"].is_array();
    if !is_list {
        return vec![value];
    }
    let mut objects = Vec::new();
    let mut pending = vec![value];
    while let Some(mut value) = pending.pop() {
        match value.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => pending.extend(items.into_iter().rev()),
            _ => objects.push(value),
        }
    }
    objects
}

/// Versions of a kind that can be read, the best first.
pub fn served_versions(kind: Kind) -> &'static [&'static str] {
    match kind.group() {
        gateway::GROUP => gateway::served_versions(kind.as_str()),
        native::GROUP => &["v1alpha1"],
        "certificates.k8s.io" => &["v1beta1", "v1alpha1"],
        _ => &["v1"],
    }
}

/// The kind, and the version's name.
fn kind_of(value: &Value) -> Result<(Kind, &str), DecodeError> {
    let text = |field: &'static str| {
        value
            .get(field)
            .and_then(Value::as_str)
            .ok_or(DecodeError::NotAnObject { field })
    };
    let (api_version, name) = (text("apiVersion")?, text("kind")?);
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let Some(kind) = Kind::find(group, name) else {
        return Err(unknown_kind(value, api_version, group, name));
    };
    let served = match group {
        gateway::X_GROUP => gateway::served_versions("XListenerSet"),
        _ => served_versions(kind),
    };
    if served.contains(&version) {
        return Ok((kind, version));
    }
    Err(DecodeError::UnknownVersion {
        kind,
        version: version.to_owned(),
        served,
        key: match kind.scope() {
            Scope::Namespaced => likely_key_of(value),
            Scope::Cluster => ObjectKey::new("", key_of(value).name),
        },
    })
}

/// Experiments of the Gateway API that are not read are foreign; everything else in our groups is a mistake.
fn unknown_kind(value: &Value, api_version: &str, group: &str, kind: &str) -> DecodeError {
    let names = Kind::ALL
        .iter()
        .filter(|kind| kind.group() == group)
        .map(|kind| kind.as_str());
    let (api_version, kind) = (api_version.to_owned(), kind.to_owned());
    if matches!(group, gateway::GROUP | native::GROUP) {
        let similar = spelling::similar(&kind, names).map(str::to_owned);
        return DecodeError::UnknownKind {
            api_version,
            kind,
            similar,
            key: likely_key_of(value),
        };
    }
    DecodeError::Foreign {
        api_version,
        kind,
        key: key_of(value),
    }
}

fn key_of(value: &Value) -> ObjectKey {
    let text = |field| value["metadata"][field].as_str().unwrap_or_default();
    ObjectKey::new(text("namespace"), text("name"))
}

/// The key of an object whose kind is not known well enough for its scope: most kinds are namespaced.
fn likely_key_of(value: &Value) -> ObjectKey {
    let mut key = key_of(value);
    if key.namespace.is_empty() {
        DEFAULT_NAMESPACE.clone_into(&mut key.namespace);
    }
    key
}

/// An API server drops nulls before it applies defaults.
fn strip_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(strip_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_nulls),
        _ => {}
    }
}

/// Gives namespaced objects a namespace, and takes it from others.
fn normalize_namespace(kind: Kind, value: &mut Value) {
    let Some(Value::Object(metadata)) = value.get_mut("metadata") else {
        return;
    };
    match kind.scope() {
        Scope::Cluster => {
            metadata.remove("namespace");
        }
        Scope::Namespaced => {
            let absent = metadata
                .get("namespace")
                .is_none_or(|namespace| namespace == "");
            if absent {
                metadata.insert("namespace".to_owned(), Value::from(DEFAULT_NAMESPACE));
            }
        }
    }
}

fn read<T: DeserializeOwned + Into<Object>>(
    kind: Kind,
    value: Value,
) -> Result<(Object, Vec<FieldError>), DecodeError> {
    typed::<T>(kind, value).map(|(object, unknown)| (object.into(), unknown))
}

/// `stringData` is write-only: an API server merges it into `data`, and so does this.
fn secret(kind: Kind, value: Value) -> Result<(Object, Vec<FieldError>), DecodeError> {
    let secret = typed::<k8s_openapi::api::core::v1::Secret>(kind, value);
    let (mut secret, unknown) = secret.map_err(without_values)?;
    if let Some(texts) = secret.string_data.take() {
        let data = secret.data.get_or_insert_default();
        data.extend(
            texts
                .into_iter()
                .map(|(key, text)| (key, k8s_openapi::ByteString(text.into_bytes()))),
        );
    }
    Ok((secret.into(), unknown))
}

/// An error of a Secret, whose values nobody is to see in a message: a key may stand where something else belongs.
fn without_values(mut error: DecodeError) -> DecodeError {
    if let DecodeError::Invalid { errors, .. } = &mut error {
        for error in errors {
            let value = (error.message.find("string \""), error.message.rfind("\", "));
            if let (Some(from), Some(to)) = value {
                error.message.replace_range(from..=to, "a string");
            } else if error.path.starts_with("data") && error.fix.is_none() {
                error.fix = Some("encode it in base64, or write it below stringData".to_owned());
            }
        }
    }
    error
}

/// Decodes, and lists the unknown fields outside `metadata` and `status`.
fn typed<T: DeserializeOwned>(
    kind: Kind,
    mut value: Value,
) -> Result<(T, Vec<FieldError>), DecodeError> {
    let key = key_of(&value);
    let invalid = |errors| DecodeError::Invalid {
        kind,
        key: key.clone(),
        errors,
    };
    if key.name.is_empty() {
        let missing = FieldError::new("metadata.name", "missing name");
        return Err(invalid(vec![missing.with_fix("give the object a name")]));
    }
    let mut outcome = node::from_value::<T>(&value);
    // Others write statuses; one that cannot be read counts as none.
    if let Err(error) = &outcome.result
        && error.path.split(['.', '[']).next() == Some("status")
        && let Some(map) = value.as_object_mut()
    {
        map.remove("status");
        outcome = node::from_value::<T>(&value);
    }
    let mut errors = outcome.unknown;
    errors.retain(|error| is_judged(&error.path, &value));
    match outcome.result {
        Ok(object) => {
            errors.sort();
            Ok((object, errors))
        }
        Err(error) => {
            errors.push(error);
            errors.sort();
            Err(invalid(errors))
        }
    }
}

fn is_judged(path: &str, value: &Value) -> bool {
    let first = path.split(['.', '[']).next().unwrap_or_default();
    let known: Option<&Map<String, Value>> = value.as_object();
    known.is_some() && !matches!(first, "apiVersion" | "kind" | "metadata" | "status")
}

fn hint(similar: Option<&str>) -> String {
    similar
        .map(|similar| format!("; did you mean {similar}?"))
        .unwrap_or_default()
}

fn join(errors: &[FieldError]) -> String {
    errors
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests;
