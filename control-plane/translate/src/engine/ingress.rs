//! Computing the units of Ingresses.

use std::collections::BTreeSet;
use std::sync::Arc;

use novaedge_api::meta::{Object, ObjectKey};

use super::Translator;
use super::unit::replace;
use crate::ingress::{Entrance, index, plan_claims, plan_entrance, plan_ingress_class, plan_ports};
use crate::read::{Read, Unit};

impl Translator {
    pub(super) fn compute_ingress_class(&mut self, unit: &Unit, key: &ObjectKey) -> Vec<Read> {
        let new = self.planned(unit, |view| plan_ingress_class(view, key));
        let new = new.map(Arc::new);
        let old = replace(&mut self.plans.ingress_classes, key, new.clone());
        if old == new {
            return Vec::new();
        }
        let found = new.as_ref().map_or(&[][..], |plan| &plan.diagnostics);
        self.collector.findings(unit, found);
        vec![Read::IngressClass(key.clone())]
    }

    pub(super) fn compute_ingress_claims(&mut self, unit: &Unit, key: &ObjectKey) -> Vec<Read> {
        let new = self.planned(unit, |view| plan_claims(view, key));
        let new = new.map(Arc::new);
        let old = replace(&mut self.plans.ingresses, key, new.clone());
        if old == new {
            return Vec::new();
        }
        let (old, new) = (old.as_deref(), new.as_deref());
        let mut changed = index::replace(&mut self.plans.crowds, key, old, new);
        changed.insert(Read::IngressClaims(key.clone()));
        changed.into_iter().collect()
    }

    pub(super) fn compute_ingress_ports(&mut self, unit: &Unit, key: &ObjectKey) -> Vec<Read> {
        let new = self.planned(unit, |view| plan_ports(view, key));
        let old = replace(&mut self.plans.ingress_ports, key, new.clone());
        let none = BTreeSet::new();
        let (old, new) = (old.as_ref().unwrap_or(&none), new.as_ref().unwrap_or(&none));
        self.claim_ports(old, new)
    }

    pub(super) fn compute_entrance(&mut self, unit: &Unit, key: &ObjectKey) -> Vec<Read> {
        let new = self.planned(unit, |view| plan_entrance(view, key));
        let new = new.map(Arc::new);
        let old = replace(&mut self.plans.entrances, key, new.clone());
        if old == new {
            return Vec::new();
        }
        let native = |entrance: &Arc<Entrance>| entrance.native.clone().map(Object::ProxyGateway);
        if let Some(old) = old.as_ref().and_then(native) {
            self.collector.take_back(&old);
        }
        let native = new.as_ref().and_then(native);
        self.collector.native(None, native);
        let found = new
            .as_ref()
            .map_or(&[][..], |entrance| &entrance.diagnostics);
        self.collector.findings(unit, found);
        vec![Read::Entrance(key.clone())]
    }
}
