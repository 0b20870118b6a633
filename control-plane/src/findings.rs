//! What people want to see of a pipeline: statuses and problems, with what changed last.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use novaedge_api::meta::ObjectId;
use novaedge_translate::{Delta, DesiredStatus};

use crate::problem::{Problem, ProblemBook};

/// Changes that are remembered for those who follow: so many, and no more than there are statuses, or a few where there
/// are fewer. Who is further behind looks at everything.
const MAX_RECENT: usize = 4_096;
const FEW_RECENT: usize = 64;

/// What people want to see.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Status of each object of ours.
    pub statuses: BTreeMap<ObjectId, DesiredStatus>,
    /// What is wrong now, sorted, errors first; no more than a person can look through.
    pub problems: Vec<Problem>,
    /// How many more problems there are.
    pub omitted: usize,
    /// Counts changes of statuses.
    revision: u64,
    /// The objects of the last changes, the newest last.
    recent: VecDeque<ObjectId>,
}

impl Findings {
    /// Counts the changes of statuses so far.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The objects whose status changed after `revision`; none when that was too long ago to know.
    pub fn changed_since(&self, revision: u64) -> Option<BTreeSet<&ObjectId>> {
        let behind = usize::try_from(self.revision.checked_sub(revision)?).ok()?;
        let skip = self.recent.len().checked_sub(behind)?;
        Some(self.recent.iter().skip(skip).collect())
    }

    /// Takes in changed statuses.
    pub(crate) fn take(&mut self, delta: &Delta) {
        for (id, status) in &delta.statuses {
            match status {
                Some(status) => self.statuses.insert(id.clone(), status.clone()),
                None => self.statuses.remove(id),
            };
            self.recent.push_back(id.clone());
            self.revision += 1;
        }
        let most = self.statuses.len().clamp(FEW_RECENT, MAX_RECENT);
        let forgotten = self.recent.len().saturating_sub(most);
        self.recent.drain(..forgotten);
        if self.recent.len() < self.recent.capacity() / 8 {
            self.recent.shrink_to(2 * self.recent.len());
        }
    }

    /// Takes in all problems.
    pub(crate) fn list(&mut self, book: &ProblemBook) {
        (self.problems, self.omitted) = book.listed();
    }
}

#[cfg(test)]
mod tests {
    use novaedge_api::meta::Kind;

    use super::*;

    #[test]
    fn followers_hear_of_what_changed_or_that_they_are_too_far_behind() {
        let mut findings = Findings::default();
        let id = |n: usize| ObjectId::new(Kind::HttpRoute, "default", n.to_string());
        let change = |n| Delta {
            statuses: vec![(id(n), None)],
            ..Delta::default()
        };
        for n in [1, 2, 1] {
            findings.take(&change(n));
        }
        assert_eq!(findings.revision(), 3);
        let since = |findings: &Findings, revision| {
            let changed = findings.changed_since(revision)?;
            Some(changed.into_iter().cloned().collect::<Vec<_>>())
        };
        assert_eq!(since(&findings, 3), Some(vec![]));
        assert_eq!(since(&findings, 1), Some(vec![id(1), id(2)]));
        assert_eq!(since(&findings, 4), None, "from another life");
        (0..FEW_RECENT).for_each(|n| findings.take(&change(n)));
        assert_eq!(since(&findings, 2), None);
        assert_eq!(findings.recent.len(), FEW_RECENT);
    }
}
