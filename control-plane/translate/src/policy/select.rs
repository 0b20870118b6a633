//! Which of several policies is in force.

use std::cmp::Ordering;
use std::sync::Arc;

use novaedge_api::gateway::{BackendTlsPolicy, LocalPolicyTargetReferenceWithSectionName};
use novaedge_api::meta::ObjectKey;

use crate::view::View;

/// The policy in force on a port of a Service: of those that name the port, else of those that name
/// no port, the first by precedence.
pub(crate) fn in_force(
    view: &View<'_>,
    service: &ObjectKey,
    port_name: &str,
) -> Option<Arc<BackendTlsPolicy>> {
    let policies = view.policies_of(service);
    let named = (!port_name.is_empty()).then_some(port_name);
    first(&policies, service, named)
        .or_else(|| first(&policies, service, None))
        .cloned()
}

/// The policy that precedes all others on a Service and a section of it: the oldest, then the first
/// by name.
pub(super) fn first<'p>(
    policies: &'p [Arc<BackendTlsPolicy>],
    service: &ObjectKey,
    section: Option<&str>,
) -> Option<&'p Arc<BackendTlsPolicy>> {
    let targets = |policy: &BackendTlsPolicy| {
        let local = policy.metadata.namespace.as_deref().unwrap_or_default() == service.namespace;
        local
            && policy.spec.target_refs.iter().any(|target| {
                is_service(target) && target.name == service.name && section_of(target) == section
            })
    };
    policies
        .iter()
        .filter(|policy| targets(policy))
        .min_by(|a, b| precedence(a, b))
}

/// Whether a target is a Service.
pub(super) fn is_service(target: &LocalPolicyTargetReferenceWithSectionName) -> bool {
    target.group.is_empty() && target.kind == "Service"
}

/// The section of a target; an empty one is none.
pub(super) fn section_of(target: &LocalPolicyTargetReferenceWithSectionName) -> Option<&str> {
    target
        .section_name
        .as_deref()
        .filter(|section| !section.is_empty())
}

/// Older first, then by namespace and name. A policy without a creation time, as in a file, comes
/// after those that have one.
fn precedence(a: &BackendTlsPolicy, b: &BackendTlsPolicy) -> Ordering {
    let created = |policy: &BackendTlsPolicy| {
        let time = policy
            .metadata
            .creation_timestamp
            .as_ref()
            .map(|time| time.0);
        (time.is_none(), time)
    };
    created(a)
        .cmp(&created(b))
        .then_with(|| ObjectKey::of(&a.metadata).cmp(&ObjectKey::of(&b.metadata)))
}
