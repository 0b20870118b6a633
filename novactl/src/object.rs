//! Objects with their statuses, whatever source they come from.

use std::collections::BTreeMap;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};
use novaedge_api::meta::{Kind, ObjectId, ObjectKey};
use novaedge_control_plane::problem::Problem;
use serde_json::Value;

use crate::certificate::CertificateFacts;

/// Kinds whose statuses NovaEdge writes, in the order in which people read them.
pub const JUDGED_KINDS: [Kind; 9] = [
    Kind::GatewayClass,
    Kind::Gateway,
    Kind::ListenerSet,
    Kind::HttpRoute,
    Kind::GrpcRoute,
    Kind::TlsRoute,
    Kind::TcpRoute,
    Kind::UdpRoute,
    Kind::BackendTlsPolicy,
];

/// Kinds of routes.
pub const ROUTE_KINDS: [Kind; 5] = [
    Kind::HttpRoute,
    Kind::GrpcRoute,
    Kind::TlsRoute,
    Kind::TcpRoute,
    Kind::UdpRoute,
];

/// An object of a judged kind. Without `spec` when the source knows its status alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// Kind, namespace and name.
    pub id: ObjectId,
    /// The whole object as JSON.
    pub value: Value,
}

/// All that a source knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inventory {
    /// Objects of the judged kinds.
    pub resources: BTreeMap<ObjectId, Resource>,
    /// What is wrong, as the control plane says it.
    pub problems: Vec<Problem>,
    /// How many more problems there are than it lists.
    pub omitted: usize,
    /// Certificates in Secrets, as far as the source can see Secrets.
    pub certificates: BTreeMap<ObjectKey, CertificateFacts>,
    /// What the source could not look at, in sentences.
    pub remarks: Vec<String>,
}

/// A condition, and the part of the object that it is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The part.
    pub about: Part,
    /// The condition.
    pub condition: Condition,
}

/// A part of an object with conditions of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// A listener, by name.
    Listener(String),
    /// A route's attachment to a parent, or a policy's effect under an ancestor.
    Under(Parent),
}

/// A parent as a status names it, with its namespace filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// `Gateway` or `ListenerSet`, usually.
    pub kind: String,
    /// Namespace and name.
    pub key: ObjectKey,
    /// Listener; none when the reference names none.
    pub section: Option<String>,
}

/// How bad a condition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Something is not served as written.
    Fault,
    /// Everything is served, yet somebody should look.
    Doubt,
}

impl Inventory {
    /// The resources of a kind, in order of namespace and name.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Resource> {
        self.resources.values().filter(move |r| r.id.kind == kind)
    }

    /// Leaves only what is in a namespace, and what is in none.
    pub fn only(&mut self, namespace: &str) {
        let here = |key: &ObjectKey| key.namespace.is_empty() || key.namespace == namespace;
        self.resources.retain(|id, _| here(&id.key));
    }

    /// One resource.
    pub fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Resource> {
        self.resources.get(&ObjectId::new(kind, namespace, name))
    }
}

impl Resource {
    /// The text at a JSON pointer such as `/spec/gatewayClassName`.
    pub fn text(&self, pointer: &str) -> Option<&str> {
        self.value.pointer(pointer)?.as_str()
    }

    /// The list at a JSON pointer; empty when there is none.
    pub fn list(&self, pointer: &str) -> &[Value] {
        let list = self.value.pointer(pointer).and_then(Value::as_array);
        list.map_or(&[], Vec::as_slice)
    }

    /// Whether the source knows what the user wrote.
    pub fn has_spec(&self) -> bool {
        self.value.get("spec").is_some()
    }

    /// When the object was made.
    pub fn created(&self) -> Option<Timestamp> {
        self.text("/metadata/creationTimestamp")?.parse().ok()
    }

    /// Every condition in the status.
    pub fn judgements(&self) -> Vec<Judgement> {
        let mut found = Vec::new();
        judge(&mut found, &Part::Whole, self.list("/status/conditions"));
        for listener in self.list("/status/listeners") {
            let part = Part::Listener(text(listener, "/name").to_owned());
            judge(&mut found, &part, conditions_of(listener));
        }
        for (list, reference) in [("parents", "/parentRef"), ("ancestors", "/ancestorRef")] {
            for entry in self.list(&format!("/status/{list}")) {
                let reference = entry.pointer(reference).unwrap_or(&Value::Null);
                let part = Part::Under(Parent::of(reference, &self.id.key.namespace));
                judge(&mut found, &part, conditions_of(entry));
            }
        }
        found
    }

    /// Statuses of a condition type over the whole object, or over a route's parents.
    pub fn statuses(&self, condition: &str) -> Vec<String> {
        self.judgements()
            .into_iter()
            .filter(|j| j.condition.type_ == condition && !matches!(j.about, Part::Listener(_)))
            .map(|j| j.condition.status)
            .collect()
    }
}

impl Parent {
    /// Reads a parentRef or an ancestorRef of an object in `namespace`.
    pub fn of(reference: &Value, namespace: &str) -> Self {
        let or = |pointer: &str, default: &str| {
            let found = reference.pointer(pointer).and_then(Value::as_str);
            found.unwrap_or(default).to_owned()
        };
        Self {
            kind: or("/kind", "Gateway"),
            key: ObjectKey::new(or("/namespace", namespace), or("/name", "")),
            section: reference
                .pointer("/sectionName")
                .and_then(Value::as_str)
                .map(str::to_owned),
        }
    }
}

impl std::fmt::Display for Parent {
    /// `Kind/namespace/name`, and `:section` where there is one.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.kind, self.key)?;
        match &self.section {
            Some(section) => write!(f, ":{section}"),
            None => Ok(()),
        }
    }
}

/// How bad a condition is; none for one that is as it should be.
pub fn weight(condition: &Condition) -> Option<Weight> {
    let holds = condition.status == "True";
    match condition.type_.as_str() {
        "Conflicted" | "PartiallyInvalid" => holds.then_some(Weight::Fault),
        "OverlappingTLSConfig" | "InsecureFrontendValidationMode" => holds.then_some(Weight::Doubt),
        _ if holds => None,
        _ if condition.status == "Unknown" => Some(Weight::Doubt),
        _ => Some(Weight::Fault),
    }
}

/// Text at a pointer of a value; empty when there is none.
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// A number at a pointer of a value.
pub fn number(value: &Value, pointer: &str) -> Option<i64> {
    value.pointer(pointer)?.as_i64()
}

fn conditions_of(entry: &Value) -> &[Value] {
    let list = entry.get("conditions").and_then(Value::as_array);
    list.map_or(&[], Vec::as_slice)
}

fn judge(found: &mut Vec<Judgement>, about: &Part, conditions: &[Value]) {
    let conditions = conditions.iter().filter_map(|value| {
        let condition = serde_json::from_value(value.clone()).ok()?;
        let about = about.clone();
        Some(Judgement { about, condition })
    });
    found.extend(conditions);
}
