//! The candidates of one path.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::{
    conditions::{Conditions, HostLimit, ValueMatch},
    listener::Matched,
    rank::Rank,
    request::RequestHead,
    rule::HttpRule,
    shard_map::ShardMap,
};

/// A match of a rule, apart from its path.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) rule: Arc<HttpRule>,
    /// None: every request meets them.
    pub(crate) conditions: Option<Arc<Conditions>>,
    pub(crate) limit: HostLimit,
    pub(crate) rank: Rank,
}

/// The candidates that share a path.
///
/// Many tenants on one path are told apart by the value of a header, so candidates that ask for one are found by it: ten
/// thousand of them cost what one costs. Only those that agree in that value, or ask for none, are tried one by one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bucket {
    /// Candidates that ask for no certain header value.
    open: Ranked,
    /// The others, by the name of the header that they are found by.
    by_header: Vec<HeaderValues>,
}

/// How a path matched.
#[derive(Clone, Copy, Debug)]
pub(crate) enum MatchedBy<'t> {
    /// As a whole.
    Exact(&'t str),
    /// By leading segments.
    Prefix(&'t str),
    /// By an expression, or by a gRPC method.
    Other,
}

/// Candidates, best first.
type Ranked = SmallVec<[Candidate; 1]>;

/// Candidates by the value of one header.
#[derive(Clone, Debug)]
struct HeaderValues {
    /// Lower case.
    name: Arc<str>,
    values: ShardMap<Ranked>,
    /// No value was ever longer, so longer ones need not be hashed: this bounds what a hostile request costs.
    longest: usize,
}

impl Candidate {
    pub(crate) fn accepts(&self, host: &str, request: &impl RequestHead) -> bool {
        self.limit.allows(host)
            && self
                .conditions
                .as_ref()
                .is_none_or(|conditions| conditions.meets(request))
    }

    /// What the candidate is to a request that it accepts.
    pub(crate) fn matched<'t>(&'t self, by: MatchedBy<'t>) -> Matched<'t> {
        let (prefix, exact) = match by {
            MatchedBy::Exact(path) => (None, Some(path)),
            MatchedBy::Prefix(path) => (Some(path), None),
            MatchedBy::Other => (None, None),
        };
        Matched {
            rule: &self.rule,
            prefix,
            exact,
        }
    }

    pub(crate) fn is_of(&self, resource: &str) -> bool {
        *self.rank.order.resource == *resource
    }
}

impl Bucket {
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.by_header.is_empty()
    }

    /// The best candidate that accepts a request.
    pub(crate) fn find(&self, host: &str, request: &impl RequestHead) -> Option<&Candidate> {
        let mut best = accepting(&self.open, host, request);
        for header in &self.by_header {
            let value = request.header(&header.name);
            let ranked = value.and_then(|value| header.get(&value));
            if let Some(found) = ranked.and_then(|ranked| accepting(ranked, host, request))
                && best.is_none_or(|best| found.rank < best.rank)
            {
                best = Some(found);
            }
        }
        best
    }

    /// Adds a candidate.
    pub(crate) fn insert(&mut self, mut candidate: Candidate) {
        let Some((name, value)) = header_key(candidate.conditions.as_deref()) else {
            return insert(&mut self.open, candidate);
        };
        let at = self
            .by_header
            .binary_search_by(|held| (*held.name).cmp(name));
        let at = at.unwrap_or_else(|at| {
            self.by_header.insert(at, HeaderValues::new(name));
            at
        });
        // Its value borrows from the candidate.
        let value: Arc<str> = value.into();
        // Whoever is found by its only condition need not look at it again.
        candidate
            .conditions
            .take_if(|conditions| conditions.is_one_header());
        if let Some(header) = self.by_header.get_mut(at) {
            header.insert(value, candidate);
        }
    }

    /// Removes what a resource has with these conditions.
    pub(crate) fn remove(&mut self, conditions: Option<&Conditions>, resource: &str) {
        let Some((name, value)) = header_key(conditions) else {
            return self.open.retain(|candidate| !candidate.is_of(resource));
        };
        let at = self
            .by_header
            .binary_search_by(|held| (*held.name).cmp(name));
        if let Ok(at) = at
            && let Some(header) = self.by_header.get_mut(at)
        {
            header.remove(value, resource);
            if header.values.is_empty() {
                self.by_header.remove(at);
            }
        }
    }
}

impl HeaderValues {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            values: ShardMap::default(),
            longest: 0,
        }
    }

    fn get(&self, value: &str) -> Option<&Ranked> {
        (value.len() <= self.longest)
            .then(|| self.values.get(value))
            .flatten()
    }

    fn insert(&mut self, value: Arc<str>, candidate: Candidate) {
        self.longest = self.longest.max(value.len());
        match self.values.get_mut(&value) {
            Some(ranked) => insert(ranked, candidate),
            None => _ = self.values.insert(value, SmallVec::from_iter([candidate])),
        }
    }

    fn remove(&mut self, value: &str, resource: &str) {
        if let Some(ranked) = self.values.get_mut(value) {
            ranked.retain(|candidate| !candidate.is_of(resource));
            if ranked.is_empty() {
                self.values.remove(value);
            }
        }
    }
}

/// The first header of which the conditions want a certain value.
fn header_key(conditions: Option<&Conditions>) -> Option<(&str, &str)> {
    let mut headers = conditions?.headers.iter();
    headers.find_map(|header| match &header.value {
        ValueMatch::Exact(value) => Some((&*header.name, &**value)),
        ValueMatch::Regex(_) => None,
    })
}

fn accepting<'b>(
    ranked: &'b Ranked,
    host: &str,
    request: &impl RequestHead,
) -> Option<&'b Candidate> {
    ranked
        .iter()
        .find(|candidate| candidate.accepts(host, request))
}

fn insert(ranked: &mut Ranked, candidate: Candidate) {
    let at = ranked.partition_point(|other| other.rank <= candidate.rank);
    ranked.insert(at, candidate);
}
