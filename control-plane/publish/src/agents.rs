//! The agents connected to this replica, for people and for the pipeline.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use dashmap::{DashMap, mapref::entry::Entry};
use novaedge_proto::v1;
use prost::Message as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    acks::{Acks, AgentAck},
    feed::Feed,
    fleet::{FleetAcks, FleetAgent},
    log::SnapshotVersion,
    scope::Scope,
    serves::Serves,
};

/// Rejections that [`Agents::list`] shows per agent.
const MAX_LISTED_REJECTIONS: usize = 100;

/// The size of [`Agents::list`] in its encoding, below gRPC's default limit of 4 MiB.
const MAX_LISTED_BYTES: usize = 3 << 20;

/// The registry. A node has one entry: its newest stream takes over from an older one, which may be
/// the rest of a connection that broke.
#[derive(Debug, Default)]
pub(crate) struct Agents {
    by_node: DashMap<Arc<str>, Agent>,
    acks: watch::Sender<Acks>,
    fleet: watch::Sender<FleetAcks>,
    streams: AtomicU64,
}

#[derive(Debug)]
struct Agent {
    stream: u64,
    taken_over: CancellationToken,
    node: v1::Node,
    peer_address: String,
    scope: Scope,
    feed: Arc<Feed>,
    connected_at_ms: i64,
    acknowledged_at_ms: i64,
    sent: Option<SnapshotVersion>,
    draining: bool,
    ack: Arc<AgentAck>,
    serves: Arc<Serves>,
}

/// Who comes in.
#[derive(Debug)]
pub(crate) struct Entrant {
    pub(crate) node: v1::Node,
    pub(crate) peer_address: String,
    pub(crate) scope: Scope,
    /// That of its scope.
    pub(crate) feed: Arc<Feed>,
}

/// A stream's place in the registry; it is given up with [`Agents::leave`].
#[derive(Debug)]
pub(crate) struct Place {
    node: Arc<str>,
    stream: u64,
    /// Cancelled when a newer stream of the same node takes over.
    pub(crate) taken_over: CancellationToken,
}

impl Place {
    /// The node id.
    pub(crate) fn node(&self) -> &str {
        &self.node
    }
}

impl Agents {
    /// Enters a stream whose subscription is complete.
    pub(crate) fn join(&self, entrant: Entrant, now_ms: i64) -> Place {
        let Entrant {
            node,
            peer_address,
            scope,
            feed,
        } = entrant;
        let place = Place {
            node: node.id.as_str().into(),
            stream: self.streams.fetch_add(1, Ordering::Relaxed),
            taken_over: CancellationToken::new(),
        };
        let agent = Agent {
            stream: place.stream,
            taken_over: place.taken_over.clone(),
            node,
            peer_address,
            scope,
            feed,
            connected_at_ms: now_ms,
            acknowledged_at_ms: 0,
            sent: None,
            draining: false,
            ack: Arc::default(),
            serves: Arc::default(),
        };
        let ack = Arc::clone(&agent.ack);
        let word = agent.word();
        // The entry stays locked until the acks are changed, so that both agree on who is the newest.
        let entry = match self.by_node.entry(Arc::clone(&place.node)) {
            Entry::Occupied(mut entry) => {
                entry.insert(agent).taken_over.cancel();
                entry.into_ref()
            }
            Entry::Vacant(entry) => entry.insert(agent),
        };
        self.acks.send_modify(|acks| {
            acks.agents.insert(Arc::clone(&place.node), ack);
        });
        self.tell(&place.node, word);
        drop(entry);
        place
    }

    /// Takes a stream out, unless a newer one has its place.
    pub(crate) fn leave(&self, place: &Place) {
        let Entry::Occupied(entry) = self.by_node.entry(Arc::clone(&place.node)) else {
            return;
        };
        if entry.get().stream == place.stream {
            self.acks.send_modify(|acks| {
                acks.agents.remove(&place.node);
            });
            self.fleet.send_modify(|fleet| {
                fleet.agents.remove(&place.node);
            });
            entry.remove();
        }
    }

    /// Notes the step in flight.
    pub(crate) fn sent(&self, place: &Place, version: SnapshotVersion) {
        if let Some(mut agent) = self.by_node.get_mut(&place.node)
            && agent.stream == place.stream
        {
            agent.sent = Some(version);
        }
    }

    /// Notes what an agent has in force now.
    pub(crate) fn acknowledged(
        &self,
        place: &Place,
        version: SnapshotVersion,
        rejected: Vec<v1::RejectedResource>,
        serves: Arc<Serves>,
        now_ms: i64,
    ) {
        let Some(mut agent) = self.by_node.get_mut(&place.node) else {
            return;
        };
        if agent.stream != place.stream {
            return;
        }
        agent.sent = None;
        agent.acknowledged_at_ms = now_ms;
        agent.serves = serves;
        agent.ack = Arc::new(AgentAck {
            version: Some(version.to_wire()),
            rejected,
        });
        self.acks.send_modify(|acks| {
            acks.agents
                .insert(Arc::clone(&place.node), Arc::clone(&agent.ack));
        });
        self.tell(&place.node, agent.word());
    }

    /// Tells the fleet what an agent says; its entry is locked meanwhile, so that both agree.
    fn tell(&self, node: &Arc<str>, word: FleetAgent) {
        self.fleet.send_modify(|fleet| {
            fleet.agents.insert(Arc::clone(node), Arc::new(word));
        });
    }

    /// Notes that an agent is about to end.
    pub(crate) fn draining(&self, place: &Place) {
        if let Some(mut agent) = self.by_node.get_mut(&place.node)
            && agent.stream == place.stream
        {
            agent.draining = true;
            self.tell(&place.node, agent.word());
        }
    }

    /// What every agent has in force, as it changes.
    pub(crate) fn acks(&self) -> watch::Receiver<Acks> {
        self.acks.subscribe()
    }

    /// What every agent serves, as it changes.
    pub(crate) fn fleet(&self) -> watch::Receiver<FleetAcks> {
        self.fleet.subscribe()
    }

    /// The agents by node id. When there is too much to tell for one message, first rejections are
    /// left out, then labels, then agents; the second value tells that something was.
    pub(crate) fn list(&self) -> (v1::ListAgentsResponse, bool) {
        let mut agents: Vec<_> = self.by_node.iter().map(|agent| agent.status()).collect();
        agents.sort_by(|a, b| node_id(a).cmp(node_id(b)));
        let mut list = v1::ListAgentsResponse { agents };
        let is_cut = list.encoded_len() > MAX_LISTED_BYTES;
        let mut rejections = MAX_LISTED_REJECTIONS;
        while list.encoded_len() > MAX_LISTED_BYTES && rejections > 0 {
            rejections /= 2;
            for agent in &mut list.agents {
                agent.rejected.truncate(rejections);
            }
        }
        if list.encoded_len() > MAX_LISTED_BYTES {
            for node in list.agents.iter_mut().filter_map(|a| a.node.as_mut()) {
                node.labels.clear();
            }
        }
        while list.encoded_len() > MAX_LISTED_BYTES {
            list.agents.truncate(list.agents.len() / 2);
        }
        (list, is_cut)
    }
}

impl Agent {
    fn word(&self) -> FleetAgent {
        let version = self.ack.version.as_ref();
        FleetAgent {
            digest: version.map_or_else(String::new, |version| version.digest.clone()),
            serves: Arc::clone(&self.serves),
            rejected: self.ack.rejected.clone(),
            draining: self.draining,
            connected: true,
            connected_at_ms: self.connected_at_ms,
            scope: self.scope.clone(),
        }
    }

    fn status(&self) -> v1::AgentStatus {
        let rejected = self.ack.rejected.iter().take(MAX_LISTED_REJECTIONS);
        let (namespaces, excluded_namespaces) = self.scope.to_wire();
        let newest = self.feed.log().version();
        v1::AgentStatus {
            node: Some(self.node.clone()),
            peer_address: self.peer_address.clone(),
            acknowledged: self.ack.version.clone(),
            sent: self.sent.map(SnapshotVersion::to_wire),
            connected_at_ms: self.connected_at_ms,
            acknowledged_at_ms: self.acknowledged_at_ms,
            rejected: rejected.cloned().collect(),
            newest: (newest.sequence > 0).then(|| newest.to_wire()),
            namespaces,
            excluded_namespaces,
        }
    }
}

fn node_id(status: &v1::AgentStatus) -> &str {
    status.node.as_ref().map_or("", |node| node.id.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::LogLimits;

    fn node(id: &str) -> v1::Node {
        v1::Node {
            id: id.into(),
            ..v1::Node::default()
        }
    }

    fn join(agents: &Agents, node: v1::Node, peer_address: &str, now_ms: i64) -> Place {
        let entrant = Entrant {
            node,
            peer_address: peer_address.into(),
            scope: Scope::All,
            feed: Arc::new(Feed::new(LogLimits::default())),
        };
        agents.join(entrant, now_ms)
    }

    fn version(sequence: u64) -> SnapshotVersion {
        SnapshotVersion {
            sequence,
            ..SnapshotVersion::default()
        }
    }

    #[test]
    fn agents_are_listed_by_node_with_what_they_have() {
        let agents = Agents::default();
        let b = join(&agents, node("b"), "10.0.0.2:1", 5);
        let _a = join(&agents, node("a"), "10.0.0.1:1", 6);
        agents.sent(&b, version(3));
        let listed = agents.list().0.agents;
        assert_eq!(node_id(&listed[0]), "a");
        assert_eq!(listed[1].sent.as_ref().unwrap().sequence, 3);
        assert_eq!(listed[1].acknowledged, None);
        let rejected = vec![v1::RejectedResource::default(); 101];
        agents.acknowledged(&b, version(3), rejected, Arc::default(), 9);
        let listed = agents.list().0.agents;
        assert_eq!(listed[1].acknowledged.as_ref().unwrap().sequence, 3);
        assert_eq!(listed[1].acknowledged_at_ms, 9);
        assert_eq!(listed[1].rejected.len(), 100);
        assert_eq!(listed[1].sent, None);
        let acks = agents.acks().borrow().clone();
        assert_eq!(acks.agents["b"].rejected.len(), 101);
        assert_eq!(acks.lowest(), Some(0));
        agents.leave(&b);
        assert_eq!(agents.list().0.agents.len(), 1);
    }

    #[test]
    fn a_newer_stream_of_a_node_takes_over() {
        let agents = Agents::default();
        let old = join(&agents, node("a"), "old", 1);
        let new = join(&agents, node("a"), "new", 2);
        assert!(old.taken_over.is_cancelled());
        assert!(!new.taken_over.is_cancelled());
        agents.acknowledged(&old, version(7), Vec::new(), Arc::default(), 3);
        agents.leave(&old);
        assert_eq!(agents.list().0.agents[0].peer_address, "new");
        assert_eq!(agents.acks().borrow().lowest(), Some(0));
    }

    #[test]
    fn a_list_fits_a_message() {
        let agents = Agents::default();
        for n in 0..1_000 {
            let mut node = node(&format!("agent-{n:04}"));
            node.labels.insert("note".into(), "x".repeat(500));
            let place = join(&agents, node, "10.0.0.1:1", 1);
            let rejected = v1::RejectedResource {
                name: "route/a".into(),
                version: "v".into(),
                error: "x".repeat(1_024),
            };
            agents.acknowledged(&place, version(1), vec![rejected; 50], Arc::default(), 2);
        }
        let (list, is_cut) = agents.list();
        assert!(is_cut);
        assert_eq!(list.agents.len(), 1_000);
        assert!(list.encoded_len() <= MAX_LISTED_BYTES);
        assert!(!list.agents[0].rejected.is_empty());
    }
}
