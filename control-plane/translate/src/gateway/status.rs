//! Statuses of Gateways and of listeners.

use novaedge_api::gateway::{Condition, GatewayStatus, GatewayStatusAddress, ListenerStatus};
use novaedge_api::meta::ObjectKey;

use super::{GatewayDetail, ListenerDetail};
use crate::condition::{ConditionStatus, condition};
use crate::config::Mode;
use crate::output::GatewayFleet;
use crate::view::View;

/// Status of a Gateway; none when it is not ours.
pub(crate) fn gateway_status(view: &View<'_>, key: &ObjectKey) -> Option<GatewayStatus> {
    let detail = view.gateway_detail(key)?;
    let fleet = view.fleet(key).cloned().unwrap_or_default();
    let generation = detail.generation;
    let current = fleet.acknowledged_generation >= Some(generation.unwrap_or(0));
    let mut conditions = vec![accepted(&detail), programmed(&detail, current, &fleet)];
    match &detail.client_certificate {
        Some((reason, message)) => conditions.push(condition(
            "ResolvedRefs",
            ConditionStatus::False,
            reason,
            message,
            generation,
        )),
        None => conditions.push(condition(
            "ResolvedRefs",
            ConditionStatus::True,
            "ResolvedRefs",
            "every reference resolves",
            generation,
        )),
    }
    if detail.insecure_frontend {
        conditions.push(condition(
            "InsecureFrontendValidationMode",
            ConditionStatus::True,
            "ConfigurationChanged",
            "clients without a valid certificate are let in on some port (AllowInsecureFallback)",
            generation,
        ));
    }
    let listeners = detail
        .listeners
        .iter()
        .map(|listener| listener_status(view, key, listener, &fleet, current, generation));
    Some(GatewayStatus {
        addresses: addresses(view, &detail, &fleet),
        conditions,
        listeners: listeners.collect(),
        attached_listener_sets: Some(detail.attached_listener_sets),
    })
}

/// Status of one listener.
pub(super) fn listener_status(
    view: &View<'_>,
    gateway: &ObjectKey,
    listener: &ListenerDetail,
    fleet: &GatewayFleet,
    current: bool,
    generation: Option<i64>,
) -> ListenerStatus {
    let plan = &listener.plan;
    let refusal = listener.conflict.as_ref().or(listener.refusal.as_ref());
    let mut conditions = vec![if let Some((reason, message)) = refusal {
        condition(
            "Accepted",
            ConditionStatus::False,
            reason,
            message,
            generation,
        )
    } else {
        let text = "the listener is accepted";
        condition(
            "Accepted",
            ConditionStatus::True,
            "Accepted",
            text,
            generation,
        )
    }];
    conditions.push(listener_programmed(listener, fleet, current, generation));
    conditions.push(if let Some((reason, message)) = &listener.unresolved {
        condition(
            "ResolvedRefs",
            ConditionStatus::False,
            reason,
            message,
            generation,
        )
    } else {
        let text = "every reference resolves";
        condition(
            "ResolvedRefs",
            ConditionStatus::True,
            "ResolvedRefs",
            text,
            generation,
        )
    });
    conditions.push(if let Some((reason, message)) = &listener.conflict {
        condition(
            "Conflicted",
            ConditionStatus::True,
            reason,
            message,
            generation,
        )
    } else {
        let text = "no other listener conflicts";
        condition(
            "Conflicted",
            ConditionStatus::False,
            "NoConflicts",
            text,
            generation,
        )
    });
    if let Some(others) = &listener.overlapping {
        let text = format!(
            "hosts overlap with those of {others}; requests on a connection of another listener are answered 421"
        );
        let status = ConditionStatus::True;
        conditions.push(condition(
            "OverlappingTLSConfig",
            status,
            "OverlappingHostnames",
            text,
            generation,
        ));
    }
    ListenerStatus {
        name: plan.section_name.clone(),
        supported_kinds: listener.supported_kinds.clone(),
        attached_routes: view.attached(gateway, &plan.name),
        conditions,
    }
}

/// Whether the agents serve a listener.
fn listener_programmed(
    listener: &ListenerDetail,
    fleet: &GatewayFleet,
    current: bool,
    generation: Option<i64>,
) -> Condition {
    let plan = &listener.plan;
    let rejected = fleet.rejected_listeners.get(&plan.name);
    let (status, reason, text) = if let Some((reason, message)) = &listener.conflict {
        (ConditionStatus::False, *reason, message.clone())
    } else if listener.refusal.is_some() {
        (
            ConditionStatus::False,
            "Invalid",
            "the listener is not accepted".to_owned(),
        )
    } else if !plan.usable {
        (
            ConditionStatus::False,
            "Invalid",
            "the listener has nothing to serve with".to_owned(),
        )
    } else if let Some(error) = rejected {
        (ConditionStatus::False, "Invalid", error.clone())
    } else if current {
        (
            ConditionStatus::True,
            "Programmed",
            "every agent serves the listener".to_owned(),
        )
    } else {
        (
            ConditionStatus::False,
            "Pending",
            "agents have not acknowledged it yet".to_owned(),
        )
    };
    condition("Programmed", status, reason, text, generation)
}

fn accepted(detail: &GatewayDetail) -> Condition {
    let generation = detail.generation;
    if let Some(fault) = &detail.refusal {
        let text = format!("{}: {}", fault.field, fault.message);
        return condition(
            "Accepted",
            ConditionStatus::False,
            fault.reason,
            text,
            generation,
        );
    }
    let bad: Vec<&str> = detail
        .listeners
        .iter()
        .filter(|listener| !listener.plan.accepted)
        .map(|listener| listener.plan.section_name.as_str())
        .collect();
    if bad.is_empty() {
        let text = "the Gateway is accepted";
        return condition(
            "Accepted",
            ConditionStatus::True,
            "Accepted",
            text,
            generation,
        );
    }
    let text = format!(
        "listeners that are not accepted, see their status: {}",
        bad.join(", ")
    );
    condition(
        "Accepted",
        detail.accepted.into(),
        "ListenersNotValid",
        text,
        generation,
    )
}

fn programmed(detail: &GatewayDetail, current: bool, fleet: &GatewayFleet) -> Condition {
    let (status, reason, text) = if detail.refusal.is_some() || !detail.accepted {
        (
            ConditionStatus::False,
            "Invalid",
            "the Gateway is not accepted".to_owned(),
        )
    } else if let Some(fault) = &detail.unusable_address {
        (
            ConditionStatus::False,
            fault.reason,
            format!("{}: {}", fault.field, fault.message),
        )
    } else if !detail.served {
        (
            ConditionStatus::False,
            "Invalid",
            "no listener can be served".to_owned(),
        )
    } else if !current {
        let text = "agents have not acknowledged this generation yet".to_owned();
        (ConditionStatus::False, "Pending", text)
    } else if fleet.addresses.is_empty() {
        let text = "no address is assigned yet".to_owned();
        (ConditionStatus::False, "AddressNotAssigned", text)
    } else {
        (
            ConditionStatus::True,
            "Programmed",
            "every agent serves the Gateway".to_owned(),
        )
    };
    condition("Programmed", status, reason, text, detail.generation)
}

/// Where the Gateway can be reached, as the agents or the environment say.
fn addresses(
    view: &View<'_>,
    detail: &GatewayDetail,
    fleet: &GatewayFleet,
) -> Vec<GatewayStatusAddress> {
    if fleet.addresses.is_empty()
        && view.config().mode == Mode::Standalone
        && fleet.acknowledged_generation.is_some()
    {
        return detail
            .addresses
            .iter()
            .map(|ip| GatewayStatusAddress {
                value: ip.to_string(),
                ..GatewayStatusAddress::default()
            })
            .collect();
    }
    fleet.addresses.clone()
}
