//! What is to be sent next.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use novaedge_api::meta::ObjectId;
use novaedge_store::Change;
use tokio::time::Instant;

use crate::batch::{Batch, Discovered, Finding};

/// How long an object waits for the Secrets and ConfigMaps that it refers to. Without the wait it would be judged for
/// a moment as if they were missing.
const PATIENCE: Duration = Duration::from_secs(2);

/// Changes that were not sent yet; a later change of an object replaces an earlier one.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    changes: BTreeMap<ObjectId, Change>,
    held: BTreeMap<ObjectId, Held>,
    problems: BTreeMap<String, Vec<Finding>>,
    discovered: Option<Arc<Discovered>>,
}

#[derive(Debug)]
struct Held {
    change: Change,
    until: Instant,
}

impl Pending {
    /// A change that can be sent.
    pub(crate) fn change(&mut self, change: Change) {
        let id = change.id();
        self.held.remove(&id);
        self.changes.insert(id, change);
    }

    /// A change that waits for what the object refers to.
    pub(crate) fn hold(&mut self, change: Change, now: Instant) {
        let id = change.id();
        // It overtakes what was to be sent before it, and waits no longer for it.
        self.changes.remove(&id);
        let until = self.held.get(&id).map_or(now + PATIENCE, |held| held.until);
        self.held.insert(id, Held { change, until });
    }

    /// An object that has waited, and need not any more.
    pub(crate) fn release(&mut self, id: &ObjectId) -> Option<Change> {
        self.held.remove(id).map(|held| held.change)
    }

    /// The objects that have waited long enough.
    pub(crate) fn release_late(&mut self, now: Instant) -> Vec<Change> {
        let late = self.held.extract_if(.., |_, held| held.until <= now);
        late.map(|(_, held)| held.change).collect()
    }

    /// When the next one will have waited long enough.
    pub(crate) fn late_at(&self) -> Option<Instant> {
        self.held.values().map(|held| held.until).min()
    }

    /// All that is wrong at a place now.
    pub(crate) fn problems(&mut self, place: String, findings: Vec<Finding>) {
        self.problems.insert(place, findings);
    }

    /// What the cluster serves now.
    pub(crate) fn discovered(&mut self, discovered: Arc<Discovered>) {
        self.discovered = Some(discovered);
    }

    /// Whether there is something to send.
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.problems.is_empty() && self.discovered.is_none()
    }

    /// What is to be sent.
    pub(crate) fn take(&mut self) -> Batch {
        Batch {
            changes: std::mem::take(&mut self.changes).into_values().collect(),
            problems: std::mem::take(&mut self.problems),
            discovered: self.discovered.take(),
        }
    }
}

#[cfg(test)]
mod tests {
    use novaedge_api::meta::Kind;

    use super::*;

    fn gone(name: &str) -> Change {
        Change::Delete(ObjectId::new(Kind::Gateway, "n", name))
    }

    #[test]
    fn what_is_held_is_sent_when_let_go_or_late() {
        let now = Instant::now();
        let mut pending = Pending::default();
        pending.change(gone("a"));
        pending.hold(gone("a"), now);
        pending.hold(gone("b"), now);
        assert!(pending.is_empty());
        assert_eq!(pending.release(&gone("b").id()), Some(gone("b")));
        // A newer version does not wait longer.
        let later = now + PATIENCE / 2;
        pending.hold(gone("a"), later);
        assert!(pending.release_late(later).is_empty());
        assert_eq!(pending.late_at(), Some(now + PATIENCE));
        assert_eq!(pending.release_late(now + PATIENCE), [gone("a")]);
        assert!(pending.is_empty() && pending.late_at().is_none());
        pending.hold(gone("a"), now);
        pending.change(gone("a"));
        assert!(pending.release_late(now + PATIENCE).is_empty());
        assert_eq!(pending.take().changes, [gone("a")]);
    }
}
