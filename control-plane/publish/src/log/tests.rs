use super::*;

fn resource(name: &str, content: u64) -> EncodedResource {
    crate::testing::resource(name, content)
}

/// Upserts (name and content) and removals.
type Update<'a> = (&'a [(&'a str, u64)], &'a [&'a str]);

fn log(limits: LogLimits, updates: &[Update<'_>]) -> SnapshotLog {
    let mut log = SnapshotLog::new(limits);
    for (upserts, removed) in updates {
        let upserts = upserts.iter().map(|(n, c)| resource(n, *c)).collect();
        let removed: Vec<_> = removed.iter().map(ToString::to_string).collect();
        log.apply(upserts, &removed);
    }
    log
}

fn names(delta: &Delta) -> (Vec<&str>, Vec<&str>) {
    let upserts = delta.upserts.iter().map(|r| &**r.name()).collect();
    (upserts, delta.removed.iter().map(|n| &**n).collect())
}

#[test]
fn the_first_update_publishes_even_when_empty() {
    let mut log = SnapshotLog::new(LogLimits::default());
    assert_eq!(log.version().to_wire(), v1::Version::default());
    let first = log.apply(Vec::new(), &[]).version.unwrap();
    assert_eq!(first.sequence, 1);
    assert_eq!(first.to_wire().digest, "0".repeat(64));
    assert_eq!(log.apply(Vec::new(), &[]), Applied::default());
}

#[test]
fn what_does_not_change_makes_no_step() {
    let mut log = log(LogLimits::default(), &[(&[("a", 1), ("b", 1)], &[])]);
    let again = log.apply(vec![resource("a", 1)], &["c".into()]);
    assert_eq!(again, Applied::default());
    let replaced = log.apply(vec![resource("a", 1)], &["a".into()]);
    assert_eq!(replaced, Applied::default(), "removed and put back");
    assert_eq!(log.version().sequence, 1);
}

#[test]
fn the_digest_depends_on_the_content_alone() {
    let short = log(LogLimits::default(), &[(&[("a", 2), ("c", 1)], &[])]);
    let long = log(
        LogLimits::default(),
        &[
            (&[("c", 1)], &[]),
            (&[("a", 1), ("b", 1)], &[]),
            (&[("a", 2)], &["b"]),
        ],
    );
    assert_eq!(short.version().digest, long.version().digest);
    assert_eq!(long.version().sequence, 3);
}

#[test]
fn a_delta_holds_what_differs_in_the_end() {
    let log = log(
        LogLimits::default(),
        &[
            (&[("back", 1), ("gone", 1), ("same", 1), ("new", 0)], &[]),
            (&[("back", 2), ("flash", 1)], &[]),
            (&[("back", 1), ("new", 1)], &["flash", "gone"]),
        ],
    );
    assert_eq!(
        names(&log.delta_since(1).unwrap()),
        (vec!["new"], vec!["gone"])
    );
    assert_eq!(
        names(&log.delta_since(2).unwrap()),
        (vec!["back", "new"], vec!["flash", "gone"])
    );
    assert_eq!(names(&log.delta_since(3).unwrap()), (vec![], vec![]));
    assert_eq!(log.delta_since(4), None, "from the future");
    assert_eq!(
        names(&log.delta_since(0).unwrap()),
        (vec!["back", "new", "same"], vec![])
    );
}

#[test]
fn a_delta_from_what_is_held_compares_everything() {
    let log = log(
        LogLimits::default(),
        &[(&[("a", 1), ("b", 2), ("c", 1)], &[])],
    );
    let held = Held::from([
        ("a".into(), Some(resource("a", 1).version())),
        ("b".into(), Some(resource("b", 1).version())),
        ("c".into(), None),
        ("d".into(), None),
    ]);
    assert_eq!(names(&log.delta_from(&held)), (vec!["b", "c"], vec!["d"]));
}

#[test]
fn the_log_is_bounded_by_steps() {
    let limits = LogLimits {
        max_steps: 2,
        ..LogLimits::default()
    };
    let updates: &[(&[_], &[_])] = &[
        (&[("a", 1)], &[]),
        (&[("a", 2)], &[]),
        (&[("a", 3)], &[]),
        (&[("a", 4)], &[]),
    ];
    let log = log(limits, updates);
    assert_eq!(log.dropped_steps(), 2);
    assert_eq!(log.delta_since(1), None);
    assert_eq!(names(&log.delta_since(2).unwrap()), (vec!["a"], vec![]));
}

#[test]
fn the_log_is_bounded_by_names() {
    let limits = LogLimits {
        max_names: 3,
        ..LogLimits::default()
    };
    let log = log(
        limits,
        &[
            (&[("a", 1)], &[]),
            (&[("b", 1), ("c", 1), ("d", 1), ("e", 1)], &[]),
        ],
    );
    assert_eq!(log.delta_since(0), None);
    assert!(log.delta_since(1).is_some(), "the newest step stays");
}

#[test]
fn the_log_of_what_is_gone_is_short() {
    let mut log = SnapshotLog::new(LogLimits::default());
    for part in 0..4 {
        let resources = (0..FEW).map(|n| resource(&format!("{part}-{n}"), 1));
        log.apply(resources.collect(), &[]);
    }
    assert!(log.delta_since(0).is_some(), "as many changes as resources");
    for part in 0..4 {
        let names: Vec<String> = (0..FEW).map(|n| format!("{part}-{n}")).collect();
        log.apply(Vec::new(), &names);
    }
    assert_eq!(log.names, FEW);
    assert_eq!(log.delta_since(6), None);
    assert_eq!(log.delta_since(7).unwrap().removed.len(), FEW);
}

#[test]
fn a_digest_leads_to_the_newest_snapshot_that_has_it() {
    let log = log(
        LogLimits::default(),
        &[
            (&[("a", 1)], &[]),
            (&[("a", 2)], &[]),
            (&[("a", 1)], &[]),
            (&[("b", 1)], &[]),
        ],
    );
    let mut digest = SnapshotDigest::EMPTY;
    digest.add("a", &resource("a", 1).version().to_string());
    assert_eq!(log.sequence_of(digest), Some(3));
    assert_eq!(log.sequence_of(log.version().digest), Some(4));
    digest.add("x", "1");
    assert_eq!(log.sequence_of(digest), None);
}

#[test]
fn a_full_snapshot_refuses_one_more_and_goes_on() {
    let limits = LogLimits {
        max_resources: 2,
        ..LogLimits::default()
    };
    let mut log = log(limits, &[(&[("a", 1), ("b", 1)], &[])]);
    let applied = log.apply(vec![resource("c", 1), resource("a", 2)], &[]);
    assert_eq!(applied.version.unwrap().sequence, 2);
    assert_eq!(
        applied.refused[0].to_string(),
        "resource c: the snapshot holds 2 resources already, which is the limit (max_resources)"
    );
    let applied = log.apply(vec![resource("c", 1)], &["b".into()]);
    assert!(applied.refused.is_empty(), "removals come first");
}
