//! What the benchmark asks of the API server.

use anyhow::Context as _;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::Request;
use kube::Client;
use serde_json::{Value, json};

use crate::system::System;

/// Requests on their way at a time while something is filled or cleared.
const AT_A_TIME: usize = 16;
/// The API group whose routes and Gateways are measured.
pub const GATEWAY_API: &str = "/apis/gateway.networking.k8s.io/v1/namespaces";

/// The API server of `KUBECONFIG`.
#[derive(Clone)]
pub struct Api {
    client: Client,
    /// Whose Gateways and pods are meant.
    pub system: System,
}

impl Api {
    /// Connects.
    pub async fn connect(system: System) -> anyhow::Result<Self> {
        let client = Client::try_default().await.context("reading KUBECONFIG")?;
        Ok(Self { client, system })
    }

    /// Reads what stands at a path.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.send("GET", path, &Value::Null).await
    }

    /// Makes an object in the collection at a path.
    pub async fn create(&self, path: &str, object: &Value) -> anyhow::Result<()> {
        self.send("POST", path, object).await.map(drop)
    }

    /// Makes many objects, each in a collection of its own.
    pub async fn create_all(
        &self,
        objects: impl IntoIterator<Item = (String, Value)>,
    ) -> anyhow::Result<()> {
        stream::iter(objects)
            .map(|(path, object)| async move { self.create(&path, &object).await })
            .buffer_unordered(AT_A_TIME)
            .try_collect()
            .await
    }

    /// Changes fields of the object at a path.
    pub async fn merge(&self, path: &str, fields: &Value) -> anyhow::Result<()> {
        self.send("PATCH", path, fields).await.map(drop)
    }

    /// Changes many objects, each at a path of its own.
    pub async fn merge_all(
        &self,
        objects: impl IntoIterator<Item = (String, Value)>,
    ) -> anyhow::Result<()> {
        stream::iter(objects)
            .map(|(path, fields)| async move { self.merge(&path, &fields).await })
            .buffer_unordered(AT_A_TIME)
            .try_collect()
            .await
    }

    /// Deletes the object at a path, and does not wait until it is gone.
    pub async fn delete(&self, path: &str) -> anyhow::Result<()> {
        let options = json!({"propagationPolicy": "Background"});
        self.send("DELETE", path, &options).await.map(drop)
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        let kind = if method == "PATCH" {
            "application/merge-patch+json"
        } else {
            "application/json"
        };
        let body = if body.is_null() {
            Vec::new()
        } else {
            serde_json::to_vec(body)?
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::CONTENT_TYPE, kind)
            .body(body)?;
        let answer = self.client.request(request).await;
        answer.with_context(|| format!("{method} {path}"))
    }
}
