//! The TLS routes of one own hostname.

use std::sync::Arc;

use crate::{conditions::HostLimit, host_index::Table, rank::RouteOrder, rule::L4Rule};

/// Candidates, oldest route first.
#[derive(Clone, Debug, Default)]
pub(crate) struct L4Table {
    candidates: Vec<L4Candidate>,
}

/// A rule that may take a connection.
#[derive(Clone, Debug)]
pub(crate) struct L4Candidate {
    pub(crate) order: Arc<RouteOrder>,
    pub(crate) limit: HostLimit,
    pub(crate) rule: Arc<L4Rule>,
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
        let at = self
            .candidates
            .partition_point(|other| other.order <= candidate.order);
        self.candidates.insert(at, candidate);
    }

    pub(crate) fn remove(&mut self, order: &Arc<RouteOrder>) {
        self.candidates
            .retain(|candidate| candidate.order != *order);
    }
}
