//! What keeps a part of a route from being served as written.

use std::fmt;

use novaedge_api::meta::ObjectId;
use novaedge_api::native::ProxyInvalid;

use crate::diagnostic::Diagnostic;

/// A value of the API, or of an object in a file, that this implementation cannot serve.
pub(crate) const UNSUPPORTED_VALUE: &str = "UnsupportedValue";
/// Filters of one rule that contradict each other.
pub(crate) const INCOMPATIBLE_FILTERS: &str = "IncompatibleFilters";
/// A reference to a kind that is not supported there.
pub(crate) const INVALID_KIND: &str = "InvalidKind";
/// A reference to something that does not exist.
pub(crate) const BACKEND_NOT_FOUND: &str = "BackendNotFound";
/// A reference across namespaces without a grant.
pub(crate) const REF_NOT_PERMITTED: &str = "RefNotPermitted";
/// A reference to a port whose protocol the route cannot speak.
pub(crate) const UNSUPPORTED_PROTOCOL: &str = "UnsupportedProtocol";
/// A reference to a Service whose BackendTLSPolicy cannot be followed.
pub(crate) const INVALID_BACKEND_TLS: &str = "InvalidBackendTLSPolicy";

/// One fault of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Path of the field, such as `spec.rules[1].filters[0].type`.
    pub(crate) field: String,
    /// A reason of the Gateway API where there is one.
    pub(crate) reason: &'static str,
    /// What is wrong, and the fix.
    pub(crate) message: String,
}

impl Fault {
    pub(crate) fn new(
        field: impl Into<String>,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            field: field.into(),
            reason,
            message: message.into(),
        }
    }

    /// A fault whose reason is `UnsupportedValue`.
    pub(crate) fn unsupported(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(field, UNSUPPORTED_VALUE, message)
    }

    /// The fault as it stands in a native object.
    pub(crate) fn invalid(&self) -> ProxyInvalid {
        ProxyInvalid {
            reason: self.reason.to_owned(),
            message: self.to_string(),
        }
    }

    /// The fault as a finding about `object` that keeps part of it from being served.
    pub(crate) fn diagnostic(&self, object: &ObjectId) -> Diagnostic {
        Diagnostic::error(object.clone(), &self.field, self.reason, &self.message)
    }
}

impl fmt::Display for Fault {
    /// `field: message`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// More than these say nothing new to a reader of a condition.
const SHOWN: usize = 5;

/// The faults as one message.
pub(crate) fn join(faults: &[Fault]) -> String {
    let shown: Vec<String> = faults.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = match faults.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    shown.join("; ") + &more
}
