//! NovaEdge without a cluster: a control plane on a folder and one agent in a process.
