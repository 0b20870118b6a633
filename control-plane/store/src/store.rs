//! The tables and the index of references.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use novaedge_api::gateway::ReferenceGrant;
use novaedge_api::meta::{Kind, Object, ObjectId, ObjectKey, Typed};

use crate::change::{Applied, Change, Touch};
use crate::reference::references;

/// Every object, by kind, namespace and name, and who refers to whom.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Store {
    tables: BTreeMap<Kind, BTreeMap<ObjectKey, Object>>,
    /// Target to referrers. Targets need not exist.
    referrers: BTreeMap<ObjectId, BTreeSet<ObjectId>>,
}

impl Store {
    /// A store without objects.
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies one change. Nothing comes back when it makes no difference.
    pub fn apply(&mut self, change: Change) -> Option<Applied> {
        let (id, new) = match change {
            Change::Upsert(object) => (object.id(), Some(object)),
            Change::Delete(id) => (id, None),
        };
        let table = self.tables.entry(id.kind).or_default();
        let old = match &new {
            Some(object) => table.insert(id.key.clone(), object.clone()),
            None => table.remove(&id.key),
        };
        if old == new {
            return None;
        }
        let touch = match (&old, &new) {
            (Some(old), Some(new)) => Touch::between(old, new),
            _ => Touch::Content,
        };
        let references = match touch {
            Touch::Bookkeeping => BTreeSet::new(),
            Touch::Content => self.index(&id, old.as_ref(), new.as_ref()),
        };
        Some(Applied {
            id,
            old,
            new,
            touch,
            references,
        })
    }

    /// Moves the references of one object; returns the targets that it gained or lost.
    fn index(
        &mut self,
        id: &ObjectId,
        old: Option<&Object>,
        new: Option<&Object>,
    ) -> BTreeSet<ObjectId> {
        let before = old.map(references).unwrap_or_default();
        let after = new.map(references).unwrap_or_default();
        for target in before.difference(&after) {
            if let Some(set) = self.referrers.get_mut(target) {
                set.remove(id);
                if set.is_empty() {
                    self.referrers.remove(target);
                }
            }
        }
        for target in after.difference(&before) {
            self.referrers
                .entry(target.clone())
                .or_default()
                .insert(id.clone());
        }
        before.symmetric_difference(&after).cloned().collect()
    }

    /// An object of a kind.
    pub fn get<K: Typed>(&self, key: &ObjectKey) -> Option<&Arc<K>> {
        self.tables.get(&K::KIND)?.get(key).and_then(K::of)
    }

    /// An object of any kind.
    pub fn object(&self, id: &ObjectId) -> Option<&Object> {
        self.tables.get(&id.kind)?.get(&id.key)
    }

    /// The objects of a kind, by namespace and name.
    pub fn iter<'s, K: Typed + 's>(&'s self) -> impl Iterator<Item = (&'s ObjectKey, &'s Arc<K>)> {
        let table = self.tables.get(&K::KIND).into_iter().flatten();
        table.filter_map(|(key, object)| Some((key, K::of(object)?)))
    }

    /// The objects of a kind in a namespace, by name.
    pub fn iter_in<'s, K: Typed + 's>(
        &'s self,
        namespace: &'s str,
    ) -> impl Iterator<Item = (&'s ObjectKey, &'s Arc<K>)> {
        let from = ObjectKey::new(namespace, "");
        let table = self.tables.get(&K::KIND).map(|table| table.range(from..));
        table
            .into_iter()
            .flatten()
            .take_while(move |(key, _)| key.namespace == namespace)
            .filter_map(|(key, object)| Some((key, K::of(object)?)))
    }

    /// The objects of a kind that refer to `target`, by namespace and name.
    pub fn referrers<'s>(
        &'s self,
        target: &ObjectId,
        kind: Kind,
    ) -> impl Iterator<Item = &'s ObjectKey> + use<'s> {
        let from = ObjectId::new(kind, "", "");
        let set = self.referrers.get(target).map(|set| set.range(from..));
        set.into_iter()
            .flatten()
            .take_while(move |id| id.kind == kind)
            .map(|id| &id.key)
    }

    /// The Gateways of a GatewayClass.
    pub fn gateways_of_class<'s>(
        &'s self,
        class: &str,
    ) -> impl Iterator<Item = &'s ObjectKey> + use<'s> {
        self.referrers(&ObjectId::new(Kind::GatewayClass, "", class), Kind::Gateway)
    }

    /// The ListenerSets that name a Gateway as their parent.
    pub fn listener_sets_of<'s>(
        &'s self,
        gateway: &ObjectKey,
    ) -> impl Iterator<Item = &'s ObjectKey> + use<'s> {
        self.referrers(
            &ObjectId {
                kind: Kind::Gateway,
                key: gateway.clone(),
            },
            Kind::ListenerSet,
        )
    }

    /// The routes of a kind that name a Gateway or a ListenerSet as a parent.
    pub fn routes_of_parent<'s>(
        &'s self,
        route: Kind,
        parent: &ObjectId,
    ) -> impl Iterator<Item = &'s ObjectKey> + use<'s> {
        self.referrers(parent, route)
    }

    /// The BackendTLSPolicies that target a Service.
    pub fn policies_of<'s>(
        &'s self,
        service: &ObjectKey,
    ) -> impl Iterator<Item = &'s ObjectKey> + use<'s> {
        self.referrers(&service_id(service), Kind::BackendTlsPolicy)
    }

    /// The EndpointSlices of a Service.
    pub fn slices_of<'s>(
        &'s self,
        service: &ObjectKey,
    ) -> impl Iterator<Item = &'s ObjectKey> + use<'s> {
        self.referrers(&service_id(service), Kind::EndpointSlice)
    }

    /// The ReferenceGrants in a namespace.
    pub fn grants_in<'s>(
        &'s self,
        namespace: &'s str,
    ) -> impl Iterator<Item = &'s Arc<ReferenceGrant>> {
        self.iter_in::<ReferenceGrant>(namespace)
            .map(|(_, grant)| grant)
    }

    /// Number of objects.
    pub fn len(&self) -> usize {
        self.tables.values().map(BTreeMap::len).sum()
    }

    /// Whether there are no objects.
    pub fn is_empty(&self) -> bool {
        self.tables.values().all(BTreeMap::is_empty)
    }
}

fn service_id(service: &ObjectKey) -> ObjectId {
    ObjectId {
        kind: Kind::Service,
        key: service.clone(),
    }
}
