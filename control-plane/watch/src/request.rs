//! Single requests to the API server.

use std::future::Future;
use std::time::Duration;

use kube::api::GetParams;
use kube::core::{Request, Resource as _};
use kube::{Client, Error};
use novaedge_api::meta::ObjectId;
use serde_json::Value;
use tokio::time::timeout;

use crate::failure::Failure;
use crate::raw::Raw;
use crate::served::{Served, choose, narrow, wanted};
use crate::state::Answered;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// The data that is kept of a Secret or ConfigMap; nobody reads any other.
const DATA: [&str; 3] = ["tls.crt", "tls.key", "ca.crt"];

/// What the API server serves of our groups.
pub(crate) async fn discover(client: Client) -> Result<Served, Failure> {
    answer(async {
        let groups = client.list_api_groups().await?;
        let mut lists = Vec::new();
        for group_version in wanted(&groups) {
            lists.push(client.list_api_group_resources(&group_version).await?);
        }
        Ok(choose(&lists))
    })
    .await
}

/// A Secret or ConfigMap, if there is one, with no more data than anybody reads.
pub(crate) async fn get(client: Client, id: &ObjectId) -> Answered {
    let path = Raw::url_path(&narrow(id.kind), Some(&id.key.namespace));
    let request = Request::new(path).get(&id.key.name, &GetParams::default());
    let request = request.map_err(|error| Failure::of(&Error::BuildRequest(error)))?;
    // The client would log an answer that is no JSON, and with it what is secret.
    let text = match answer(client.request_text(request)).await {
        Ok(text) => text,
        Err(failure) if failure.is_not_found() => return Ok(None),
        Err(failure) => return Err(failure),
    };
    match serde_json::from_str::<Value>(&text) {
        Ok(value) => Ok(Some(Box::new(Raw::of(only_needed(value))))),
        Err(_) => Err(Failure::unversioned()),
    }
}

fn only_needed(mut value: Value) -> Value {
    for field in ["data", "binaryData"] {
        if let Some(Value::Object(data)) = value.get_mut(field) {
            data.retain(|key, _| DATA.contains(&key.as_str()));
        }
    }
    value
}

async fn answer<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
    match timeout(ANSWER, request).await {
        Ok(answer) => answer.map_err(|error| Failure::of(&error)),
        Err(_) => Err(Failure::silent(ANSWER)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::only_needed;

    #[test]
    fn data_that_nobody_reads_is_left_out() {
        let value = json!({"type": "Opaque", "data": {"tls.key": "eA==", "password": "eA=="}});
        let expect = json!({"type": "Opaque", "data": {"tls.key": "eA=="}});
        assert_eq!(only_needed(value), expect);
    }
}
