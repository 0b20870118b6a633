//! What an Ingress claims of what all Ingresses of its class share: hosts with certificates, and hosts with paths.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{Ingress, IngressServiceBackend};
use novaedge_api::meta::{Kind, ObjectId, ObjectKey};

use super::class::class_of;
use super::entry::{Place, Role, entries};
use super::settings::{Canary, Settings};
use super::tls;
use crate::layout::created;
use crate::view::View;

/// The claims of an Ingress of ours.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct IngressClaims {
    /// Its IngressClass.
    pub(crate) class: ObjectKey,
    /// By host; empty for every host.
    pub(crate) tls: BTreeMap<String, TlsClaim>,
    pub(crate) paths: BTreeMap<Place, PathClaim>,
    /// Places of others that it takes a part of.
    pub(crate) canaries: BTreeMap<Place, CanaryClaim>,
}

/// A claim on the certificate of a host. The order is precedence: the older Ingress first, then by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TlsClaim {
    pub(crate) created: i64,
    pub(crate) ingress: ObjectKey,
    /// The Secret, where it holds a certificate that can be used.
    pub(crate) secret: Option<ObjectKey>,
}

/// A claim on a place. The order is precedence: rules before default backends, then as with certificates.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PathClaim {
    pub(crate) role: Role,
    pub(crate) created: i64,
    pub(crate) ingress: ObjectKey,
}

/// A claim on a part of the traffic of a place. The order is precedence, as with certificates.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CanaryClaim {
    pub(crate) created: i64,
    pub(crate) ingress: ObjectKey,
    pub(crate) canary: Canary,
    pub(crate) service: IngressServiceBackend,
}

/// The claims of an Ingress; none when its class is not ours.
pub(crate) fn plan_claims(view: &View<'_>, key: &ObjectKey) -> Option<IngressClaims> {
    let ingress = view.get::<Ingress>(key)?;
    let class = ObjectKey::new("", class_of(view, &ingress)?);
    view.ingress_class(&class)?;
    let (settings, _) = Settings::read(&ingress.metadata);
    let created = created(&ingress.metadata);
    let mut claims = IngressClaims {
        class,
        tls: BTreeMap::new(),
        paths: BTreeMap::new(),
        canaries: BTreeMap::new(),
    };
    let (entries, _) = entries(&ingress, &settings);
    if let Some(canary) = &settings.canary {
        let rules = entries.into_iter().filter(|entry| entry.role == Role::Rule);
        for entry in rules {
            if let Some(service) = entry.backend.service.clone() {
                let claim = CanaryClaim {
                    created,
                    ingress: key.clone(),
                    canary: canary.clone(),
                    service,
                };
                claims.canaries.insert(entry.place, claim);
            }
        }
        return Some(claims);
    }
    for entry in entries {
        let claim = PathClaim {
            role: entry.role,
            created,
            ingress: key.clone(),
        };
        claims.paths.insert(entry.place, claim);
    }
    let id = ObjectId {
        kind: Kind::Ingress,
        key: key.clone(),
    };
    for secured in tls::read(view, &id, &ingress).0 {
        let claim = TlsClaim {
            created,
            ingress: key.clone(),
            secret: secured.secret,
        };
        claims.tls.entry(secured.host).or_insert(claim);
    }
    Some(claims)
}
