//! What a cluster has beyond a standalone system: native objects, and pods, events, logs and metrics of NovaEdge.

use std::io;

use novaedge_api::{meta::Kind, native::CONTROLLER_NAME};
use serde_json::Value;

use super::Gathering;
use crate::{
    cluster::{AGENT, Asked, CONTROL_PLANE, Cluster, ClusterError, Pod, Verb, Whole, escaped},
    object::{number, text},
};

/// Kinds beside those whose statuses are written.
const FURTHER: [Kind; 6] = [
    Kind::ReferenceGrant,
    Kind::IngressClass,
    Kind::Ingress,
    Kind::ProxyGateway,
    Kind::ProxyRoute,
    Kind::ProxyBackend,
];
/// Of each log: what matters is at its end.
const LOG_LINES: u32 = 20_000;
/// Bytes of a log.
const LOG_BYTES: u32 = 8 << 20;
/// Pods whose logs and metrics are taken.
const MAX_PODS: usize = 64;
/// Where agents and control planes have their metrics when the pod does not name the port.
const AGENT_ADMIN: u16 = 9_901;
const CONTROL_PLANE_ADMIN: u16 = 18_001;

impl Gathering<'_, '_> {
    pub(super) async fn cluster(&mut self, cluster: &Cluster) -> io::Result<()> {
        self.further(cluster).await?;
        self.begin("deployments and events");
        self.version(cluster).await?;
        let system = &cluster.system;
        let lists = [
            ("deployments", "/apis/apps/v1", "system/deployments.yaml"),
            ("services", "/api/v1", "system/services.yaml"),
            ("events", "/api/v1", "system/events.yaml"),
        ];
        for (plural, group, file) in lists {
            let path = format!("{group}/namespaces/{}/{plural}", escaped(system));
            let asked = Asked::core(Verb::List, plural, system);
            self.listed(cluster, &path, "", &asked, file).await?;
        }
        let everywhere = |resource: &str| Asked {
            verb: Verb::List,
            resource: resource.to_owned(),
            namespace: None,
        };
        let ours = format!(
            "fieldSelector=reportingComponent%3D{}",
            CONTROLLER_NAME.replace('/', "%2F")
        );
        let asked = everywhere("events");
        self.listed(
            cluster,
            "/api/v1/events",
            &ours,
            &asked,
            "objects/events.yaml",
        )
        .await?;
        let of_gateways = "labelSelector=gateway.networking.k8s.io%2Fgateway-name";
        let asked = everywhere("services");
        self.listed(
            cluster,
            "/api/v1/services",
            of_gateways,
            &asked,
            "objects/Service.yaml",
        )
        .await?;
        let path = "/apis/discovery.k8s.io/v1/endpointslices";
        let asked = everywhere("endpointslices.discovery.k8s.io");
        self.listed(
            cluster,
            path,
            of_gateways,
            &asked,
            "objects/EndpointSlice.yaml",
        )
        .await?;
        self.pods(cluster).await
    }

    /// Native objects, Ingresses and grants.
    async fn further(&mut self, cluster: &Cluster) -> io::Result<()> {
        let served = match cluster.served(&FURTHER).await {
            Ok(served) => served,
            Err(error) => {
                self.missing("Native objects and Ingresses", &error);
                return Ok(());
            }
        };
        for kind in FURTHER {
            match cluster.objects(&served, kind, None).await {
                Ok(objects) => self.list(&format!("objects/{kind}.yaml"), &objects)?,
                Err(error) => self.missing(kind.as_str(), &error),
            }
        }
        Ok(())
    }

    async fn version(&mut self, cluster: &Cluster) -> io::Result<()> {
        let asked = Asked {
            verb: Verb::Get,
            resource: "the version".to_owned(),
            namespace: None,
        };
        match cluster.get("/version", &asked).await {
            Ok(version) => self
                .archive
                .value("kubernetes.yaml", version.unwrap_or_default()),
            Err(error) => {
                self.missing("Version of Kubernetes", &error);
                Ok(())
            }
        }
    }

    async fn listed(
        &mut self,
        cluster: &Cluster,
        path: &str,
        query: &str,
        asked: &Asked,
        file: &str,
    ) -> io::Result<()> {
        match cluster.list(path, query, asked).await {
            Ok(items) => self.list(file, &items.unwrap_or_default()),
            Err(error) => {
                self.missing(file, &error);
                Ok(())
            }
        }
    }

    /// The pods, and of each its logs and metrics.
    async fn pods(&mut self, cluster: &Cluster) -> io::Result<()> {
        self.begin("logs and metrics");
        let mut pods = Vec::new();
        for name in [CONTROL_PLANE, AGENT] {
            // Agents of their own are in namespaces of their own.
            let found = match cluster.pods(name, None).await {
                Err(error) if error.is_forbidden() => {
                    cluster.pods(name, Some(&cluster.system)).await
                }
                found => found,
            };
            match found {
                Ok(found) => pods.extend(found),
                Err(error) => self.missing(&format!("Pods {name}"), &error),
            }
        }
        let values: Vec<Value> = pods.iter().map(|pod| pod.value.clone()).collect();
        self.list("system/pods.yaml", &values)?;
        if pods.len() > MAX_PODS {
            self.archive.remark(format!(
                "Logs and metrics are of {MAX_PODS} of {} pods.",
                pods.len()
            ));
        }
        for pod in pods.iter().take(MAX_PODS) {
            self.logs(cluster, pod).await?;
            self.metrics(cluster, pod).await?;
        }
        Ok(())
    }

    async fn logs(&mut self, cluster: &Cluster, pod: &Pod) -> io::Result<()> {
        let (namespace, name) = (&pod.namespace, &pod.name);
        for container in pod.containers() {
            let container = text(container, "/name");
            let base = format!(
                "/api/v1/namespaces/{namespace}/pods/{name}/log?container={container}\
                 &timestamps=true&tailLines={LOG_LINES}&limitBytes={LOG_BYTES}"
            );
            let file = format!("system/logs/{namespace}/{name}.{container}");
            let mut logs = vec![(base.clone(), format!("{file}.log"))];
            if restarted(pod, container) {
                logs.push((
                    format!("{base}&previous=true"),
                    format!("{file}.previous.log"),
                ));
            }
            for (path, file) in logs {
                let asked = Asked::core(Verb::Get, "pods/log", namespace);
                match cluster.text(&path, &asked).await {
                    Ok(log) => {
                        let lines = log.lines().count();
                        if lines >= LOG_LINES as usize || log.len() >= LOG_BYTES as usize {
                            let remark = format!("{file} has the last {lines} lines only.");
                            self.archive.remark(remark);
                        }
                        self.archive.text(&file, &log)?;
                    }
                    Err(error) => self.missing(&file, &error),
                }
            }
        }
        Ok(())
    }

    async fn metrics(&mut self, cluster: &Cluster, pod: &Pod) -> io::Result<()> {
        let of_agent = text(&pod.value, "/metadata/labels/app.kubernetes.io~1name") == AGENT;
        let usual = if of_agent {
            AGENT_ADMIN
        } else {
            CONTROL_PLANE_ADMIN
        };
        let port = pod.port("admin").unwrap_or(usual);
        let file = format!("metrics/{}/{}.txt", pod.namespace, pod.name);
        let got: Result<_, ClusterError> = cluster.http_get(pod, port, "/metrics").await;
        match got {
            Ok((metrics, whole)) => {
                if whole == Whole::Cut {
                    self.archive.remark(format!("{file} is cut."));
                }
                self.archive.text(&file, &metrics)
            }
            Err(error) => {
                self.missing(&file, &error);
                Ok(())
            }
        }
    }
}

/// Whether a container has run before.
fn restarted(pod: &Pod, container: &str) -> bool {
    let statuses = pod.value.pointer("/status/containerStatuses");
    let mut statuses = statuses.and_then(Value::as_array).into_iter().flatten();
    statuses.any(|status| {
        text(status, "/name") == container
            && number(status, "/restartCount").is_some_and(|count| count > 0)
    })
}
