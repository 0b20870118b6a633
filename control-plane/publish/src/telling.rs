//! What a replica tells the others of its agents, and how they take it in. No IO, no clock.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use novaedge_proto::{MAX_MESSAGE_BYTES, v1};
use prost::Message as _;

use crate::{
    fleet::{FleetAcks, FleetAgent},
    scope::Scope,
    serves::{ServedGateway, Serves},
};

/// Rejections that are told of an agent.
const MAX_TOLD_REJECTIONS: usize = 100;

/// Agents that are heard of from one replica.
const MAX_HEARD_AGENTS: usize = 10_000;

/// Gateways in a set that is heard of.
const MAX_HEARD_GATEWAYS: usize = 100_000;

/// The agents of one replica.
pub(crate) type AgentMap = BTreeMap<Arc<str>, Arc<FleetAgent>>;

/// What has been told on one stream.
#[derive(Debug, Default)]
pub(crate) struct Teller {
    told: AgentMap,
    /// The set told last; 0 is the empty one.
    newest: (u64, Arc<Serves>),
    /// Sets that agents use, as told, and how many do.
    used: BTreeMap<u64, (Arc<Serves>, usize)>,
    set_of: BTreeMap<Arc<str>, u64>,
    begun: bool,
}

/// A message that is being filled.
#[derive(Debug, Default)]
struct Filling {
    full: Vec<v1::AgentChanges>,
    message: v1::AgentChanges,
    size: usize,
}

impl Teller {
    /// The messages that bring a listener up to date. The first time there is always one.
    pub(crate) fn changes(&mut self, now: &FleetAcks) -> Vec<v1::AgentChanges> {
        let mut filling = Filling::default();
        let gone = |name: &&Arc<str>| !now.agents.contains_key(*name);
        let left: Vec<Arc<str>> = self.told.keys().filter(gone).cloned().collect();
        for node in left {
            self.told.remove(&node);
            self.release(&node);
            filling.make_room(node.len() + 4);
            filling.message.left.push(node.to_string());
        }
        for (node, agent) in &now.agents {
            if self.told.get(node).is_some_and(|told| told == agent) {
                continue;
            }
            let served_set = self.set(&agent.serves, &mut filling);
            self.release(node);
            let used = self.used.entry(served_set);
            used.or_insert_with(|| (Arc::clone(&agent.serves), 0)).1 += 1;
            self.set_of.insert(Arc::clone(node), served_set);
            self.told.insert(Arc::clone(node), Arc::clone(agent));
            let holding = holding(node, agent, served_set);
            filling.make_room(holding.encoded_len() + 4);
            filling.message.agents.push(holding);
        }
        if !self.begun {
            self.begun = true;
            filling.message.synced = true;
        }
        filling.finish()
    }

    /// The id of a set, which is told if the listener does not know it.
    fn set(&mut self, serves: &Arc<Serves>, filling: &mut Filling) -> u64 {
        if serves.gateways.is_empty() {
            return 0;
        }
        let newest = (self.newest.0, &self.newest.1);
        let used = self.used.iter().map(|(id, (set, _))| (*id, set));
        let known = used.chain([newest]);
        if let Some((id, _)) = known.clone().find(|(_, set)| Arc::ptr_eq(set, serves)) {
            return id;
        }
        let id = newest.0 + 1;
        // Agents of one scope have much in common, and those of two scopes nothing.
        let nearest = known.min_by_key(|(_, set)| differences(set, serves));
        let (mut base, last) = nearest.unwrap_or(newest);
        let changed = serves.gateways.iter().filter(|(name, gateway)| {
            let before = last.gateways.get(*name);
            before.is_none_or(|before| before != *gateway)
        });
        let mut part = v1::ServedSet {
            id,
            base,
            ..v1::ServedSet::default()
        };
        let mut size = 0;
        let mut parts = Vec::new();
        let removed = last
            .gateways
            .keys()
            .filter(|name| !serves.gateways.contains_key(*name));
        let entries = removed.map(|name| Err(name.to_string()));
        for entry in entries.chain(changed.map(|(name, gateway)| Ok(told(name, gateway)))) {
            let len = match &entry {
                Ok(upsert) => upsert.encoded_len() + 4,
                Err(name) => name.len() + 4,
            };
            if size > 0 && size + len > MAX_MESSAGE_BYTES {
                part.more = true;
                base = id;
                let next = v1::ServedSet {
                    id,
                    base,
                    ..v1::ServedSet::default()
                };
                parts.push(std::mem::replace(&mut part, next));
                size = 0;
            }
            size += len;
            match entry {
                Ok(upsert) => part.upserts.push(upsert),
                Err(name) => part.removed.push(name),
            }
        }
        parts.push(part);
        for part in parts {
            filling.make_room(part.encoded_len() + 8);
            filling.message.sets.push(part);
        }
        self.newest = (id, Arc::clone(serves));
        id
    }

    fn release(&mut self, node: &Arc<str>) {
        let Some(id) = self.set_of.remove(node) else {
            return;
        };
        if let Some((_, uses)) = self.used.get_mut(&id) {
            *uses -= 1;
            if *uses == 0 {
                self.used.remove(&id);
            }
        }
    }
}

impl Filling {
    fn make_room(&mut self, len: usize) {
        if self.size > 0 && self.size + len > MAX_MESSAGE_BYTES {
            self.full.push(std::mem::take(&mut self.message));
            self.size = 0;
        }
        self.size += len;
    }

    fn finish(mut self) -> Vec<v1::AgentChanges> {
        if self.message != v1::AgentChanges::default() {
            self.full.push(self.message);
        }
        self.full
    }
}

/// Why what is told cannot be understood. The listener begins anew.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HearError {
    #[error("set {0} is based on set {1}, which is not known")]
    UnknownBase(u64, u64),
    #[error("agent {0} uses set {1}, which is not known")]
    UnknownSet(String, u64),
    #[error("more agents or Gateways than the limit")]
    TooMany,
}

/// What has been heard on one stream.
#[derive(Debug, Default)]
pub(crate) struct Hearer {
    sets: BTreeMap<u64, Arc<Serves>>,
    newest: u64,
    set_of: BTreeMap<Arc<str>, u64>,
    agents: AgentMap,
    synced: bool,
}

impl Hearer {
    /// Takes in a message.
    pub(crate) fn hear(&mut self, changes: v1::AgentChanges) -> Result<(), HearError> {
        for set in changes.sets {
            self.hear_set(set)?;
        }
        for node in changes.left {
            self.agents.remove(node.as_str());
            self.set_of.remove(node.as_str());
        }
        for agent in changes.agents {
            self.hear_agent(agent)?;
        }
        let mut used: HashSet<u64> = self.set_of.values().copied().collect();
        used.insert(self.newest);
        self.sets.retain(|id, _| used.contains(id));
        self.synced |= changes.synced;
        Ok(())
    }

    /// The agents, once all that were there at the beginning have been told.
    pub(crate) fn agents(&self) -> Option<&AgentMap> {
        self.synced.then_some(&self.agents)
    }

    fn hear_set(&mut self, set: v1::ServedSet) -> Result<(), HearError> {
        let base = match set.base {
            0 => Arc::default(),
            base => self
                .sets
                .get(&base)
                .cloned()
                .ok_or(HearError::UnknownBase(set.id, base))?,
        };
        let mut gateways = base.gateways.clone();
        for name in &set.removed {
            gateways.remove(name.as_str());
        }
        for gateway in set.upserts {
            let (name, served) = heard(gateway);
            gateways.insert(name, Arc::new(served));
        }
        if gateways.len() > MAX_HEARD_GATEWAYS {
            return Err(HearError::TooMany);
        }
        self.sets.insert(set.id, Arc::new(Serves { gateways }));
        self.newest = set.id;
        Ok(())
    }

    fn hear_agent(&mut self, agent: v1::AgentHolding) -> Result<(), HearError> {
        let serves = match agent.served_set {
            0 => Arc::default(),
            id => {
                let set = self.sets.get(&id).cloned();
                set.ok_or_else(|| HearError::UnknownSet(agent.node_id.clone(), id))?
            }
        };
        let node: Arc<str> = agent.node_id.into();
        self.set_of.insert(Arc::clone(&node), agent.served_set);
        let heard = FleetAgent {
            digest: agent.digest,
            serves,
            rejected: agent.rejected,
            draining: agent.draining,
            connected: true,
            connected_at_ms: agent.connected_at_ms,
            scope: Scope::of_wire(agent.namespaces, agent.excluded_namespaces),
        };
        self.agents.insert(node, Arc::new(heard));
        if self.agents.len() > MAX_HEARD_AGENTS {
            return Err(HearError::TooMany);
        }
        Ok(())
    }
}

/// How many Gateways are to be told to those who know `base`.
fn differences(base: &Serves, serves: &Serves) -> usize {
    let is_told = |(name, gateway): &(&Arc<str>, &Arc<ServedGateway>)| {
        let known = base.gateways.get(*name);
        known.is_none_or(|known| !Arc::ptr_eq(known, gateway) && known != *gateway)
    };
    let is_gone = |name: &&Arc<str>| !serves.gateways.contains_key(*name);
    let told = serves.gateways.iter().filter(is_told).count();
    told + base.gateways.keys().filter(is_gone).count()
}

fn holding(node: &str, agent: &FleetAgent, served_set: u64) -> v1::AgentHolding {
    let rejected = agent.rejected.iter().take(MAX_TOLD_REJECTIONS);
    let (namespaces, excluded_namespaces) = agent.scope.to_wire();
    v1::AgentHolding {
        node_id: node.to_owned(),
        digest: agent.digest.clone(),
        served_set,
        rejected: rejected.cloned().collect(),
        draining: agent.draining,
        connected_at_ms: agent.connected_at_ms,
        namespaces,
        excluded_namespaces,
    }
}

fn told(name: &str, gateway: &ServedGateway) -> v1::ServedGateway {
    let sets = gateway.listener_sets.iter();
    v1::ServedGateway {
        name: name.to_owned(),
        generation: gateway.generation,
        listener_sets: sets
            .map(|((namespace, name), generation)| v1::ServedListenerSet {
                namespace: namespace.clone(),
                name: name.clone(),
                generation: *generation,
            })
            .collect(),
        tcp_bind_ports: gateway
            .tcp_bind_ports
            .iter()
            .copied()
            .map(u32::from)
            .collect(),
        udp_bind_ports: gateway
            .udp_bind_ports
            .iter()
            .copied()
            .map(u32::from)
            .collect(),
    }
}

fn heard(gateway: v1::ServedGateway) -> (Arc<str>, ServedGateway) {
    let sets = gateway.listener_sets.into_iter();
    let port = |port: u32| u16::try_from(port).ok();
    let served = ServedGateway {
        generation: gateway.generation,
        listener_sets: sets
            .map(|set| ((set.namespace, set.name), set.generation))
            .collect(),
        tcp_bind_ports: gateway
            .tcp_bind_ports
            .into_iter()
            .filter_map(port)
            .collect(),
        udp_bind_ports: gateway
            .udp_bind_ports
            .into_iter()
            .filter_map(port)
            .collect(),
        ..ServedGateway::default()
    };
    (gateway.name.into(), served)
}

#[cfg(test)]
mod tests;
