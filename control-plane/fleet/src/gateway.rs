//! The Gateways that want a Service.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use novaedge_api::meta::{Kind, ObjectKey};
use novaedge_api::native::{ProxyGateway, Transport};
use novaedge_translate::names;

/// Every Gateway of the fleet by the key of its ProxyGateway, which is that of the Gateway itself.
pub type Gateways = BTreeMap<ObjectKey, WantedGateway>;

/// What one Gateway wants.
#[derive(Clone, Debug, PartialEq)]
pub struct WantedGateway {
    /// The object that the Service is made for.
    pub owner: OwnerReference,
    /// Ports and transports of each listener, by its name. Nothing: the Gateway is there, and has nothing to serve now. It
    /// keeps the Service that it has, and with it its address, and gets none where it has none.
    pub listeners: BTreeMap<String, Vec<(u16, Transport)>>,
    /// Addresses that it asks for.
    pub addresses: Vec<IpAddr>,
    /// Labels for the Service.
    pub labels: BTreeMap<String, String>,
    /// Annotations for the Service.
    pub annotations: BTreeMap<String, String>,
}

impl WantedGateway {
    /// What a ProxyGateway wants, translated or written by hand.
    pub fn of(gateway: &ProxyGateway) -> Self {
        let references = gateway.metadata.owner_references.iter().flatten();
        let controller = references
            .filter(|reference| reference.controller == Some(true))
            .find(|reference| {
                let kinds = [Kind::Gateway, Kind::IngressClass];
                kinds.iter().any(|kind| reference.kind == kind.as_str())
            });
        let owner = controller.cloned();
        let owner =
            owner.unwrap_or_else(|| names::owner_reference(Kind::ProxyGateway, &gateway.metadata));
        let spec = &gateway.spec;
        let listeners = spec.listeners.iter().filter(|listener| listener.port > 0);
        let addresses = spec.addresses.iter();
        let infrastructure = spec.infrastructure.clone().unwrap_or_default();
        Self {
            owner,
            listeners: listeners
                .map(|listener| (listener.name.clone(), listener.ports()))
                .collect(),
            addresses: addresses.filter_map(|text| text.parse().ok()).collect(),
            labels: infrastructure.labels,
            annotations: infrastructure.annotations,
        }
    }

    /// What a Gateway wants that is there and has nothing to serve now: to keep its address.
    pub fn resting(owner: OwnerReference) -> Self {
        Self {
            owner,
            listeners: BTreeMap::new(),
            addresses: Vec::new(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
        }
    }

    /// The ports that clients see, each once.
    pub fn ports(&self) -> BTreeSet<(u16, Transport)> {
        self.listeners.values().flatten().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use novaedge_api::native::ProxyGatewaySpec;

    use super::*;

    #[test]
    fn a_service_belongs_to_what_the_proxygateway_was_made_for() {
        let owner = |kind: Kind| ObjectMeta {
            name: Some("owner".to_owned()),
            uid: Some("uid-of-owner".to_owned()),
            namespace: (kind == Kind::Gateway).then(|| "n".to_owned()),
            ..ObjectMeta::default()
        };
        for kind in [Kind::Gateway, Kind::IngressClass] {
            let key = ObjectKey::new("n", "made");
            let gateway = ProxyGateway {
                metadata: names::native_metadata(key, kind, &owner(kind)),
                ..ProxyGateway::new("made", ProxyGatewaySpec::default())
            };
            let wanted = WantedGateway::of(&gateway);
            assert_eq!(
                (&*wanted.owner.kind, &*wanted.owner.uid),
                (kind.as_str(), "uid-of-owner")
            );
        }
    }
}
