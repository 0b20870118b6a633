//! What the agent costs beside nginx, HAProxy, Envoy and Traefik: same jobs, one run.
//!
//! The proxy under test has core 0 to itself unless a job says otherwise; the load generators and the origin (nginx) share
//! core 1. Rounds are interleaved, so that a noisy minute hits all alike; medians are reported.
//! Needs at least 2 cores. Traffic stays on loopback.

mod client;
mod jobs;
mod origin;
mod peers;
mod quiet;
mod results;

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};
use novaedge_bench::{folders::Folders, traffic::free_address};
use novaedge_collector::Collector;
use tokio::runtime::{Builder, Runtime};

use jobs::{JOBS, Job};
use peers::{Bench, PEERS, Peer, Setup};
use quiet::Quiet;
use results::{Run, Sample, publish};

/// Compares the agent with its peers.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    folders: Folders,
    /// Seconds per measurement.
    #[arg(long, default_value_t = 2)]
    seconds: u32,
    /// Rounds over all peers and jobs.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only jobs whose name contains this, and neither latency at a fixed rate nor idle connections.
    #[arg(long, default_value = "")]
    only: String,
    /// Only these peers, by name, beside the agent; `NovaEdge-access-log` and `NovaEdge-traces` are the agent with those.
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Subcommand)]
enum Role {
    /// Sends load: the program runs itself so.
    Load {
        #[command(subcommand)]
        load: client::Load,
    },
}

/// Where everybody listens.
pub struct Ports {
    /// Cleartext HTTP of the proxy under test.
    pub http: SocketAddr,
    /// HTTPS of the proxy under test.
    pub https: SocketAddr,
    /// Cleartext HTTP/2 of the proxy under test.
    pub http2: SocketAddr,
    /// Cleartext HTTP/2 of the proxy under test, forwarded as HTTP/2.
    pub h2c: SocketAddr,
    /// The TCP listener of the proxy under test.
    pub tcp: SocketAddr,
    /// The listener of the proxy under test that forwards TLS by its server name.
    pub sni: SocketAddr,
    /// The origin.
    pub origin: SocketAddr,
    /// The origin over cleartext HTTP/2.
    pub origin_h2c: SocketAddr,
    /// The origin over TLS.
    pub origin_tls: SocketAddr,
    /// Our control plane.
    pub grpc: SocketAddr,
    /// Our agent's admin endpoint.
    pub admin: SocketAddr,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if let Some(Role::Load { load }) = &args.role {
        return load.run();
    }
    let known = |name: &String| PEERS.iter().any(|peer| peer.name == name);
    if let Some(name) = args.peers.iter().find(|name| !known(name)) {
        let names: Vec<&str> = PEERS.iter().map(|peer| peer.name).collect();
        bail!("no peer is called {name}: there are {}", names.join(", "));
    }
    origin::require(&["nginx", "haproxy", "wrk", "h2load", "taskset"])?;
    let folder = tempfile::tempdir().context("a temporary folder")?;
    let ports = ports()?;
    origin::certificate(folder.path())?;
    let _origin = origin::start(folder.path(), &ports)?;
    let (_runtime, collector) = collector()?;
    let bench = Bench {
        folder: folder.path(),
        ports: &ports,
        binaries: &args.folders.binaries,
        collector,
    };
    let peers: Vec<&Peer> = PEERS
        .iter()
        .enumerate()
        .filter(|(index, peer)| *index == 0 || peer.takes_part(&args.peers))
        .map(|(_, peer)| peer)
        .filter(|peer| is_there(peer))
        .collect();
    let jobs: Vec<&Job> = JOBS
        .iter()
        .filter(|job| job.name.contains(&args.only))
        .collect();
    anyhow::ensure!(!jobs.is_empty(), "no job's name has {} in it", args.only);
    let mut samples = vec![vec![Vec::new(); peers.len()]; jobs.len()];
    let mut quiet = vec![Vec::new(); peers.len()];
    for round in 1..=args.rounds {
        for (row, job) in samples.iter_mut().zip(&jobs) {
            for (cell, peer) in row.iter_mut().zip(&peers) {
                if !peer.serves(job.via) {
                    continue;
                }
                let sample = measure(peer, job, &bench, args.seconds)
                    .with_context(|| format!("{} on {}", job.name, peer.name))?;
                tell(round, job.name, peer.name, sample);
                cell.push(sample);
            }
        }
        if args.only.is_empty() {
            for (cell, peer) in quiet.iter_mut().zip(&peers) {
                let seen = Quiet::measure(peer, &bench)
                    .with_context(|| format!("{} without haste", peer.name))?;
                seen.tell(round, peer.name);
                cell.push(seen);
            }
        }
    }
    let direct = if args.only.is_empty() {
        Some(quiet::direct(&bench)?)
    } else {
        None
    };
    publish(
        &args.folders.out,
        &Run {
            peers: &peers,
            jobs: &jobs,
            samples: &samples,
            quiet: &quiet,
            direct,
            rounds: args.rounds,
            seconds: args.seconds,
        },
    )
}

/// A collector that takes traces, on a thread of its own.
fn collector() -> anyhow::Result<(Runtime, SocketAddr)> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let (_, address) = runtime.block_on(Collector::start())?;
    Ok((runtime, address))
}

#[allow(clippy::print_stderr)]
fn is_there(peer: &Peer) -> bool {
    let there = peer.is_there();
    if !there {
        eprintln!(
            "{} is not installed and left out: bench/peers.sh",
            peer.name
        );
    }
    there
}

/// Ports that are free now: one run does not disturb another, nor a system that runs here.
fn ports() -> anyhow::Result<Ports> {
    Ok(Ports {
        http: free_address()?,
        https: free_address()?,
        http2: free_address()?,
        h2c: free_address()?,
        tcp: free_address()?,
        sni: free_address()?,
        origin: free_address()?,
        origin_h2c: free_address()?,
        origin_tls: free_address()?,
        grpc: free_address()?,
        admin: free_address()?,
    })
}

fn measure(peer: &Peer, job: &Job, bench: &Bench<'_>, seconds: u32) -> anyhow::Result<Sample> {
    let setup = Setup {
        routes: job.routes,
        cores: job.cores,
    };
    let mut running = peer.start(bench, &setup, &job.host())?;
    let proxy = &mut running.proxy;
    let idle_mib = jobs::mebibytes(proxy.memory()?);
    // Warms pools and branch predictors; not counted.
    jobs::load(job, bench.ports, bench.folder, 1, proxy)?;
    let before = proxy.cpu()?;
    let load = jobs::load(job, bench.ports, bench.folder, seconds, proxy)?;
    let used = proxy.cpu()?.saturating_sub(before);
    anyhow::ensure!(
        load.requests > 0.0,
        "nothing was answered, {} errors",
        load.errors
    );
    Ok(Sample {
        cpu_us: used.as_secs_f64() * 1e6 / load.requests,
        rate: load.requests / f64::from(seconds),
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
        "round {round} | {job:<48} | {peer:<8} | {:8.1} µs/request | {:7.0}/s | p99 {:7.2} ms | {:4.0} MiB | {} errors",
        sample.cpu_us, sample.rate, sample.p99_ms, sample.loaded_mib, sample.errors
    );
}
