//! Precedence among candidates that the index can't tell apart.

use std::cmp::Ordering;

use crate::{conditions::Conditions, route_id::RouteId};

/// The rank of one match among all that the same path leads to, apart from the rule's own.
///
/// HTTPRouteRule.matches: method match, then most header matches, then most query parameter matches, then the order of
/// routes, rules and matches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rank {
    specificity: Specificity,
    /// Position among the matches of the rule.
    match_index: u32,
}

/// Greater is more specific: whether there is a method, then the number of headers, then that of query parameters, in one
/// number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Specificity(u32);

impl Rank {
    /// The rank of the match at an index.
    pub(crate) fn new(conditions: &Conditions, match_index: u32) -> Self {
        Self {
            specificity: Specificity::of(conditions),
            match_index,
        }
    }

    /// Less is better, each with the rule that it is of.
    pub(crate) fn compare(self, id: &RouteId, other: Self, other_id: &RouteId) -> Ordering {
        let by_specificity = other.specificity.cmp(&self.specificity);
        by_specificity
            .then_with(|| id.precedence(other_id))
            .then(self.match_index.cmp(&other.match_index))
    }
}

impl Specificity {
    fn of(conditions: &Conditions) -> Self {
        let method = u32::from(conditions.method.is_some());
        let headers = count(conditions.headers.len(), MOST_HEADERS);
        let query_params = count(conditions.query_params.len(), MOST_QUERY_PARAMS);
        Self(method << 31 | headers << 16 | query_params)
    }
}

/// Far more than the Gateway API allows; more count as as many.
const MOST_HEADERS: u32 = (1 << 15) - 1;
const MOST_QUERY_PARAMS: u32 = (1 << 16) - 1;

fn count(matches: usize, most: u32) -> u32 {
    u32::try_from(matches).unwrap_or(most).min(most)
}
