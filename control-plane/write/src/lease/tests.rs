use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn wall(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("in range")
}

fn candidate(name: &str) -> Election {
    Election::new(name.to_owned(), Timings::default())
}

/// A server that takes every write at once.
#[derive(Default)]
struct Server {
    record: Option<Record>,
    version: u32,
}

impl Server {
    /// One attempt of a candidate at `now`; whether it leads then.
    fn attempt(&mut self, candidate: &mut Election, now: Duration, wall_clock: i64) -> bool {
        candidate.see(self.record.clone(), now);
        match candidate.step(now, wall(wall_clock)) {
            Step::Create(spec) | Step::Replace(spec, _) => {
                self.version += 1;
                let version = self.version.to_string();
                let record = Record { spec, version };
                self.record = Some(record.clone());
                candidate.wrote(record, now, now);
            }
            Step::Wait => {}
        }
        candidate.leads(now)
    }

    fn transitions(&self) -> Option<i32> {
        self.record.as_ref()?.spec.lease_transitions
    }
}

#[test]
fn the_first_leads_and_the_other_waits_until_nothing_changes_any_more() {
    let (mut server, mut a, mut b) = (Server::default(), candidate("a"), candidate("b"));
    assert!(server.attempt(&mut a, SECOND, 0));
    // The clock of b's machine is a day ahead, and that does not matter.
    let day = 86_400;
    for second in (2..60).step_by(2) {
        let now = SECOND * second;
        assert!(server.attempt(&mut a, now, i64::from(second)));
        assert!(!server.attempt(&mut b, now, day + i64::from(second)));
    }
    // a is gone: its last renewal was seen at 58.
    assert!(!server.attempt(&mut b, SECOND * 72, day + 72));
    assert!(
        !a.leads(SECOND * 68),
        "a gives up before anybody may take over"
    );
    assert!(server.attempt(&mut b, SECOND * 73, day + 73));
    assert_eq!(server.transitions(), Some(1));
    assert!(!server.attempt(&mut a, SECOND * 74, 74));
}

#[test]
fn a_holder_keeps_the_time_of_its_beginning() {
    let (mut server, mut a) = (Server::default(), candidate("a"));
    server.attempt(&mut a, SECOND, 100);
    server.attempt(&mut a, SECOND * 3, 102);
    let spec = server.record.expect("written").spec;
    assert_eq!(spec.acquire_time, Some(MicroTime(wall(100))));
    assert_eq!(spec.renew_time, Some(MicroTime(wall(102))));
    assert_eq!(spec.lease_transitions, Some(0));
    assert_eq!(spec.lease_duration_seconds, Some(15));
}

#[test]
fn what_is_released_is_taken_at_once() {
    let (mut server, mut a, mut b) = (Server::default(), candidate("a"), candidate("b"));
    server.attempt(&mut a, SECOND, 0);
    assert!(!server.attempt(&mut b, SECOND, 0));
    let (spec, version) = a.release(wall(1)).expect("a leads");
    assert!(!a.leads(SECOND), "and leads no more before it is written");
    assert_eq!(a.release(wall(1)), None);
    let version = format!("{version}1");
    server.record = Some(Record { spec, version });
    assert!(server.attempt(&mut b, SECOND * 2, 2));
    assert_eq!(server.transitions(), Some(1));
}

#[test]
fn who_cannot_renew_stops_at_the_deadline() {
    let (mut server, mut a) = (Server::default(), candidate("a"));
    server.attempt(&mut a, SECOND, 0);
    assert_eq!(a.leads_until(), Some(SECOND * 11));
    assert!(a.leads(Duration::from_millis(10_999)) && !a.leads(SECOND * 11));
    a.lose();
    assert!(!a.is_ours());
    // Its own record is still there: it goes on at once.
    assert!(server.attempt(&mut a, SECOND * 12, 12));
    assert_eq!(server.transitions(), Some(0));
}

#[test]
fn a_lease_that_was_deleted_or_taken_is_ours_no_more() {
    let (mut server, mut a) = (Server::default(), candidate("a"));
    server.attempt(&mut a, SECOND, 0);
    a.see(None, SECOND * 2);
    assert!(!a.leads(SECOND * 2));
    assert!(matches!(a.step(SECOND * 2, wall(2)), Step::Create(_)));
    let mut other = server.record.take().expect("written");
    other.spec.holder_identity = Some("b".to_owned());
    a.see(Some(other), SECOND * 3);
    assert!(!a.leads(SECOND * 3));
    assert_eq!(a.step(SECOND * 3, wall(3)), Step::Wait);
}
