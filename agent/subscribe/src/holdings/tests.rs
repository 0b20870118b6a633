use super::*;
use crate::upsert::Upsert;

/// A made-up version per content number.
fn version(content: u64) -> ContentVersion {
    ContentVersion::of_encoded_body(&content.to_le_bytes())
}

fn step(upserts: &[(&str, u64)], removed: &[&str], snapshot: &[(&str, u64)]) -> Staged {
    let mut digest = SnapshotDigest::EMPTY;
    for (name, content) in snapshot {
        digest.add(name, &version(*content).to_string());
    }
    let upserts = upserts
        .iter()
        .map(|(name, content)| upsert(name, version(*content).to_string()));
    Staged {
        nonce: "1".into(),
        version: v1::Version {
            sequence: 1,
            digest: digest.to_string(),
        },
        upserts: upserts.collect(),
        removed: removed.iter().map(ToString::to_string).collect(),
        age: None,
    }
}

fn upsert(name: &str, version: String) -> Upsert {
    Upsert::from(&v1::Resource {
        name: name.into(),
        version,
        body: None,
    })
}

fn take(holdings: &mut Holdings, step: &Staged, rejected: &[&str]) {
    let checked = holdings.check(step).unwrap();
    holdings.commit(checked, |name| rejected.contains(&name));
}

fn subscribe(holdings: &mut Holdings) -> (String, Vec<(String, String)>) {
    let mut digest = String::new();
    let mut held = Vec::new();
    let messages = holdings.subscribe(&v1::Node::default());
    let last = messages.len() - 1;
    for (n, message) in messages.into_iter().enumerate() {
        assert!(message.encoded_len() <= MAX_MESSAGE_BYTES + 16);
        let Some(Message::Subscribe(part)) = message.message else {
            panic!("no subscribe");
        };
        assert_eq!(part.node.is_some(), n == 0);
        assert_eq!(part.more, n < last);
        digest.push_str(&part.digest);
        held.extend(part.held.into_iter().map(|r| (r.name, r.version)));
    }
    (digest, held)
}

fn held(holdings: &Holdings) -> Vec<(&str, ContentVersion)> {
    holdings.held().collect()
}

#[test]
fn a_first_start_holds_nothing_and_takes_everything() {
    let mut holdings = Holdings::default();
    assert_eq!(subscribe(&mut holdings), (String::new(), Vec::new()));
    let whole = [("a", 1), ("b", 1)];
    let first = step(&whole, &[], &whole);
    assert!(holdings.check(&first).unwrap().is_full());
    take(&mut holdings, &first, &[]);
    let next = step(&[("b", 2)], &["a"], &[("b", 2)]);
    assert!(!holdings.check(&next).unwrap().is_full());
    take(&mut holdings, &next, &[]);
    let (digest, entries) = subscribe(&mut holdings);
    assert_eq!(digest, next.version.digest);
    assert_eq!(entries, [("b".into(), version(2).to_string())]);
}

#[test]
fn an_empty_snapshot_is_not_nothing() {
    let mut holdings = Holdings::default();
    subscribe(&mut holdings);
    take(&mut holdings, &step(&[], &[], &[]), &[]);
    assert_eq!(subscribe(&mut holdings).0, "0".repeat(64));
}

#[test]
fn a_refused_resource_is_held_in_its_last_good_version() {
    let mut holdings = Holdings::default();
    subscribe(&mut holdings);
    take(&mut holdings, &step(&[("a", 1)], &[], &[("a", 1)]), &[]);
    let snapshot = [("a", 2), ("b", 1)];
    take(&mut holdings, &step(&snapshot, &[], &snapshot), &["a", "b"]);
    assert_eq!(held(&holdings), [("a", version(1))]);
    let snapshot = [("a", 2), ("b", 1), ("c", 1)];
    take(&mut holdings, &step(&[("c", 1)], &[], &snapshot), &[]);
    let (digest, entries) = subscribe(&mut holdings);
    assert_eq!(entries.len(), 2, "b was never in force");
    assert_eq!(digest, step(&[], &[], &[("a", 1), ("c", 1)]).version.digest);
    let snapshot = [("a", 2), ("b", 1), ("c", 1)];
    let again = step(&[("a", 2), ("b", 1)], &[], &snapshot);
    take(&mut holdings, &again, &[]);
    assert_eq!(held(&holdings)[0], ("a", version(2)));
}

#[test]
fn a_refused_resource_that_goes_takes_its_last_good_one_along() {
    let mut holdings = Holdings::default();
    subscribe(&mut holdings);
    take(&mut holdings, &step(&[("a", 1)], &[], &[("a", 1)]), &[]);
    take(&mut holdings, &step(&[("a", 2)], &[], &[("a", 2)]), &["a"]);
    take(&mut holdings, &step(&[], &["a"], &[]), &[]);
    assert_eq!(held(&holdings), []);
}

#[test]
fn a_step_that_does_not_add_up_is_refused() {
    let mut holdings = Holdings::default();
    subscribe(&mut holdings);
    take(&mut holdings, &step(&[("a", 1)], &[], &[("a", 1)]), &[]);
    let lost = step(&[("c", 1)], &[], &[("a", 1), ("b", 1), ("c", 1)]);
    let twice = step(&[("c", 1), ("c", 1)], &[], &[("a", 1), ("c", 1)]);
    for wrong in [lost, twice] {
        let error = holdings.check(&wrong).unwrap_err();
        assert!(matches!(error, HoldingsError::WrongDigest { .. }));
    }
    let mut junk = step(&[("c", 1)], &[], &[("a", 1), ("c", 1)]);
    junk.upserts[0] = upsert("c", "junk".into());
    let error = holdings.check(&junk).unwrap_err();
    assert!(error.to_string().contains(r#""c" with version "junk""#));
}

#[test]
fn after_a_disagreement_everything_comes_again() {
    let mut holdings = Holdings::default();
    subscribe(&mut holdings);
    let snapshot = [("a", 1), ("b", 1)];
    take(&mut holdings, &step(&snapshot, &[], &snapshot), &[]);
    holdings.distrust();
    assert_eq!(subscribe(&mut holdings), (String::new(), Vec::new()));
    let snapshot = [("b", 2), ("c", 1)];
    let whole = step(&snapshot, &[], &snapshot);
    assert!(holdings.check(&whole).unwrap().is_full());
    take(&mut holdings, &whole, &["b"]);
    assert_eq!(held(&holdings), [("b", version(1)), ("c", version(1))]);
    assert_ne!(subscribe(&mut holdings).0, "");
}

#[test]
fn a_large_subscription_comes_in_parts() {
    let mut holdings = Holdings::default();
    holdings.restore((0..30_000).map(|n| (format!("route/{n:06}"), version(n))));
    let (digest, entries) = subscribe(&mut holdings);
    assert_eq!(entries.len(), 30_000);
    assert_eq!(digest.len(), 64);
    assert!(holdings.subscribe(&v1::Node::default()).len() > 1);
}
