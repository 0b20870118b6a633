//! What a proxy adds and holds without haste: latency at a fixed rate, and memory of idle TLS connections.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::Context as _;

use crate::{
    client::{self, Told},
    jobs::Cores,
    peers::{Bench, Peer, Setup},
};

/// Requests per second of the open loop.
pub const RATE: u32 = 5_000;

/// Connections of the open loop.
pub const CONNECTIONS: u32 = 64;

/// Idle TLS connections: as many as the agent accepts where a process may open 20,000 files.
pub const IDLE: usize = 7_000;

const SECONDS: u32 = 4;

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub struct Quiet {
    /// Median latency at the fixed rate.
    pub p50_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// 99.9th percentile.
    pub p999_ms: f64,
    /// Requests that were not answered with 200.
    pub errors: u64,
    /// Memory per idle TLS connection.
    pub idle_kib: f64,
}

impl Quiet {
    /// Measures a proxy with one route.
    pub fn measure(peer: &Peer, bench: &Bench<'_>) -> anyhow::Result<Self> {
        let setup = Setup {
            routes: 1,
            cores: Cores::Own,
        };
        let host = crate::peers::host(0);
        let running = peer.start(bench, &setup, &host)?;
        let proxy = &running.proxy;
        let told = at_fixed_rate(bench.ports.http, &host)?;
        let ca = bench.folder.join("tls.crt");
        // The first connections also pay for what all share.
        let hold = |count| hold(client::idle(bench.ports.https, &host, &ca, count)?);
        let few = hold(IDLE / 10)?;
        let before = proxy.memory()?;
        let many = hold(IDLE - IDLE / 10)?;
        let after = proxy.memory()?;
        drop((few, many));
        #[allow(clippy::cast_precision_loss)]
        let idle_kib = after.saturating_sub(before) as f64 / 1024.0 / (IDLE - IDLE / 10) as f64;
        Ok(Self {
            idle_kib,
            ..Self::from(told)
        })
    }

    /// Says what was seen.
    #[allow(clippy::print_stderr)]
    pub fn tell(self, round: usize, peer: &str) {
        eprintln!(
            "round {round} | {RATE} requests/s, {IDLE} idle connections | {peer:<8} | p50 {:.2} ms | p99 {:.2} ms | {:.1} KiB | {} errors",
            self.p50_ms, self.p99_ms, self.idle_kib, self.errors
        );
    }
}

impl From<Told> for Quiet {
    fn from(told: Told) -> Self {
        Self {
            p50_ms: told.p50_ms,
            p99_ms: told.p99_ms,
            p999_ms: told.p999_ms,
            errors: told.errors,
            idle_kib: f64::NAN,
        }
    }
}

/// The origin without a proxy.
pub fn direct(bench: &Bench<'_>) -> anyhow::Result<Quiet> {
    let told = at_fixed_rate(bench.ports.origin, &crate::peers::host(0))?;
    Ok(Quiet::from(told))
}

fn at_fixed_rate(to: std::net::SocketAddr, host: &str) -> anyhow::Result<Told> {
    let load = |seconds| -> anyhow::Result<Told> {
        let output = client::open(to, host, RATE, CONNECTIONS, seconds)?.output();
        Told::read(&output.context("running the open loop")?)
    };
    load(1)?;
    load(SECONDS)
}

/// Connections that are held until this is dropped.
struct Held(std::process::Child);

impl Drop for Held {
    fn drop(&mut self) {
        // The end of its standard input ends it.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn hold(mut command: Command) -> anyhow::Result<Held> {
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .context("running the idle connections")?;
    let mut held = Held(child);
    let output = held.0.stdout.take().context("a pipe")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    anyhow::ensure!(!line.is_empty(), "not all connections were accepted");
    // Handshakes leave memory behind that is given back soon after.
    thread::sleep(Duration::from_secs(2));
    Ok(held)
}
