//! The status of a native object that a user wrote.

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};
use novaedge_api::native::NativeStatus;
use novaedge_translate::{Diagnostic, Severity};

/// The longest message, in characters; the API server takes 32,768.
const MAX_MESSAGE: usize = 4_096;

/// Condition `Ready` by what was found: no errors make it true, and warnings are told in either case.
pub(super) fn ready(found: &[Diagnostic], generation: Option<i64>) -> NativeStatus {
    let valid = found.iter().all(|d| d.severity != Severity::Error);
    let (status, reason) = if valid {
        ("True", "Valid")
    } else {
        ("False", "Invalid")
    };
    let told = found.iter().map(|diagnostic| {
        if diagnostic.field.is_empty() {
            diagnostic.message.clone()
        } else {
            format!("{}: {}", diagnostic.field, diagnostic.message)
        }
    });
    let told: Vec<String> = told.collect();
    let message = if told.is_empty() {
        "the object is valid".to_owned()
    } else {
        told.join("; ").chars().take(MAX_MESSAGE).collect()
    };
    NativeStatus {
        conditions: vec![Condition {
            type_: "Ready".to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message,
            observed_generation: generation,
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
        }],
    }
}

#[cfg(test)]
mod tests {
    use novaedge_api::meta::{Kind, ObjectId};

    use super::*;

    #[test]
    fn an_error_makes_it_invalid_and_a_warning_does_not() {
        let id = ObjectId::new(Kind::ProxyRoute, "default", "a");
        let warning = Diagnostic::warning(id.clone(), "spec.x", "Odd", "is odd");
        let error = Diagnostic::error(id, "", "Invalid", "has no rules");
        let check = |found: &[Diagnostic], status: &str, reason: &str, message: &str| {
            let ready = ready(found, Some(2));
            let condition = &ready.conditions[0];
            assert_eq!(
                (&*condition.status, &*condition.reason, &*condition.message),
                (status, reason, message)
            );
            assert_eq!(condition.observed_generation, Some(2));
        };
        check(&[], "True", "Valid", "the object is valid");
        let both = [warning.clone(), error];
        check(&both, "False", "Invalid", "spec.x: is odd; has no rules");
        check(&[warning], "True", "Valid", "spec.x: is odd");
    }
}
