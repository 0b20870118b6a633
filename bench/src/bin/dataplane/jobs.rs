//! The jobs, and the load that they are.

use std::{
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail};
use novaedge_bench::{
    process::Process,
    traffic::Client,
    world::{Backends, Route, Spread},
};

use crate::Ports;

/// Bytes of the large body.
pub const LARGE: u32 = 10 * 1024 * 1024;

/// A kind of load.
#[derive(Clone, Copy)]
pub struct Job {
    /// Name in tables.
    pub name: &'static str,
    /// Name in plots.
    pub short: &'static str,
    /// Routes in the proxy's table; the last one is asked for.
    pub routes: usize,
    /// How the load reaches the proxy.
    pub via: Via,
    connections: u32,
    reuse: Reuse,
    body: Body,
}

/// How the load reaches the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// Cleartext HTTP/1.1.
    Http,
    /// HTTP/1.1 over TLS.
    Https,
    /// A TCP listener that forwards bytes; HTTP/1.1 is what they happen to be.
    Tcp,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reuse {
    KeepAlive,
    ConnectionPerRequest,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    Kibibyte,
    Large,
}

const BASE: Job = Job {
    name: "",
    short: "",
    routes: 1,
    via: Via::Http,
    connections: 64,
    reuse: Reuse::KeepAlive,
    body: Body::Kibibyte,
};

/// All jobs.
pub const JOBS: [Job; 10] = [
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
        name: "HTTP/1.1, 1,000 routes",
        short: "1k routes",
        routes: 1_000,
        ..BASE
    },
    Job {
        name: "HTTP/1.1, 10,000 routes",
        short: "10k routes",
        routes: 10_000,
        ..BASE
    },
    Job {
        name: "HTTP/1.1, new connection per request",
        short: "h1 new",
        reuse: Reuse::ConnectionPerRequest,
        ..BASE
    },
    Job {
        name: "TLS, 64 connections",
        short: "TLS ×64",
        via: Via::Https,
        ..BASE
    },
    Job {
        name: "TLS, new connection per request",
        short: "TLS new",
        via: Via::Https,
        reuse: Reuse::ConnectionPerRequest,
        ..BASE
    },
    Job {
        name: "TCP, new connection per request",
        short: "TCP new",
        via: Via::Tcp,
        reuse: Reuse::ConnectionPerRequest,
        ..BASE
    },
    Job {
        name: "HTTP/1.1, 10 MiB bodies",
        short: "h1 bulk",
        connections: 4,
        body: Body::Large,
        ..BASE
    },
    Job {
        name: "TCP, 10 MiB bodies",
        short: "TCP bulk",
        via: Via::Tcp,
        connections: 4,
        body: Body::Large,
        ..BASE
    },
];

impl Job {
    /// Whether the cost is told per gigabyte, not per request.
    pub fn is_bulk(&self) -> bool {
        self.body == Body::Large
    }

    /// The host that is asked for.
    fn host(&self) -> String {
        Route::new(self.routes - 1, Spread::Hosts, Backends::Shared).host()
    }

    fn path(&self) -> &'static str {
        match self.body {
            Body::Kibibyte => "/",
            Body::Large => "/large",
        }
    }

    fn url(&self, ports: &Ports) -> String {
        let origin = match self.via {
            Via::Http => format!("http://{}", ports.http),
            Via::Https => format!("https://{}", ports.https),
            Via::Tcp => format!("http://{}", ports.tcp),
        };
        origin + self.path()
    }
}

/// What a load did.
pub struct Load {
    /// Answers.
    pub requests: u64,
    /// Answers with other statuses than 200, and connections that failed.
    pub errors: u64,
    /// Median latency, closed loop.
    pub p50_ms: f64,
    /// 99th percentile of latency, closed loop.
    pub p99_ms: f64,
    /// Memory of the proxy half-way, in MiB.
    pub memory_mib: f64,
}

/// Waits until the proxy answers the job's host with 200: its table is loaded.
pub fn settle(job: &Job, ports: &Ports) -> anyhow::Result<()> {
    let host = job.host();
    for _ in 0..3_000 {
        let answer = Client::connect(ports.http).and_then(|mut client| client.get(&host, "/"));
        if answer.is_ok_and(|answer| answer.status == 200) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(10));
    }
    bail!("{} never answered with 200", ports.http)
}

/// Runs wrk for `seconds` on core 1.
pub fn load(job: &Job, ports: &Ports, seconds: u32, proxy: &Process) -> anyhow::Result<Load> {
    let mut command = Command::new("taskset");
    command.args(["-c", "1", "wrk", "--latency", "-t1", "--timeout", "10s"]);
    command
        .arg(format!("-c{}", job.connections))
        .arg(format!("-d{seconds}s"));
    command.args(["-H", &format!("Host: {}", job.host())]);
    if job.reuse == Reuse::ConnectionPerRequest {
        command.args(["-H", "Connection: close"]);
    }
    let running = command
        .arg(job.url(ports))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("running wrk")?;
    thread::sleep(Duration::from_millis(u64::from(seconds) * 500));
    let memory = proxy.memory();
    let output = running.wait_with_output().context("running wrk")?;
    let mut load = parse(&output)?;
    load.memory_mib = mebibytes(memory?);
    Ok(load)
}

/// Bytes in MiB.
#[allow(clippy::cast_precision_loss)]
pub fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}

fn parse(output: &Output) -> anyhow::Result<Load> {
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = || text.lines().map(str::trim);
    let requests = lines()
        .find_map(|line| line.split_once(" requests in ")?.0.parse().ok())
        .with_context(|| {
            let errors = String::from_utf8_lossy(&output.stderr);
            format!("no count in wrk's output:\n{text}{errors}")
        })?;
    let latency = |share: &str| {
        let value = lines().find_map(|line| line.strip_prefix(share));
        value
            .and_then(|value| milliseconds(value.trim()))
            .unwrap_or(f64::NAN)
    };
    Ok(Load {
        requests,
        errors: lines().map(errors).sum(),
        p50_ms: latency("50%"),
        p99_ms: latency("99%"),
        memory_mib: f64::NAN,
    })
}

/// The numbers of `Socket errors: connect 0, read 0, …` and `Non-2xx or 3xx responses: 0`.
fn errors(line: &str) -> u64 {
    let counts = ["Socket errors:", "Non-2xx or 3xx responses:"]
        .iter()
        .find_map(|start| line.strip_prefix(start));
    let words = counts.into_iter().flat_map(|rest| rest.split([' ', ',']));
    words.filter_map(|word| word.parse::<u64>().ok()).sum()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_wrk() {
        let text = "  Latency Distribution\n     50%    1.55ms\n     99%  812.00us\n  1000 requests \
             in 1.00s, 1MB read\n  Socket errors: connect 1, read 2, write 0, timeout 3\n  \
             Non-2xx or 3xx responses: 4\n";
        let output = Output {
            status: std::process::ExitStatus::default(),
            stdout: text.as_bytes().to_vec(),
            stderr: Vec::new(),
        };
        let load = parse(&output).expect("figures");
        assert_eq!((load.requests, load.errors), (1000, 10));
        assert!((load.p50_ms - 1.55).abs() < 1e-9 && (load.p99_ms - 0.812).abs() < 1e-9);
    }
}
