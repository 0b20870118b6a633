//! Precedence among candidates that the index can't tell apart.

use std::{cmp::Reverse, sync::Arc};

/// The order of routes, and of rules within one: earlier wins.
///
/// HTTPRouteRule.matches: the oldest route, then the first by "{namespace}/{name}", then the first rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RouteOrder {
    /// Seconds since the epoch. A route of unknown age comes last.
    pub(crate) created: i64,
    /// "{namespace}/{name}".
    pub(crate) name: Box<str>,
    /// HTTPRoutes come before GRPCRoutes: the spec does not say.
    pub(crate) kind: crate::rule::RouteKind,
    pub(crate) rule_index: u32,
    /// Names are unique in a snapshot, so the order is total.
    pub(crate) resource: Arc<str>,
}

/// The rank of one match among all that the same path leads to: smaller wins.
///
/// HTTPRouteRule.matches: method match, then most header matches, then most query parameter matches, then the order of
/// routes, rules and matches.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    pub(crate) method: Reverse<bool>,
    pub(crate) headers: Reverse<u16>,
    pub(crate) query_params: Reverse<u16>,
    pub(crate) order: Arc<RouteOrder>,
    pub(crate) match_index: u32,
}
