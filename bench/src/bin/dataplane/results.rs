//! The report.

use std::path::Path;

use novaedge_bench::{
    plot::{Series, bars},
    report::{Report, Table},
    stats::median,
};

use crate::{
    jobs::{Aim, Job, LARGE},
    peers::{self, Peer},
    quiet::{self, Quiet},
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

/// All that was measured.
pub struct Run<'a> {
    /// Who took part, ours first.
    pub peers: &'a [&'a Peer],
    /// What was done.
    pub jobs: &'a [&'a Job],
    /// By job, then by peer.
    pub samples: &'a [Vec<Cell>],
    /// By peer; empty where it was not measured.
    pub quiet: &'a [Vec<Quiet>],
    /// Latencies without a proxy.
    pub direct: Option<Quiet>,
    /// Rounds over all.
    pub rounds: usize,
    /// Seconds per measurement.
    pub seconds: u32,
}

/// Writes the report.
pub fn publish(out: &Path, run: &Run<'_>) -> anyhow::Result<()> {
    let (jobs, samples) = (run.jobs, run.samples);
    let title = "Cost per request beside nginx, HAProxy, Envoy and Traefik";
    let mut report = Report::new(out, "dataplane", title, &finding(run));
    report.paragraph(&format!(
        "CPU of the proxy per request in µs (bulk rows: ms per GB), median of {} interleaved rounds (`--rounds`) of {} s.\n\
         The share is the agent's of the best peer; an aim names a peer and the largest share of its cost.\n\
         The proxy has one thread on core 0, and load (wrk, h2load, a client of our own) and origin (nginx) share core 1; where cores are shared, proxy and load have all.\n\
         Answers have 1 KiB; HTTP/2 has 16 connections of 16 streams.\n\
         Versions: {}.",
        run.rounds,
        run.seconds,
        peers::versions()
    ));
    report.table(&costs(run));
    for (suffix, unit, is_bulk) in [("", "µs", false), ("-bulk", "ms per GB", true)] {
        let chosen = |job: &&Job| job.is_bulk() == is_bulk;
        if jobs.iter().any(chosen) {
            let what = if is_bulk {
                "CPU per gigabyte"
            } else {
                "CPU per request"
            };
            let svg = plot(what, unit, run, is_bulk);
            report.plot(suffix, what, &svg)?;
        }
    }
    if let Some(direct) = run.direct {
        report.paragraph(&format!(
            "Latency at {} requests/s over {} connections, each timed from when it was due, and memory of each of {} idle TLS connections.",
            quiet::RATE,
            quiet::CONNECTIONS,
            quiet::IDLE
        ));
        report.table(&without_haste(run, direct));
    }
    report.paragraph(
        "The other figures of the same run.\n\
         These loads are closed loops: their latencies tell of queueing at full load, not of an idle service.",
    );
    let details = details(run.peers, jobs, samples);
    report.table(&details);
    report.data("", &details)?;
    report.finish()
}

/// What stands first in the summary.
fn finding(run: &Run<'_>) -> String {
    let rows = run.jobs.iter().zip(run.samples);
    let aims = rows
        .clone()
        .flat_map(|(job, row)| shares(run.peers, job, row));
    let (met, all) = aims.fold((0, 0), |(met, all), (aim, share)| {
        (met + usize::from(share <= aim.share), all + 1)
    });
    let ratios: Vec<String> = rows
        .map(|(job, row)| format!("{} {:.2}", job.short, ratio(job, row)))
        .collect();
    format!(
        "{met} of {all} aims are met; CPU per request as a share of the best peer's: {}.",
        ratios.join(", ")
    )
}

/// The aims of a job, with the shares that were measured.
fn shares<'a>(
    peers: &'a [&'a Peer],
    job: &'a Job,
    row: &'a [Cell],
) -> impl Iterator<Item = (&'a Aim, f64)> {
    let ours = row.first().map_or(f64::NAN, |cell| cost(job, cell));
    job.aims.iter().filter_map(move |aim| {
        let at = peers.iter().position(|peer| peer.name == aim.peer)?;
        Some((aim, ours / cost(job, row.get(at)?)))
    })
}

fn costs(run: &Run<'_>) -> Table {
    let names = run.peers.iter().map(|peer| peer.name);
    let mut table = Table::new(["job"].into_iter().chain(names).chain(["share", "aim"]));
    for (job, row) in run.jobs.iter().zip(run.samples) {
        let mut cells = vec![job.name.to_owned()];
        cells.extend(row.iter().map(|cell| figure(cost(job, cell), 1)));
        cells.push(figure(ratio(job, row), 2));
        let aims = shares(run.peers, job, row).map(|(aim, share)| {
            let verdict = if share <= aim.share { "met" } else { "not met" };
            format!("≤ {} × {}: {share:.2}, {verdict}", aim.share, aim.peer)
        });
        cells.push(aims.collect::<Vec<_>>().join("; "));
        table.row(cells);
    }
    table
}

fn without_haste(run: &Run<'_>, direct: Quiet) -> Table {
    let mut table = Table::new([
        "proxy",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "errors",
        "KiB per connection",
    ]);
    let none = vec![direct];
    let named = run.peers.iter().map(|peer| peer.name).zip(run.quiet);
    for (name, cell) in named.chain([("none", &none)]) {
        let of = |value: fn(&Quiet) -> f64, digits| {
            let values: Vec<f64> = cell.iter().map(value).collect();
            figure(median(&values).unwrap_or(f64::NAN), digits)
        };
        table.row([
            name.to_owned(),
            of(|seen| seen.p50_ms, 2),
            of(|seen| seen.p99_ms, 2),
            of(|seen| seen.p999_ms, 2),
            cell.iter().map(|seen| seen.errors).sum::<u64>().to_string(),
            of(|seen| seen.idle_kib, 1),
        ]);
    }
    table
}

fn details(peers: &[&Peer], jobs: &[&Job], samples: &[Vec<Cell>]) -> Table {
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
        for (peer, cell) in peers.iter().zip(row) {
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

fn plot(title: &str, unit: &str, run: &Run<'_>, bulk: bool) -> String {
    let chosen = || {
        let rows = run.jobs.iter().zip(run.samples);
        rows.filter(move |(job, _)| job.is_bulk() == bulk)
    };
    let labels: Vec<String> = chosen().map(|(job, _)| job.short.to_owned()).collect();
    let series: Vec<Series> = run
        .peers
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
