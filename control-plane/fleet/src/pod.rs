//! The pods that agents run in.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::Pod;

/// One agent's pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentPod {
    /// Where it runs.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Tells it from another pod of its name.
    pub uid: String,
    /// Its addresses, at most one of each family.
    pub ips: Vec<IpAddr>,
    /// The node that it runs on.
    pub node: Option<String>,
    /// Whether its readiness probe succeeds.
    pub ready: bool,
    /// Whether it is being deleted.
    pub terminating: bool,
}

impl AgentPod {
    /// Reads a pod; none while it has no address, and once all of its containers have ended.
    pub fn of(pod: &Pod) -> Option<Self> {
        let status = pod.status.as_ref()?;
        if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
            return None;
        }
        let listed = status.pod_ips.iter().flatten().map(|ip| &ip.ip);
        let mut ips: Vec<IpAddr> = listed.filter_map(|text| text.parse().ok()).collect();
        if ips.is_empty() {
            ips.push(status.pod_ip.as_ref()?.parse().ok()?);
        }
        let conditions = status.conditions.iter().flatten();
        Some(Self {
            namespace: pod.metadata.namespace.clone().unwrap_or_default(),
            name: pod.metadata.name.clone().unwrap_or_default(),
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            ips,
            node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
            ready: conditions
                .filter(|condition| condition.type_ == "Ready")
                .any(|condition| condition.status == "True"),
            terminating: pod.metadata.deletion_timestamp.is_some(),
        })
    }
}

/// The node id of the agent in a pod: its name, and outside of the system's namespace its own before that, so that
/// nobody who names his pods as he likes is taken for another.
pub(crate) fn node_id(system: &str, namespace: &str, name: &str) -> String {
    if namespace == system {
        name.to_owned()
    } else {
        format!("{namespace}/{name}")
    }
}
