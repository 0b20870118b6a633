//! Versioned snapshots, deltas and agent sessions over gRPC.
