use std::thread;
use std::time::SystemTime;

use super::*;
use crate::record::{Record, Termination};
use crate::settings::Chosen;
use crate::sink::Counters;

fn record(reason: Option<&'static str>) -> Record<'static> {
    Record {
        time: SystemTime::UNIX_EPOCH,
        duration: Duration::ZERO,
        peer: ([127, 0, 0, 1], 1).into(),
        client: None,
        gateway: None,
        listener: None,
        rule: None,
        backend: None,
        endpoint: None,
        protocol: "tcp",
        http: None,
        reason,
        failure: None,
        received: 0,
        sent: 0,
        upstream_duration: None,
        tries: 0,
        tls_version: None,
        sni: None,
        trace_id: None,
        termination: Termination::Complete,
    }
}

fn count(path: &Path) -> usize {
    std::fs::read_to_string(path)
        .unwrap_or_default()
        .lines()
        .count()
}

fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn lines_reach_the_file_and_follow_it_when_it_is_moved() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let reopen = Reopen::default();
    let (lines, writer) = open(Settings::new(Target::File(path.clone())), reopen.clone()).unwrap();
    let thread = thread::spawn(|| writer.run());
    let counters = Arc::new(Counters::default());
    let sink = lines.sink(Arc::clone(&counters));
    drop(lines);
    sink.write(Chosen::Yes, &record(None));
    sink.write(Chosen::No, &record(None));
    sink.write(Chosen::IfError, &record(None));
    sink.write(Chosen::IfError, &record(Some("no_route")));
    sink.flush();
    wait_for("two lines", || count(&path) == 2);
    let old = dir.path().join("access.log.1");
    // Found by looking.
    std::fs::rename(&path, &old).unwrap();
    wait_for("the file is made again", || path.exists());
    sink.write(Chosen::Yes, &record(None));
    sink.flush();
    wait_for("the line is in the new file", || count(&path) == 1);
    // Told.
    std::fs::rename(&path, dir.path().join("access.log.2")).unwrap();
    reopen.ask();
    sink.write(Chosen::Yes, &record(None));
    sink.flush();
    wait_for("the line is in the newest file", || count(&path) == 1);
    assert_eq!(count(&old), 2);
    sink.write(Chosen::Yes, &record(None));
    // What waits is handed on at the end.
    drop(sink);
    thread.join().unwrap();
    assert_eq!(count(&path), 2);
    assert_eq!((counters.lines(), counters.dropped()), (5, 0));
}

#[test]
fn what_the_writer_has_no_room_for_is_dropped_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let (lines, writer) =
        open(Settings::new(Target::File(path.clone())), Reopen::default()).unwrap();
    let counters = Arc::new(Counters::default());
    let sink = lines.sink(Arc::clone(&counters));
    let lost = lines.lost();
    drop(lines);
    // Nobody writes yet.
    let all = 100_000;
    for _ in 0..all {
        sink.write(Chosen::Yes, &record(None));
    }
    assert!(counters.dropped() > 0);
    assert_eq!(counters.lines() + counters.dropped(), all);
    let most = u64::try_from((WAITING + 2) * 36 * 1024).unwrap();
    let thread = thread::spawn(|| writer.run());
    wait_for("the writer catches up", || {
        std::fs::metadata(&path).is_ok_and(|file| file.len() > most / 4 * 3)
    });
    wait_for("the sink has room again", || {
        let before = counters.dropped();
        sink.write(Chosen::Yes, &record(None));
        counters.dropped() == before
    });
    drop(sink);
    thread.join().unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() <= most);
    assert_eq!(
        count(&path) as u64 + lost.load(Ordering::Relaxed),
        counters.lines()
    );
}

#[test]
fn a_file_that_cannot_be_opened_is_told_at_the_start() {
    let settings = Settings::new(Target::File("/nowhere/access.log".into()));
    let error = open(settings, Reopen::default()).unwrap_err();
    assert!(error.to_string().contains("/nowhere/access.log"), "{error}");
}

#[test]
fn a_full_disk_loses_lines_and_counts_them() {
    let (lines, writer) = open(
        Settings::new(Target::File("/dev/full".into())),
        Reopen::default(),
    )
    .unwrap();
    let sink = lines.sink(Arc::default());
    let lost = lines.lost();
    drop(lines);
    for _ in 0..3 {
        sink.write(Chosen::Yes, &record(None));
    }
    drop(sink);
    writer.run();
    assert_eq!(lost.load(Ordering::Relaxed), 3);
}
