//! The routes of one listener, whether or not the listener is there yet.

use std::sync::Arc;

use super::route::{Binding, Route, RouteBody};
use crate::{
    bucket::Candidate,
    host_index::HostIndex,
    host_table::HostTable,
    l4_table::{L4Candidate, L4Table},
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
    /// Rules of TCPRoutes, the oldest route's first.
    tcp: Vec<Arc<L4Rule>>,
    /// Rules of UDPRoutes.
    udp: Vec<Arc<L4Rule>>,
    /// Number of bindings put here.
    bindings: usize,
}

impl Shelf {
    pub(super) fn is_empty(&self) -> bool {
        self.bindings == 0
    }

    /// The rule of a TCP listener: that of the oldest route.
    pub(super) fn tcp_rule(&self) -> Option<&Arc<L4Rule>> {
        self.tcp.first()
    }

    /// The rule of a UDP listener.
    pub(super) fn udp_rule(&self) -> Option<&Arc<L4Rule>> {
        self.udp.first()
    }

    pub(super) fn insert(&mut self, route: &Route, binding: &Binding) {
        self.bindings += 1;
        match &route.body {
            RouteBody::Http { rule, matches } => {
                for (own, limit) in &binding.hosts {
                    self.http.update(own, |table| {
                        matches.each(|each| {
                            let candidate = Candidate {
                                rule: Arc::clone(rule),
                                conditions: each.conditions_within(limit),
                                rank: each.rank,
                            };
                            table.insert(&each.path, candidate);
                        });
                    });
                }
            }
            RouteBody::L4(rule) => match rule.id.kind {
                RouteKind::Tcp => insert(&mut self.tcp, rule),
                RouteKind::Udp => insert(&mut self.udp, rule),
                RouteKind::Tls | RouteKind::Http | RouteKind::Grpc => {
                    for (own, limit) in &binding.hosts {
                        self.tls.update(own, |table| {
                            table.insert(L4Candidate {
                                rule: Arc::clone(rule),
                                limit: limit.clone(),
                            });
                        });
                    }
                }
            },
        }
    }

    pub(super) fn remove(&mut self, route: &Route) {
        self.bindings = self.bindings.saturating_sub(1);
        let resource = &*route.id().resource;
        match &route.body {
            RouteBody::Http { matches, .. } => {
                for own in &route.hosts {
                    self.http.update(own, |table| {
                        matches.each(|each| {
                            let conditions = each.conditions.as_deref();
                            table.remove(&each.path, conditions, resource);
                        });
                    });
                }
            }
            RouteBody::L4(rule) => match rule.id.kind {
                RouteKind::Tcp => self.tcp.retain(|held| *held.id.resource != *resource),
                RouteKind::Udp => self.udp.retain(|held| *held.id.resource != *resource),
                RouteKind::Tls | RouteKind::Http | RouteKind::Grpc => {
                    for own in &route.hosts {
                        self.tls.update(own, |table| table.remove(resource));
                    }
                }
            },
        }
    }
}

fn insert(rules: &mut Vec<Arc<L4Rule>>, rule: &Arc<L4Rule>) {
    // A route may name a listener twice.
    if let Err(at) = rules.binary_search_by(|held| held.id.precedence(&rule.id)) {
        rules.insert(at, Arc::clone(rule));
    }
}
