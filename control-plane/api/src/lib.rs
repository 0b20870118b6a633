//! Gateway API and NovaEdge object types.

pub mod gateway;
pub mod ingress;
pub mod native;

pub mod decode;
pub mod field;
pub mod meta;
pub mod validate;

pub use k8s_openapi;
pub use kube;
