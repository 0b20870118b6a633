//! Gateway API and NovaEdge object types.
