//! The page, its data and its plot.

use std::path::Path;

use novaedge_bench::{
    plot::{Series, bars},
    report::{Report, Table},
};

use crate::{
    churn::Sample,
    job::{Finding, Setup},
};

/// Groups of bars in the plot.
const GROUPS: usize = 12;

/// Writes `soak.md`, `soak.csv` and, if there was a churn, `soak-churn.csv` and `soak.svg`.
pub fn publish(out: &Path, setup: &Setup, findings: &[Finding]) -> anyhow::Result<()> {
    let kept = findings.iter().filter(|one| one.broken.is_empty()).count();
    let finding = format!("{kept} of {} promises are kept.", findings.len());
    let title = "What stays whole over time";
    let mut report = Report::new(out, "soak", title, &finding);
    report.paragraph(&format!(
        "Control plane and agent are the real programs, with their defaults, on a folder of manifests; clients and origins are one process.\n\
         All share the cores of the machine, so latencies are not those of a machine that only serves.\n\
         Counts: {}.",
        setup.scale.words()
    ));
    report.table(&promises(findings));
    for finding in findings {
        report.paragraph(&format!("## {}", finding.name));
        report.paragraph(finding.promise);
        if !finding.broken.is_empty() {
            report.paragraph(&finding.broken.join("\n"));
        }
        report.table(&figures(finding));
    }
    for finding in findings.iter().filter(|one| !one.samples.is_empty()) {
        report.plot("", "memory under churn", &plot(&finding.samples))?;
        report.data("-churn", &samples(&finding.samples))?;
    }
    report.data("", &all_figures(findings))?;
    report.finish()
}

fn promises(findings: &[Finding]) -> Table {
    let mut table = Table::new(["job", "promise", "kept"]);
    for finding in findings {
        table.row([finding.name, finding.promise, finding.verdict()]);
    }
    table
}

fn figures(finding: &Finding) -> Table {
    let mut table = Table::new(["figure", "value"]);
    for (name, value) in &finding.figures {
        table.row([name, value]);
    }
    table
}

fn all_figures(findings: &[Finding]) -> Table {
    let mut table = Table::new(["job", "figure", "value"]);
    for finding in findings {
        table.row([finding.name, "kept", finding.verdict()]);
        for (name, value) in &finding.figures {
            table.row([finding.name, name, value]);
        }
    }
    table
}

fn samples(samples: &[Sample]) -> Table {
    let mut table = Table::new(["s", "MiB", "files", "threads", "p50 ms", "p99 ms", "load"]);
    for sample in samples {
        table.row([
            format!("{:.0}", sample.seconds),
            format!("{:.2}", sample.mebibytes),
            format!("{}", sample.files),
            format!("{}", sample.threads),
            format!("{:.3}", sample.latency.p50),
            format!("{:.3}", sample.latency.p99),
            format!("{:.2}", sample.load),
        ]);
    }
    table
}

/// Memory over time, some samples a bar.
#[allow(clippy::cast_precision_loss)]
fn plot(samples: &[Sample]) -> String {
    let size = samples.len().div_ceil(GROUPS).max(1);
    let groups = || samples.chunks(size);
    let mean =
        |group: &[Sample]| group.iter().map(|one| one.mebibytes).sum::<f64>() / group.len() as f64;
    let labels: Vec<String> = groups()
        .filter_map(|group| group.first())
        .map(|sample| format!("{:.0} s", sample.seconds))
        .collect();
    let series = [Series {
        name: "resident memory of the agent".to_owned(),
        values: groups().map(mean).collect(),
    }];
    bars("Memory under churn", "MiB", &labels, &series)
}
