//! Errors of single fields.

use std::fmt;

/// Something wrong with one field of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldError {
    /// Path of the field, such as `spec.rules[1].backendRefs[0].port`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it, when that can be said.
    pub fix: Option<String>,
}

impl FieldError {
    /// An error without a fix.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
            fix: None,
        }
    }

    /// The same error with a fix.
    #[must_use]
    pub fn with_fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

impl fmt::Display for FieldError {
    /// `path: message (fix)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)?;
        self.fix
            .as_ref()
            .map_or(Ok(()), |fix| write!(f, " ({fix})"))
    }
}
