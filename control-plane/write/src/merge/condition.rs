//! Conditions, merged by type.

use serde_json::Value;

use super::items;

/// The most conditions that the API takes in one list.
const MAX_CONDITIONS: usize = 8;

/// Types that NovaEdge writes. One of these that is wanted no more goes; all others are somebody else's.
const OUR_TYPES: [&str; 9] = [
    "Accepted",
    "Conflicted",
    "InsecureFrontendValidationMode",
    "OverlappingTLSConfig",
    "PartiallyInvalid",
    "Programmed",
    "Ready",
    "ResolvedRefs",
    "SupportedVersion",
];

/// Conditions of other types stay where they are, and ours are as wanted. The time of a transition stays where the
/// status does.
pub(super) fn merge_conditions(wanted: &Value, current: &Value, now: &str) -> Vec<Value> {
    let (wanted, current) = (items(wanted), items(current));
    let find = |list: &[Value], like: &Value| {
        let mut same = list.iter().filter(|item| item["type"] == like["type"]);
        same.next().cloned()
    };
    let mut merged = Vec::with_capacity(wanted.len());
    for have in current {
        match find(wanted, have) {
            Some(want) => merged.push(stamped(want, Some(have), now)),
            None if is_our_type(have) => {}
            None => merged.push(have.clone()),
        }
    }
    for want in wanted {
        if find(current, want).is_none() && merged.len() < MAX_CONDITIONS {
            merged.push(stamped(want.clone(), None, now));
        }
    }
    merged
}

/// Whether some condition is somebody else's.
pub(super) fn has_foreign_types(conditions: &Value) -> bool {
    !items(conditions).iter().all(is_our_type)
}

fn is_our_type(condition: &Value) -> bool {
    let type_ = condition["type"].as_str();
    type_.is_some_and(|type_| OUR_TYPES.contains(&type_))
}

fn stamped(mut condition: Value, before: Option<&Value>, now: &str) -> Value {
    let kept = before
        .filter(|before| before["status"] == condition["status"])
        .map(|before| before["lastTransitionTime"].clone())
        .filter(Value::is_string);
    if let Some(fields) = condition.as_object_mut() {
        let time = kept.unwrap_or_else(|| now.into());
        fields.insert("lastTransitionTime".to_owned(), time);
    }
    condition
}
