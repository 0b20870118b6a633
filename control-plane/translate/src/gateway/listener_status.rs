//! Statuses of listeners, of Gateways and ListenerSets alike.

use novaedge_api::gateway::{Condition, ListenerStatus};
use novaedge_api::meta::ObjectKey;

use super::ListenerDetail;
use crate::condition::{ConditionStatus, condition};
use crate::output::GatewayFleet;
use crate::view::View;

/// What the agents say about the object that a listener stands in.
pub(super) struct Observed<'a> {
    /// What they say about the Gateway.
    pub(super) fleet: &'a GatewayFleet,
    /// Whether they have acknowledged the object's generation.
    pub(super) current: bool,
    /// Why the Gateway serves nothing, whatever its listeners.
    pub(super) unserved: Option<&'static str>,
    /// The object's generation.
    pub(super) generation: Option<i64>,
}

/// Status of one listener.
pub(super) fn listener_status(
    view: &View<'_>,
    gateway: &ObjectKey,
    listener: &ListenerDetail,
    observed: &Observed<'_>,
) -> ListenerStatus {
    let say = |type_: &str, status: ConditionStatus, reason: &str, text: &str| {
        condition(type_, status, reason, text, observed.generation)
    };
    let (yes, no) = (ConditionStatus::True, ConditionStatus::False);
    let refusal = listener.conflict.as_ref().or(listener.refusal.as_ref());
    let accepted = match refusal {
        Some((reason, message)) => say("Accepted", no, reason, message),
        None => say("Accepted", yes, "Accepted", "the listener is accepted"),
    };
    let resolved = match &listener.unresolved {
        Some((reason, message)) => say("ResolvedRefs", no, reason, message),
        None => say(
            "ResolvedRefs",
            yes,
            "ResolvedRefs",
            "every reference resolves",
        ),
    };
    let conflicted = match &listener.conflict {
        Some((reason, message)) => say("Conflicted", yes, reason, message),
        None => say(
            "Conflicted",
            no,
            "NoConflicts",
            "no other listener conflicts",
        ),
    };
    let mut conditions = vec![
        accepted,
        programmed(listener, observed),
        resolved,
        conflicted,
    ];
    if let Some(others) = &listener.overlapping {
        let text = format!(
            "hosts overlap with those of {others}; a request for them on a connection of this listener is answered 421"
        );
        conditions.push(say(
            "OverlappingTLSConfig",
            yes,
            "OverlappingHostnames",
            &text,
        ));
    }
    ListenerStatus {
        name: listener.plan.section_name.clone(),
        supported_kinds: listener.supported_kinds.clone(),
        attached_routes: view.attached(gateway, &listener.plan.name),
        conditions,
    }
}

/// Whether the agents serve a listener.
fn programmed(listener: &ListenerDetail, observed: &Observed<'_>) -> Condition {
    let no = ConditionStatus::False;
    let rejected = observed.fleet.rejected_listeners.get(&listener.plan.name);
    let rejected = rejected.map(|error| format!("{}: {error}", listener.field()));
    let exhausted = observed.fleet.exhausted_listeners.get(&listener.plan.name);
    let exhausted = exhausted.map(|why| format!("{}: {why}", listener.field()));
    let unresolved = || {
        let text = listener.unresolved.as_ref().map(|(_, text)| text.as_str());
        text.unwrap_or("the listener has nothing to serve with")
    };
    let (status, reason, text) = if let Some((reason, message)) = &listener.conflict {
        (no, *reason, message.as_str())
    } else if let Some((reason, message)) = &listener.refusal {
        let reason = if *reason == "PortUnavailable" {
            reason
        } else {
            "Invalid"
        };
        (no, reason, message.as_str())
    } else if let Some(text) = observed.unserved {
        (no, "Invalid", text)
    } else if !listener.plan.usable {
        (no, "Invalid", unresolved())
    } else if let Some(why) = &exhausted {
        (no, "NoResources", why.as_str())
    } else if !observed.current {
        let text = "the agents have not acknowledged this generation yet";
        (no, "Pending", text)
    } else if let Some(error) = &rejected {
        (no, "Invalid", error.as_str())
    } else {
        let text = "every agent serves the listener";
        (ConditionStatus::True, "Programmed", text)
    };
    condition("Programmed", status, reason, text, observed.generation)
}
