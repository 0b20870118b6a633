//! The pods of the system.

use serde_json::Value;

use super::{
    Cluster, ClusterError,
    api::{Asked, Verb, escaped},
};
use crate::object::text;

/// Label of the control plane's pods.
pub const CONTROL_PLANE: &str = "novaedge-control-plane";
/// Label of agents' pods.
pub const AGENT: &str = "novaedge-agent";

/// A pod.
#[derive(Clone, Debug, PartialEq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The whole object.
    pub value: Value,
}

impl Pod {
    fn of(value: Value) -> Self {
        Self {
            namespace: text(&value, "/metadata/namespace").to_owned(),
            name: text(&value, "/metadata/name").to_owned(),
            value,
        }
    }

    /// Whether it is up and does not end.
    pub fn is_ready(&self) -> bool {
        let conditions = self.value.pointer("/status/conditions");
        let conditions = conditions
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice);
        let ready = conditions
            .iter()
            .any(|c| text(c, "/type") == "Ready" && text(c, "/status") == "True");
        ready && self.value.pointer("/metadata/deletionTimestamp").is_none()
    }

    /// The number of a port that a container names.
    pub fn port(&self, name: &str) -> Option<u16> {
        let ports = self.containers().iter().filter_map(|c| c.get("ports"));
        let mut ports = ports.filter_map(Value::as_array).flatten();
        let port = ports.find(|port| text(port, "/name") == name)?;
        port.get("containerPort")?.as_u64()?.try_into().ok()
    }

    /// Whether a container is started with this argument.
    pub fn has_argument(&self, argument: &str) -> bool {
        let lists = self
            .containers()
            .iter()
            .flat_map(|c| [c.get("args"), c.get("command")]);
        let mut words = lists.flatten().filter_map(Value::as_array).flatten();
        words.any(|word| word == argument)
    }

    /// Its containers.
    pub fn containers(&self) -> &[Value] {
        let containers = self.value.pointer("/spec/containers");
        containers
            .and_then(Value::as_array)
            .map_or(&[], Vec::as_slice)
    }
}

impl Cluster {
    /// The pods with this name, by name: in the system's namespace, or in all.
    pub async fn pods(
        &self,
        name: &str,
        namespace: Option<&str>,
    ) -> Result<Vec<Pod>, ClusterError> {
        let within = namespace.map(|name| format!("/namespaces/{}", escaped(name)));
        let path = format!("/api/v1{}/pods", within.unwrap_or_default());
        let query = format!("labelSelector=app.kubernetes.io%2Fname%3D{}", escaped(name));
        let asked = Asked {
            verb: Verb::List,
            resource: "pods".to_owned(),
            namespace: namespace.map(str::to_owned),
        };
        let found = self.list(&path, &query, &asked).await?.unwrap_or_default();
        let mut pods: Vec<Pod> = found.into_iter().map(Pod::of).collect();
        pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        Ok(pods)
    }

    /// The control planes that can be asked, at least one.
    pub async fn control_planes(&self) -> Result<Vec<Pod>, ClusterError> {
        let mut pods = self.pods(CONTROL_PLANE, Some(&self.system)).await?;
        pods.retain(Pod::is_ready);
        if pods.is_empty() {
            return Err(ClusterError::NoControlPlane {
                context: self.context.clone(),
                namespace: self.system.clone(),
            });
        }
        Ok(pods)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_tells_what_it_is() {
        let pod = Pod::of(json!({
            "metadata": {"namespace": "a", "name": "b"},
            "spec": {"containers": [
                {"args": ["serve"]},
                {"args": ["--x"], "ports": [{"name": "grpc", "containerPort": 18000}]},
            ]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }));
        assert_eq!((pod.port("grpc"), pod.port("admin")), (Some(18_000), None));
        assert!(pod.has_argument("--x") && !pod.has_argument("--y"));
        assert!(pod.is_ready());
        let mut ending = pod.value;
        ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert!(!Pod::of(ending).is_ready());
    }
}
