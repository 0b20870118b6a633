//! The candidates of one path.

use std::{cmp::Ordering, sync::Arc};

use smallvec::SmallVec;

use crate::{
    conditions::{Conditions, ValueMatch},
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
    pub(crate) rank: Rank,
}

/// The candidates that share a path.
///
/// Many tenants on one path are told apart by the value of a header, so candidates that ask for one are found by it: ten
/// thousand of them cost what one costs. Only those that agree in that value, or ask for none, are tried one by one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bucket {
    /// The best candidate that asks for no certain header value.
    best: Option<Candidate>,
    /// Most buckets have one candidate only, so what others have is behind a pointer.
    more: Option<Arc<More>>,
}

/// The other candidates of a bucket.
#[derive(Clone, Debug, Default)]
struct More {
    /// Those that ask for no certain header value, best first.
    open: Vec<Candidate>,
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
        self.conditions
            .as_ref()
            .is_none_or(|conditions| conditions.meets(host, request))
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
        *self.rule.id.resource == *resource
    }

    /// Less is better.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        self.rank.compare(&self.rule.id, other.rank, &other.rule.id)
    }
}

impl Bucket {
    pub(crate) fn is_empty(&self) -> bool {
        self.best.is_none() && self.more.is_none()
    }

    /// The best candidate that accepts a request.
    pub(crate) fn find(&self, host: &str, request: &impl RequestHead) -> Option<&Candidate> {
        let accepts = |candidate: &&Candidate| candidate.accepts(host, request);
        let first = self.best.as_ref().filter(accepts);
        let Some(more) = &self.more else {
            return first;
        };
        let mut best = first.or_else(|| more.open.iter().find(accepts));
        for header in &more.by_header {
            let value = request.header(&header.name);
            let ranked = value.and_then(|value| header.get(&value));
            if let Some(found) = ranked.and_then(|ranked| ranked.iter().find(accepts))
                && best.is_none_or(|best| found.compare(best).is_lt())
            {
                best = Some(found);
            }
        }
        best
    }

    /// Adds a candidate.
    pub(crate) fn insert(&mut self, candidate: Candidate) {
        if header_key(candidate.conditions.as_deref()).is_some() {
            return self.more().insert_by_header(candidate);
        }
        match &mut self.best {
            None => self.best = Some(candidate),
            Some(best) => {
                let other = if candidate.compare(best).is_lt() {
                    std::mem::replace(best, candidate)
                } else {
                    candidate
                };
                let more = self.more();
                let at = place(&more.open, &other);
                more.open.insert(at, other);
            }
        }
    }

    /// Removes what a resource has with these conditions.
    pub(crate) fn remove(&mut self, conditions: Option<&Conditions>, resource: &str) {
        match header_key(conditions) {
            Some((name, value)) => {
                if self.more.is_some() {
                    self.more().remove_by_header(name, value, resource);
                }
            }
            None => self.remove_open(resource),
        }
        self.more.take_if(|more| more.is_empty());
    }

    fn remove_open(&mut self, resource: &str) {
        if self.more.as_ref().is_some_and(|more| !more.open.is_empty()) {
            self.more()
                .open
                .retain(|candidate| !candidate.is_of(resource));
        }
        self.best.take_if(|best| best.is_of(resource));
        if self.best.is_none() && self.more.as_ref().is_some_and(|more| !more.open.is_empty()) {
            self.best = Some(self.more().open.remove(0));
        }
    }

    fn more(&mut self) -> &mut More {
        Arc::make_mut(self.more.get_or_insert_default())
    }
}

impl More {
    fn is_empty(&self) -> bool {
        self.open.is_empty() && self.by_header.is_empty()
    }

    fn insert_by_header(&mut self, mut candidate: Candidate) {
        let Some((name, value)) = header_key(candidate.conditions.as_deref()) else {
            return;
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

    fn remove_by_header(&mut self, name: &str, value: &str, resource: &str) {
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
            Some(ranked) => ranked.insert(place(ranked, &candidate), candidate),
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

/// Where a candidate belongs among others, best first.
fn place(ranked: &[Candidate], candidate: &Candidate) -> usize {
    ranked.partition_point(|other| other.compare(candidate).is_le())
}
