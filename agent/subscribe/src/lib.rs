//! Snapshot subscription of the agent: staging, ACK/NACK, last good copy on disk.
