//! CPU per request of the agent beside nginx and HAProxy (Debian packages), same jobs, one run.
//!
//! The proxy under test has core 0 to itself; the load generator (wrk) and the origin (nginx) share
//! core 1. Rounds are interleaved, so that a noisy minute hits all alike; medians are reported.
//! Needs at least 2 cores. Traffic stays on loopback.

mod jobs;
mod origin;
mod peers;
mod results;

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Context as _;
use clap::Parser;
use novaedge_bench::traffic::free_address;

use jobs::{JOBS, Job};
use peers::{Bench, PEERS, Peer};
use results::{Sample, publish};

/// Compares the agent with its peers.
#[derive(Parser)]
struct Args {
    /// Folder for the report and the plots.
    #[arg(long, default_value = "docs/benchmarks")]
    out: PathBuf,
    /// Folder of our binaries (release build).
    #[arg(long, default_value = "target/release")]
    binaries: PathBuf,
    /// Seconds per measurement.
    #[arg(long, default_value_t = 2)]
    seconds: u32,
    /// Rounds over all peers and jobs.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only jobs whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
}

/// Where everybody listens.
pub struct Ports {
    /// Cleartext HTTP of the proxy under test.
    pub http: SocketAddr,
    /// HTTPS of the proxy under test.
    pub https: SocketAddr,
    /// The TCP listener of the proxy under test.
    pub tcp: SocketAddr,
    /// The origin.
    pub origin: SocketAddr,
    /// Our control plane.
    pub grpc: SocketAddr,
    /// Our agent's admin endpoint.
    pub admin: SocketAddr,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    origin::require(&["nginx", "haproxy", "wrk", "taskset"])?;
    let folder = tempfile::tempdir().context("a temporary folder")?;
    let ports = ports()?;
    origin::certificate(folder.path())?;
    let _origin = origin::start(folder.path(), &ports)?;
    let bench = Bench {
        folder: folder.path(),
        ports: &ports,
        binaries: &args.binaries,
    };
    let jobs: Vec<&Job> = JOBS
        .iter()
        .filter(|job| job.name.contains(&args.only))
        .collect();
    let mut samples = vec![vec![Vec::new(); PEERS.len()]; jobs.len()];
    for round in 1..=args.rounds {
        for (row, job) in samples.iter_mut().zip(&jobs) {
            for (cell, peer) in row.iter_mut().zip(&PEERS) {
                if !peer.serves(job.via) {
                    continue;
                }
                let sample = measure(peer, job, &bench, args.seconds)
                    .with_context(|| format!("{} on {}", job.name, peer.name))?;
                tell(round, job.name, peer.name, sample);
                cell.push(sample);
            }
        }
    }
    publish(&args.out, &jobs, &samples, (args.rounds, args.seconds))
}

/// Ports that are free now: one run does not disturb another, nor a system that runs here.
fn ports() -> anyhow::Result<Ports> {
    Ok(Ports {
        http: free_address()?,
        https: free_address()?,
        tcp: free_address()?,
        origin: free_address()?,
        grpc: free_address()?,
        admin: free_address()?,
    })
}

fn measure(peer: &Peer, job: &Job, bench: &Bench<'_>, seconds: u32) -> anyhow::Result<Sample> {
    let mut running = peer.start(bench, job.routes)?;
    let proxy = &mut running.proxy;
    proxy.wait_for(bench.ports.http)?;
    jobs::settle(job, bench.ports)?;
    let idle_mib = jobs::mebibytes(proxy.memory()?);
    // Warms pools and branch predictors; not counted.
    jobs::load(job, bench.ports, 1, proxy)?;
    let before = proxy.cpu()?;
    let load = jobs::load(job, bench.ports, seconds, proxy)?;
    let used = proxy.cpu()?.saturating_sub(before);
    #[allow(clippy::cast_precision_loss)]
    let requests = load.requests as f64;
    Ok(Sample {
        cpu_us: used.as_secs_f64() * 1e6 / requests,
        rate: requests / f64::from(seconds),
        p50_ms: load.p50_ms,
        p99_ms: load.p99_ms,
        idle_mib,
        loaded_mib: load.memory_mib,
        errors: load.errors,
    })
}

#[allow(clippy::print_stderr)]
fn tell(round: usize, job: &str, peer: &str, sample: Sample) {
    eprintln!(
        "round {round} | {job:<36} | {peer:<8} | {:8.1} µs/request | {:7.0}/s | p99 {:7.2} ms | {:4.0} MiB | {} errors",
        sample.cpu_us, sample.rate, sample.p99_ms, sample.loaded_mib, sample.errors
    );
}
