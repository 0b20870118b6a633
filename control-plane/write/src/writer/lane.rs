//! What goes first: a Gateway's status must not wait behind those of its thousand routes.

use std::time::Duration;

use novaedge_api::meta::Kind;

use crate::{
    book::Work,
    schedule::{Schedule, Window},
};

/// Statuses that many routes change are written when it is quiet for a moment, or often enough.
const SUMMARY: Window = Window {
    quiet: Duration::from_millis(100),
    longest: Duration::from_millis(500),
};
const SINGLE: Window = Window {
    quiet: Duration::from_millis(20),
    longest: Duration::from_millis(100),
};

/// Three schedules, of which the first with something due goes first.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    summaries: Schedule<Work>,
    statuses: Schedule<Work>,
    natives: Schedule<Work>,
}

impl Lanes {
    /// The schedule of a work.
    pub(super) fn of(&mut self, work: &Work) -> &mut Schedule<Work> {
        match work {
            Work::Status(_) if is_summary(work) => &mut self.summaries,
            Work::Status(_) => &mut self.statuses,
            Work::Native(_) => &mut self.natives,
        }
    }

    pub(super) fn pop(&mut self, now: Duration) -> Option<Work> {
        self.summaries
            .pop(now)
            .or_else(|| self.statuses.pop(now))
            .or_else(|| self.natives.pop(now))
    }

    pub(super) fn next_due(&self) -> Option<Duration> {
        let all = [&self.summaries, &self.statuses, &self.natives];
        all.into_iter().filter_map(Schedule::next_due).min()
    }

    pub(super) fn len(&self) -> usize {
        self.summaries.len() + self.statuses.len() + self.natives.len()
    }
}

/// How long the changes of a work are gathered.
pub(super) fn window(work: &Work) -> Window {
    if is_summary(work) { SUMMARY } else { SINGLE }
}

/// Whether it is a status that many objects change.
fn is_summary(work: &Work) -> bool {
    let is = |kind| matches!(kind, Kind::GatewayClass | Kind::Gateway | Kind::ListenerSet);
    matches!(work, Work::Status(id) if is(id.kind))
}
