//! A Kubernetes cluster, reached as kubectl reaches it.

mod access;
mod api;
mod error;
mod forward;
mod kinds;
mod pods;

pub(crate) use access::deepest;
pub use access::{Access, IN_CLUSTER, default_kubeconfig, in_pod};
pub(crate) use api::escaped;
pub use api::{Asked, Verb};
pub use error::ClusterError;
pub use forward::Whole;
pub use kinds::Served;
pub use pods::{AGENT, CONTROL_PLANE, Pod};

/// The namespace that the control plane and its agents are deployed into.
pub const SYSTEM_NAMESPACE: &str = "novaedge-system";

/// A cluster by a context.
#[derive(Clone)]
pub struct Cluster {
    client: kube::Client,
    /// The name of the context.
    pub context: String,
    /// The context's own namespace.
    pub namespace: String,
    /// Where the control plane is deployed.
    pub system: String,
    /// URL of the API server.
    pub url: String,
}

/// Shows no credentials.
impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("context", &self.context)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}
