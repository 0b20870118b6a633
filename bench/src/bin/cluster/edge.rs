//! The Gateway under test, its agents, and the routes and backends behind it.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use crate::{
    api::{Api, GATEWAY_API},
    system::System,
};

/// Where the Gateway and the pods behind every route are.
pub const HOME: &str = "novaedge-bench";
/// Namespaces that the routes are spread over.
pub const TENANTS: usize = 50;
/// The system under test.
pub const SYSTEM: &str = "novaedge-system";
/// The longest wait for anything.
pub const PATIENCE: Duration = Duration::from_mins(5);

/// Makes the namespaces, the Gateway and the backends.
pub async fn set_up(api: &Api) -> anyhow::Result<()> {
    let names = (0..TENANTS).map(tenant).chain([HOME.to_owned()]);
    for name in names {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        api.create("/api/v1/namespaces", &object).await?;
    }
    let gateways = format!("{GATEWAY_API}/{HOME}/gateways");
    api.create(&gateways, &gateway(api.system, "edge")).await?;
    let deployments = format!("/apis/apps/v1/namespaces/{HOME}/deployments");
    api.create(&deployments, &deployment()).await?;
    let addresses = pod_addresses(api, HOME, "app=hello", 2).await?;
    for n in 0..TENANTS {
        let (services, slices) = collections(n);
        api.create(&services, &service()).await?;
        api.create(&slices, &slice(&addresses)).await?;
    }
    Ok(())
}

/// Deletes all of it and waits until it is gone.
pub async fn clear(api: &Api) -> anyhow::Result<()> {
    let present = |list: &Value| {
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let names = items
            .iter()
            .filter_map(|item| item["metadata"]["name"].as_str());
        let ours = names.filter(|name| name.starts_with(HOME));
        ours.map(str::to_owned).collect::<Vec<_>>()
    };
    for name in present(&api.get("/api/v1/namespaces").await?) {
        api.delete(&format!("/api/v1/namespaces/{name}")).await?;
    }
    let deadline = Instant::now() + PATIENCE;
    while !present(&api.get("/api/v1/namespaces").await?).is_empty() {
        if Instant::now() > deadline {
            bail!("namespaces {HOME}* do not end");
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}

/// A Gateway for routes of all namespaces.
pub fn gateway(system: System, name: &str) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": name},
        "spec": {"gatewayClassName": system.class(), "listeners": [{
            "name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}},
        }]},
    })
}

/// A route of its own host, which is spread over the namespaces by its number; the version stands in its answers.
pub fn route(index: usize, gateway: &str, version: usize) -> (String, Value) {
    let collection = format!("{GATEWAY_API}/{}/httproutes", tenant(index));
    let object = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": format!("r{index}")},
        "spec": {
            "parentRefs": [{"name": gateway, "namespace": HOME}], "hostnames": [host(index)],
            "rules": [{
                "filters": [{"type": "ResponseHeaderModifier", "responseHeaderModifier": {
                    "set": [{"name": "x-version", "value": version.to_string()}],
                }}],
                "backendRefs": [{"name": "hello", "port": 80}],
            }],
        },
    });
    (collection, object)
}

/// The host of a route.
pub fn host(index: usize) -> String {
    format!("r{index}.bench.example")
}

/// The namespace of a route or Service.
pub fn tenant(index: usize) -> String {
    format!("{HOME}-{}", index % TENANTS)
}

/// Moves the endpoints of every namespace: one address more, or one less.
pub async fn move_endpoints(api: &Api, round: usize) -> anyhow::Result<()> {
    let mut addresses = pod_addresses(api, HOME, "app=hello", 2).await?;
    addresses.truncate(1 + round % 2);
    for n in 0..TENANTS {
        let path = format!("{}/hello", collections(n).1);
        let fields = json!({"endpoints": slice(&addresses)["endpoints"]});
        api.merge(&path, &fields).await?;
    }
    Ok(())
}

/// Where every agent serves a Gateway, past its Service, so that each is seen. Waits until it is programmed.
pub async fn agents(api: &Api, gateway: &str) -> anyhow::Result<Vec<SocketAddr>> {
    let deadline = Instant::now() + PATIENCE;
    let path = format!("{GATEWAY_API}/{HOME}/gateways/{gateway}");
    while !is_programmed(&api.get(&path).await?) {
        if Instant::now() > deadline {
            bail!("{gateway} is not programmed");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let port = match api.system.port() {
        Some(port) => port,
        None => bind_port(api, gateway).await?,
    };
    let (namespace, selector) = api.system.pods();
    let pods = pod_addresses(api, namespace, selector, 1).await?;
    let addresses = pods.into_iter().map(|ip| SocketAddr::new(ip, port));
    Ok(addresses.collect())
}

/// The images that the pods which serve run, and the version of Kubernetes.
pub async fn versions(api: &Api) -> anyhow::Result<(String, String)> {
    let (namespace, selector) = api.system.pods();
    let path = format!("/api/v1/namespaces/{namespace}/pods?labelSelector={selector}");
    let pods = api.get(&path).await?;
    let image = pods["items"][0]["spec"]["containers"][0]["image"].as_str();
    let version = api.get("/version").await?;
    let version = version["gitVersion"].as_str().unwrap_or_default();
    Ok((image.unwrap_or_default().to_owned(), version.to_owned()))
}

/// The port that agents serve a Gateway on.
async fn bind_port(api: &Api, gateway: &str) -> anyhow::Result<u16> {
    let path = format!("/api/v1/namespaces/{HOME}/services/{gateway}");
    let service = api.get(&path).await?;
    let port = service["spec"]["ports"][0]["targetPort"].as_u64();
    Ok(u16::try_from(port.context("no targetPort")?)?)
}

fn is_programmed(gateway: &Value) -> bool {
    let conditions = gateway["status"]["conditions"].as_array();
    conditions.is_some_and(|conditions| {
        conditions
            .iter()
            .any(|c| c["type"] == "Programmed" && c["status"] == "True")
    })
}

/// The addresses of ready pods, once there are as many as said.
pub async fn pod_addresses(
    api: &Api,
    namespace: &str,
    selector: &str,
    count: usize,
) -> anyhow::Result<Vec<IpAddr>> {
    let deadline = Instant::now() + PATIENCE;
    let path = format!("/api/v1/namespaces/{namespace}/pods?labelSelector={selector}");
    loop {
        let pods = api.get(&path).await?;
        let pods = pods["items"].as_array().cloned().unwrap_or_default();
        let ready = pods.iter().filter(|pod| {
            let conditions = pod["status"]["conditions"].as_array();
            let ready = |c: &Value| c["type"] == "Ready" && c["status"] == "True";
            pod["metadata"]["deletionTimestamp"].is_null()
                && conditions.is_some_and(|conditions| conditions.iter().any(ready))
        });
        let addresses = ready.filter_map(|pod| pod["status"]["podIP"].as_str()?.parse().ok());
        let addresses: Vec<IpAddr> = addresses.collect();
        if addresses.len() >= count {
            return Ok(addresses);
        }
        if Instant::now() > deadline {
            bail!(
                "{} of {count} pods with {selector} are ready",
                addresses.len()
            );
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Where the Services and EndpointSlices of a tenant are.
fn collections(n: usize) -> (String, String) {
    let namespace = tenant(n);
    (
        format!("/api/v1/namespaces/{namespace}/services"),
        format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"),
    )
}

fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "hello"},
        "spec": {
            "replicas": 2, "selector": {"matchLabels": {"app": "hello"}},
            "template": {
                "metadata": {"labels": {"app": "hello"}},
                "spec": {"containers": [{"name": "hello", "image": "novaedge/box:dev", "args": ["serve", ":8080"]}]},
            },
        },
    })
}

/// Without a selector: the endpoints are the benchmark's to say.
fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "hello"},
        "spec": {"ports": [{"port": 80, "targetPort": 8080}]},
    })
}

fn slice(addresses: &[IpAddr]) -> Value {
    let endpoints = addresses
        .iter()
        .map(|address| json!({"addresses": [address.to_string()], "conditions": {"ready": true}}));
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "hello", "labels": {"kubernetes.io/service-name": "hello"}},
        "ports": [{"port": 8080}], "endpoints": endpoints.collect::<Vec<_>>(),
    })
}
