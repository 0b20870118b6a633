//! The routes of one listener, whether or not the listener is there yet.

use std::{collections::BTreeMap, sync::Arc};

use super::route::{Binding, Route, RouteBody};
use crate::{
    bucket::Candidate,
    host_index::HostIndex,
    host_table::HostTable,
    l4_table::{L4Candidate, L4Table},
    rank::RouteOrder,
    rule::{L4Rule, RouteKind},
};

/// Routes by what they are attached to. A shelf needs its listener for nothing, so children may arrive before parents, and
/// the order of steps leaves no trace.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// HTTPRoutes and GRPCRoutes.
    pub(super) http: HostIndex<HostTable>,
    /// TLSRoutes.
    pub(super) tls: HostIndex<L4Table>,
    tcp: BTreeMap<Arc<RouteOrder>, Arc<L4Rule>>,
    udp: BTreeMap<Arc<RouteOrder>, Arc<L4Rule>>,
    /// Number of bindings put here.
    bindings: usize,
}

impl Shelf {
    pub(super) fn is_empty(&self) -> bool {
        self.bindings == 0
    }

    /// The rule of a TCP listener: that of the oldest route.
    pub(super) fn tcp_rule(&self) -> Option<&Arc<L4Rule>> {
        self.tcp.values().next()
    }

    /// The rule of a UDP listener.
    pub(super) fn udp_rule(&self) -> Option<&Arc<L4Rule>> {
        self.udp.values().next()
    }

    pub(super) fn insert(&mut self, route: &Route, binding: &Binding) {
        self.bindings += 1;
        match &route.body {
            RouteBody::Http { rule, matches } => {
                for (own, limit) in &binding.hosts {
                    self.http.update(own, |table| {
                        for each in matches {
                            let candidate = Candidate {
                                rule: Arc::clone(rule),
                                conditions: each.conditions.clone(),
                                limit: limit.clone(),
                                rank: each.rank.clone(),
                            };
                            table.insert(&each.path, candidate);
                        }
                    });
                }
            }
            RouteBody::L4(rule) => match rule.id.kind {
                RouteKind::Tcp => _ = self.tcp.insert(Arc::clone(&route.order), Arc::clone(rule)),
                RouteKind::Udp => _ = self.udp.insert(Arc::clone(&route.order), Arc::clone(rule)),
                RouteKind::Tls | RouteKind::Http | RouteKind::Grpc => {
                    for (own, limit) in &binding.hosts {
                        let (order, rule) = (Arc::clone(&route.order), Arc::clone(rule));
                        self.tls.update(own, |table| {
                            table.insert(L4Candidate {
                                order,
                                limit: limit.clone(),
                                rule,
                            });
                        });
                    }
                }
            },
        }
    }

    pub(super) fn remove(&mut self, route: &Route, binding: &Binding) {
        self.bindings = self.bindings.saturating_sub(1);
        match &route.body {
            RouteBody::Http { matches, .. } => {
                for (own, _) in &binding.hosts {
                    self.http.update(own, |table| {
                        for each in matches {
                            let conditions = each.conditions.as_deref();
                            table.remove(&each.path, conditions, &route.order.resource);
                        }
                    });
                }
            }
            RouteBody::L4(rule) => match rule.id.kind {
                RouteKind::Tcp => _ = self.tcp.remove(&route.order),
                RouteKind::Udp => _ = self.udp.remove(&route.order),
                RouteKind::Tls | RouteKind::Http | RouteKind::Grpc => {
                    for (own, _) in &binding.hosts {
                        self.tls.update(own, |table| table.remove(&route.order));
                    }
                }
            },
        }
    }
}
