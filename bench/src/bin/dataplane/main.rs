//! CPU per request of the agent beside nginx and HAProxy (Debian packages), same jobs, one run.
//!
//! The proxy under test has core 0 to itself; the load generator (wrk) and the origin (nginx) share
//! core 1. Rounds are interleaved, so that a noisy minute hits all alike; medians are reported.
//! Needs at least 2 cores. Traffic stays on loopback.

mod jobs;
mod peers;

use std::{net::SocketAddr, path::PathBuf, process::Command};

use anyhow::Context as _;
use clap::Parser;
use novaedge_bench::{
    plot::{Series, bars},
    process::Process,
    report::{self, Table},
    stats::median,
};

use jobs::{JOBS, Job};
use peers::{PEERS, Peer};

/// Compares the agent with its peers.
#[derive(Parser)]
struct Args {
    /// Folder for the report and the plot.
    #[arg(long, default_value = "docs/benchmarks")]
    out: PathBuf,
    /// The `novaedge` binary to measure (release build).
    #[arg(long, default_value = "target/release/novaedge")]
    novaedge: PathBuf,
    /// Seconds per measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// Rounds over all peers and jobs.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only jobs whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
}

/// Where the proxies and the origin listen.
pub struct Ports {
    /// Cleartext HTTP of the proxy under test.
    pub http: SocketAddr,
    /// HTTPS of the proxy under test.
    pub https: SocketAddr,
    /// The origin.
    pub origin: SocketAddr,
}

/// One measurement.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    cpu_us: f64,
    rate: f64,
    p99_ms: f64,
    memory_mib: f64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    require(&["nginx", "haproxy", "wrk", "taskset", "openssl"])?;
    anyhow::ensure!(
        args.novaedge.exists(),
        "{} is missing: cargo build --release -p novaedge",
        args.novaedge.display()
    );
    let folder = tempfile::tempdir().context("a temporary folder")?;
    let ports = Ports {
        http: "127.0.0.1:18480".parse()?,
        https: "127.0.0.1:18443".parse()?,
        origin: "127.0.0.1:18090".parse()?,
    };
    peers::certificate(folder.path())?;
    let mut origin = peers::origin(folder.path(), &ports)?;
    origin.wait_for(ports.origin)?;

    let jobs: Vec<&Job> = JOBS
        .iter()
        .filter(|job| job.name.contains(&args.only))
        .collect();
    let mut samples = vec![vec![Vec::new(); PEERS.len()]; jobs.len()];
    for round in 0..args.rounds {
        for (row, job) in samples.iter_mut().zip(&jobs) {
            for (cell, peer) in row.iter_mut().zip(&PEERS) {
                let sample = measure(peer, job, &args, &ports, folder.path())
                    .with_context(|| format!("{} on {}", job.name, peer.name))?;
                eprint_progress(round, job.name, peer.name, sample);
                cell.push(sample);
            }
        }
    }
    publish(&args, &jobs, &samples)
}

fn measure(
    peer: &Peer,
    job: &Job,
    args: &Args,
    ports: &Ports,
    folder: &std::path::Path,
) -> anyhow::Result<Sample> {
    let mut process: Process = (peer.start)(folder, ports, job.routes, &args.novaedge)?;
    process.wait_for(ports.http)?;
    jobs::settle(job, ports)?;
    // Warms pools and branch predictors; not counted.
    jobs::load(job, ports, 1)?;
    let before = process.cpu()?;
    let load = jobs::load(job, ports, args.seconds)?;
    let used = process.cpu()?.saturating_sub(before);
    #[allow(clippy::cast_precision_loss)]
    let sample = Sample {
        cpu_us: used.as_secs_f64() * 1e6 / load.requests as f64,
        rate: load.requests as f64 / f64::from(args.seconds),
        p99_ms: load.p99_ms,
        memory_mib: process.memory()? as f64 / 1024.0 / 1024.0,
    };
    Ok(sample)
}

fn publish(args: &Args, jobs: &[&Job], samples: &[Vec<Vec<Sample>>]) -> anyhow::Result<()> {
    let figure = |cell: &[Sample], of: fn(&Sample) -> f64| {
        median(&cell.iter().map(of).collect::<Vec<_>>()).unwrap_or(f64::NAN)
    };
    let mut body = String::from(
        "CPU of the proxy per request in µs, median of interleaved rounds; the last column is the agent's share of the best peer.\n\n",
    );
    let names = PEERS.iter().map(|peer| peer.name.to_owned());
    let mut table = Table::new(
        ["job".to_owned()]
            .into_iter()
            .chain(names.clone())
            .chain(["ratio".to_owned()]),
    );
    let mut more = Table::new([
        "job",
        "proxy",
        "requests/s",
        "p99 ms (closed loop)",
        "MiB under load",
    ]);
    let mut series: Vec<Series> = PEERS
        .iter()
        .map(|p| Series {
            name: p.name.to_owned(),
            values: Vec::new(),
        })
        .collect();
    for (job, row) in jobs.iter().zip(samples) {
        let cpu: Vec<f64> = row.iter().map(|cell| figure(cell, |s| s.cpu_us)).collect();
        let best = cpu.iter().skip(1).copied().fold(f64::INFINITY, f64::min);
        let ours = cpu.first().copied().unwrap_or(f64::NAN);
        table.row(
            [job.name.to_owned()]
                .into_iter()
                .chain(cpu.iter().map(|v| format!("{v:.1}")))
                .chain([format!("{:.2}", ours / best)]),
        );
        for ((peer, cell), (one, value)) in PEERS.iter().zip(row).zip(series.iter_mut().zip(&cpu)) {
            one.values.push(*value);
            more.row([
                job.name.to_owned(),
                peer.name.to_owned(),
                format!("{:.0}", figure(cell, |s| s.rate)),
                format!("{:.2}", figure(cell, |s| s.p99_ms)),
                format!("{:.0}", figure(cell, |s| s.memory_mib)),
            ]);
        }
    }
    let labels: Vec<String> = jobs.iter().map(|job| job.short.to_owned()).collect();
    let svg = bars("CPU per request", "µs", &labels, &series);
    std::fs::create_dir_all(&args.out)?;
    std::fs::write(args.out.join("dataplane.svg"), svg)?;
    body += &table.markdown();
    body += "\n![CPU per request](dataplane.svg)\n\nThe same run, the other figures.\n`wrk` is a closed loop: its latencies tell of queueing at full load, not of an idle service.\n\n";
    body += &more.markdown();
    body += &format!(
        "\nVersions: {}.\nRounds: {}, {} s each, proxy pinned to core 0, load and origin to core 1.\n",
        peers::versions(),
        args.rounds,
        args.seconds
    );
    report::write(
        &args.out,
        "dataplane",
        "Cost per request beside nginx and HAProxy",
        "bench/run.sh dataplane",
        &body,
    )
}

#[allow(clippy::print_stderr)]
fn eprint_progress(round: usize, job: &str, peer: &str, sample: Sample) {
    eprintln!(
        "round {} | {job:<28} | {peer:<10} | {:7.2} µs/request | {:8.0}/s | p99 {:6.2} ms | {:5.0} MiB",
        round + 1,
        sample.cpu_us,
        sample.rate,
        sample.p99_ms,
        sample.memory_mib
    );
}

fn require(tools: &[&str]) -> anyhow::Result<()> {
    let missing: Vec<&str> = tools
        .iter()
        .copied()
        .filter(|tool| {
            !Command::new("sh")
                .args(["-c", &format!("command -v {tool}")])
                .output()
                .is_ok_and(|o| o.status.success())
        })
        .collect();
    anyhow::ensure!(
        missing.is_empty(),
        "missing: {}; on Debian: apt-get install nginx-light haproxy wrk util-linux openssl",
        missing.join(", ")
    );
    Ok(())
}
