//! The access log and traces, beside what the workers count of them.

use std::sync::atomic::Ordering;

use novaedge_meter::{Description, Exposition};
use novaedge_telemetry::Counters;

use super::{Metric, NONE, singles};
use crate::observing::Observed;

const LOST: Description = Description::counter(
    "novaedge_access_log_lost_lines",
    NONE,
    "Lines of the access log that could not be written",
);

static SPANS: [Metric<Counters>; 3] = [
    (
        Description::counter(
            "novaedge_trace_sent_spans",
            NONE,
            "Spans that the collector has taken",
        ),
        Counters::sent,
    ),
    (
        Description::counter(
            "novaedge_trace_dropped_spans",
            NONE,
            "Spans dropped because too many waited for the collector",
        ),
        Counters::dropped,
    ),
    (
        Description::counter(
            "novaedge_trace_failed_spans",
            NONE,
            "Spans that the collector did not take",
        ),
        Counters::failed,
    ),
];

pub(super) fn descriptions() -> impl Iterator<Item = Description> {
    [LOST]
        .into_iter()
        .chain(SPANS.iter().map(|(what, _)| *what))
}

impl Observed {
    pub(super) fn expose(&self, all: &mut Exposition) {
        if let Some(lost) = &self.lost {
            all.single(&LOST, lost.load(Ordering::Relaxed));
        }
        if let Some(spans) = &self.spans {
            singles(all, &SPANS, &**spans);
        }
    }
}
