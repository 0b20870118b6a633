//! The NovaEdge control plane: sources, the pipeline, status writing.

pub mod problem;
pub mod source;

pub mod folder;

pub mod findings;
pub mod local;
pub mod pipeline;
pub mod status;

pub mod inspect;
pub mod server;

pub mod admin;
pub mod kubernetes;
pub mod metrics;

pub mod translate;

pub use findings::Findings;
pub use kubernetes::{CertificateFiles, KubernetesConfig, KubernetesControlPlane, KubernetesError};
pub use server::{Config, ControlPlane, ControlPlaneError};
