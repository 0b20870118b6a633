//! The source: watches, the caches behind them, and what is sent.

use kube::Client;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::batch::{Batch, Health};

/// What the source is told about its surroundings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// EndpointSlices whose label `endpointslice.kubernetes.io/managed-by` has this value are left out: the system
    /// writes them itself.
    pub slice_manager: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            slice_manager: "novaedge".to_owned(),
        }
    }
}

/// The objects of a cluster.
#[derive(Debug)]
pub struct ClusterSource {
    health: watch::Sender<Health>,
}

impl ClusterSource {
    /// A source over the cluster that `client` speaks to.
    pub fn new(_client: Client, _settings: Settings) -> Self {
        Self {
            health: watch::Sender::default(),
        }
    }

    /// How the watches are, now and from now on.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    /// Sends everything there is in the first batch, even when that is nothing, then changes. Returns soon after
    /// `shutdown`, or when nobody listens. No fault of the cluster ends it: watches that fail are tried again, and what
    /// was read before stays.
    pub async fn run(self, batches: mpsc::Sender<Batch>, shutdown: CancellationToken) {
        drop(batches);
        shutdown.cancelled().await;
    }
}
