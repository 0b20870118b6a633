//! Statuses of ListenerSets.

use novaedge_api::gateway::{Condition, ListenerSetStatus};
use novaedge_api::meta::ObjectKey;

use super::SetDetail;
use super::status::listener_status;
use crate::condition::{ConditionStatus, condition};
use crate::view::View;

/// Status of a ListenerSet; none when its Gateway is not ours.
pub(crate) fn listener_set_status(view: &View<'_>, key: &ObjectKey) -> Option<ListenerSetStatus> {
    let detail = view.set_detail(key)?;
    let fleet = view.fleet(&detail.gateway).cloned().unwrap_or_default();
    let generation = detail.generation;
    let acknowledged = fleet.acknowledged_listener_sets.get(key).copied();
    let current = acknowledged >= Some(generation.unwrap_or(0));
    let conditions = vec![accepted(&detail), programmed(&detail, current)];
    let listeners = detail.listeners.iter().map(|listener| {
        listener_status(view, &detail.gateway, listener, &fleet, current, generation)
    });
    Some(ListenerSetStatus {
        conditions,
        listeners: listeners.collect(),
    })
}

fn not_allowed(detail: &SetDetail) -> String {
    format!(
        "allowedListeners of Gateway {} does not let this namespace in; ask its owner to change spec.allowedListeners",
        detail.gateway
    )
}

fn accepted(detail: &SetDetail) -> Condition {
    let (status, reason, text) = if !detail.allowed {
        (ConditionStatus::False, "NotAllowed", not_allowed(detail))
    } else if detail.parent_refused {
        let text = format!("Gateway {} is not accepted; see its status", detail.gateway);
        (ConditionStatus::False, "ParentNotAccepted", text)
    } else {
        let bad = detail
            .listeners
            .iter()
            .filter(|listener| !listener.plan.accepted)
            .count();
        if bad == 0 {
            (
                ConditionStatus::True,
                "Accepted",
                "the ListenerSet is accepted".to_owned(),
            )
        } else {
            let text = format!("{bad} of its listeners are not accepted; see their status");
            (detail.accepted().into(), "ListenersNotValid", text)
        }
    };
    condition("Accepted", status, reason, text, detail.generation)
}

fn programmed(detail: &SetDetail, current: bool) -> Condition {
    let served = detail.listeners.iter().any(|listener| listener.plan.usable);
    let (status, reason, text) = if !detail.allowed {
        (ConditionStatus::False, "NotAllowed", not_allowed(detail))
    } else if detail.parent_refused {
        let text = format!("Gateway {} is not accepted; see its status", detail.gateway);
        (ConditionStatus::False, "ParentNotAccepted", text)
    } else if !served {
        let reason = if detail.accepted() {
            "Invalid"
        } else {
            "ListenersNotValid"
        };
        (
            ConditionStatus::False,
            reason,
            "no listener can be served".to_owned(),
        )
    } else if current {
        (
            ConditionStatus::True,
            "Programmed",
            "every agent serves the ListenerSet".to_owned(),
        )
    } else {
        let text = "agents have not acknowledged this generation yet".to_owned();
        (ConditionStatus::False, "Pending", text)
    };
    condition("Programmed", status, reason, text, detail.generation)
}
