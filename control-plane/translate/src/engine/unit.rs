//! Computing one unit, and telling what of its result changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use novaedge_api::meta::{Kind, Object, ObjectId, ObjectKey};

use super::Translator;
use crate::class::{ClassPlan, plan_class};
use crate::gateway::{
    GatewayResult, StatusPlan, gateway_status, listener_set_status, plan_gateway,
};
use crate::layout::{Layout, PortClaims, plan_layout};
use crate::output::DesiredStatus;
use crate::plan::BackendKey;
use crate::read::{Read, Unit};
use crate::{backend, ingress, policy, route};

impl Translator {
    /// Computes a unit, stores its result, and returns what others may have read of it and now differs.
    pub(super) fn compute(&mut self, unit: &Unit) -> Vec<Read> {
        match unit {
            Unit::Class(key) => {
                let new = self.planned(unit, |view| plan_class(view, key));
                self.put_class(unit, key, new)
            }
            Unit::IngressClass(key) => self.compute_ingress_class(unit, key),
            Unit::IngressClaims(key) => self.compute_ingress_claims(unit, key),
            Unit::IngressPorts(key) => self.compute_ingress_ports(unit, key),
            Unit::Entrance(key) => self.compute_entrance(unit, key),
            Unit::IngressStatus(key) => {
                let new = self.planned(unit, |view| Some(ingress::ingress_status(view, key)));
                self.put_status(unit, Kind::Ingress, key, new, DesiredStatus::Ingress)
            }
            Unit::Layout(key) => {
                let new = self.planned(unit, |view| plan_layout(view, key));
                self.put_layout(key, new.map(Arc::new).as_ref())
            }
            Unit::Gateway(key) => {
                let new = self.planned(unit, |view| plan_gateway(view, key));
                self.put_gateway(unit, key, new.map(Arc::new).as_ref())
            }
            Unit::Route(kind, key) => self.compute_route(unit, *kind, key),
            Unit::Backend(key) => self.compute_backend(unit, key),
            Unit::Policy(key) => self.compute_policy(unit, key),
            Unit::GatewayStatus(key) => {
                let new = self.planned(unit, |view| Some(gateway_status(view, key)));
                self.put_status(unit, Kind::Gateway, key, new, DesiredStatus::Gateway)
            }
            Unit::ListenerSetStatus(key) => {
                let new = self.planned(unit, |view| Some(listener_set_status(view, key)));
                self.put_status(
                    unit,
                    Kind::ListenerSet,
                    key,
                    new,
                    DesiredStatus::ListenerSet,
                )
            }
        }
    }

    /// Takes in a status. Nobody reads it.
    fn put_status<T>(
        &mut self,
        unit: &Unit,
        kind: Kind,
        key: &ObjectKey,
        new: Option<StatusPlan<T>>,
        desired: impl Fn(T) -> DesiredStatus,
    ) -> Vec<Read> {
        let (status, diagnostics) =
            new.map_or((None, Vec::new()), |new| (new.status, new.diagnostics));
        self.collector.findings(unit, &diagnostics);
        let id = ObjectId {
            kind,
            key: key.clone(),
        };
        self.collector.status(id, status.map(desired));
        Vec::new()
    }

    fn put_class(&mut self, unit: &Unit, key: &ObjectKey, new: Option<ClassPlan>) -> Vec<Read> {
        let id = ObjectId {
            kind: Kind::GatewayClass,
            key: key.clone(),
        };
        let status = new
            .as_ref()
            .map(|plan| DesiredStatus::GatewayClass(plan.status.clone()));
        self.collector.status(id, status);
        self.collector
            .findings(unit, new.as_ref().map_or(&[], |plan| &plan.diagnostics));
        let accepted = new.as_ref().map(|plan| plan.accepted);
        let old = replace(&mut self.plans.classes, key, new);
        let changed = old.map(|plan| plan.accepted) != accepted;
        changed
            .then(|| Read::Class(key.clone()))
            .into_iter()
            .collect()
    }

    fn put_layout(&mut self, key: &ObjectKey, new: Option<&Arc<Layout>>) -> Vec<Read> {
        let old = replace(&mut self.plans.layouts, key, new.cloned());
        if old.as_ref() == new {
            return Vec::new();
        }
        let claims = |layout: Option<&Arc<Layout>>| {
            layout
                .map(|layout| layout.claims.clone())
                .unwrap_or_default()
        };
        let (before, after) = (claims(old.as_ref()), claims(new));
        let mut changed = vec![Read::Layout(key.clone())];
        changed.extend(self.claim_ports(&before, &after));
        changed
    }

    /// Replaces claims on ports; returns the ports that they change.
    pub(super) fn claim_ports(&mut self, before: &PortClaims, after: &PortClaims) -> Vec<Read> {
        for (port, claim) in before.difference(after) {
            if let Some(claims) = self.plans.claims.get_mut(port) {
                claims.remove(claim);
                if claims.is_empty() {
                    self.plans.claims.remove(port);
                }
            }
        }
        for (port, claim) in after.difference(before) {
            self.plans
                .claims
                .entry(*port)
                .or_default()
                .insert(claim.clone());
        }
        let changed = before.symmetric_difference(after);
        let ports: BTreeSet<_> = changed.map(|(port, _)| *port).collect();
        ports
            .into_iter()
            .map(|(port, transport)| Read::Port(port, transport))
            .collect()
    }

    fn put_gateway(
        &mut self,
        unit: &Unit,
        key: &ObjectKey,
        new: Option<&Arc<GatewayResult>>,
    ) -> Vec<Read> {
        let old = replace(&mut self.plans.gateways, key, new.cloned());
        if old.as_ref() == new {
            return Vec::new();
        }
        let mut changed = Vec::new();
        if old.as_ref().map(|result| &result.detail) != new.map(|result| &result.detail) {
            changed.push(Read::GatewayDetail(key.clone()));
        }
        let id_of = |result: &Arc<GatewayResult>| {
            result.native.is_some().then(|| ObjectId {
                kind: Kind::ProxyGateway,
                key: key.clone(),
            })
        };
        let native = new.and_then(|result| result.native.clone());
        self.collector.native(
            old.as_ref().and_then(id_of),
            native.map(Object::ProxyGateway),
        );
        self.collector
            .findings(unit, new.map_or(&[], |result| &result.diagnostics));
        // A ListenerSet that moved from one Gateway to another may already have been taken over by the other.
        let empty = BTreeMap::new();
        let before = old.as_ref().map_or(&empty, |result| &result.parents);
        let after = new.map_or(&empty, |result| &result.parents);
        for id in gone(before, after) {
            if self
                .plans
                .parents
                .get(id)
                .is_some_and(|plan| plan.gateway == *key)
            {
                self.plans.parents.remove(id);
                changed.push(Read::Parent(id.clone()));
            }
        }
        for (id, plan) in after {
            if self.plans.parents.get(id) != Some(plan) {
                self.plans.parents.insert(id.clone(), Arc::clone(plan));
                changed.push(Read::Parent(id.clone()));
            }
        }
        let empty = BTreeMap::new();
        let before = old.as_ref().map_or(&empty, |result| &result.sets);
        let after = new.map_or(&empty, |result| &result.sets);
        for set in gone(before, after) {
            if self
                .plans
                .sets
                .get(set)
                .is_some_and(|detail| detail.gateway == *key)
            {
                self.plans.sets.remove(set);
                changed.push(Read::SetDetail(set.clone()));
            }
        }
        for (set, detail) in after {
            if self.plans.sets.get(set) != Some(detail) {
                self.plans.sets.insert(set.clone(), Arc::clone(detail));
                changed.push(Read::SetDetail(set.clone()));
            }
        }
        changed
    }

    fn compute_route(&mut self, unit: &Unit, kind: Kind, key: &ObjectKey) -> Vec<Read> {
        let new = self
            .planned(unit, |view| route::plan_route(view, kind, key))
            .map(Arc::new);
        let old = replace(&mut self.plans.routes, &(kind, key.clone()), new.clone());
        if old == new {
            return Vec::new();
        }
        let native =
            |plan: &Arc<crate::plan::RoutePlan>| plan.native.clone().map(Object::ProxyRoute);
        let old_native = old.as_ref().and_then(native).map(|object| object.id());
        self.collector
            .native(old_native, new.as_ref().and_then(native));
        let ours = new.as_ref().filter(|plan| !plan.parents.is_empty());
        let status = ours.map(|plan| DesiredStatus::Route(Arc::clone(&plan.parents)));
        let id = ObjectId {
            kind,
            key: key.clone(),
        };
        // An Ingress has a status of another kind, and a unit for it.
        if kind != Kind::Ingress {
            self.collector.status(id, status);
        }
        self.collector
            .findings(unit, new.as_ref().map_or(&[], |plan| &plan.diagnostics));
        let change = self.plans.ledger.replace(old.as_deref(), new.as_deref());
        let attached = change
            .attached
            .into_iter()
            .map(|(key, name)| Read::Attached(key, name));
        attached
            .chain(change.services.into_iter().map(Read::ServiceGateways))
            .collect()
    }

    fn compute_backend(&mut self, unit: &Unit, key: &BackendKey) -> Vec<Read> {
        let new = self
            .planned(unit, |view| backend::plan_backend(view, key))
            .map(Arc::new);
        let old = replace(&mut self.plans.backends, key, new.clone());
        if old != new {
            let native = |plan: &Arc<crate::plan::BackendPlan>| {
                Object::ProxyBackend(Arc::clone(&plan.native))
            };
            let old_native = old.as_ref().map(native).map(|object| object.id());
            self.collector.native(old_native, new.as_ref().map(native));
            self.collector
                .findings(unit, new.as_ref().map_or(&[], |plan| &plan.diagnostics));
        }
        Vec::new()
    }

    fn compute_policy(&mut self, unit: &Unit, key: &ObjectKey) -> Vec<Read> {
        let new = self
            .planned(unit, |view| policy::plan_policy(view, key))
            .map(Arc::new);
        let old = replace(&mut self.plans.policies, key, new.clone());
        if old != new {
            let id = ObjectId {
                kind: Kind::BackendTlsPolicy,
                key: key.clone(),
            };
            let ours = new.as_ref().filter(|plan| !plan.ancestors.is_empty());
            let status = ours.map(|plan| DesiredStatus::BackendTlsPolicy(plan.ancestors.clone()));
            self.collector.status(id, status);
            self.collector
                .findings(unit, new.as_ref().map_or(&[], |plan| &plan.diagnostics));
        }
        Vec::new()
    }
}

pub(super) fn replace<K: Ord + Clone, V>(
    map: &mut BTreeMap<K, V>,
    key: &K,
    new: Option<V>,
) -> Option<V> {
    match new {
        Some(new) => map.insert(key.clone(), new),
        None => map.remove(key),
    }
}

fn gone<'a, K: Ord, V>(
    before: &'a BTreeMap<K, V>,
    after: &'a BTreeMap<K, V>,
) -> impl Iterator<Item = &'a K> {
    before.keys().filter(|key| !after.contains_key(*key))
}
