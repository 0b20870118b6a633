//! The report.

use std::path::Path;

use novaedge_bench::{
    plot::{Series, bars},
    report::{Report, Table},
    stats::median,
};

use crate::{
    jobs::{Job, LARGE},
    peers::{self, PEERS},
};

/// One measurement.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// CPU of the proxy per request.
    pub cpu_us: f64,
    /// Requests per second.
    pub rate: f64,
    /// Median latency, closed loop.
    pub p50_ms: f64,
    /// 99th percentile of latency, closed loop.
    pub p99_ms: f64,
    /// Memory before the load.
    pub idle_mib: f64,
    /// Memory under the load.
    pub loaded_mib: f64,
    /// Failed requests and connections.
    pub errors: u64,
}

/// The samples of a peer on a job, in all rounds.
type Cell = Vec<Sample>;

/// Writes the report of `samples`, by job, then by peer.
pub fn publish(
    out: &Path,
    jobs: &[&Job],
    samples: &[Vec<Cell>],
    (rounds, seconds): (usize, u32),
) -> anyhow::Result<()> {
    let finding = finding(jobs, samples);
    let title = "Cost per request beside nginx and HAProxy";
    let mut report = Report::new(out, "dataplane", title, &finding);
    report.paragraph(&format!(
        "CPU of the proxy per request in µs (bulk rows: ms per GB), median of {rounds} interleaved rounds of {seconds} s; the last column is the agent's share of the best peer.\n\
         The proxy has one thread on core 0; load (wrk) and origin (nginx) share core 1; answers have 1 KiB.\n\
         Versions: {}.",
        peers::versions()
    ));
    report.table(&costs(jobs, samples));
    for (suffix, unit, is_bulk) in [("", "µs", false), ("-bulk", "ms per GB", true)] {
        let chosen = |job: &&Job| job.is_bulk() == is_bulk;
        if jobs.iter().any(chosen) {
            let what = if is_bulk {
                "CPU per gigabyte"
            } else {
                "CPU per request"
            };
            let svg = plot(what, unit, jobs, samples, is_bulk);
            report.plot(suffix, what, &svg)?;
        }
    }
    report.paragraph(
        "The other figures of the same run.\n\
         wrk is a closed loop: its latencies tell of queueing at full load, not of an idle service.",
    );
    let details = details(jobs, samples);
    report.table(&details);
    report.data("", &details)?;
    report.finish()
}

/// What stands first in the summary.
fn finding(jobs: &[&Job], samples: &[Vec<Cell>]) -> String {
    let ratios: Vec<String> = jobs
        .iter()
        .zip(samples)
        .map(|(job, row)| format!("{} {:.2}", job.short, ratio(job, row)))
        .collect();
    format!(
        "CPU per request as a share of the best peer's: {}.",
        ratios.join(", ")
    )
}

fn costs(jobs: &[&Job], samples: &[Vec<Cell>]) -> Table {
    let names = PEERS.iter().map(|peer| peer.name);
    let mut table = Table::new(["job"].into_iter().chain(names).chain(["share"]));
    for (job, row) in jobs.iter().zip(samples) {
        let mut cells = vec![job.name.to_owned()];
        cells.extend(row.iter().map(|cell| figure(cost(job, cell), 1)));
        cells.push(figure(ratio(job, row), 2));
        table.row(cells);
    }
    table
}

fn details(jobs: &[&Job], samples: &[Vec<Cell>]) -> Table {
    let mut table = Table::new([
        "job",
        "proxy",
        "CPU µs",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "MiB idle",
        "MiB loaded",
        "errors",
    ]);
    for (job, row) in jobs.iter().zip(samples) {
        for (peer, cell) in PEERS.iter().zip(row) {
            let errors: u64 = cell.iter().map(|sample| sample.errors).sum();
            table.row([
                job.name.to_owned(),
                peer.name.to_owned(),
                figure(middle(cell, |s| s.cpu_us), 1),
                figure(middle(cell, |s| s.rate), 0),
                figure(middle(cell, |s| s.p50_ms), 2),
                figure(middle(cell, |s| s.p99_ms), 2),
                figure(middle(cell, |s| s.idle_mib), 0),
                figure(middle(cell, |s| s.loaded_mib), 0),
                errors.to_string(),
            ]);
        }
    }
    table
}

fn plot(title: &str, unit: &str, jobs: &[&Job], samples: &[Vec<Cell>], bulk: bool) -> String {
    let chosen = || {
        let rows = jobs.iter().zip(samples);
        rows.filter(move |(job, _)| job.is_bulk() == bulk)
    };
    let labels: Vec<String> = chosen().map(|(job, _)| job.short.to_owned()).collect();
    let series: Vec<Series> = PEERS
        .iter()
        .enumerate()
        .map(|(at, peer)| Series {
            name: peer.name.to_owned(),
            values: chosen()
                .map(|(job, row)| row.get(at).map_or(f64::NAN, |cell| cost(job, cell)))
                .collect(),
        })
        .collect();
    bars(title, unit, &labels, &series)
}

/// CPU in the unit of the job: µs per request, or ms per GB.
fn cost(job: &Job, cell: &Cell) -> f64 {
    let per_request = middle(cell, |sample| sample.cpu_us);
    if job.is_bulk() {
        per_request / f64::from(LARGE) * 1e9 / 1e3
    } else {
        per_request
    }
}

/// Our cost over that of the best peer.
fn ratio(job: &Job, row: &[Cell]) -> f64 {
    let mut costs = row.iter().map(|cell| cost(job, cell));
    let ours = costs.next().unwrap_or(f64::NAN);
    ours / costs.fold(f64::NAN, f64::min)
}

fn middle(cell: &Cell, of: fn(&Sample) -> f64) -> f64 {
    median(&cell.iter().map(of).collect::<Vec<_>>()).unwrap_or(f64::NAN)
}

fn figure(value: f64, digits: usize) -> String {
    if value.is_finite() {
        format!("{value:.digits$}")
    } else {
        "–".to_owned()
    }
}
