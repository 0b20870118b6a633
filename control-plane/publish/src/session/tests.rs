use super::*;
use crate::{LogLimits, testing::resource};

fn session() -> Session {
    Session::new(SessionLimits::default())
}

fn log(updates: &[&[(&str, u64)]]) -> SnapshotLog {
    let mut log = SnapshotLog::new(LogLimits::default());
    for update in updates {
        publish(&mut log, update);
    }
    log
}

fn publish(log: &mut SnapshotLog, upserts: &[(&str, u64)]) {
    log.apply(upserts.iter().map(|(n, c)| resource(n, *c)).collect(), &[]);
}

fn subscribe(digest: &str, held: &[(&str, u64)]) -> v1::AgentMessage {
    let held = held.iter().map(|(name, content)| v1::ResourceVersion {
        name: (*name).into(),
        version: resource(name, *content).version().to_string(),
    });
    subscription(v1::Subscribe {
        node: Some(v1::Node {
            id: "agent-0".into(),
            ..v1::Node::default()
        }),
        digest: digest.into(),
        held: held.collect(),
        more: false,
    })
}

fn subscription(subscribe: v1::Subscribe) -> v1::AgentMessage {
    v1::AgentMessage {
        message: Some(v1::agent_message::Message::Subscribe(subscribe)),
    }
}

fn ack(nonce: &str, rejected: &[(&str, &str)]) -> v1::AgentMessage {
    let rejected = rejected.iter().map(|(name, error)| v1::RejectedResource {
        name: (*name).into(),
        version: String::new(),
        error: (*error).into(),
    });
    acknowledgement(v1::Ack {
        nonce: nonce.into(),
        rejected: rejected.collect(),
        ..v1::Ack::default()
    })
}

fn acknowledgement(ack: v1::Ack) -> v1::AgentMessage {
    v1::AgentMessage {
        message: Some(v1::agent_message::Message::Ack(ack)),
    }
}

/// The nonce of a step, and the names that it sends and removes.
type Sent = (String, Vec<String>, Vec<String>);

fn step(session: &mut Session, log: &SnapshotLog) -> Option<Sent> {
    let step = session.next_step(log).unwrap()?;
    let upserts = step.messages.iter().flat_map(|m| &m.upserts);
    let removed = step.messages.iter().flat_map(|m| &m.removed);
    Some((
        step.messages[0].nonce.to_string(),
        upserts.map(|r| r.name().to_string()).collect(),
        removed.map(ToString::to_string).collect(),
    ))
}

fn expect(nonce: &str, upserts: &[&str]) -> Option<Sent> {
    let upserts: Vec<_> = upserts.iter().map(ToString::to_string).collect();
    [(nonce.into(), upserts, Vec::new())].into_iter().next()
}

fn rejected(session: &Session) -> Vec<(String, String)> {
    let rejected = session.rejected().into_iter();
    rejected.map(|r| (r.name, r.error)).collect()
}

#[test]
fn steps_and_acks_alternate() {
    let mut log = log(&[&[("a", 1), ("b", 1)]]);
    let mut session = session();
    assert_eq!(step(&mut session, &log), None, "not subscribed yet");
    session.receive(subscribe("", &[])).unwrap();
    assert_eq!(step(&mut session, &log), expect("1", &["a", "b"]));
    publish(&mut log, &[("a", 2)]);
    publish(&mut log, &[("a", 3), ("c", 1)]);
    assert_eq!(step(&mut session, &log), None, "one step at a time");
    session.receive(ack("1", &[])).unwrap();
    assert_eq!(session.acknowledged().unwrap().sequence, 1);
    assert_eq!(step(&mut session, &log), expect("2", &["a", "c"]), "merged");
    session.receive(ack("2", &[])).unwrap();
    assert_eq!(step(&mut session, &log), None, "up to date");
}

#[test]
fn a_control_plane_that_starts_sends_nothing() {
    let mut log = log(&[]);
    let mut session = session();
    session.receive(subscribe("", &[("a", 1)])).unwrap();
    assert_eq!(step(&mut session, &log), None);
    publish(&mut log, &[("a", 1), ("b", 1)]);
    assert_eq!(step(&mut session, &log), expect("1", &["b"]));
}

#[test]
fn a_known_digest_is_resumed_without_a_look_at_what_is_held() {
    let mut log = log(&[&[("a", 1), ("b", 1)]]);
    let digest = log.version().digest.to_string();
    let mut same = session();
    same.receive(subscribe(&digest, &[])).unwrap();
    assert_eq!(step(&mut same, &log), expect("1", &[]), "says: up to date");
    publish(&mut log, &[("a", 2)]);
    let mut older = session();
    older.receive(subscribe(&digest, &[])).unwrap();
    assert_eq!(step(&mut older, &log), expect("1", &["a"]));
}

#[test]
fn an_unknown_digest_is_resumed_from_what_is_held() {
    let log = log(&[&[("a", 1), ("b", 2)]]);
    for digest in ["", "junk", &"ab".repeat(32)] {
        let mut session = session();
        let message = subscribe(digest, &[("a", 1), ("b", 1), ("c", 1)]);
        session.receive(message).unwrap();
        let (_, upserts, removed) = step(&mut session, &log).unwrap();
        assert_eq!((upserts, removed), (vec!["b".into()], vec!["c".into()]));
    }
}

#[test]
fn a_subscription_comes_in_parts() {
    let log = log(&[&[("a", 1), ("b", 1), ("c", 1)]]);
    let mut session = session();
    let part = |held: &[(&str, u64)], more| {
        let Some(v1::agent_message::Message::Subscribe(mut part)) = subscribe("", held).message
        else {
            unreachable!()
        };
        part.more = more;
        subscription(part)
    };
    assert_eq!(session.receive(part(&[("a", 1)], true)), Ok(Received::Part));
    assert_eq!(step(&mut session, &log), None);
    let whole = session.receive(part(&[("b", 1)], false)).unwrap();
    assert!(matches!(whole, Received::Subscribed(node) if node.id == "agent-0"));
    assert_eq!(step(&mut session, &log), expect("1", &["c"]));
}

#[test]
fn a_rejection_stays_until_the_resource_changes() {
    let mut log = log(&[&[("a", 1), ("b", 1)]]);
    let mut session = session();
    session.receive(subscribe("", &[])).unwrap();
    step(&mut session, &log);
    let nack = ack("1", &[("b", "bad regex"), ("not in the step", "x")]);
    let received = session.receive(nack).unwrap();
    assert!(matches!(
        received,
        Received::Acknowledged { rejected: 1, .. }
    ));
    assert_eq!(rejected(&session), [("b".into(), "bad regex".into())]);
    assert_eq!(
        session.rejected()[0].version,
        resource("b", 1).version().to_string()
    );
    publish(&mut log, &[("c", 1)]);
    assert_eq!(step(&mut session, &log), expect("2", &["c"]), "b not again");
    session.receive(ack("2", &[("c", "bad port")])).unwrap();
    assert_eq!(rejected(&session)[1].0, "c", "oldest first");
    publish(&mut log, &[("b", 2)]);
    assert_eq!(step(&mut session, &log), expect("3", &["b"]));
    session.receive(ack("3", &[])).unwrap();
    assert_eq!(rejected(&session), [("c".into(), "bad port".into())]);
    log.apply(Vec::new(), &["c".into()]);
    step(&mut session, &log);
    session.receive(ack("4", &[])).unwrap();
    assert_eq!(rejected(&session), []);
}

#[test]
fn an_ack_comes_in_parts() {
    let log = log(&[&[("a", 1), ("b", 1)]]);
    let mut session = session();
    session.receive(subscribe("", &[])).unwrap();
    step(&mut session, &log);
    let Some(v1::agent_message::Message::Ack(mut part)) = ack("1", &[("a", "x")]).message else {
        unreachable!()
    };
    part.more = true;
    assert_eq!(session.receive(acknowledgement(part)), Ok(Received::Part));
    assert!(session.in_flight().is_some());
    session.receive(ack("1", &[("b", "y")])).unwrap();
    assert_eq!(rejected(&session).len(), 2);
}

#[test]
fn acks_of_other_steps_change_nothing() {
    let log = log(&[&[("a", 1)]]);
    let mut session = session();
    session.receive(subscribe("", &[])).unwrap();
    assert_eq!(session.receive(ack("1", &[])), Ok(Received::Stale));
    step(&mut session, &log);
    for nonce in ["0", "2", ""] {
        assert_eq!(session.receive(ack(nonce, &[])), Ok(Received::Stale));
    }
    assert_eq!(session.acknowledged(), None);
    session.receive(ack("1", &[])).unwrap();
    assert_eq!(session.receive(ack("1", &[])), Ok(Received::Stale));
    for _ in 0..995 {
        session.receive(ack("1", &[])).unwrap();
    }
    let error = session.receive(ack("1", &[])).unwrap_err();
    assert_eq!(error, SessionError::TooManyStaleAcks(1_000));
}

#[test]
fn long_errors_are_cut() {
    let limits = SessionLimits {
        max_error_bytes: 4,
        max_errors: 1,
        ..SessionLimits::default()
    };
    let log = log(&[&[("a", 1), ("b", 1)]]);
    let mut session = Session::new(limits);
    session.receive(subscribe("", &[])).unwrap();
    step(&mut session, &log);
    let received = session.receive(ack("1", &[("a", "äöü"), ("b", "x")]));
    assert!(
        matches!(received, Ok(Received::Acknowledged { texts_cut: 2, .. })),
        "{received:?}"
    );
    assert_eq!(
        rejected(&session),
        [("a".into(), "äö…".into()), ("b".into(), OMITTED.into())]
    );
}

#[test]
fn breaches_of_the_protocol_are_named() {
    let limits = SessionLimits {
        max_held: 1,
        max_node_bytes: 20,
        ..SessionLimits::default()
    };
    let mut long_node = v1::Subscribe {
        node: Some(v1::Node {
            id: "n".repeat(30),
            ..v1::Node::default()
        }),
        ..v1::Subscribe::default()
    };
    let check = |message, expected: &str| {
        let error = Session::new(limits).receive(message).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    check(
        v1::AgentMessage::default(),
        "no subscribe, no ack and no drain",
    );
    check(ack("1", &[]), "before the subscription");
    check(subscription(v1::Subscribe::default()), "node.id is empty");
    check(subscription(long_node.clone()), "more than the limit of 20");
    check(subscribe("", &[("a", 1), ("b", 1)]), "more than 1 entries");
    long_node.node.get_or_insert_default().id.truncate(1);
    long_node.held = vec![v1::ResourceVersion {
        name: "n".repeat(2_000),
        version: String::new(),
    }];
    check(subscription(long_node), "name of 2000 bytes");
    let mut session = session();
    session.receive(subscribe("", &[])).unwrap();
    let error = session.receive(subscribe("", &[])).unwrap_err();
    assert_eq!(error, SessionError::SecondSubscribe);
}

#[test]
fn a_session_that_the_log_has_overtaken_subscribes_again() {
    let mut log = SnapshotLog::new(LogLimits {
        max_steps: 2,
        ..LogLimits::default()
    });
    publish(&mut log, &[("a", 1)]);
    let mut session = session();
    session.receive(subscribe("", &[])).unwrap();
    step(&mut session, &log);
    for content in 2..5 {
        publish(&mut log, &[("a", content)]);
    }
    session.receive(ack("1", &[])).unwrap();
    let error = session.next_step(&log).unwrap_err();
    assert_eq!(error, SessionError::LogTruncated(1));
}
