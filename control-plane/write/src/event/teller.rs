//! Sends events.

use std::fmt::Write as _;

use k8s_openapi::jiff::Timestamp;
use novaedge_api::{
    meta::{ObjectKey, Scope},
    native::CONTROLLER_NAME,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Finding;
use crate::{
    error::{WriteError, is_conflict, is_namespace_ending, is_not_found},
    resource::Resource,
    writer::Shared,
};

/// Longest texts that the API server takes.
const MAX_NOTE: usize = 1_024;
const MAX_REASON: usize = 128;
/// The longest beginning of an object's name in an event's name.
const MAX_NAME: usize = 200;

/// Sends what is to be told, for as long as this process leads.
pub(crate) async fn tell(shared: &Shared) {
    loop {
        let pause = shared.events().pause();
        match pause {
            None => shared.event_offered.notified().await,
            Some(pause) if !pause.is_zero() => tokio::time::sleep(pause).await,
            Some(_) => {}
        }
        let next = shared.events().next(shared.now());
        let Some((finding, count)) = next else {
            continue;
        };
        if shared.book().is_ending(&finding.object) {
            // Nobody mends what is about to be gone.
            shared.metrics.events_dropped.add(1);
            continue;
        }
        match send(shared, &finding, count).await {
            Err(error) if is_namespace_ending(&error) => shared.metrics.events_dropped.add(1),
            Ok(true) => shared.metrics.events_written.add(1),
            Ok(false) => shared.metrics.events_repeated.add(1),
            Err(error) => {
                shared.metrics.event_errors.add(1);
                tracing::debug!(%error, object = %finding.object, "an event could not be sent");
            }
        }
    }
}

/// Whether the event was written; it is not where another replica has told the same.
async fn send(shared: &Shared, finding: &Finding, count: i32) -> Result<bool, WriteError> {
    let resource = Resource::new("events.k8s.io/v1", "Event", "events", Scope::Namespaced);
    let (uid, api_version) = shared.book().identity(&finding.object);
    let now = Timestamp::now();
    let event = event(
        finding,
        (uid.as_deref(), api_version.as_deref()),
        &shared.identity,
        now,
    );
    let text = |field: &str| event["metadata"][field].as_str().unwrap_or_default();
    let key = ObjectKey::new(text("namespace"), text("name"));
    if count > 1 {
        let series = json!({"series": {"count": count, "lastObservedTime": micro(now)}});
        match shared.request(&resource.merge(&key, series)).await {
            Err(error) if is_not_found(&error) => {}
            other => return other.map(|_| true),
        }
    }
    let create = resource.create(&key.namespace, event);
    match shared.request(&create).await {
        Err(error) if is_conflict(&error) => Ok(false),
        other => other.map(|_| true),
    }
}

/// The event about a finding. Its name follows from what it says, so that two replicas cannot say the same twice.
fn event(
    finding: &Finding,
    (uid, api_version): (Option<&str>, Option<&str>),
    instance: &str,
    now: Timestamp,
) -> Value {
    let id = &finding.object;
    let key = &id.key;
    // Events about what has no namespace stand in this one.
    let namespace = if key.namespace.is_empty() {
        "default"
    } else {
        &key.namespace
    };
    let mut regarding = json!({"kind": id.kind.as_str(), "name": key.name});
    let fields = [
        ("namespace", Some(key.namespace.as_str())),
        ("uid", uid),
        ("apiVersion", api_version),
    ];
    for (field, value) in fields {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            regarding[field] = value.into();
        }
    }
    let reason = if finding.reason.is_empty() {
        "Invalid"
    } else {
        &finding.reason
    };
    json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name(finding, uid), "namespace": namespace},
        "eventTime": micro(now),
        "type": "Warning",
        "reason": cut(reason, MAX_REASON),
        "note": cut(&finding.message, MAX_NOTE),
        "action": "Translate",
        "regarding": regarding,
        "reportingController": CONTROLLER_NAME,
        "reportingInstance": cut(instance, MAX_REASON),
    })
}

fn name(finding: &Finding, uid: Option<&str>) -> String {
    let id = &finding.object;
    let mut hash = Sha256::new();
    for part in [
        id.kind.as_str(),
        uid.unwrap_or_default(),
        &finding.reason,
        &finding.message,
    ] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let mut digits = String::with_capacity(16);
    for byte in hash.finalize().iter().take(8) {
        write!(digits, "{byte:02x}").expect("writing to a String never fails");
    }
    let start = cut(&id.key.name, MAX_NAME).trim_end_matches(['.', '-']);
    format!("{start}.{digits}")
}

/// The beginning of a text, in at most `limit` bytes.
fn cut(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// A time as `MicroTime` is written.
fn micro(time: Timestamp) -> String {
    format!("{time:.6}")
}

#[cfg(test)]
mod tests {
    use novaedge_api::meta::{Kind, ObjectId};

    use super::*;

    #[test]
    fn an_event_says_what_is_wrong_with_what() {
        let finding = Finding {
            object: ObjectId::new(Kind::HttpRoute, "shop", "cart"),
            reason: "RefNotPermitted".to_owned(),
            message: "x".repeat(2_000),
        };
        let now = Timestamp::from_second(0).expect("in range");
        let identity = (Some("1-2"), Some("gateway.networking.k8s.io/v1"));
        let made = event(&finding, identity, "pod", now);
        assert_eq!(made["metadata"]["namespace"], "shop");
        assert_eq!(made["eventTime"], "1970-01-01T00:00:00.000000Z");
        assert_eq!(made["note"].as_str().map(str::len), Some(1_024));
        let regarding = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "namespace": "shop", "name": "cart", "uid": "1-2",
        });
        assert_eq!(made["regarding"], regarding);
        assert_eq!(made, event(&finding, identity, "pod", now));
        let other = event(&finding, (Some("3"), None), "pod", now);
        assert_ne!(made["metadata"]["name"], other["metadata"]["name"]);
        let class = Finding {
            object: ObjectId::new(Kind::GatewayClass, "", "novaedge"),
            ..finding
        };
        let made = event(&class, (None, None), "pod", now);
        assert_eq!(made["metadata"]["namespace"], "default");
        assert!(made["regarding"].get("namespace").is_none());
    }
}
