//! The jobs, and the load that they are.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail};
use novaedge_bench::{
    process::{Process, all_cores},
    stats::percentile,
    traffic::Client,
    world::{Backends, Route, Spread},
};

use crate::{Ports, client};

/// Bytes of the large body.
pub const LARGE: u32 = 100 * 1024 * 1024;

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
    /// Which cores the proxy has.
    pub cores: Cores,
    /// What the agent may cost, as a share of what these cost.
    pub aims: &'static [Aim],
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
    /// Cleartext HTTP/2 to an HTTP/1.1 origin.
    Http2,
    /// Cleartext HTTP/2 to an origin that is spoken to likewise.
    H2c,
    /// A TCP listener that forwards bytes; HTTP/1.1 is what they happen to be.
    Tcp,
    /// A listener that forwards TLS by its server name, unopened.
    Sni,
}

/// Which cores a proxy has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cores {
    /// Core 0 for itself, with one thread.
    Own,
    /// All, shared with load and origin, with a thread for each. The origin stays on core 1.
    All,
}

/// The largest share of a peer's cost that is aimed at.
#[derive(Clone, Copy, Debug)]
pub struct Aim {
    /// The peer.
    pub peer: &'static str,
    /// The share.
    pub share: f64,
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

/// Streams that a connection of HTTP/2 has open at once.
const STREAMS: u32 = 16;

const BASE: Job = Job {
    name: "",
    short: "",
    routes: 1,
    via: Via::Http,
    cores: Cores::Own,
    aims: &[],
    connections: 64,
    reuse: Reuse::KeepAlive,
    body: Body::Kibibyte,
};

const fn at_most(share: f64, peer: &'static str) -> Aim {
    Aim { peer, share }
}

/// All jobs.
pub const JOBS: [Job; 16] = [
    Job {
        name: "HTTP/1.1, 64 connections",
        short: "h1 ×64",
        aims: &[at_most(1.0, "nginx")],
        ..BASE
    },
    Job {
        name: "HTTP/1.1, 1,000 connections",
        short: "h1 ×1000",
        connections: 1000,
        aims: &[at_most(1.0, "nginx")],
        ..BASE
    },
    Job {
        name: "HTTP/1.1, 64 connections, cores shared",
        short: "h1 shared",
        cores: Cores::All,
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
        aims: &[at_most(1.0, "HAProxy")],
        ..BASE
    },
    Job {
        name: "HTTP/1.1, new connection per request",
        short: "h1 new",
        reuse: Reuse::ConnectionPerRequest,
        aims: &[at_most(1.15, "nginx")],
        ..BASE
    },
    Job {
        name: "TLS, 64 connections",
        short: "TLS ×64",
        via: Via::Https,
        aims: &[at_most(1.0, "nginx")],
        ..BASE
    },
    Job {
        name: "TLS, new connection per request",
        short: "TLS new",
        via: Via::Https,
        reuse: Reuse::ConnectionPerRequest,
        aims: &[at_most(1.1, "Envoy")],
        ..BASE
    },
    Job {
        name: "HTTP/2 to HTTP/1.1",
        short: "h2 to h1",
        via: Via::Http2,
        connections: 16,
        aims: &[at_most(1.0, "nginx"), at_most(0.6, "Envoy")],
        ..BASE
    },
    Job {
        name: "HTTP/2 to HTTP/2",
        short: "h2 to h2",
        via: Via::H2c,
        connections: 16,
        aims: &[at_most(1.0, "nginx"), at_most(0.6, "Envoy")],
        ..BASE
    },
    Job {
        name: "TCP, new connection per request",
        short: "TCP new",
        via: Via::Tcp,
        reuse: Reuse::ConnectionPerRequest,
        aims: &[at_most(1.1, "nginx")],
        ..BASE
    },
    Job {
        name: "TLS by server name, new connection per request",
        short: "SNI new",
        via: Via::Sni,
        connections: 16,
        reuse: Reuse::ConnectionPerRequest,
        aims: &[at_most(1.1, "nginx")],
        ..BASE
    },
    Job {
        name: "HTTP/1.1, 100 MiB bodies",
        short: "h1 bulk",
        connections: 4,
        body: Body::Large,
        aims: &[at_most(0.9, "Envoy")],
        ..BASE
    },
    Job {
        name: "HTTP/2 to HTTP/1.1, 100 MiB bodies",
        short: "h2 bulk",
        via: Via::Http2,
        connections: 4,
        body: Body::Large,
        ..BASE
    },
    Job {
        name: "TCP, 100 MiB bodies",
        short: "TCP bulk",
        via: Via::Tcp,
        connections: 4,
        body: Body::Large,
        aims: &[at_most(0.9, "Envoy")],
        ..BASE
    },
    Job {
        name: "TLS by server name, 100 MiB bodies",
        short: "SNI bulk",
        via: Via::Sni,
        connections: 4,
        body: Body::Large,
        aims: &[at_most(0.9, "Envoy")],
        ..BASE
    },
];

impl Job {
    /// Whether the cost is told per gigabyte, not per request.
    pub fn is_bulk(&self) -> bool {
        self.body == Body::Large
    }

    /// The host that is asked for.
    pub fn host(&self) -> String {
        Route::new(self.routes - 1, Spread::Hosts, Backends::Shared).host()
    }

    fn path(&self) -> &'static str {
        match self.body {
            Body::Kibibyte => "/",
            Body::Large => "/large",
        }
    }

    fn url(&self, ports: &Ports) -> String {
        let (scheme, address) = match self.via {
            Via::Http => ("http", ports.http),
            Via::Https => ("https", ports.https),
            Via::Http2 => ("http", ports.http2),
            Via::H2c => ("http", ports.h2c),
            Via::Tcp => ("http", ports.tcp),
            // The name of the address is that of the handshake.
            Via::Sni => {
                let port = ports.sni.port();
                return format!("https://{}:{port}{}", self.host(), self.path());
            }
        };
        format!("{scheme}://{address}{}", self.path())
    }
}

impl Cores {
    /// Those of the proxy, as taskset takes them.
    pub fn of_proxy(self) -> String {
        match self {
            Self::Own => "0".to_owned(),
            Self::All => all_cores(),
        }
    }

    /// Those of the load.
    pub fn of_load(self) -> String {
        match self {
            Self::Own => "1".to_owned(),
            Self::All => all_cores(),
        }
    }

    /// Threads of the proxy.
    pub fn threads(self) -> usize {
        match self {
            Self::Own => 1,
            Self::All => thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// What a load did.
pub struct Load {
    /// Answers; of large bodies the part that came counts too.
    pub requests: f64,
    /// Answers with other statuses than 200, and connections that failed.
    pub errors: u64,
    /// Median latency, closed loop.
    pub p50_ms: f64,
    /// 99th percentile of latency, closed loop.
    pub p99_ms: f64,
    /// Memory of the proxy half-way, in MiB.
    pub memory_mib: f64,
}

/// Waits until the proxy answers the host with 200: its table is loaded.
pub fn settle(host: &str, ports: &Ports) -> anyhow::Result<()> {
    for _ in 0..3_000 {
        let answer = Client::connect(ports.http).and_then(|mut client| client.get(host, "/"));
        if answer.is_ok_and(|answer| answer.status == 200) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(10));
    }
    bail!("{} never answered with 200", ports.http)
}

/// Loads the proxy for `seconds`.
pub fn load(
    job: &Job,
    ports: &Ports,
    folder: &Path,
    seconds: u32,
    proxy: &Process,
) -> anyhow::Result<Load> {
    let log = folder.join("h2load.log");
    let tool = match (job.via, job.reuse) {
        (Via::Sni, Reuse::ConnectionPerRequest) => Tool::Own,
        (Via::Http2 | Via::H2c | Via::Sni, _) => Tool::H2load,
        (Via::Http | Via::Https | Via::Tcp, _) => Tool::Wrk,
    };
    let mut command = match tool {
        Tool::Wrk => wrk(job, ports, seconds),
        Tool::H2load => h2load(job, ports, seconds, &log),
        Tool::Own => {
            let (host, ca) = (job.host(), folder.join("tls.crt"));
            client::by_name(ports.sni, &host, &ca, job.connections, seconds)?
        }
    };
    let running = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("running {tool:?}"))?;
    thread::sleep(Duration::from_millis(u64::from(seconds) * 500));
    let memory = proxy.memory();
    let output = running
        .wait_with_output()
        .with_context(|| format!("running {tool:?}"))?;
    let mut load = match tool {
        Tool::Wrk => from_wrk(&output, job.is_bulk())?,
        Tool::H2load => from_h2load(&output, &log, job.is_bulk())?,
        Tool::Own => client::Told::read(&output)?.load(),
    };
    load.memory_mib = mebibytes(memory?);
    Ok(load)
}

#[derive(Debug)]
enum Tool {
    Wrk,
    H2load,
    Own,
}

/// A command on the cores of the load.
pub fn pinned(cores: Cores) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &cores.of_load()]);
    command
}

fn wrk(job: &Job, ports: &Ports, seconds: u32) -> Command {
    let mut command = pinned(job.cores);
    command.args(["wrk", "--latency", "-t1", "--timeout", "10s"]);
    command
        .arg(format!("-c{}", job.connections))
        .arg(format!("-d{seconds}s"));
    command.args(["-H", &format!("Host: {}", job.host())]);
    if job.reuse == Reuse::ConnectionPerRequest {
        command.args(["-H", "Connection: close"]);
    }
    command.arg(job.url(ports));
    command
}

fn h2load(job: &Job, ports: &Ports, seconds: u32, log: &Path) -> Command {
    let mut command = pinned(job.cores);
    command.args(["h2load", "-t1"]);
    command
        .arg(format!("-c{}", job.connections))
        .arg(format!("-D{seconds}"))
        .arg(format!("--log-file={}", log.display()));
    if job.via == Via::Sni {
        command.arg("--h1");
        command.arg(format!("--connect-to={}", ports.sni));
    } else {
        let streams = if job.is_bulk() { 1 } else { STREAMS };
        command.arg(format!("-m{streams}"));
        command.args(["-H", &format!(":authority: {}", job.host())]);
    }
    command.arg(job.url(ports));
    command
}

/// Bytes in MiB.
#[allow(clippy::cast_precision_loss)]
pub fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}

fn from_wrk(output: &Output, bulk: bool) -> anyhow::Result<Load> {
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = || text.lines().map(str::trim);
    // `1000 requests in 1.00s, 1.50MB read`
    let counts = lines().find_map(|line| {
        let (requests, rest) = line.split_once(" requests in ")?;
        let bytes = rest.split_once(", ")?.1.strip_suffix(" read")?;
        Some((requests.parse::<f64>().ok()?, bytes_of(bytes)?))
    });
    let (requests, bytes) = counts.with_context(|| {
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
        requests: if bulk {
            bytes / f64::from(LARGE)
        } else {
            requests
        },
        errors: lines().map(errors).sum(),
        p50_ms: latency("50%"),
        p99_ms: latency("99%"),
        memory_mib: f64::NAN,
    })
}

/// h2load tells counts; of each request it logs start, status and duration in µs.
fn from_h2load(output: &Output, log: &Path, bulk: bool) -> anyhow::Result<Load> {
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers = |start: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(start));
        line.map(|line| {
            let words = line.split([' ', ',', '(', ')']);
            words
                .filter_map(|word| word.parse::<u64>().ok())
                .collect::<Vec<u64>>()
        })
    };
    // `requests: 9 total, 9 started, 9 done, 9 succeeded, 0 failed, 0 errored, 0 timeout`
    let counts = numbers("requests: ").filter(|counts| counts.len() == 7);
    let counts = counts.with_context(|| {
        let errors = String::from_utf8_lossy(&output.stderr);
        format!("no count in h2load's output:\n{text}{errors}")
    })?;
    let count = |at: usize| counts.get(at).copied().unwrap_or(0);
    // `traffic: 1.95GB (2097152000) total, …`: the first whole number.
    let bytes = numbers("traffic: ").and_then(|counts| counts.first().copied());
    let logged = fs::read_to_string(log).unwrap_or_default();
    let took: Vec<f64> = logged
        .lines()
        .filter_map(|line| Some(line.split('\t').nth(2)?.parse::<f64>().ok()? / 1e3))
        .collect();
    #[allow(clippy::cast_precision_loss)]
    let requests = if bulk {
        bytes.context("no bytes in h2load's output")? as f64 / f64::from(LARGE)
    } else {
        count(3) as f64
    };
    Ok(Load {
        requests,
        errors: count(4) + count(5) + count(6),
        p50_ms: percentile(&took, 0.5).unwrap_or(f64::NAN),
        p99_ms: percentile(&took, 0.99).unwrap_or(f64::NAN),
        memory_mib: f64::NAN,
    })
}

/// wrk's `12.34KB`, `1.50MB` or `1.95GB`, in powers of 1,024.
fn bytes_of(text: &str) -> Option<f64> {
    let units = [("KB", 1 << 10), ("MB", 1 << 20), ("GB", 1 << 30), ("B", 1)];
    let (number, unit) = units
        .iter()
        .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, *unit)))?;
    number
        .parse::<f64>()
        .ok()
        .map(|number| number * f64::from(unit))
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
             in 1.00s, 1.00MB read\n  Socket errors: connect 1, read 2, write 0, timeout 3\n  \
             Non-2xx or 3xx responses: 4\n";
        let output = Output {
            status: std::process::ExitStatus::default(),
            stdout: text.as_bytes().to_vec(),
            stderr: Vec::new(),
        };
        let load = from_wrk(&output, false).expect("figures");
        assert!((load.requests - 1000.0).abs() < 1e-9 && load.errors == 10);
        let load = from_wrk(&output, true).expect("figures");
        assert!((load.requests - 0.01).abs() < 1e-9);
        assert!((load.p50_ms - 1.55).abs() < 1e-9 && (load.p99_ms - 0.812).abs() < 1e-9);
    }

    #[test]
    fn figures_are_read_from_h2load() {
        let text = "requests: 9 total, 9 started, 8 done, 7 succeeded, 1 failed, 1 errored, 0 \
             timeout\nstatus codes: 7 2xx, 0 3xx, 0 4xx, 1 5xx\ntraffic: 100.00MB (104857600) \
             total, 1KB (1024) headers\n";
        let output = Output {
            status: std::process::ExitStatus::default(),
            stdout: text.as_bytes().to_vec(),
            stderr: Vec::new(),
        };
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        fs::write(&log, "1\t200\t1500\n2\t200\t2500\n").expect("a log");
        let load = from_h2load(&output, &log, false).expect("figures");
        assert!((load.requests - 7.0).abs() < 1e-9 && load.errors == 2);
        assert!((load.p50_ms - 1.5).abs() < 1e-9 && (load.p99_ms - 2.5).abs() < 1e-9);
        let load = from_h2load(&output, &log, true).expect("figures");
        assert!((load.requests - 1.0).abs() < 1e-9);
    }
}
