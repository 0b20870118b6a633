//! What the source gives on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use novaedge_api::meta::Kind;
use novaedge_store::Change;

/// Changes that belong together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Objects that came, changed or went; at most one change of each, sorted by kind, namespace and name.
    pub changes: Vec<Change>,
    /// What could not be read, by place, with all that is wrong there now; nothing when all is well again. A place is
    /// an object (`HTTPRoute/ns/name`) or a watch (`watch HTTPRoute`). A place that is not named is as before.
    pub problems: BTreeMap<String, Vec<Finding>>,
    /// What the cluster serves; in the first batch, and whenever it is something else than before.
    pub discovered: Option<Arc<Discovered>>,
}

impl Batch {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.problems.is_empty() && self.discovered.is_none()
    }
}

/// Which APIs the cluster serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovered {
    /// The version in which each kind is watched. Kinds that are not served are missing.
    pub versions: BTreeMap<Kind, String>,
    /// The `gateway.networking.k8s.io/bundle-version` annotations of the Gateway API's CRDs; an empty string for a CRD
    /// without one.
    pub bundles: BTreeSet<String>,
}

/// Something that cannot be read as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// `Kind/namespace/name`; absent for a watch as a whole.
    pub object: Option<String>,
    /// Path of the field; empty for the object as a whole.
    pub field: String,
    /// One word.
    pub reason: &'static str,
    /// What is wrong, and the fix.
    pub message: String,
}

impl fmt::Display for Finding {
    /// `object: field: message`, without what is not known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something is not served as written.
    Error,
    /// Everything is served, yet probably not as meant.
    Warning,
}

/// How the watches are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Whether the first batch was sent: every cache has been in sync.
    pub in_sync: bool,
    /// What the first batch waits for, such as `HTTPRoute` or `Secret/ns/name`.
    pub waiting: BTreeSet<String>,
    /// Watches that fail at the moment, with the reason. What they gave before stays in force.
    pub failing: BTreeMap<String, String>,
}
