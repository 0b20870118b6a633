//! What is wrong with an input object, and how to fix it.

use novaedge_api::meta::ObjectId;

/// A finding about one field of one object. Bad input is data: it never ends the translation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Diagnostic {
    /// The object to change.
    pub object: ObjectId,
    /// Path of the field, such as `spec.rules[1].matches[0].path.value`.
    pub field: String,
    /// How bad it is.
    pub severity: Severity,
    /// A reason of the Gateway API where there is one, such as `RefNotPermitted`.
    pub reason: String,
    /// What is wrong, and the fix.
    pub message: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Part of the object is not served as written.
    Error,
    /// Everything is served, yet probably not as meant.
    Warning,
}

impl Diagnostic {
    /// A finding that keeps part of the object from being served.
    pub fn error(
        object: ObjectId,
        field: impl Into<String>,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self::new(
            Severity::Error,
            object,
            field.into(),
            reason.into(),
            message.into(),
        )
    }

    /// A finding that keeps nothing from being served.
    pub fn warning(
        object: ObjectId,
        field: impl Into<String>,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self::new(
            Severity::Warning,
            object,
            field.into(),
            reason.into(),
            message.into(),
        )
    }

    fn new(
        severity: Severity,
        object: ObjectId,
        field: String,
        reason: String,
        message: String,
    ) -> Self {
        Self {
            object,
            field,
            severity,
            reason,
            message,
        }
    }
}

impl Severity {
    /// The word for people: `error` or `warning`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}
