//! Statuses of routes: one entry for each parentRef to a parent of ours.

use novaedge_api::gateway::{Condition, ParentReference, RouteParentStatus};

use super::fault::{Fault, UNSUPPORTED_VALUE, join};
use crate::condition::{ConditionStatus, condition};

/// What the rules of a route say in its status, whatever its parents.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Judgement {
    /// What keeps rules or parts of them from being served as written.
    pub(crate) rules: Vec<Fault>,
    /// Whether no rule at all is served as written.
    pub(crate) hopeless: bool,
    /// References that do not resolve.
    pub(crate) references: Vec<Fault>,
}

/// The status entry for one parentRef, which is copied as it stands.
pub(crate) fn parent_status(
    parent: &ParentReference,
    controller_name: &str,
    refusal: Option<&Fault>,
    judgement: &Judgement,
    generation: Option<i64>,
) -> RouteParentStatus {
    let mut conditions = vec![
        accepted(refusal, judgement, generation),
        resolved_refs(&judgement.references, generation),
    ];
    let partly = refusal.is_none() && !judgement.hopeless && !judgement.rules.is_empty();
    if partly {
        // The specification asks for this beginning of the message.
        let text = format!("Dropped Rule or part of one: {}", join(&judgement.rules));
        let status = ConditionStatus::True;
        conditions.push(condition(
            "PartiallyInvalid",
            status,
            UNSUPPORTED_VALUE,
            text,
            generation,
        ));
    }
    RouteParentStatus {
        parent_ref: parent.clone(),
        controller_name: controller_name.to_owned(),
        conditions,
    }
}

/// Attachment comes first: a route that no listener takes is told so, whatever its rules hold.
fn accepted(refusal: Option<&Fault>, judgement: &Judgement, generation: Option<i64>) -> Condition {
    let (status, reason, text) = match (refusal, judgement.rules.first()) {
        (Some(refusal), _) => (ConditionStatus::False, refusal.reason, refusal.to_string()),
        (None, Some(first)) if judgement.hopeless => {
            (ConditionStatus::False, first.reason, join(&judgement.rules))
        }
        _ => (
            ConditionStatus::True,
            "Accepted",
            "the route is accepted".to_owned(),
        ),
    };
    condition("Accepted", status, reason, text, generation)
}

fn resolved_refs(references: &[Fault], generation: Option<i64>) -> Condition {
    let (status, reason, text) = match references.first() {
        Some(first) => (ConditionStatus::False, first.reason, join(references)),
        None => (
            ConditionStatus::True,
            "ResolvedRefs",
            "every reference resolves".to_owned(),
        ),
    };
    condition("ResolvedRefs", status, reason, text, generation)
}
