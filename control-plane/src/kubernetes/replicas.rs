//! Where the other replicas of the control plane are.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt as _,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event},
    },
};
use novaedge_fleet::Patience;
use tokio::sync::watch;

use super::replace;

/// Label of the pods of the control plane.
const PODS: &str = "app.kubernetes.io/name=novaedge-control-plane";

/// Tells the addresses of all replicas but the one named `own`, as they change. Does not end by itself.
pub(super) async fn follow(
    client: Client,
    namespace: String,
    own: String,
    port: u16,
    addresses: watch::Sender<BTreeSet<SocketAddr>>,
) {
    let pods: Api<Pod> = Api::namespaced(client, &namespace);
    let config = watcher::Config::default().labels(PODS);
    let mut events = std::pin::pin!(watcher::watcher(pods, config).backoff(Patience::default()));
    let mut known = Replicas::default();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => known.hear(event),
            // The watch is tried again, and those that were there most likely still are.
            Err(error) => {
                tracing::warn!(%error, "the pods of the control plane cannot be watched");
                continue;
            }
        }
        replace(&addresses, known.others(&own, port));
    }
}

/// Pods that run, by name.
#[derive(Debug, Default)]
struct Replicas {
    there: BTreeMap<String, IpAddr>,
    /// Those of a list that is not complete yet.
    listed: BTreeMap<String, IpAddr>,
}

impl Replicas {
    fn hear(&mut self, event: Event<Pod>) {
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(pod) => self.listed.extend(entry(&pod)),
            Event::InitDone => self.there = std::mem::take(&mut self.listed),
            Event::Apply(pod) => {
                self.there.remove(&pod.name_any());
                self.there.extend(entry(&pod));
            }
            Event::Delete(pod) => {
                self.there.remove(&pod.name_any());
            }
        }
    }

    fn others(&self, own: &str, port: u16) -> BTreeSet<SocketAddr> {
        let others = self.there.iter().filter(|(name, _)| *name != own);
        others.map(|(_, ip)| SocketAddr::new(*ip, port)).collect()
    }
}

/// A pod that can be spoken to. One that is about to end still has agents.
fn entry(pod: &Pod) -> Option<(String, IpAddr)> {
    let status = pod.status.as_ref()?;
    let runs = status.phase.as_deref() == Some("Running");
    let ip = status.pod_ip.as_ref()?.parse().ok()?;
    runs.then(|| (pod.name_any(), ip))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, phase: &str, ip: &str) -> Pod {
        let pod = json!({
            "metadata": {"name": name},
            "status": {"phase": phase, "podIP": ip},
        });
        serde_json::from_value(pod).expect("a pod")
    }

    #[test]
    fn the_others_are_those_that_run() {
        let mut replicas = Replicas::default();
        replicas.hear(Event::Init);
        replicas.hear(Event::InitApply(pod("a", "Running", "10.0.0.1")));
        replicas.hear(Event::InitApply(pod("b", "Running", "10.0.0.2")));
        assert!(
            replicas.others("a", 1).is_empty(),
            "the list is not complete"
        );
        replicas.hear(Event::InitDone);
        let others = |replicas: &Replicas| {
            let others = replicas.others("a", 18_000);
            others.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(others(&replicas), ["10.0.0.2:18000"]);
        replicas.hear(Event::Apply(pod("b", "Failed", "10.0.0.2")));
        replicas.hear(Event::Apply(pod("c", "Running", "10.0.0.3")));
        assert_eq!(others(&replicas), ["10.0.0.3:18000"]);
        replicas.hear(Event::Delete(pod("c", "Running", "10.0.0.3")));
        assert!(others(&replicas).is_empty());
    }
}
