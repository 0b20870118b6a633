//! Pure routing tables of the agent.
