//! One agent's session as a state machine: no IO, no clock.
//!
//! The agent subscribes, then steps and acknowledgements alternate. While a step is unanswered the
//! session makes no other; the next one covers everything that changed meanwhile.

use std::{collections::BTreeMap, sync::Arc};

use novaedge_proto::{
    digest::{ContentVersion, SnapshotDigest},
    v1,
};
use prost::Message as _;

use crate::{
    encoded::{EncodedResource, MAX_NAME_BYTES},
    log::{Held, SnapshotLog, SnapshotVersion},
    serves::Serves,
    step::{self, StepMessage},
};

/// What a session accepts from its agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// Entries of `Subscribe.held`, over all messages.
    pub max_held: usize,
    /// Encoded bytes of `Subscribe.node`.
    pub max_node_bytes: usize,
    /// Bytes of the text of a rejection; what is longer is cut.
    pub max_error_bytes: usize,
    /// Rejections whose text is kept; further ones are kept by name and version.
    pub max_errors: usize,
    /// Acknowledgements of other steps than the one in flight, over the stream's life.
    pub max_stale_acks: u32,
    /// Bytes of a message of a step.
    pub max_chunk_bytes: usize,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            max_held: 200_000,
            max_node_bytes: 2 << 10,
            max_error_bytes: 1024,
            max_errors: 1_000,
            max_stale_acks: 1_000,
            max_chunk_bytes: novaedge_proto::MAX_MESSAGE_BYTES,
        }
    }
}

/// Why a stream is closed. The agent may come back with a new one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// A message with no known content.
    #[error("a message holds no subscribe, no ack and no drain")]
    EmptyMessage,
    /// An ack came first.
    #[error("an ack came before the subscription")]
    AckBeforeSubscribe,
    /// The end was announced first.
    #[error("a drain came before the subscription")]
    DrainBeforeSubscribe,
    /// A subscribe came after the subscription was complete.
    #[error("a second subscribe came on the stream")]
    SecondSubscribe,
    /// The first subscribe names no node.
    #[error("subscribe.node.id is empty: give the name of the pod or host")]
    NoNode,
    /// The node description is too large.
    #[error("subscribe.node has {0} bytes, more than the limit of {1}")]
    NodeTooLarge(usize, usize),
    /// The agent holds more resources than a snapshot may have.
    #[error("subscribe.held has more than {0} entries, which is the limit")]
    TooManyHeld(usize),
    /// No resource has such a long name.
    #[error("subscribe.held has a name of {0} bytes, more than the limit of {MAX_NAME_BYTES}")]
    HeldNameTooLong(usize),
    /// The agent answers steps that nobody asked about.
    #[error("more than {0} acks of steps that are not in flight")]
    TooManyStaleAcks(u32),
    /// The snapshot that the agent holds has left the log while a step was in flight.
    #[error("the log does not reach back to sequence {0}: subscribe again with what is held")]
    LogTruncated(u64),
}

/// What a message of the agent meant.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    /// A part of a subscription or of an ack; the rest is to come.
    Part,
    /// The subscription is complete.
    Subscribed(v1::Node),
    /// The step in flight is in force at the agent, but for the resources that
    /// [`Session::rejected`] shows.
    Acknowledged {
        /// The version that the agent has now.
        version: SnapshotVersion,
        /// How many resources of the step were rejected.
        rejected: usize,
        /// How many texts of rejections were cut or left out.
        texts_cut: usize,
    },
    /// An ack of another step than the one in flight; it changes nothing.
    Stale,
    /// The agent is about to end.
    Draining,
}

/// A step to send.
#[derive(Debug)]
pub struct Step {
    /// The snapshot that it leads to.
    pub version: SnapshotVersion,
    /// Its messages, in order; never empty.
    pub messages: Vec<StepMessage>,
}

/// The state of one stream.
#[derive(Debug)]
pub struct Session {
    limits: SessionLimits,
    state: State,
    nonces: u64,
    stale_acks: u32,
    acknowledged: Option<SnapshotVersion>,
    serves: Arc<Serves>,
    rejected: BTreeMap<Arc<str>, Rejection>,
    rejections: u64,
}

#[derive(Debug)]
enum State {
    Subscribing(Subscription),
    /// Nothing is in flight.
    Idle(Base),
    Waiting(InFlight),
}

#[derive(Debug, Default)]
struct Subscription {
    node: Option<v1::Node>,
    digest: Option<SnapshotDigest>,
    held: Held,
}

/// What the next step starts from.
#[derive(Debug)]
enum Base {
    Subscribed {
        digest: Option<SnapshotDigest>,
        held: Held,
    },
    Sequence(u64),
}

#[derive(Debug)]
struct InFlight {
    nonce: Arc<str>,
    version: SnapshotVersion,
    /// Sorted by name.
    upserts: Vec<Arc<EncodedResource>>,
    removed: Vec<Arc<str>>,
    serves: Arc<Serves>,
    rejected: BTreeMap<Arc<str>, (ContentVersion, String)>,
    /// Texts that were cut.
    texts_cut: usize,
}

#[derive(Debug)]
struct Rejection {
    order: u64,
    version: ContentVersion,
    error: String,
}

impl Session {
    /// A session that waits for its subscription.
    pub fn new(limits: SessionLimits) -> Self {
        Self {
            limits,
            state: State::Subscribing(Subscription::default()),
            nonces: 0,
            stale_acks: 0,
            acknowledged: None,
            serves: Arc::default(),
            rejected: BTreeMap::new(),
            rejections: 0,
        }
    }

    /// Takes a message of the agent. After an error the session is of no use any more.
    pub fn receive(&mut self, message: v1::AgentMessage) -> Result<Received, SessionError> {
        match message.message.ok_or(SessionError::EmptyMessage)? {
            v1::agent_message::Message::Subscribe(subscribe) => self.subscribe(subscribe),
            v1::agent_message::Message::Ack(ack) => self.acknowledge(ack),
            v1::agent_message::Message::Drain(v1::Drain {}) if self.is_subscribed() => {
                Ok(Received::Draining)
            }
            v1::agent_message::Message::Drain(v1::Drain {}) => {
                Err(SessionError::DrainBeforeSubscribe)
            }
        }
    }

    /// The next step, if the agent is ready for one and does not have the newest snapshot. The first
    /// step after the subscription always comes, empty when nothing differs, so that the agent knows
    /// that it is up to date. Before the first snapshot there is no step: an agent must not take a
    /// control plane that is still starting for an empty configuration.
    pub fn next_step(&mut self, log: &SnapshotLog) -> Result<Option<Step>, SessionError> {
        let State::Idle(base) = &self.state else {
            return Ok(None);
        };
        let newest = log.version().sequence;
        let delta = match base {
            _ if newest == 0 => return Ok(None),
            Base::Sequence(sequence) if *sequence == newest => return Ok(None),
            Base::Sequence(sequence) => log
                .delta_since(*sequence)
                .ok_or(SessionError::LogTruncated(*sequence))?,
            Base::Subscribed { digest, held } => digest
                .and_then(|digest| log.sequence_of(digest))
                .and_then(|sequence| log.delta_since(sequence))
                .unwrap_or_else(|| log.delta_from(held)),
        };
        self.nonces += 1;
        let nonce: Arc<str> = self.nonces.to_string().into();
        let messages = step::chunk(&nonce, &delta, self.limits.max_chunk_bytes);
        let version = delta.version;
        self.state = State::Waiting(InFlight {
            nonce,
            version,
            upserts: delta.upserts,
            removed: delta.removed,
            serves: Arc::clone(log.serves()),
            rejected: BTreeMap::new(),
            texts_cut: 0,
        });
        Ok(Some(Step { version, messages }))
    }

    /// The version that the agent has acknowledged on this stream.
    pub fn acknowledged(&self) -> Option<SnapshotVersion> {
        self.acknowledged
    }

    /// The Gateways that the agent serves by what it acknowledged on this stream.
    pub fn serves(&self) -> &Arc<Serves> {
        &self.serves
    }

    /// The version of the step in flight.
    pub fn in_flight(&self) -> Option<SnapshotVersion> {
        match &self.state {
            State::Waiting(step) => Some(step.version),
            State::Subscribing(_) | State::Idle(_) => None,
        }
    }

    /// Whether the subscription is complete.
    pub fn is_subscribed(&self) -> bool {
        !matches!(self.state, State::Subscribing(_))
    }

    /// The resources that the agent refuses now, oldest rejection first.
    pub fn rejected(&self) -> Vec<v1::RejectedResource> {
        let mut rejected: Vec<_> = self.rejected.iter().collect();
        rejected.sort_by_key(|(_, rejection)| rejection.order);
        let to_wire = |(name, rejection): (&Arc<str>, &Rejection)| v1::RejectedResource {
            name: name.to_string(),
            version: rejection.version.to_string(),
            error: rejection.error.clone(),
        };
        rejected.into_iter().map(to_wire).collect()
    }

    fn subscribe(&mut self, subscribe: v1::Subscribe) -> Result<Received, SessionError> {
        let State::Subscribing(subscription) = &mut self.state else {
            return Err(SessionError::SecondSubscribe);
        };
        if subscription.node.is_none() {
            let node = subscribe.node.unwrap_or_default();
            if node.id.is_empty() {
                return Err(SessionError::NoNode);
            }
            let size = node.encoded_len();
            if size > self.limits.max_node_bytes {
                return Err(SessionError::NodeTooLarge(size, self.limits.max_node_bytes));
            }
            subscription.node = Some(node);
            subscription.digest = SnapshotDigest::parse(&subscribe.digest);
        }
        if subscription.held.len() + subscribe.held.len() > self.limits.max_held {
            return Err(SessionError::TooManyHeld(self.limits.max_held));
        }
        if let Some(long) = subscribe
            .held
            .iter()
            .find(|r| r.name.len() > MAX_NAME_BYTES)
        {
            return Err(SessionError::HeldNameTooLong(long.name.len()));
        }
        let held = subscribe.held.into_iter();
        subscription
            .held
            .extend(held.map(|r| (r.name, ContentVersion::parse(&r.version))));
        if subscribe.more {
            return Ok(Received::Part);
        }
        let Subscription { node, digest, held } = std::mem::take(subscription);
        self.state = State::Idle(Base::Subscribed { digest, held });
        Ok(Received::Subscribed(node.unwrap_or_default()))
    }

    fn acknowledge(&mut self, ack: v1::Ack) -> Result<Received, SessionError> {
        let step = match &mut self.state {
            State::Subscribing(_) => return Err(SessionError::AckBeforeSubscribe),
            State::Waiting(step) if *step.nonce == *ack.nonce => step,
            State::Waiting(_) | State::Idle(_) => {
                self.stale_acks += 1;
                if self.stale_acks > self.limits.max_stale_acks {
                    return Err(SessionError::TooManyStaleAcks(self.limits.max_stale_acks));
                }
                return Ok(Received::Stale);
            }
        };
        for rejected in ack.rejected {
            step.reject(rejected, &self.limits);
        }
        if ack.more {
            return Ok(Received::Part);
        }
        let version = step.version;
        let serves = Arc::clone(&step.serves);
        for name in &step.removed {
            self.rejected.remove(name);
        }
        for resource in &step.upserts {
            self.rejected.remove(resource.name());
        }
        let rejected = step.rejected.len();
        let mut texts_cut = std::mem::take(&mut step.texts_cut);
        for (name, (version, error)) in std::mem::take(&mut step.rejected) {
            let keeps_text = self.rejected.len() < self.limits.max_errors;
            texts_cut += usize::from(!keeps_text);
            let rejection = Rejection {
                order: self.rejections,
                version,
                error: if keeps_text { error } else { OMITTED.into() },
            };
            self.rejections += 1;
            self.rejected.insert(name, rejection);
        }
        self.serves = serves.but_for(self.rejected.keys().map(|name| &**name), &self.serves);
        self.acknowledged = Some(version);
        self.state = State::Idle(Base::Sequence(version.sequence));
        Ok(Received::Acknowledged {
            version,
            rejected,
            texts_cut,
        })
    }
}

/// The text of a rejection beyond `max_errors`.
const OMITTED: &str = "omitted: too many rejections, see the agent's log";

impl InFlight {
    /// Notes a rejection of a resource of this step; others are none of the agent's business.
    fn reject(&mut self, rejected: v1::RejectedResource, limits: &SessionLimits) {
        let name = rejected.name.as_str();
        let Ok(index) = self.upserts.binary_search_by(|r| (**r.name()).cmp(name)) else {
            return;
        };
        let Some(resource) = self.upserts.get(index) else {
            return;
        };
        let mut error = rejected.error;
        if error.len() > limits.max_error_bytes {
            error.truncate(error.floor_char_boundary(limits.max_error_bytes));
            error.push('…');
            self.texts_cut += 1;
        }
        if self.rejected.len() >= limits.max_errors {
            error = String::new();
        }
        let name = Arc::clone(resource.name());
        self.rejected.insert(name, (resource.version(), error));
    }
}

#[cfg(test)]
mod tests;
