//! Statuses of ListenerSets.

use novaedge_api::gateway::ListenerSetStatus;
use novaedge_api::meta::ObjectKey;

use super::SetDetail;
use super::listener_status::{Observed, listener_status};
use crate::condition::{ConditionStatus, condition};
use crate::output::GatewayFleet;
use crate::view::View;

/// Status, reason and message of a condition.
type Verdict = (ConditionStatus, &'static str, String);

/// Status of a ListenerSet; none when its Gateway is not ours.
pub(crate) fn listener_set_status(view: &View<'_>, key: &ObjectKey) -> Option<ListenerSetStatus> {
    let detail = view.set_detail(key)?;
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
    Some(ListenerSetStatus {
        conditions: conditions
            .into_iter()
            .map(|(type_, (status, reason, text))| {
                condition(type_, status, reason, text, generation)
            })
            .collect(),
        listeners: listeners
            .map(|listener| listener_status(view, &detail.gateway, listener, &observed))
            .collect(),
    })
}

fn accepted(detail: &SetDetail) -> Verdict {
    let no = ConditionStatus::False;
    if !detail.allowed {
        let text = format!(
            "spec.allowedListeners of Gateway {} does not let this namespace in; its owner can change that",
            detail.gateway
        );
        return (no, "NotAllowed", text);
    }
    if detail.parent_refused {
        let text = format!("Gateway {} is not accepted; see its status", detail.gateway);
        return (no, "ParentNotAccepted", text);
    }
    let bad: Vec<&str> = detail
        .listeners
        .iter()
        .filter(|listener| !listener.plan.accepted)
        .map(|listener| listener.plan.section_name.as_str())
        .collect();
    if bad.is_empty() {
        let text = "every listener is accepted".to_owned();
        return (ConditionStatus::True, "Accepted", text);
    }
    let text = format!("not accepted, see status.listeners: {}", bad.join(", "));
    (detail.accepted().into(), "ListenersNotValid", text)
}

fn programmed(detail: &SetDetail, accepted: &Verdict, observed: &Observed<'_>) -> Verdict {
    let no = ConditionStatus::False;
    // A set that is not accepted is not programmed for the same reason.
    if let (ConditionStatus::False, reason, text) = accepted {
        return (no, reason, text.clone());
    }
    if !detail.listeners.iter().any(|listener| listener.plan.usable) {
        let text = "no listener can be served; see status.listeners".to_owned();
        return (no, "Invalid", text);
    }
    if !observed.current {
        let text = "the agents have not acknowledged this generation yet".to_owned();
        return (no, "Pending", text);
    }
    let mut plans = detail.listeners.iter().map(|listener| &listener.plan);
    let rejected =
        plans.find_map(|plan| Some((plan, observed.fleet.rejected_listeners.get(&plan.name)?)));
    if let Some((plan, error)) = rejected {
        let text = format!("listener \"{}\": {error}", plan.section_name);
        return (no, "Invalid", text);
    }
    let text = "every agent serves this generation".to_owned();
    (ConditionStatus::True, "Programmed", text)
}
