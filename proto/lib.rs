//! The wire contract between the NovaEdge control plane and its agents.

/// Package `novaedge.v1`.
pub mod v1 {
    tonic::include_proto!("novaedge.v1");
}
