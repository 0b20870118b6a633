//! The NovaEdge agent: an unprivileged proxy fed by snapshots.
