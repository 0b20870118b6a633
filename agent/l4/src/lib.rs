//! TCP, TLS and UDP data path of the agent.
