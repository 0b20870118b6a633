//! When to look again at what the API server serves.

use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;

/// Definitions come in bursts.
const BURST: Duration = Duration::from_millis(50);
/// Looks after a definition changed: it is served a moment later.
const FOLLOW_UPS: [Duration; 4] = [
    Duration::from_millis(300),
    Duration::from_millis(700),
    Duration::from_secs(2),
    Duration::from_secs(5),
];
/// How often to look when definitions are watched.
const SELDOM: Duration = Duration::from_mins(1);
/// How often to look when nothing tells of new definitions.
const OFTEN: Duration = Duration::from_secs(10);

/// When the next discovery is due.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// Nothing while one is under way.
    due: Option<Instant>,
    /// Whether something changed since it began.
    again: bool,
    follow_ups: usize,
    backoff: Backoff,
}

impl Schedule {
    /// The first one is due now.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            due: Some(now),
            again: false,
            follow_ups: FOLLOW_UPS.len(),
            backoff: Backoff::default(),
        }
    }

    /// When it is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// One begins.
    pub(crate) fn begin(&mut self) {
        self.due = None;
        self.again = false;
    }

    /// Something is served that was not, or the other way round.
    pub(crate) fn changed(&mut self, now: Instant) {
        self.follow_ups = 0;
        match &mut self.due {
            Some(due) => *due = (*due).min(now + BURST),
            None => self.again = true,
        }
    }

    /// One has found out what is served; `watched` is whether definitions are watched.
    pub(crate) fn succeeded(&mut self, now: Instant, watched: bool) {
        self.backoff.reset();
        let regular = if watched { SELDOM } else { OFTEN };
        let wait = if self.again {
            BURST
        } else if let Some(wait) = FOLLOW_UPS.get(self.follow_ups) {
            self.follow_ups += 1;
            *wait
        } else {
            regular
        };
        self.due = Some(now + wait);
    }

    /// One had no answer.
    pub(crate) fn failed(&mut self, now: Instant) {
        self.backoff.fail();
        self.due = Some(now + self.backoff.take().unwrap_or(BURST));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_looked_at_soon_and_again_until_it_is_served() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now);
        assert_eq!(schedule.due(), Some(now));
        schedule.begin();
        assert_eq!(schedule.due(), None);
        schedule.changed(now);
        schedule.succeeded(now, true);
        assert_eq!(schedule.due(), Some(now + BURST));
        for wait in FOLLOW_UPS.into_iter().chain([SELDOM, SELDOM]) {
            schedule.begin();
            schedule.succeeded(now, true);
            assert_eq!(schedule.due(), Some(now + wait));
        }
        schedule.changed(now);
        assert_eq!(schedule.due(), Some(now + BURST));
    }

    #[test]
    fn without_definitions_it_is_looked_at_often() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now);
        schedule.begin();
        schedule.failed(now);
        assert!(
            schedule
                .due()
                .is_some_and(|due| due > now && due < now + OFTEN)
        );
        schedule.begin();
        schedule.succeeded(now, false);
        assert_eq!(schedule.due(), Some(now + OFTEN));
    }
}
