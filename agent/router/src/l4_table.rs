//! The TLS routes of one own hostname.

use std::sync::Arc;

use crate::{conditions::HostLimit, host_index::Table, rule::L4Rule};

/// Candidates, oldest route first.
#[derive(Clone, Debug, Default)]
pub(crate) struct L4Table {
    candidates: Arc<[L4Candidate]>,
}

/// A rule that may take a connection.
#[derive(Clone, Debug)]
pub(crate) struct L4Candidate {
    pub(crate) rule: Arc<L4Rule>,
    pub(crate) limit: HostLimit,
}

impl Table for L4Table {
    fn is_empty(&self) -> bool {
        self.candidates.is_empty()
    }
}

impl L4Table {
    pub(crate) fn route(&self, host: &str) -> Option<&Arc<L4Rule>> {
        self.candidates
            .iter()
            .find(|candidate| candidate.limit.allows(host))
            .map(|candidate| &candidate.rule)
    }

    pub(crate) fn insert(&mut self, candidate: L4Candidate) {
        let id = &candidate.rule.id;
        let mut candidates = self.candidates.to_vec();
        let at = candidates.partition_point(|other| other.rule.id.precedence(id).is_le());
        candidates.insert(at, candidate);
        self.candidates = candidates.into();
    }

    pub(crate) fn remove(&mut self, resource: &str) {
        let kept = self.candidates.iter();
        let kept = kept.filter(|candidate| *candidate.rule.id.resource != *resource);
        self.candidates = kept.cloned().collect();
    }
}
