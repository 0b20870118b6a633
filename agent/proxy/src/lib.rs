//! HTTP data path of the agent.
