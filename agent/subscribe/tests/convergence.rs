//! Both pure ends against each other: whatever happens, an agent holds a published snapshot, and the
//! newest one in the end.
#![allow(clippy::unwrap_used)] // a harness may panic

use std::collections::BTreeMap;

use novaedge_proto::v1;
use novaedge_publish::{
    LogLimits,
    encoded::EncodedResource,
    log::SnapshotLog,
    session::{Received, Session, SessionError, SessionLimits},
    step::StepMessage,
};
use novaedge_subscribe::{
    Upsert,
    answer::answer,
    holdings::Holdings,
    staging::{self, Staging},
};
use proptest::prelude::*;
use prost::Message as _;

const REPLICAS: usize = 2;

#[derive(Debug, Clone)]
enum Action {
    /// Publishes on both replicas; a `None` removes.
    Publish(Vec<(u8, Option<u8>)>),
    /// Publishes on the replicas at different times: the second lags by this update.
    Lag(u8, u8),
    /// Lets the agent take one message.
    Deliver,
    /// Breaks the connection; the next is to this replica.
    Connect(usize),
    /// The agent forgets what it held (a restart without a disk).
    Forget,
}

fn action() -> impl Strategy<Value = Action> {
    let change = (0..12_u8, proptest::option::weighted(0.7, 0..4_u8));
    prop_oneof![
        4 => proptest::collection::vec(change, 1..5).prop_map(Action::Publish),
        1 => (0..12_u8, 0..4_u8).prop_map(|(name, content)| Action::Lag(name, content)),
        12 => Just(Action::Deliver),
        2 => (0..REPLICAS).prop_map(Action::Connect),
        1 => Just(Action::Forget),
    ]
}

/// Content 3 is refused by the agent, whatever the name.
const REFUSED: u8 = 3;

type Content = BTreeMap<String, u8>;

fn name(n: u8) -> String {
    format!("route/{n}")
}

fn resource(n: u8, content: u8) -> EncodedResource {
    let route = v1::Route {
        rule_index: u32::from(content),
        rule_name: "x".repeat(40),
        ..v1::Route::default()
    };
    let resource = v1::Resource {
        body: Some(v1::resource::Body::Route(route)),
        ..v1::Resource::default()
    };
    EncodedResource::encode(&name(n), resource).unwrap()
}

fn content(resource: &v1::Resource) -> u8 {
    match &resource.body {
        Some(v1::resource::Body::Route(route)) => u8::try_from(route.rule_index).unwrap(),
        _ => panic!("no route"),
    }
}

struct World {
    logs: Vec<SnapshotLog>,
    published: Vec<Content>,
    history: Vec<Content>,
    replica: usize,
    session: Session,
    unsent: Vec<StepMessage>,
    agent: Agent,
}

struct Agent {
    holdings: Holdings,
    staging: Staging,
    tables: Content,
    /// What the agent was sent and refused, by name, since it subscribed.
    refused: Content,
    /// Sends of a resource that the agent had in force in the same version already.
    needless: usize,
}

fn limits() -> (LogLimits, SessionLimits) {
    let log = LogLimits {
        max_steps: 4,
        ..LogLimits::default()
    };
    let session = SessionLimits {
        max_chunk_bytes: 400,
        ..SessionLimits::default()
    };
    (log, session)
}

impl World {
    fn new() -> Self {
        let (log, session) = limits();
        let mut world = Self {
            logs: (0..REPLICAS).map(|_| SnapshotLog::new(log)).collect(),
            published: vec![Content::new(); REPLICAS],
            history: Vec::new(),
            replica: 0,
            session: Session::new(session),
            unsent: Vec::new(),
            agent: Agent {
                holdings: Holdings::default(),
                staging: Staging::new(1 << 20),
                tables: Content::new(),
                refused: Content::new(),
                needless: 0,
            },
        };
        world.connect(0);
        world
    }

    fn publish(&mut self, replica: usize, changes: &[(u8, Option<u8>)]) {
        let mut last = BTreeMap::new();
        last.extend(changes.iter().copied());
        let upserts = last.iter().filter_map(|(n, c)| Some(resource(*n, (*c)?)));
        let removed = last.iter().filter(|(_, c)| c.is_none());
        let removed: Vec<_> = removed.map(|(n, _)| name(*n)).collect();
        self.logs[replica].apply(upserts.collect(), &removed);
        for (n, content) in last {
            match content {
                Some(content) => self.published[replica].insert(name(n), content),
                None => self.published[replica].remove(&name(n)),
            };
        }
        self.history.push(self.published[replica].clone());
    }

    fn connect(&mut self, replica: usize) {
        self.replica = replica;
        self.session = Session::new(limits().1);
        self.unsent.clear();
        self.agent.staging = Staging::new(1 << 20);
        self.agent.refused.clear();
        let node = v1::Node {
            id: "a".into(),
            ..v1::Node::default()
        };
        for message in self.agent.holdings.subscribe(&node) {
            self.session.receive(message).unwrap();
        }
    }

    /// Lets the agent take one message. Returns false when there is none.
    fn deliver(&mut self) -> bool {
        if self.unsent.is_empty() {
            match self.session.next_step(&self.logs[self.replica]) {
                Ok(Some(step)) => self.unsent = step.messages,
                Ok(None) => return false,
                Err(SessionError::LogTruncated(_)) => {
                    self.connect(self.replica);
                    return true;
                }
                Err(error) => panic!("{error}"),
            }
        }
        let mut bytes = Vec::new();
        self.unsent.remove(0).encode(&mut bytes);
        let message = staging::StepMessage::decode(bytes.as_slice()).unwrap();
        let Some(staged) = self.agent.staging.accept(message).unwrap() else {
            return true;
        };
        assert!(self.unsent.is_empty());
        let checked = self.agent.holdings.check(&staged).unwrap();
        let rejected = self
            .agent
            .apply(&staged.upserts, &staged.removed, checked.is_full());
        self.agent
            .holdings
            .commit(checked, |name| rejected.iter().any(|r| r.name == name));
        self.agent.check(&self.history);
        for message in answer(&staged.nonce, &staged.version, &rejected) {
            let received = self.session.receive(message).unwrap();
            assert!(matches!(received, Received::Acknowledged { .. }));
        }
        let reported: Vec<_> = self
            .session
            .rejected()
            .into_iter()
            .map(|r| r.name)
            .collect();
        assert_eq!(reported.len(), self.agent.refused.len());
        assert!(
            reported
                .iter()
                .all(|name| self.agent.refused.contains_key(name))
        );
        true
    }
}

impl Agent {
    fn apply(
        &mut self,
        upserts: &[Upsert],
        removed: &[String],
        full: bool,
    ) -> Vec<v1::RejectedResource> {
        let before = self.tables.clone();
        if full {
            self.tables.clear();
            self.refused.clear();
        }
        for name in removed {
            self.tables.remove(name);
            self.refused.remove(name);
        }
        let mut rejected = Vec::new();
        for resource in upserts.iter().map(Upsert::resource) {
            let (name, content) = (resource.name.clone(), content(&resource));
            let was_refused = self.refused.remove(&name).is_some();
            if !full && !was_refused && before.get(&name) == Some(&content) {
                self.needless += 1;
            }
            if content == REFUSED {
                rejected.push(v1::RejectedResource {
                    name: name.clone(),
                    version: resource.version.clone(),
                    error: "refused".into(),
                });
                if let Some(old) = before.get(&name) {
                    self.tables.insert(name.clone(), *old);
                }
                self.refused.insert(name, content);
            } else {
                self.tables.insert(name, content);
            }
        }
        rejected
    }

    /// What is in force, with what is refused in its place, was published as a whole at some time.
    fn check(&self, history: &[Content]) {
        let mut whole = self.tables.clone();
        whole.extend(self.refused.clone());
        assert!(history.contains(&whole), "{whole:?} was never published");
        let held: Vec<_> = self.holdings.held().map(|(name, _)| name).collect();
        assert_eq!(held, self.tables.keys().collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn an_agent_holds_a_published_snapshot_and_the_newest_in_the_end(
        actions in proptest::collection::vec(action(), 1..120)
    ) {
        let mut world = World::new();
        for action in actions {
            match action {
                Action::Publish(changes) => {
                    for replica in 0..REPLICAS {
                        world.publish(replica, &changes);
                    }
                }
                Action::Lag(n, content) => world.publish(0, &[(n, Some(content))]),
                Action::Deliver => {
                    world.deliver();
                }
                Action::Connect(replica) => world.connect(replica),
                Action::Forget => {
                    world.agent.holdings = Holdings::default();
                    world.agent.tables.clear();
                    world.connect(world.replica);
                }
            }
        }
        world.publish(world.replica, &[(0, Some(1))]);
        for _ in 0..1_000 {
            if !world.deliver() {
                break;
            }
        }
        let mut whole = world.agent.tables.clone();
        whole.extend(world.agent.refused.clone());
        prop_assert_eq!(&whole, &world.published[world.replica]);
        let version = world.logs[world.replica].version();
        prop_assert_eq!(world.session.acknowledged(), Some(version));
        prop_assert_eq!(world.agent.needless, 0, "nothing is sent twice without need");
    }
}
