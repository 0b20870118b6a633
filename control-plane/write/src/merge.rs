//! What to change in a status: our part becomes what it should be, and all that others wrote stays.

mod condition;

use novaedge_api::{meta::Kind, native::CONTROLLER_NAME};
use serde_json::{Map, Value};

use self::condition::{has_foreign_types, merge_conditions};

/// The most entries that the API takes of parents of a route and of ancestors of a policy.
const MAX_PARENTS: usize = 32;
const MAX_ANCESTORS: usize = 16;

/// How the status of a kind is shared with others.
enum Shape {
    /// One controller's, but for conditions of other types: its fields.
    Whole(&'static [&'static str]),
    /// A list with entries of many controllers.
    Shared {
        list: &'static str,
        reference: &'static str,
        limit: usize,
    },
}

impl Shape {
    /// None for kinds whose status is never ours.
    const fn of(kind: Kind) -> Option<Self> {
        Some(match kind {
            Kind::GatewayClass => Self::Whole(&["conditions", "supportedFeatures"]),
            Kind::Gateway => Self::Whole(&[
                "addresses",
                "attachedListenerSets",
                "conditions",
                "listeners",
            ]),
            Kind::Ingress => Self::Whole(&["loadBalancer"]),
            Kind::ListenerSet => Self::Whole(&["conditions", "listeners"]),
            Kind::ProxyGateway | Kind::ProxyRoute | Kind::ProxyBackend => {
                Self::Whole(&["conditions"])
            }
            Kind::HttpRoute
            | Kind::GrpcRoute
            | Kind::TlsRoute
            | Kind::TcpRoute
            | Kind::UdpRoute => Self::Shared {
                list: "parents",
                reference: "parentRef",
                limit: MAX_PARENTS,
            },
            Kind::BackendTlsPolicy => Self::Shared {
                list: "ancestors",
                reference: "ancestorRef",
                limit: MAX_ANCESTORS,
            },
            _ => return None,
        })
    }
}

/// Whether objects of that kind have a status that may be ours to write.
pub(crate) const fn has_status(kind: Kind) -> bool {
    Shape::of(kind).is_some()
}

/// The fields of the status to merge in, null for those that go; none where all is as wanted. No wanted status means
/// that the object is not ours: our entries go, and a status that had one author stays for whoever comes next.
///
/// `now` is the time of transitions that happen by this change.
pub(crate) fn merge(
    kind: Kind,
    wanted: Option<&Value>,
    current: &Value,
    now: &str,
) -> Option<Value> {
    let mut patch = Map::new();
    match (Shape::of(kind)?, wanted) {
        (Shape::Whole(fields), Some(wanted)) => {
            for field in fields {
                let (want, have) = (&wanted[*field], &current[*field]);
                let want = match *field {
                    "conditions" => Value::Array(merge_conditions(want, have, now)),
                    "listeners" => Value::Array(merge_listeners(want, have, now)),
                    // Without addresses the list has to go, which only null says.
                    "loadBalancer" => with(want, "ingress", want["ingress"].clone()),
                    _ => want.clone(),
                };
                if !equal(&want, have) {
                    patch.insert((*field).to_owned(), want);
                }
            }
        }
        (Shape::Whole(_), None) => {}
        (
            Shape::Shared {
                list,
                reference,
                limit,
            },
            wanted,
        ) => {
            let wanted = wanted.map_or(&Value::Null, |wanted| &wanted[list]);
            let entries = merge_entries(reference, limit, wanted, &current[list], now);
            let entries = Value::Array(entries);
            if !equal(&entries, &current[list]) {
                patch.insert(list.to_owned(), entries);
            }
        }
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// Whether a status holds anything that others wrote. It is then read again before it is written, for our types may
/// not know all of its fields.
pub(crate) fn has_foreign(kind: Kind, current: &Value) -> bool {
    match Shape::of(kind) {
        None => false,
        Some(Shape::Whole(_)) => {
            has_foreign_types(&current["conditions"])
                || items(&current["listeners"])
                    .iter()
                    .any(|listener| has_foreign_types(&listener["conditions"]))
        }
        Some(Shape::Shared { list, .. }) => items(&current[list])
            .iter()
            .any(|entry| !is_ours(entry) || has_foreign_types(&entry["conditions"])),
    }
}

/// Whether a list with entries of many controllers has some of ours.
pub(crate) fn has_our_entries(kind: Kind, current: &Value) -> bool {
    match Shape::of(kind) {
        Some(Shape::Shared { list, .. }) => items(&current[list]).iter().any(is_ours),
        _ => false,
    }
}

fn merge_listeners(wanted: &Value, current: &Value, now: &str) -> Vec<Value> {
    let merged = items(wanted).iter().map(|want| {
        let same = |have: &&Value| have["name"] == want["name"];
        let have = items(current).iter().find(same).unwrap_or(&Value::Null);
        let conditions = merge_conditions(&want["conditions"], &have["conditions"], now);
        with(want, "conditions", Value::Array(conditions))
    });
    merged.collect()
}

/// Entries of others stay where they are, ours stay or go, and new ones come behind.
fn merge_entries(
    reference: &str,
    limit: usize,
    wanted: &Value,
    current: &Value,
    now: &str,
) -> Vec<Value> {
    let mut open: Vec<&Value> = items(wanted).iter().collect();
    let mut merged = Vec::new();
    for have in items(current) {
        if !is_ours(have) {
            merged.push(have.clone());
            continue;
        }
        let same = |want: &&Value| same_reference(&want[reference], &have[reference]);
        if let Some(place) = open.iter().position(same) {
            let want = open.remove(place);
            let conditions = merge_conditions(&want["conditions"], &have["conditions"], now);
            merged.push(with(want, "conditions", Value::Array(conditions)));
        }
    }
    let room = limit.saturating_sub(merged.len());
    merged.extend(open.into_iter().take(room).map(|want| {
        let conditions = merge_conditions(&want["conditions"], &Value::Null, now);
        with(want, "conditions", Value::Array(conditions))
    }));
    merged
}

fn is_ours(entry: &Value) -> bool {
    entry["controllerName"] == CONTROLLER_NAME
}

/// References are the same when they name the same; a missing group or kind is that of Gateways.
fn same_reference(a: &Value, b: &Value) -> bool {
    let default = |field: &str| match field {
        "group" => Value::from(novaedge_api::gateway::GROUP),
        "kind" => Value::from("Gateway"),
        _ => Value::Null,
    };
    let field = |value: &Value, name: &str| match &value[name] {
        Value::Null => default(name),
        there => there.clone(),
    };
    ["group", "kind", "namespace", "name", "sectionName", "port"]
        .iter()
        .all(|name| field(a, name) == field(b, name))
}

/// Equal but for what the API server leaves out: nothing is like null and like an empty list.
fn equal(a: &Value, b: &Value) -> bool {
    fn is_nothing(value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.values().all(is_nothing),
            _ => false,
        }
    }
    match (a, b) {
        (a, b) if is_nothing(a) || is_nothing(b) => is_nothing(a) && is_nothing(b),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let null = Value::Null;
            let within = |a: &Map<String, Value>, b: &Map<String, Value>| {
                a.iter()
                    .all(|(name, value)| equal(value, b.get(name).unwrap_or(&null)))
            };
            within(a, b) && within(b, a)
        }
        (a, b) => a == b,
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn with(object: &Value, field: &str, value: Value) -> Value {
    let mut fields = object.as_object().cloned().unwrap_or_default();
    fields.insert(field.to_owned(), value);
    Value::Object(fields)
}

#[cfg(test)]
mod tests;
