//! The HTTP and gRPC routes of one own hostname.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::{
    conditions::{Conditions, HostLimit},
    host_index::Table,
    listener::Matched,
    rank::Rank,
    request::RequestHead,
    rule::HttpRule,
};

/// The candidates of one own hostname, by path.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostTable {
    root: Bucket,
}

/// A match of a rule, apart from its path.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) rule: Arc<HttpRule>,
    /// None: every request meets them.
    pub(crate) conditions: Option<Arc<Conditions>>,
    pub(crate) limit: HostLimit,
    pub(crate) rank: Rank,
}

/// Candidates of one path, best first.
type Bucket = SmallVec<[Candidate; 1]>;

impl Table for HostTable {
    fn is_empty(&self) -> bool {
        self.root.is_empty()
    }
}

impl HostTable {
    pub(crate) fn route<'t>(
        &'t self,
        _host: &str,
        _request: &impl RequestHead,
    ) -> Option<Matched<'t>> {
        None
    }
}
