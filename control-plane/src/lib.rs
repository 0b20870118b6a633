//! The NovaEdge control plane.
