//! Load that no tool at hand makes: open loop, TLS connections by name, idle TLS connections. It runs in a process of its
//! own, so that it can have other cores than the proxy.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use novaedge_bench::{stats::percentile, traffic::Client};
use serde::{Deserialize, Serialize};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};

use crate::jobs::{Cores, Load as Figures, pinned};

/// Sends load, and tells of it as JSON.
#[derive(Debug, Subcommand)]
pub enum Load {
    /// Requests at a fixed rate, each timed from when it was due.
    Open(Open),
    /// A TLS connection for each request.
    ByName(ByName),
    /// TLS connections that do nothing until standard input ends.
    Idle(Idle),
}

/// Where a load goes.
#[derive(Debug, Args)]
struct Target {
    #[arg(long)]
    to: SocketAddr,
    /// The host that is asked for, in TLS too.
    #[arg(long)]
    host: String,
}

/// Requests at a fixed rate.
#[derive(Debug, Args)]
pub struct Open {
    #[command(flatten)]
    target: Target,
    /// Requests per second, over all connections.
    #[arg(long)]
    rate: u32,
    #[arg(long)]
    connections: u32,
    #[arg(long)]
    seconds: u32,
}

/// A connection for each request.
#[derive(Debug, Args)]
pub struct ByName {
    #[command(flatten)]
    target: Target,
    #[arg(long)]
    ca: PathBuf,
    #[arg(long)]
    connections: u32,
    #[arg(long)]
    seconds: u32,
}

/// Idle connections.
#[derive(Debug, Args)]
pub struct Idle {
    #[command(flatten)]
    target: Target,
    #[arg(long)]
    ca: PathBuf,
    #[arg(long)]
    count: usize,
}

/// What the process tells of its load.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Told {
    /// Answers with 200.
    pub requests: u64,
    /// Whatever else came of a request.
    pub errors: u64,
    /// Median latency.
    pub p50_ms: f64,
    /// 99th percentile of latency.
    pub p99_ms: f64,
    /// 99.9th percentile of latency.
    pub p999_ms: f64,
}

/// What one connection saw: latencies in ms, and errors.
type Seen = (Vec<f64>, u64);

impl Load {
    /// Sends the load from this process.
    pub fn run(&self) -> anyhow::Result<()> {
        match self {
            Self::Open(open) => {
                tell(&of_all(open.connections, |index| open.connection(index)))?;
            }
            Self::ByName(by_name) => {
                let config = trusting(&by_name.ca)?;
                tell(&of_all(by_name.connections, |_| {
                    by_name.connection(&config)
                }))?;
            }
            Self::Idle(idle) => {
                let config = trusting(&idle.ca)?;
                let held: Vec<_> = (0..idle.count)
                    .map(|_| connect(&idle.target, &config))
                    .collect::<anyhow::Result<_>>()?;
                tell(&Told {
                    requests: held.len() as u64,
                    ..Told::default()
                })?;
                io::stdin().read_to_end(&mut Vec::new())?;
            }
        }
        Ok(())
    }
}

impl Open {
    fn connection(&self, index: u32) -> Seen {
        let mut seen = Seen::default();
        let every = Duration::from_secs(1) * self.connections / self.rate;
        let begin = Instant::now() + every * index / self.connections;
        let end = begin + Duration::from_secs(u64::from(self.seconds));
        let mut client = Client::connect(self.target.to);
        let mut due = begin;
        while due < end {
            // A late answer makes the next ones late, and their latency says so.
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let answer = match &mut client {
                Ok(client) => client.get(&self.target.host, "/").ok(),
                Err(_) => None,
            };
            if answer.is_some_and(|answer| answer.status == 200) {
                seen.0.push(due.elapsed().as_secs_f64() * 1e3);
            } else {
                seen.1 += 1;
                client = Client::connect(self.target.to);
            }
            due += every;
        }
        seen
    }
}

impl ByName {
    fn connection(&self, config: &Arc<ClientConfig>) -> Seen {
        let mut seen = Seen::default();
        let end = Instant::now() + Duration::from_secs(u64::from(self.seconds));
        while Instant::now() < end {
            let begin = Instant::now();
            match self.once(config) {
                Ok(()) => seen.0.push(begin.elapsed().as_secs_f64() * 1e3),
                Err(_) => seen.1 += 1,
            }
        }
        seen
    }

    fn once(&self, config: &Arc<ClientConfig>) -> anyhow::Result<()> {
        let mut stream = connect(&self.target, config)?;
        let request = format!(
            "GET / HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
            self.target.host
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        // A server need not say goodbye in TLS.
        if let Err(error) = stream.read_to_end(&mut answer)
            && error.kind() != io::ErrorKind::UnexpectedEof
        {
            return Err(error.into());
        }
        anyhow::ensure!(answer.starts_with(b"HTTP/1.1 200"), "not 200");
        Ok(())
    }
}

impl Told {
    /// Reads what a process told.
    pub fn read(output: &Output) -> anyhow::Result<Self> {
        let errors = String::from_utf8_lossy(&output.stderr);
        serde_json::from_slice(&output.stdout).with_context(|| format!("no figures: {errors}"))
    }

    /// As figures of a job.
    #[allow(clippy::cast_precision_loss)]
    pub fn load(self) -> Figures {
        Figures {
            requests: self.requests as f64,
            errors: self.errors,
            p50_ms: self.p50_ms,
            p99_ms: self.p99_ms,
            memory_mib: f64::NAN,
        }
    }
}

/// A process for [`Load::ByName`].
pub fn by_name(
    to: SocketAddr,
    host: &str,
    ca: &Path,
    connections: u32,
    seconds: u32,
) -> anyhow::Result<Command> {
    let mut command = own("by-name", to, host)?;
    command.arg("--ca").arg(ca);
    command.args(["--connections", &connections.to_string()]);
    command.args(["--seconds", &seconds.to_string()]);
    Ok(command)
}

/// A process for [`Load::Open`].
pub fn open(
    to: SocketAddr,
    host: &str,
    rate: u32,
    connections: u32,
    seconds: u32,
) -> anyhow::Result<Command> {
    let mut command = own("open", to, host)?;
    command.args(["--rate", &rate.to_string()]);
    command.args(["--connections", &connections.to_string()]);
    command.args(["--seconds", &seconds.to_string()]);
    Ok(command)
}

/// A process for [`Load::Idle`].
pub fn idle(to: SocketAddr, host: &str, ca: &Path, count: usize) -> anyhow::Result<Command> {
    let mut command = own("idle", to, host)?;
    command.arg("--ca").arg(ca);
    command.args(["--count", &count.to_string()]);
    Ok(command)
}

fn own(kind: &str, to: SocketAddr, host: &str) -> anyhow::Result<Command> {
    let mut command = pinned(Cores::Own);
    command.arg(std::env::current_exe()?).args(["load", kind]);
    command.args(["--to", &to.to_string(), "--host", host]);
    Ok(command)
}

fn of_all(connections: u32, connection: impl Fn(u32) -> Seen + Sync) -> Told {
    let seen: Vec<Seen> = thread::scope(|scope| {
        let connection = &connection;
        let running: Vec<_> = (0..connections)
            .map(|index| scope.spawn(move || connection(index)))
            .collect();
        let ended = running.into_iter().map(|thread| thread.join().ok());
        ended.flatten().collect()
    });
    let latencies: Vec<f64> = seen.iter().flat_map(|(took, _)| took).copied().collect();
    let at = |share| percentile(&latencies, share).unwrap_or(0.0);
    Told {
        requests: latencies.len() as u64,
        errors: seen.iter().map(|(_, errors)| errors).sum(),
        p50_ms: at(0.5),
        p99_ms: at(0.99),
        p999_ms: at(0.999),
    }
}

#[allow(clippy::print_stdout)] // for whoever started this
fn tell(told: &Told) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(told)?);
    Ok(())
}

fn trusting(ca: &Path) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    let pem = fs::read(ca).with_context(|| format!("reading {}", ca.display()))?;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate?)?;
    }
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// A connection after its handshake.
fn connect(
    target: &Target,
    config: &Arc<ClientConfig>,
) -> anyhow::Result<StreamOwned<ClientConnection, TcpStream>> {
    let mut socket = TcpStream::connect(target.to)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    let name = ServerName::try_from(target.host.clone())?;
    let mut connection = ClientConnection::new(Arc::clone(config), name)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket)?;
    }
    Ok(StreamOwned::new(connection, socket))
}
