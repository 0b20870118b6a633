//! What the workers tell: the access log and traces.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use novaedge_access_log::{Lines, OpenError, Reopen, Writer};
use novaedge_proxy::{Observers, Taps};
use novaedge_telemetry::Tracer;

use crate::config::Telemetry;

/// Where the access log and the spans of a worker come from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observing {
    lines: Option<Lines>,
    tracer: Option<Tracer>,
    taps: Taps,
}

/// What both have counted beside the workers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    /// Lines of the access log that could not be written.
    pub(crate) lost: Option<Arc<AtomicU64>>,
    /// Spans.
    pub(crate) spans: Option<Arc<novaedge_telemetry::Counters>>,
}

impl Observing {
    /// Opens the access log, if there is one: its writer needs a thread.
    pub(crate) fn open(
        telemetry: &Telemetry,
        reopen: Reopen,
    ) -> Result<(Self, Option<Writer>), OpenError> {
        let log = telemetry.access_log.clone();
        let opened = log.map(|log| novaedge_access_log::open(log, reopen));
        let (lines, writer) = opened.transpose()?.unzip();
        let tracer = telemetry.tracer.clone();
        let observing = Self {
            lines,
            tracer,
            taps: Taps::default(),
        };
        Ok((observing, writer))
    }

    /// Who wants to see requests.
    pub(crate) fn taps(&self) -> &Taps {
        &self.taps
    }

    pub(crate) fn observed(&self) -> Observed {
        Observed {
            lost: self.lines.as_ref().map(Lines::lost),
            spans: self.tracer.as_ref().map(|one| Arc::clone(one.counters())),
        }
    }

    /// The observers of one worker.
    pub(crate) fn observers(self, counters: &Arc<novaedge_access_log::Counters>) -> Observers {
        let sink = |lines: Lines| Rc::new(lines.sink(Arc::clone(counters)));
        Observers {
            log: self.lines.map(sink),
            tracer: self.tracer,
            taps: self.taps,
        }
    }
}
