//! One write to the API server.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client, Resource};
use novaedge_api::meta::ObjectKey;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::change::Write;
use crate::service::gateway_of;

/// The name that our fields stand under in `metadata.managedFields`.
pub const FIELD_MANAGER: &str = "novaedge-fleet";

/// How a write ended.
#[derive(Debug)]
pub(crate) enum Written {
    /// The Service as it is now.
    Service(Box<Service>),
    /// The EndpointSlice as it is now.
    Slice(Box<EndpointSlice>),
    /// It is gone.
    Gone,
    /// The name belongs to somebody else.
    Taken,
}

/// Does one write.
pub(crate) async fn write(client: Client, write: Write) -> Result<Written, kube::Error> {
    match write {
        Write::CreateService(object) => create_service(client, &object).await,
        Write::ApplyService(object) => {
            let written = apply(client, &*object, true).await?;
            Ok(Written::Service(Box::new(written)))
        }
        Write::CreateSlice(object) | Write::ApplySlice(object) => {
            let written = apply(client, &*object, true).await?;
            Ok(Written::Slice(Box::new(written)))
        }
        Write::DeleteService(key, uid) => {
            let left = delete::<Service>(client, &key, uid).await?;
            Ok(left.map_or(Written::Gone, |left| Written::Service(Box::new(left))))
        }
        Write::DeleteSlice(key, uid) => {
            let left = delete::<EndpointSlice>(client, &key, uid).await?;
            Ok(left.map_or(Written::Gone, |left| Written::Slice(Box::new(left))))
        }
    }
}

/// Makes a Service where there is none of its name. It is applied, not posted: what is posted belongs to another field
/// manager, and no later apply could take it away.
async fn create_service(client: Client, object: &Service) -> Result<Written, kube::Error> {
    let key = ObjectKey::of(&object.metadata);
    let api: Api<Service> = Api::namespaced(client.clone(), &key.namespace);
    if let Some(found) = api.get_opt(&key.name).await? {
        return Ok(if gateway_of(&found).is_some() {
            Written::Service(Box::new(found))
        } else {
            Written::Taken
        });
    }
    // Without force: should somebody make one of that name right now, it stays theirs.
    let written = apply(client, object, false).await?;
    Ok(Written::Service(Box::new(written)))
}

async fn apply<K>(client: Client, object: &K, force: bool) -> Result<K, kube::Error>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    K: Clone + Debug + Serialize + DeserializeOwned,
{
    let key = ObjectKey::of(object.meta());
    let api: Api<K> = Api::namespaced(client, &key.namespace);
    let mut params = PatchParams::apply(FIELD_MANAGER);
    params.force = force;
    api.patch(&key.name, &params, &Patch::Apply(object)).await
}

/// Deletes an object. Returns what is left of it while others hold it.
async fn delete<K>(
    client: Client,
    key: &ObjectKey,
    uid: Option<String>,
) -> Result<Option<K>, kube::Error>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    K: Clone + Debug + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client, &key.namespace);
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid,
            resource_version: None,
        }),
        ..DeleteParams::background()
    };
    match api.delete(&key.name, &params).await {
        Ok(answer) => Ok(answer.left()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}
