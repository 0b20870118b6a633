use std::collections::BTreeSet;

use novaedge_api::meta::{Kind, ObjectId};

use super::{Answer, Narrow, Verdict};

fn gateway(name: &str) -> ObjectId {
    ObjectId::new(Kind::Gateway, "n", name)
}

fn secret(name: &str) -> ObjectId {
    ObjectId::new(Kind::Secret, "n", name)
}

fn refer(narrow: &mut Narrow, referrer: &str, targets: &[&str]) -> Vec<ObjectId> {
    let targets: BTreeSet<_> = targets.iter().map(|name| secret(name)).collect();
    narrow.refer(&gateway(referrer), targets)
}

fn due(narrow: &mut Narrow) -> Vec<ObjectId> {
    std::iter::from_fn(|| narrow.next()).collect()
}

/// Everything due is found at a version.
fn find(narrow: &mut Narrow, version: &str) {
    for id in due(narrow) {
        narrow.answer(&id, Answer::Found(version));
    }
}

#[test]
fn only_what_is_referred_to_is_asked_for_and_once() {
    let mut narrow = Narrow::default();
    narrow.has_version(secret("a"), "1");
    narrow.has_version(secret("b"), "1");
    assert!(due(&mut narrow).is_empty());
    refer(&mut narrow, "g", &["a"]);
    refer(&mut narrow, "h", &["a"]);
    assert_eq!(due(&mut narrow), [secret("a")]);
    assert!(due(&mut narrow).is_empty());
    assert!(!narrow.is_settled(&gateway("h")));
    assert_eq!(narrow.unsettled().count(), 1);
    assert_eq!(
        narrow.answer(&secret("a"), Answer::Found("1")),
        Verdict::Give
    );
    assert!(narrow.is_settled(&gateway("h")) && narrow.unsettled().count() == 0);
    assert_eq!(narrow.referrers(&secret("a")), [gateway("g"), gateway("h")]);
}

#[test]
fn a_new_version_is_asked_for_and_a_known_one_is_not() {
    let mut narrow = Narrow::default();
    refer(&mut narrow, "g", &["a"]);
    find(&mut narrow, "5");
    // The metadata comes behind what was read already.
    narrow.has_version(secret("a"), "4");
    narrow.has_version(secret("a"), "5");
    assert!(due(&mut narrow).is_empty());
    narrow.has_version(secret("a"), "6");
    assert_eq!(due(&mut narrow), [secret("a")]);
    assert_eq!(
        narrow.answer(&secret("a"), Answer::Found("6")),
        Verdict::Give
    );
}

#[test]
fn a_cluster_that_was_restored_has_earlier_versions() {
    let mut narrow = Narrow::default();
    refer(&mut narrow, "g", &["a"]);
    find(&mut narrow, "5");
    narrow.is_listed(secret("a"), "5");
    assert!(due(&mut narrow).is_empty());
    narrow.is_listed(secret("a"), "3");
    assert_eq!(due(&mut narrow), [secret("a")]);
}

#[test]
fn a_version_that_comes_during_a_request_is_asked_for_unless_the_answer_has_it() {
    let check = |answer, again: &[ObjectId]| {
        let mut narrow = Narrow::default();
        refer(&mut narrow, "g", &["a"]);
        assert_eq!(due(&mut narrow), [secret("a")]);
        narrow.has_version(secret("a"), "7");
        assert!(due(&mut narrow).is_empty());
        narrow.answer(&secret("a"), answer);
        assert_eq!(due(&mut narrow), again, "{answer:?}");
    };
    check(Answer::Found("6"), &[secret("a")]);
    check(Answer::Found("7"), &[]);
    check(Answer::Missing, &[secret("a")]);
}

#[test]
fn what_nobody_refers_to_any_more_is_forgotten() {
    let mut narrow = Narrow::default();
    refer(&mut narrow, "g", &["a", "b"]);
    refer(&mut narrow, "h", &["b"]);
    find(&mut narrow, "1");
    assert_eq!(refer(&mut narrow, "g", &[]), [secret("a")]);
    assert_eq!(refer(&mut narrow, "h", &[]), [secret("b")]);
    assert_eq!(
        narrow.answer(&secret("b"), Answer::Found("2")),
        Verdict::Nothing
    );
    assert!(narrow.targets.is_empty() && narrow.referrers.is_empty());
}

#[test]
fn deletions_are_told_once_and_the_next_object_of_the_name_is_read() {
    let mut narrow = Narrow::default();
    refer(&mut narrow, "g", &["a"]);
    find(&mut narrow, "5");
    narrow.has_version(secret("a"), "5");
    assert!(narrow.is_gone(&secret("a"), Some("6")));
    assert!(!narrow.is_gone(&secret("a"), Some("6")));
    narrow.has_version(secret("a"), "7");
    find(&mut narrow, "7");
    // A deletion of the object before it.
    assert!(!narrow.is_gone(&secret("a"), Some("6")));
    assert!(narrow.is_gone(&secret("a"), None));
}

#[test]
fn an_answer_that_fails_keeps_what_there_was() {
    let mut narrow = Narrow::default();
    refer(&mut narrow, "g", &["a"]);
    assert_eq!(due(&mut narrow), [secret("a")]);
    assert_eq!(
        narrow.answer(&secret("a"), Answer::Failed),
        Verdict::Nothing
    );
    assert!(!narrow.is_settled(&gateway("g")));
    narrow.retry(&secret("a"));
    assert_eq!(due(&mut narrow), [secret("a")]);
    assert_eq!(
        narrow.answer(&secret("a"), Answer::Refused),
        Verdict::Nothing
    );
    assert!(narrow.is_settled(&gateway("g")));
    narrow.retry(&secret("a"));
    find(&mut narrow, "1");
    narrow.has_version(secret("a"), "2");
    assert_eq!(due(&mut narrow), [secret("a")]);
    assert_eq!(
        narrow.answer(&secret("a"), Answer::Missing),
        Verdict::TakeBack
    );
    narrow.retry(&secret("unknown"));
    assert!(due(&mut narrow).is_empty());
}
