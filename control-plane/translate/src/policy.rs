//! BackendTLSPolicies: which is in force where, and what their statuses say.

mod check;
mod select;

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use novaedge_api::gateway::{
    BackendTlsPolicy, Condition, LocalPolicyTargetReferenceWithSectionName, ParentReference,
    PolicyAncestorStatus,
};
use novaedge_api::meta::{Kind, ObjectId, ObjectKey};

use crate::condition::{ConditionStatus, condition};
use crate::diagnostic::Diagnostic;
use crate::plan::PolicyPlan;
use crate::route::fault::{Fault, join};
use crate::view::View;
pub(crate) use check::{Checked, check};
pub(crate) use select::in_force;

/// The most ancestors that a policy's status may list, those of other controllers included.
const MAX_ANCESTORS: usize = 16;
/// Another policy precedes this one.
const CONFLICTED: &str = "Conflicted";
/// There is nothing where the policy points.
const TARGET_NOT_FOUND: &str = "TargetNotFound";

/// What a BackendTLSPolicy comes to: one status entry for each Gateway of ours whose routes use a
/// Service that it targets.
pub fn plan_policy(view: &View<'_>, key: &ObjectKey) -> Option<PolicyPlan> {
    let policy = view.get::<BackendTlsPolicy>(key)?;
    let checked = check(view, &policy);
    let targets: Vec<Target> = policy
        .spec
        .target_refs
        .iter()
        .enumerate()
        .map(|(index, target)| Target::judge(view, key, index, target))
        .collect();
    let gateways: BTreeSet<ObjectKey> = targets
        .iter()
        .flat_map(|target| target.gateways.iter().cloned())
        .collect();
    let id = ObjectId {
        kind: Kind::BackendTlsPolicy,
        key: key.clone(),
    };
    let mut plan = PolicyPlan {
        ancestors: Vec::new(),
        diagnostics: diagnostics(&id, &policy, &checked, &targets),
    };
    for gateway in gateways.iter().take(MAX_ANCESTORS) {
        let used: Vec<&Target> = targets
            .iter()
            .filter(|target| target.gateways.contains(gateway))
            .collect();
        plan.ancestors.push(PolicyAncestorStatus {
            ancestor_ref: ParentReference {
                namespace: Some(gateway.namespace.clone()),
                name: gateway.name.clone(),
                ..ParentReference::default()
            },
            controller_name: view.config().controller_name.clone(),
            conditions: vec![
                accepted(&checked, &used, policy.metadata.generation),
                resolved(&checked, policy.metadata.generation),
            ],
        });
    }
    if gateways.len() > MAX_ANCESTORS {
        let text = format!(
            "{} Gateways use the targeted Services, and a status lists at most {MAX_ANCESTORS}; split the Services",
            gateways.len()
        );
        plan.diagnostics.push(Diagnostic::warning(
            id,
            "spec.targetRefs",
            "TooManyAncestors",
            text,
        ));
    }
    Some(plan)
}

/// One target of a policy.
struct Target {
    /// Why the policy is not in force there.
    fault: Option<Fault>,
    /// The Gateways whose routes use the Service.
    gateways: BTreeSet<ObjectKey>,
}

impl Target {
    fn judge(
        view: &View<'_>,
        policy: &ObjectKey,
        index: usize,
        target: &LocalPolicyTargetReferenceWithSectionName,
    ) -> Self {
        let field = format!("spec.targetRefs[{index}]");
        if !select::is_service(target) {
            let text = format!(
                "kind {} of group \"{}\" cannot be targeted; target a Service",
                target.kind, target.group
            );
            let fault = Some(Fault::new(field, TARGET_NOT_FOUND, text));
            return Self {
                fault,
                gateways: BTreeSet::new(),
            };
        }
        let service = ObjectKey::new(&policy.namespace, &target.name);
        Self {
            fault: target_fault(view, policy, &service, select::section_of(target), &field),
            gateways: view.gateways_using(&service),
        }
    }
}

fn target_fault(
    view: &View<'_>,
    policy: &ObjectKey,
    key: &ObjectKey,
    section: Option<&str>,
    field: &str,
) -> Option<Fault> {
    let Some(service) = view.get::<Service>(key) else {
        let text = format!("Service {key} does not exist; create it or correct the name");
        return Some(Fault::new(format!("{field}.name"), TARGET_NOT_FOUND, text));
    };
    let spec = service.spec.as_ref();
    let ports = || {
        spec.and_then(|spec| spec.ports.as_ref())
            .into_iter()
            .flatten()
    };
    if let Some(section) = section
        && !ports().any(|port| port.name.as_deref() == Some(section))
    {
        let names: Vec<&str> = ports().filter_map(|port| port.name.as_deref()).collect();
        let text = format!(
            "Service {key} has no port named {section}; its named ports: {}",
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            }
        );
        return Some(Fault::new(
            format!("{field}.sectionName"),
            TARGET_NOT_FOUND,
            text,
        ));
    }
    let policies: Vec<Arc<BackendTlsPolicy>> = view.policies_of(key);
    let first = ObjectKey::of(&select::first(&policies, key, section)?.metadata);
    (first != *policy).then(|| {
        let part = section.map_or(String::new(), |section| format!(", port {section}"));
        let text = format!(
            "BackendTLSPolicy {first} is older or comes first by name, and is in force on Service {key}{part}; remove one of the two"
        );
        Fault::new(field, CONFLICTED, text)
    })
}

fn accepted(checked: &Checked, targets: &[&Target], generation: Option<i64>) -> Condition {
    let refuse = |reason: &str, text: String| {
        condition("Accepted", ConditionStatus::False, reason, text, generation)
    };
    let spec_fault = checked.tls.as_ref().err();
    if let Some(fault) = spec_fault.filter(|fault| fault.reason == check::INVALID) {
        return refuse(fault.reason, fault.to_string());
    }
    let faults: Vec<Fault> = targets
        .iter()
        .filter_map(|target| target.fault.clone())
        .collect();
    if let (Some(first), true) = (faults.first(), faults.len() == targets.len()) {
        return refuse(first.reason, join(&faults));
    }
    if let Some(fault) = spec_fault {
        return refuse(fault.reason, fault.to_string());
    }
    let text = if faults.is_empty() {
        "the policy is in force".to_owned()
    } else {
        format!(
            "the policy is in force on some of its targets: {}",
            join(&faults)
        )
    };
    condition(
        "Accepted",
        ConditionStatus::True,
        "Accepted",
        text,
        generation,
    )
}

fn resolved(checked: &Checked, generation: Option<i64>) -> Condition {
    match checked.references.first() {
        None => {
            let text = "every reference resolves";
            condition(
                "ResolvedRefs",
                ConditionStatus::True,
                "ResolvedRefs",
                text,
                generation,
            )
        }
        Some(first) => {
            let text = join(&checked.references);
            condition(
                "ResolvedRefs",
                ConditionStatus::False,
                first.reason,
                text,
                generation,
            )
        }
    }
}

fn diagnostics(
    id: &ObjectId,
    policy: &BackendTlsPolicy,
    checked: &Checked,
    targets: &[Target],
) -> Vec<Diagnostic> {
    let spec = checked
        .tls
        .as_ref()
        .err()
        .filter(|fault| fault.reason == check::INVALID);
    let mut found: Vec<Diagnostic> = spec
        .into_iter()
        .chain(&checked.references)
        .chain(targets.iter().filter_map(|target| target.fault.as_ref()))
        .map(|fault| fault.diagnostic(id))
        .collect();
    for option in policy.spec.options.keys() {
        let text = format!("option {option} is not known and has no effect; remove it");
        found.push(Diagnostic::warning(
            id.clone(),
            "spec.options",
            "UnsupportedValue",
            text,
        ));
    }
    found
}
