//! What the connected agents have in force, for the pipeline.

use std::{collections::BTreeMap, sync::Arc};

use novaedge_proto::v1;

/// One entry per connected agent, by node id.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Acks {
    /// The agents with a complete subscription.
    pub agents: BTreeMap<Arc<str>, Arc<AgentAck>>,
}

/// What one agent has in force.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AgentAck {
    /// The newest version acknowledged on the agent's stream; `None` before the first. An agent that is not
    /// given all Gateways has versions of its own.
    pub version: Option<v1::Version>,
    /// The resources that the agent refuses now, oldest rejection first. All others of `version` are
    /// in force.
    pub rejected: Vec<v1::RejectedResource>,
}

impl Acks {
    /// The sequence that every connected agent has reached; `None` without agents. An agent that has
    /// not acknowledged anything counts as 0.
    pub fn lowest(&self) -> Option<u64> {
        self.agents.values().map(|agent| agent.sequence()).min()
    }

    /// Whether there are agents and all have reached `sequence`.
    pub fn all_at(&self, sequence: u64) -> bool {
        self.lowest().is_some_and(|lowest| lowest >= sequence)
    }
}

impl AgentAck {
    /// The acknowledged sequence; 0 before the first.
    pub fn sequence(&self) -> u64 {
        self.version.as_ref().map_or(0, |version| version.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_agent_counts() {
        let mut acks = Acks::default();
        assert!(!acks.all_at(0), "nobody is not everybody");
        for (node, sequence) in [("a", Some(4)), ("b", Some(3)), ("c", None)] {
            let version = sequence.map(|sequence| v1::Version {
                sequence,
                ..v1::Version::default()
            });
            let ack = AgentAck {
                version,
                ..AgentAck::default()
            };
            acks.agents.insert(node.into(), Arc::new(ack));
        }
        assert_eq!(acks.lowest(), Some(0));
        acks.agents.remove("c");
        assert!(acks.all_at(3));
        assert!(!acks.all_at(4));
    }
}
