//! Statuses of ListenerSets.

use novaedge_api::gateway::{ListenerSet, ListenerSetStatus};
use novaedge_api::meta::{Kind, ObjectId, ObjectKey};

use super::listener_status::{Observed, listener_status};
use super::{SetDetail, StatusPlan};
use crate::condition::{ConditionStatus, condition};
use crate::diagnostic::Diagnostic;
use crate::output::GatewayFleet;
use crate::view::View;

/// The field that says which Gateway is meant.
const PARENT_REF: &str = "spec.parentRef";

/// Status, reason and message of a condition.
type Verdict = (ConditionStatus, &'static str, String);

/// Status of a ListenerSet; none when its Gateway is not ours.
pub(crate) fn listener_set_status(
    view: &View<'_>,
    key: &ObjectKey,
) -> StatusPlan<ListenerSetStatus> {
    let Some(detail) = view.set_detail(key) else {
        return StatusPlan::of_nobody(orphan(view, key));
    };
    let nothing = GatewayFleet::default();
    let fleet = view.fleet(&detail.gateway).unwrap_or(&nothing);
    let generation = detail.generation;
    let acknowledged = fleet.acknowledged_listener_sets.get(key).copied();
    let observed = Observed {
        fleet,
        current: acknowledged == Some(generation.unwrap_or(0)),
        unserved: detail.parent_unserved,
        generation,
    };
    let accepted = accepted(&detail);
    let programmed = programmed(&detail, &accepted, &observed);
    let conditions = [("Accepted", accepted), ("Programmed", programmed)];
    let listeners = detail.listeners.iter();
    let status = ListenerSetStatus {
        conditions: conditions
            .into_iter()
            .map(|(type_, (status, reason, text))| {
                condition(type_, status, reason, text, generation)
            })
            .collect(),
        listeners: listeners
            .map(|listener| listener_status(view, &detail.gateway, listener, &observed))
            .collect(),
    };
    let refusal =
        refusal(&detail).map(|(reason, text)| Diagnostic::error(id(key), PARENT_REF, reason, text));
    let rejected = super::rejected(&id(key), &detail.listeners, &observed);
    StatusPlan {
        status: Some(status),
        diagnostics: refusal.into_iter().chain(rejected).collect(),
    }
}

fn id(key: &ObjectKey) -> ObjectId {
    ObjectId {
        kind: Kind::ListenerSet,
        key: key.clone(),
    }
}

/// Why nobody serves a ListenerSet: there is no such Gateway. Any other Gateway tells for itself.
fn orphan(view: &View<'_>, key: &ObjectKey) -> Option<Diagnostic> {
    let set = view.get::<ListenerSet>(key)?;
    let parent = &set.spec.parent_ref;
    let (below, text) = if Kind::find(&parent.group, &parent.kind) == Some(Kind::Gateway) {
        let namespace = parent.namespace.as_deref().filter(|name| !name.is_empty());
        let namespace = namespace.unwrap_or(&key.namespace);
        let gateway = ObjectId::new(Kind::Gateway, namespace, &parent.name);
        if view.exists(&gateway) {
            return None;
        }
        let text = format!("{gateway} does not exist; create it or correct the name");
        ("name", text)
    } else {
        let text = format!(
            "kind {} cannot have ListenerSets; refer to a Gateway",
            parent.kind
        );
        ("kind", text)
    };
    let field = format!("{PARENT_REF}.{below}");
    Some(Diagnostic::warning(
        id(key),
        field,
        "NoMatchingParent",
        text,
    ))
}

/// Why nothing of the ListenerSet is accepted, whatever its listeners: reason and message.
fn refusal(detail: &SetDetail) -> Option<(&'static str, String)> {
    if !detail.allowed {
        let text = format!(
            "spec.allowedListeners of Gateway {} does not let this namespace in; its owner can change that",
            detail.gateway
        );
        return Some(("NotAllowed", text));
    }
    let text = format!("Gateway {} is not accepted; see its status", detail.gateway);
    detail.parent_refused.then_some(("ParentNotAccepted", text))
}

fn accepted(detail: &SetDetail) -> Verdict {
    let no = ConditionStatus::False;
    if let Some((reason, text)) = refusal(detail) {
        return (no, reason, format!("{PARENT_REF}: {text}"));
    }
    // "ListenersNotValid" (ListenerSetReasonListenersNotValid) also stands for references that do not resolve.
    let bad: Vec<&str> = detail
        .listeners
        .iter()
        .filter(|listener| !listener.plan.usable)
        .map(|listener| listener.plan.section_name.as_str())
        .collect();
    if bad.is_empty() {
        let text = "every listener is accepted".to_owned();
        return (ConditionStatus::True, "Accepted", text);
    }
    let text = format!("not valid, see status.listeners: {}", bad.join(", "));
    (detail.accepted().into(), "ListenersNotValid", text)
}

fn programmed(detail: &SetDetail, accepted: &Verdict, observed: &Observed<'_>) -> Verdict {
    let no = ConditionStatus::False;
    // A set that is not accepted is not programmed for the same reason.
    if let (ConditionStatus::False, reason, text) = accepted {
        return (no, reason, text.clone());
    }
    if let Some((field, why)) = super::exhausted(&detail.listeners, observed).next() {
        return (no, "NoResources", format!("{field}: {why}"));
    }
    if !observed.current {
        let text = "the agents have not acknowledged this generation yet".to_owned();
        return (no, "Pending", text);
    }
    if let Some((field, error)) = super::rejections(&detail.listeners, observed).next() {
        return (no, "Invalid", format!("{field}: {error}"));
    }
    let text = "every agent serves this generation".to_owned();
    (ConditionStatus::True, "Programmed", text)
}
