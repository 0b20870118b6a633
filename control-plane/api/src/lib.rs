//! Gateway API and NovaEdge object types.

pub mod native;
