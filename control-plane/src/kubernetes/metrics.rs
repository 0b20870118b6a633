//! The metrics of a control plane, in the OpenMetrics text format.

use std::{fmt::Write as _, sync::Arc};

use novaedge_publish::Publisher;
use tokio::sync::watch;

use crate::findings::Findings;

/// Where the numbers come from.
pub(super) struct Sources {
    pub publisher: Publisher,
    pub write: Arc<novaedge_write::Metrics>,
    pub findings: watch::Receiver<Findings>,
}

impl Sources {
    /// All metrics.
    pub fn render(&self) -> String {
        let mut text = String::new();
        let counters = self.publisher.metrics().samples();
        for (name, help, value) in counters.into_iter().chain(self.write.samples()) {
            sample(&mut text, name, help, "counter", "_total", value);
        }
        let findings = self.findings.borrow();
        let problems = findings.problems.len() + findings.omitted;
        let gauges = [
            (
                "novaedge_snapshot_sequence",
                "Sequence of the snapshot that is published",
                self.publisher.current().sequence,
            ),
            (
                "novaedge_problems",
                "Findings that somebody should look at",
                u64::try_from(problems).unwrap_or(u64::MAX),
            ),
            (
                "novaedge_write_queued",
                "Objects that wait to be written",
                self.write.queued(),
            ),
            (
                "novaedge_publish_scopes",
                "Sets of namespaces whose agents have snapshots of their own",
                u64::try_from(self.publisher.scopes_served()).unwrap_or(u64::MAX),
            ),
            (
                "novaedge_leading",
                "Whether this replica writes to the API server",
                u64::from(self.write.leading()),
            ),
        ];
        for (name, help, value) in gauges {
            sample(&mut text, name, help, "gauge", "", value);
        }
        text.push_str("# EOF\n");
        text
    }
}

fn sample(text: &mut String, name: &str, help: &str, kind: &str, suffix: &str, value: u64) {
    let written = write!(
        text,
        "# TYPE {name} {kind}\n# HELP {name} {help}.\n{name}{suffix} {value}\n"
    );
    written.expect("writing to a String never fails");
}
