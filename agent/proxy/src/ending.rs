//! The end of a request: where it is counted, once, whatever becomes of it.

use std::rc::Rc;
use std::sync::Arc;

use http::StatusCode;
use tokio::time::Instant;

use crate::judge::Found;
use crate::metrics::{ListenerMetrics, RuleMetrics};
use crate::reason::Reason;
use crate::worker::Worker;

/// The counters of one rule on one listener, as a worker keeps them.
pub(crate) struct Series {
    listener: Arc<ListenerMetrics>,
    rule: Arc<RuleMetrics>,
}

/// A request under way. It is counted when this goes; unless somebody said how the answer ended before, its client has
/// gone.
pub(crate) struct Ending {
    series: Rc<Series>,
    started: Instant,
    /// `None`: there is no answer yet.
    status: Option<StatusCode>,
    how: How,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// All of it was passed on.
    Complete,
    /// The client did not wait for the end.
    ClientGone,
    /// It broke off on the side of the backend.
    BackendGone,
}

// === impl Series ===

impl Series {
    pub(crate) fn new(worker: &Worker, found: Found<'_>) -> Self {
        let listener = found.listener.map(|listener| &listener.info);
        let rule = found.rule.map(|rule| &**rule);
        Self {
            listener: worker.metrics.listener(listener),
            rule: worker.metrics.rule(listener, rule),
        }
    }
}

// === impl Ending ===

impl Ending {
    /// A request that has come.
    pub(crate) fn begin(worker: &Worker, started: Instant) -> Self {
        let series = worker.nobody();
        series.listener.active.increment();
        Self {
            series,
            started,
            status: None,
            how: How::ClientGone,
        }
    }

    /// It is known who serves it.
    pub(crate) fn found(&mut self, worker: &Worker, found: &Found<'_>) {
        let series = worker.series(found);
        self.series.listener.active.decrement();
        series.listener.active.increment();
        self.series = series;
    }

    /// The gateway answers itself.
    pub(crate) fn refused(&self, reason: Reason) {
        self.series.listener.own_answer(reason);
    }

    /// There is an answer to pass on.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// The answer has ended.
    pub(crate) fn end(mut self, how: How) {
        self.how = how;
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let Series { listener, rule, .. } = &*self.series;
        listener.active.decrement();
        rule.durations.observe(self.started.elapsed());
        if let Some(status) = self.status {
            rule.answered(status);
        }
        match self.how {
            How::Complete => {}
            How::ClientGone => listener.aborted_by_client.increment(),
            How::BackendGone => listener.aborted_by_backend.increment(),
        }
    }
}
