//! Results of the units so far, and counts over them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use novaedge_api::meta::{Kind, ObjectId, ObjectKey};

use crate::class::ClassPlan;
use crate::engine::RejectedRules;
use crate::gateway::{GatewayResult, SetDetail};
use crate::ingress::{Crowds, Entrance, IngressClaims, IngressClassPlan};
use crate::layout::{Claim, Layout, PortClaims};
use crate::output::GatewayFleet;
use crate::plan::{BackendKey, BackendPlan, ParentPlan, PolicyPlan, RoutePlan};
use crate::read::Transport;

/// Results of the units, by what they are about.
#[derive(Debug, Default)]
pub(crate) struct Plans {
    /// Classes of ours.
    pub(crate) classes: BTreeMap<ObjectKey, ClassPlan>,
    /// Layouts of Gateways of ours.
    pub(crate) layouts: BTreeMap<ObjectKey, Arc<Layout>>,
    /// Who claims a port, the first in line first.
    pub(crate) claims: BTreeMap<(u16, Transport), BTreeSet<Claim>>,
    /// Gateways of ours.
    pub(crate) gateways: BTreeMap<ObjectKey, Arc<GatewayResult>>,
    /// What routes see of Gateways of ours and of the ListenerSets that name them.
    pub(crate) parents: BTreeMap<ObjectId, Arc<ParentPlan>>,
    /// The ListenerSets that name a Gateway of ours.
    pub(crate) sets: BTreeMap<ObjectKey, Arc<SetDetail>>,
    /// Routes.
    pub(crate) routes: BTreeMap<(Kind, ObjectKey), Arc<RoutePlan>>,
    /// Ports of Services that some route needs.
    pub(crate) backends: BTreeMap<BackendKey, Arc<BackendPlan>>,
    /// Policies.
    pub(crate) policies: BTreeMap<ObjectKey, Arc<PolicyPlan>>,
    /// IngressClasses of ours.
    pub(crate) ingress_classes: BTreeMap<ObjectKey, Arc<IngressClassPlan>>,
    /// Ingresses of ours.
    pub(crate) ingresses: BTreeMap<ObjectKey, Arc<IngressClaims>>,
    /// The same by class, with who claims what.
    pub(crate) crowds: Crowds,
    /// Ports that the Ingresses of a class claim.
    pub(crate) ingress_ports: BTreeMap<ObjectKey, PortClaims>,
    /// Entrances by class.
    pub(crate) entrances: BTreeMap<ObjectKey, Arc<Entrance>>,
    /// What the agents say.
    pub(crate) fleet: BTreeMap<ObjectKey, GatewayFleet>,
    /// Why the agents cannot serve rules of routes, by place in the native route.
    pub(crate) rejected_rules: RejectedRules,
    /// The time in seconds since 1970, as far as somebody has told.
    pub(crate) clock: Option<i64>,
    /// Counts over the routes.
    pub(crate) ledger: Ledger,
}

/// Counts over all route plans, kept by the difference that each new plan makes.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Ledger {
    attached: BTreeMap<(ObjectKey, String), u32>,
    users: BTreeMap<BackendKey, u32>,
    gateways: BTreeMap<ObjectKey, BTreeMap<ObjectKey, u32>>,
    /// Backends that some route began to need, or that no route needs any more, since they were last taken.
    backends: BTreeSet<BackendKey>,
}

/// What changed in a [`Ledger`].
#[derive(Debug, Default, PartialEq)]
pub(crate) struct LedgerChange {
    /// Listeners whose number of routes changed.
    pub(crate) attached: BTreeSet<(ObjectKey, String)>,
    /// Services that were taken up or given up by some Gateway.
    pub(crate) services: BTreeSet<ObjectKey>,
}

impl Ledger {
    /// Replaces the entries of one route.
    pub(crate) fn replace(
        &mut self,
        old: Option<&RoutePlan>,
        new: Option<&RoutePlan>,
    ) -> LedgerChange {
        let mut change = LedgerChange::default();
        let empty = RoutePlan::default();
        let (old, new) = (old.unwrap_or(&empty), new.unwrap_or(&empty));
        for key in difference(&old.attached, &new.attached) {
            remove(&mut self.attached, key);
            change.attached.insert(key.clone());
        }
        for key in difference(&new.attached, &old.attached) {
            add(&mut self.attached, key);
            change.attached.insert(key.clone());
        }
        for key in difference(&old.backends, &new.backends) {
            if remove(&mut self.users, key) {
                self.backends.insert(key.clone());
            }
        }
        for key in difference(&new.backends, &old.backends) {
            if add(&mut self.users, key) {
                self.backends.insert(key.clone());
            }
        }
        self.replace_pairs(old, new, &mut change);
        change
    }

    fn replace_pairs(&mut self, old: &RoutePlan, new: &RoutePlan, change: &mut LedgerChange) {
        let (before, after) = (pairs(old), pairs(new));
        for (service, gateway) in before.difference(&after) {
            let Some(gateways) = self.gateways.get_mut(service) else {
                continue;
            };
            if remove(gateways, gateway) {
                change.services.insert((*service).clone());
            }
            if gateways.is_empty() {
                self.gateways.remove(*service);
            }
        }
        for (service, gateway) in after.difference(&before) {
            let gateways = self.gateways.entry((*service).clone()).or_default();
            if add(gateways, gateway) {
                change.services.insert((*service).clone());
            }
        }
    }

    /// Backends that came or went since the last call.
    pub(crate) fn take_backends(&mut self) -> BTreeSet<BackendKey> {
        std::mem::take(&mut self.backends)
    }

    /// Number of routes that a listener counts.
    pub(crate) fn attached(&self, gateway: &ObjectKey, listener: &str) -> i32 {
        let count = self
            .attached
            .get(&(gateway.clone(), listener.to_owned()))
            .copied();
        i32::try_from(count.unwrap_or(0)).unwrap_or(i32::MAX)
    }

    /// Whether some route needs a backend.
    pub(crate) fn is_used(&self, backend: &BackendKey) -> bool {
        self.users.contains_key(backend)
    }

    /// Gateways with routes that refer to a Service.
    pub(crate) fn gateways_using(&self, service: &ObjectKey) -> BTreeSet<ObjectKey> {
        self.gateways
            .get(service)
            .into_iter()
            .flat_map(BTreeMap::keys)
            .cloned()
            .collect()
    }
}

/// What is in the first and not in the second; both are sorted.
fn difference<'a, T: Ord>(first: &'a [T], second: &'a [T]) -> impl Iterator<Item = &'a T> {
    let is_missing = |key: &&T| second.binary_search(key).is_err();
    first.iter().filter(is_missing)
}

/// Every Service of a route with every Gateway that it is attached to.
fn pairs(plan: &RoutePlan) -> BTreeSet<(&ObjectKey, &ObjectKey)> {
    let gateways: BTreeSet<&ObjectKey> = plan.attached.iter().map(|(gateway, _)| gateway).collect();
    let services = plan.services.iter();
    services
        .flat_map(|service| gateways.iter().map(move |gateway| (service, *gateway)))
        .collect()
}

/// Counts one more; true for the first.
fn add<K: Ord + Clone>(counts: &mut BTreeMap<K, u32>, key: &K) -> bool {
    let count = counts.entry(key.clone()).or_default();
    *count = count.saturating_add(1);
    *count == 1
}

/// Counts one less; true for the last.
fn remove<K: Ord>(counts: &mut BTreeMap<K, u32>, key: &K) -> bool {
    let Some(count) = counts.get_mut(key) else {
        return false;
    };
    *count = count.saturating_sub(1);
    let last = *count == 0;
    if last {
        counts.remove(key);
    }
    last
}
