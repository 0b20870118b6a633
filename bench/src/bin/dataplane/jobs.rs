//! The jobs, and the load that they are.

use std::{process::Command, time::Duration};

use anyhow::{Context as _, bail};

use crate::Ports;

/// A kind of load.
pub struct Job {
    /// Name in tables.
    pub name: &'static str,
    /// Name in plots.
    pub short: &'static str,
    /// Routes in the proxy's table; the last one is asked for.
    pub routes: usize,
    connections: u32,
    tls: bool,
    close: bool,
}

const BASE: Job = Job {
    name: "",
    short: "",
    routes: 1,
    connections: 64,
    tls: false,
    close: false,
};

/// All jobs.
pub const JOBS: [Job; 6] = [
    Job {
        name: "HTTP/1.1, 64 connections",
        short: "h1 ×64",
        ..BASE
    },
    Job {
        name: "HTTP/1.1, 1,000 connections",
        short: "h1 ×1000",
        connections: 1000,
        ..BASE
    },
    Job {
        name: "1,000 routes",
        short: "1k routes",
        routes: 1_000,
        ..BASE
    },
    Job {
        name: "10,000 routes",
        short: "10k routes",
        routes: 10_000,
        ..BASE
    },
    Job {
        name: "a new connection per request",
        short: "new conn",
        close: true,
        ..BASE
    },
    Job {
        name: "TLS keep-alive, 64 connections",
        short: "TLS ×64",
        tls: true,
        ..BASE
    },
];

/// What a load did.
pub struct Load {
    /// Answers of status 200.
    pub requests: u64,
    /// 99th percentile of latency, closed loop.
    pub p99_ms: f64,
}

/// The host that jobs ask for.
pub fn host(routes: usize) -> String {
    format!("r{}.example.com", routes - 1)
}

/// Waits until the proxy answers the job's host with 200: its table is loaded.
pub fn settle(job: &Job, ports: &Ports) -> anyhow::Result<()> {
    for _ in 0..600 {
        let answer = Command::new("curl")
            .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-H"])
            .arg(format!("Host: {}", host(job.routes)))
            .arg(format!("http://{}/", ports.http))
            .output()
            .context("running curl")?;
        if answer.stdout == b"200" {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("{} never answered with 200", ports.http)
}

/// Runs wrk for `seconds` on core 1. Fails when any answer was not 200 or any connection broke.
pub fn load(job: &Job, ports: &Ports, seconds: u32) -> anyhow::Result<Load> {
    let url = if job.tls {
        format!("https://{}/", ports.https)
    } else {
        format!("http://{}/", ports.http)
    };
    let mut command = Command::new("taskset");
    command.args(["-c", "1", "wrk", "--latency", "-t1"]);
    command
        .arg(format!("-c{}", job.connections))
        .arg(format!("-d{seconds}s"));
    command.args(["-H", &format!("Host: {}", host(job.routes))]);
    if job.close {
        command.args(["-H", "Connection: close"]);
    }
    let output = command.arg(&url).output().context("running wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = text
        .lines()
        .find(|l| l.contains("Non-2xx") || l.contains("Socket errors"));
    // A closing server makes wrk count a read error per connection; the answers still count.
    if let Some(line) = errors.filter(|line| !(job.close && line.contains("Socket errors"))) {
        bail!("wrk reports: {}", line.trim());
    }
    let requests = text
        .lines()
        .find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok())
        .with_context(|| format!("no count in wrk's output:\n{text}"))?;
    let p99 = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("99%"));
    let p99_ms = p99
        .and_then(|value| milliseconds(value.trim()))
        .unwrap_or(f64::NAN);
    Ok(Load { requests, p99_ms })
}

/// wrk's `12.34us`, `1.23ms` or `1.23s`.
fn milliseconds(text: &str) -> Option<f64> {
    let (number, factor) = if let Some(number) = text.strip_suffix("us") {
        (number, 0.001)
    } else if let Some(number) = text.strip_suffix("ms") {
        (number, 1.0)
    } else {
        (text.strip_suffix('s')?, 1000.0)
    };
    number.parse::<f64>().ok().map(|value| value * factor)
}
