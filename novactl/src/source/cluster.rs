//! Objects of a cluster's API server, with the statuses that the control plane wrote there.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;
use novaedge_api::meta::{Kind, ObjectId, ObjectKey, Scope};
use serde_json::Value;

use super::{Reach, Share, Wanted, ours};
use crate::{
    certificate::CertificateFacts,
    cluster::{Asked, Cluster, ClusterError, Verb, escaped},
    object::{Inventory, Parent, Resource, text},
};

/// Secrets of one Gateway that are looked at.
const MAX_SECRETS: usize = 256;

/// A cluster as a source.
#[derive(Clone, Debug)]
pub struct ClusterSource {
    cluster: Cluster,
}

impl ClusterSource {
    /// A source over a cluster.
    pub fn new(cluster: Cluster) -> Self {
        Self { cluster }
    }

    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Reads what is wanted. A kind that the cluster does not serve has no objects, unless it is the only one wanted.
    pub async fn load(&self, wanted: &Wanted) -> Result<Inventory, ClusterError> {
        let served = self.cluster.served(&wanted.kinds).await?;
        let mut inventory = Inventory::default();
        // Told once, for the first kind of which not all can be had.
        let mut narrowed = false;
        for kind in &wanted.kinds {
            if wanted.kinds.len() > 1 && !served.has(*kind) {
                continue;
            }
            let objects = |namespace| self.cluster.objects(&served, *kind, namespace);
            let found = match &wanted.reach {
                _ if kind.scope() == Scope::Cluster => objects(None).await,
                Reach::Everywhere => objects(None).await,
                Reach::Namespace(namespace) => objects(Some(namespace)).await,
                Reach::EverywhereOr(namespace) => match objects(None).await {
                    Err(error) if error.is_forbidden() => {
                        let remark = format!(
                            "Only namespace {namespace} is looked into: you may not list {kind}s in all."
                        );
                        if !narrowed {
                            inventory.remarks.push(remark);
                            narrowed = true;
                        }
                        objects(Some(namespace)).await
                    }
                    found => found,
                },
            };
            let found = match found {
                // Who may look into one namespace often may not look at what has none.
                Err(error) if error.is_forbidden() && is_beside(*kind, wanted) => {
                    inventory
                        .remarks
                        .push(format!("{kind}es are left out: {error}."));
                    continue;
                }
                found => found?,
            };
            enter(&mut inventory, *kind, found);
        }
        match &wanted.part {
            Share::All => {}
            Share::Ours => ours::keep(&mut inventory),
            Share::Gateway(key) => self.certificates(&mut inventory, key).await?,
        }
        Ok(inventory)
    }

    /// Reads the certificates that a Gateway and its ListenerSets name.
    async fn certificates(
        &self,
        inventory: &mut Inventory,
        key: &ObjectKey,
    ) -> Result<(), ClusterError> {
        let mut secrets: BTreeSet<ObjectKey> = BTreeSet::new();
        for resource in inventory.resources.values() {
            let namespace = &resource.id.key.namespace;
            let parent = resource.value.pointer("/spec/parentRef");
            let is_part = match resource.id.kind {
                Kind::Gateway => resource.id.key == *key,
                Kind::ListenerSet => parent.is_some_and(|p| Parent::of(p, namespace).key == *key),
                _ => false,
            };
            if is_part {
                let listeners = resource.list("/spec/listeners").iter();
                let references = listeners
                    .filter_map(|listener| listener.pointer("/tls/certificateRefs")?.as_array())
                    .flatten();
                secrets.extend(references.map(|one| Parent::of(one, namespace).key));
            }
        }
        for secret in secrets.into_iter().take(MAX_SECRETS) {
            if let Some(facts) = self.certificate(&secret).await? {
                inventory.certificates.insert(secret, facts);
            }
        }
        Ok(())
    }

    /// What a Secret's certificate says; none when there is no such Secret.
    async fn certificate(
        &self,
        secret: &ObjectKey,
    ) -> Result<Option<CertificateFacts>, ClusterError> {
        let path = format!(
            "/api/v1/namespaces/{}/secrets/{}",
            escaped(&secret.namespace),
            escaped(&secret.name)
        );
        let asked = Asked::core(Verb::Get, "secrets", &secret.namespace);
        match self.cluster.get(&path, &asked).await {
            Ok(None) => Ok(None),
            Ok(Some(value)) => {
                let secret: Option<Secret> = serde_json::from_value(value).ok();
                let facts = secret.map(|secret| CertificateFacts::of(&secret));
                Ok(Some(facts.unwrap_or(CertificateFacts::Unreadable)))
            }
            Err(error) if error.is_forbidden() => Ok(Some(CertificateFacts::Hidden)),
            Err(error) => Err(error),
        }
    }
}

/// Whether a kind without namespaces is wanted along with what one namespace has.
fn is_beside(kind: Kind, wanted: &Wanted) -> bool {
    kind.scope() == Scope::Cluster && wanted.kinds.len() > 1
}

fn enter(inventory: &mut Inventory, kind: Kind, found: Vec<Value>) {
    for mut value in found {
        // It says who wrote which field, which is long and tells nothing here.
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
        let id = ObjectId::new(
            kind,
            text(&value, "/metadata/namespace"),
            text(&value, "/metadata/name"),
        );
        let resource = Resource {
            id: id.clone(),
            value,
        };
        inventory.resources.insert(id, resource);
    }
}
