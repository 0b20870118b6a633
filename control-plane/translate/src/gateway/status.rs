//! Statuses of Gateways.

use novaedge_api::gateway::{
    Condition, Gateway, GatewayClass, GatewayStatus, GatewayStatusAddress,
};
use novaedge_api::meta::{Kind, ObjectId, ObjectKey};

use super::addresses::{assigned, missing};
use super::listener_status::{Observed, listener_status};
use super::{GatewayDetail, StatusPlan};
use crate::condition::{ConditionStatus, condition};
use crate::config::Mode;
use crate::diagnostic::Diagnostic;
use crate::output::GatewayFleet;
use crate::view::View;

/// Status, reason and message of a condition.
type Verdict = (ConditionStatus, &'static str, String);

/// Status of a Gateway; none when it is not ours.
pub(crate) fn gateway_status(view: &View<'_>, key: &ObjectKey) -> StatusPlan<GatewayStatus> {
    let Some(detail) = view.gateway_detail(key) else {
        return StatusPlan::of_nobody(orphan(view, key));
    };
    let nothing = GatewayFleet::default();
    let fleet = view.fleet(key).unwrap_or(&nothing);
    let generation = detail.generation;
    let observed = Observed {
        fleet,
        current: fleet.acknowledged_generation == Some(generation.unwrap_or(0)),
        unserved: detail.unserved,
        generation,
    };
    let mode = view.config().mode;
    let addresses = assigned(mode, &detail, &observed);
    let mut conditions: Vec<Condition> = [
        ("Accepted", accepted(&detail)),
        (
            "Programmed",
            programmed(mode, &detail, &observed, &addresses),
        ),
        ("ResolvedRefs", resolved_refs(&detail)),
    ]
    .into_iter()
    .map(|(type_, (status, reason, text))| condition(type_, status, reason, text, generation))
    .collect();
    if detail.insecure_frontend {
        let text = "clients without a valid certificate are let in where spec.tls.frontend says \
                    AllowInsecureFallback";
        let type_ = "InsecureFrontendValidationMode";
        let reason = "ConfigurationChanged";
        let status = ConditionStatus::True;
        conditions.push(condition(type_, status, reason, text, generation));
    }
    let listeners = detail.listeners.iter();
    let status = GatewayStatus {
        addresses,
        conditions,
        listeners: listeners
            .map(|listener| listener_status(view, key, listener, &observed))
            .collect(),
        attached_listener_sets: Some(detail.attached_listener_sets),
    };
    StatusPlan {
        status: Some(status),
        diagnostics: super::rejected(&id(key), &detail.listeners, &observed),
    }
}

fn id(key: &ObjectKey) -> ObjectId {
    ObjectId {
        kind: Kind::Gateway,
        key: key.clone(),
    }
}

/// Why nobody serves a Gateway whose class is not ours, as far as that is for us to tell.
fn orphan(view: &View<'_>, key: &ObjectKey) -> Option<Diagnostic> {
    let gateway = view.get::<Gateway>(key)?;
    let name = &gateway.spec.gateway_class_name;
    let text = match view.get::<GatewayClass>(&ObjectKey::new("", name)) {
        None => format!("GatewayClass {name} does not exist; create it or correct the name"),
        // In a cluster that is another controller's business.
        Some(_) if view.config().mode == Mode::Cluster => return None,
        Some(class) => format!(
            "GatewayClass {name} is of controller {}, which is not here; use a class of {}",
            class.spec.controller_name,
            view.config().controller_name
        ),
    };
    let (field, reason) = ("spec.gatewayClassName", "NoController");
    Some(Diagnostic::warning(id(key), field, reason, text))
}

fn accepted(detail: &GatewayDetail) -> Verdict {
    if let Some(fault) = &detail.refusal {
        return (ConditionStatus::False, fault.reason, fault.to_string());
    }
    let own = detail.listeners.iter();
    let bad: Vec<&str> = own
        .filter(|listener| !listener.plan.accepted)
        .map(|listener| listener.plan.section_name.as_str())
        .collect();
    if bad.is_empty() {
        let text = "every listener is accepted".to_owned();
        return (ConditionStatus::True, "Accepted", text);
    }
    let text = format!("not accepted, see status.listeners: {}", bad.join(", "));
    (detail.accepted.into(), "ListenersNotValid", text)
}

/// Whether agents serve this generation of the Gateway, and where it asks for.
fn programmed(
    mode: Mode,
    detail: &GatewayDetail,
    observed: &Observed<'_>,
    assigned: &[GatewayStatusAddress],
) -> Verdict {
    let no = ConditionStatus::False;
    if detail.refusal.is_some() || !detail.accepted {
        let text = "the Gateway is not accepted; see condition Accepted".to_owned();
        return (no, "Invalid", text);
    }
    if let Some(fault) = &detail.unusable_address {
        return (no, fault.reason, fault.to_string());
    }
    if !detail.served {
        let text = "no listener can be served; see status.listeners".to_owned();
        return (no, "Invalid", text);
    }
    if let Some((field, why)) = super::exhausted(&detail.listeners, observed).next() {
        return (no, "NoResources", format!("{field}: {why}"));
    }
    if !observed.current {
        let text = "the agents have not acknowledged this generation yet".to_owned();
        return (no, "Pending", text);
    }
    if let Some(missing) = missing(&detail.addresses, assigned) {
        let text = format!(
            "spec.addresses: {missing} cannot be used here; give an address of this machine or network"
        );
        return (no, "AddressNotUsable", text);
    }
    if observed.fleet.addresses.is_empty() && assigned.is_empty() {
        let text = match mode {
            Mode::Cluster => "no address is assigned yet; see the Service of the Gateway",
            Mode::Standalone => "no address of this machine is known; give one in spec.addresses",
        };
        return (no, "AddressNotAssigned", text.to_owned());
    }
    if let Some((field, error)) = super::rejections(&detail.listeners, observed).next() {
        return (no, "Invalid", format!("{field}: {error}"));
    }
    let text = "every agent serves this generation".to_owned();
    (ConditionStatus::True, "Programmed", text)
}

/// References of the Gateway itself, then a summary of its listeners'.
fn resolved_refs(detail: &GatewayDetail) -> Verdict {
    let no = ConditionStatus::False;
    if let Some((reason, message)) = &detail.client_certificate {
        return (no, reason, message.clone());
    }
    let own = detail.listeners.iter();
    let bad: Vec<&str> = own
        .filter(|listener| listener.unresolved.is_some())
        .map(|listener| listener.plan.section_name.as_str())
        .collect();
    if bad.is_empty() {
        let text = "every reference resolves".to_owned();
        return (ConditionStatus::True, "ResolvedRefs", text);
    }
    let text = format!("not resolved, see status.listeners: {}", bad.join(", "));
    (no, "ListenersNotResolved", text)
}
