//! One picture of the fleet from what all replicas tell. No IO; the clock is an input.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    fleet::{FleetAcks, FleetAgent},
    telling::AgentMap,
};

/// Agents that have left and are remembered.
const MAX_DEPARTED: usize = 10_000;

/// The picture, and what it is made of.
#[derive(Debug)]
pub(crate) struct Merging {
    /// How long an agent without a stream, and a replica without a word, count.
    grace: Duration,
    local: AgentMap,
    peers: BTreeMap<SocketAddr, PeerWord>,
    departed: BTreeMap<Arc<str>, (Instant, Arc<FleetAgent>)>,
    merged: AgentMap,
}

#[derive(Debug)]
struct PeerWord {
    agents: AgentMap,
    /// Since when nothing is heard; `None` while its stream is in order.
    silent_since: Option<Instant>,
}

impl Merging {
    pub(crate) fn new(grace: Duration) -> Self {
        Self {
            grace,
            local: AgentMap::new(),
            peers: BTreeMap::new(),
            departed: BTreeMap::new(),
            merged: AgentMap::new(),
        }
    }

    /// The agents of this replica.
    pub(crate) fn set_local(&mut self, agents: &AgentMap) {
        self.local.clone_from(agents);
    }

    /// The replicas that there are.
    pub(crate) fn set_peers(&mut self, peers: &BTreeSet<SocketAddr>, now: Instant) {
        self.peers.retain(|address, _| peers.contains(address));
        for address in peers {
            self.peers.entry(*address).or_insert_with(|| PeerWord {
                agents: AgentMap::new(),
                silent_since: Some(now),
            });
        }
    }

    /// All that another replica tells; `None`: its stream broke.
    pub(crate) fn hear(&mut self, address: SocketAddr, agents: Option<AgentMap>, now: Instant) {
        let Some(peer) = self.peers.get_mut(&address) else {
            return;
        };
        peer.silent_since = match &agents {
            Some(_) => None,
            None => peer.silent_since.or(Some(now)),
        };
        peer.agents = agents.unwrap_or_default();
    }

    /// The picture at a time, and when it changes by itself.
    pub(crate) fn picture(&mut self, now: Instant) -> (FleetAcks, Option<Instant>) {
        let mut connected = self.local.clone();
        for (node, agent) in self.peers.values().flat_map(|peer| &peer.agents) {
            // Clocks of replicas differ a little; an agent is seen twice for moments alone.
            let is_newer = |known: &Arc<FleetAgent>| known.connected_at_ms < agent.connected_at_ms;
            if connected.get(node).is_none_or(is_newer) {
                connected.insert(Arc::clone(node), Arc::clone(agent));
            }
        }
        for (node, agent) in &self.merged {
            if agent.connected && !connected.contains_key(node) {
                let mut agent = FleetAgent::clone(agent);
                agent.connected = false;
                self.departed
                    .insert(Arc::clone(node), (now, Arc::new(agent)));
            }
        }
        let ends = |since: Instant| since + self.grace;
        self.departed
            .retain(|node, (since, _)| now < ends(*since) && !connected.contains_key(node));
        while self.departed.len() > MAX_DEPARTED {
            self.departed.pop_first();
        }
        let silent = self.peers.values().filter_map(|peer| peer.silent_since);
        let silent: Vec<Instant> = silent.map(ends).filter(|end| now < *end).collect();
        let ended = self.departed.values().map(|(since, _)| ends(*since));
        let next = ended.chain(silent.iter().copied()).min();
        let departed = self.departed.iter();
        connected.extend(departed.map(|(node, (_, agent))| (Arc::clone(node), Arc::clone(agent))));
        self.merged.clone_from(&connected);
        let fleet = FleetAcks {
            agents: connected,
            silent_peers: silent.len(),
        };
        (fleet, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agents(agents: &[(&str, i64)]) -> AgentMap {
        let agent = |(node, connected_at_ms): &(&str, i64)| {
            let agent = FleetAgent {
                connected: true,
                connected_at_ms: *connected_at_ms,
                ..FleetAgent::default()
            };
            (Arc::from(*node), Arc::new(agent))
        };
        agents.iter().map(agent).collect()
    }

    fn seen(fleet: &FleetAcks) -> Vec<(&str, i64, bool)> {
        let agents = fleet.agents.iter();
        agents
            .map(|(node, a)| (&**node, a.connected_at_ms, a.connected))
            .collect()
    }

    #[test]
    fn the_newest_connection_of_an_agent_counts() {
        let now = Instant::now();
        let peer: SocketAddr = ([10, 0, 0, 1], 1).into();
        let mut merging = Merging::new(Duration::from_secs(30));
        merging.set_peers(&[peer].into(), now);
        merging.set_local(&agents(&[("a", 5), ("b", 5)]));
        assert_eq!(merging.picture(now).0.silent_peers, 1);
        merging.hear(peer, Some(agents(&[("a", 6), ("b", 4), ("c", 1)])), now);
        let (fleet, next) = merging.picture(now);
        assert_eq!(
            seen(&fleet),
            [("a", 6, true), ("b", 5, true), ("c", 1, true)]
        );
        assert_eq!((fleet.silent_peers, next), (0, None));
    }

    #[test]
    fn agents_of_a_dead_replica_stay_until_they_had_time_to_come_back() {
        let now = Instant::now();
        let later = |seconds| now + Duration::from_secs(seconds);
        let peer: SocketAddr = ([10, 0, 0, 1], 1).into();
        let mut merging = Merging::new(Duration::from_secs(30));
        merging.set_peers(&[peer].into(), now);
        merging.hear(peer, Some(agents(&[("a", 1), ("b", 1)])), now);
        merging.picture(now);
        merging.hear(peer, None, later(1));
        let (fleet, next) = merging.picture(later(1));
        assert_eq!(seen(&fleet), [("a", 1, false), ("b", 1, false)]);
        assert_eq!((fleet.silent_peers, next), (1, Some(later(31))));
        merging.set_peers(&BTreeSet::new(), later(2));
        merging.set_local(&agents(&[("a", 9)]));
        let (fleet, _) = merging.picture(later(2));
        assert_eq!(seen(&fleet), [("a", 9, true), ("b", 1, false)]);
        let (fleet, next) = merging.picture(later(31));
        assert_eq!((seen(&fleet), next), (vec![("a", 9, true)], None));
        assert_eq!(fleet.silent_peers, 0);
    }
}
