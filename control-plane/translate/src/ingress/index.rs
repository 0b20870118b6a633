//! Who claims what: the Ingresses of each class.

use std::collections::{BTreeMap, BTreeSet};

use novaedge_api::meta::ObjectKey;

use super::claim::{CanaryClaim, IngressClaims, PathClaim, TlsClaim};
use super::entry::Place;
use crate::read::Read;

/// The Ingresses of all classes of ours.
pub(crate) type Crowds = BTreeMap<ObjectKey, Crowd>;

/// The Ingresses of a class, and what they claim.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Crowd {
    pub(crate) members: BTreeSet<ObjectKey>,
    /// Claims on certificates by host, those that come first in front.
    pub(crate) tls: BTreeMap<String, BTreeSet<TlsClaim>>,
    /// Claims on places, those that come first in front.
    pub(crate) paths: BTreeMap<Place, BTreeSet<PathClaim>>,
    /// Claims on a part of a place, by age and name of the Ingress.
    pub(crate) canaries: BTreeMap<Place, BTreeMap<(i64, ObjectKey), CanaryClaim>>,
}

/// Replaces the claims of one Ingress; returns what changed.
pub(crate) fn replace(
    crowds: &mut Crowds,
    key: &ObjectKey,
    old: Option<&IngressClaims>,
    new: Option<&IngressClaims>,
) -> BTreeSet<Read> {
    let mut changed = BTreeSet::new();
    if let Some(old) = old {
        changed.extend(remove(crowds, key, old, new));
    }
    if let Some(new) = new {
        changed.extend(insert(crowds, key, old, new));
    }
    changed
}

/// The other state of the same Ingress, when it is of the same class.
fn same_class<'a>(
    other: Option<&'a IngressClaims>,
    class: &ObjectKey,
) -> Option<&'a IngressClaims> {
    other.filter(|other| other.class == *class)
}

fn remove(
    crowds: &mut Crowds,
    key: &ObjectKey,
    old: &IngressClaims,
    new: Option<&IngressClaims>,
) -> Vec<Read> {
    let class = &old.class;
    let new = same_class(new, class);
    let mut changed = Vec::new();
    let Some(crowd) = crowds.get_mut(class) else {
        return changed;
    };
    for (host, claim) in &old.tls {
        if new.and_then(|new| new.tls.get(host)) != Some(claim) {
            remove_claim(&mut crowd.tls, host, claim);
            changed.push(Read::IngressTls(class.clone(), host.clone()));
            changed.push(Read::Crowd(class.clone()));
        }
    }
    for (place, claim) in &old.paths {
        if new.and_then(|new| new.paths.get(place)) != Some(claim) {
            remove_claim(&mut crowd.paths, place, claim);
            changed.push(Read::IngressPlace(class.clone(), place.clone()));
        }
    }
    for (place, claim) in &old.canaries {
        if new.and_then(|new| new.canaries.get(place)) != Some(claim) {
            if let Some(claims) = crowd.canaries.get_mut(place) {
                claims.remove(&(claim.created, claim.ingress.clone()));
                if claims.is_empty() {
                    crowd.canaries.remove(place);
                }
            }
            changed.push(Read::IngressPlace(class.clone(), place.clone()));
        }
    }
    if new.is_none() {
        crowd.members.remove(key);
        if crowd.members.is_empty() {
            crowds.remove(class);
            changed.push(Read::Crowd(class.clone()));
        }
    }
    changed
}

fn insert(
    crowds: &mut Crowds,
    key: &ObjectKey,
    old: Option<&IngressClaims>,
    new: &IngressClaims,
) -> Vec<Read> {
    let class = &new.class;
    let old = same_class(old, class);
    let mut changed = Vec::new();
    let crowd = crowds.entry(class.clone()).or_default();
    if crowd.members.is_empty() {
        changed.push(Read::Crowd(class.clone()));
    }
    crowd.members.insert(key.clone());
    for (host, claim) in &new.tls {
        if old.and_then(|old| old.tls.get(host)) != Some(claim) {
            let claims = crowd.tls.entry(host.clone()).or_default();
            claims.insert(claim.clone());
            changed.push(Read::IngressTls(class.clone(), host.clone()));
            changed.push(Read::Crowd(class.clone()));
        }
    }
    for (place, claim) in &new.paths {
        if old.and_then(|old| old.paths.get(place)) != Some(claim) {
            let claims = crowd.paths.entry(place.clone()).or_default();
            claims.insert(claim.clone());
            changed.push(Read::IngressPlace(class.clone(), place.clone()));
        }
    }
    for (place, claim) in &new.canaries {
        if old.and_then(|old| old.canaries.get(place)) != Some(claim) {
            let claims = crowd.canaries.entry(place.clone()).or_default();
            claims.insert((claim.created, claim.ingress.clone()), claim.clone());
            changed.push(Read::IngressPlace(class.clone(), place.clone()));
        }
    }
    changed
}

fn remove_claim<K: Ord, C: Ord>(claims: &mut BTreeMap<K, BTreeSet<C>>, key: &K, claim: &C) {
    if let Some(set) = claims.get_mut(key) {
        set.remove(claim);
        if set.is_empty() {
            claims.remove(key);
        }
    }
}
