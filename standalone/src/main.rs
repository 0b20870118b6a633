//! The binary `novaedge`.

use std::{
    collections::BTreeSet,
    io::{self, IsTerminal as _},
    net::SocketAddr,
    num::NonZeroUsize,
    path::PathBuf,
    time::Duration,
};

use clap::{Parser, Subcommand};
use novaedge::{Config, Standalone};
use novaedge_control_plane::{Findings, folder::Watch, problem::Problem};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Gateway API manifests in a folder, served by one process.
#[derive(Parser)]
#[command(name = "novaedge", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves a folder of manifests.
    Run(Run),
}

#[derive(clap::Args)]
struct Run {
    /// Folder of manifests
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Read changes as they are saved
    #[arg(long)]
    watch: bool,
    /// gRPC endpoint; loopback only
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:18000")]
    grpc: SocketAddr,
    /// Admin endpoint: /livez, /readyz, /version, /metrics
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9901")]
    admin: SocketAddr,
    /// Statuses and the last good snapshot [default: DIR/.novaedge]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Threads that serve traffic [default: one per core]
    #[arg(long, value_name = "N")]
    workers: Option<NonZeroUsize>,
    /// Seconds that connections may go on after SIGTERM
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    drain_timeout: u64,
    /// What to log, as in RUST_LOG
    #[arg(
        long,
        env = "NOVAEDGE_LOG",
        value_name = "FILTER",
        default_value = "info"
    )]
    log: EnvFilter,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let Command::Run(run) = Arguments::parse().command;
    tracing_subscriber::fmt()
        .with_env_filter(run.log)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut system = Standalone::start(Config {
        state_dir: run
            .state_dir
            .unwrap_or_else(|| run.folder.join(".novaedge")),
        folder: run.folder,
        watch: if run.watch { Watch::Yes } else { Watch::No },
        grpc: run.grpc,
        admin: run.admin,
        workers: run.workers.map(NonZeroUsize::get),
    })
    .await?;
    tracing::info!(grpc = %system.grpc(), admin = %run.admin, "started");
    let mut findings = system.findings();
    let mut told = BTreeSet::new();
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            error = system.failed() => return Err(error.into()),
            Ok(()) = findings.changed() => tell(&findings.borrow_and_update(), &mut told),
        }
    }
    system.stop(Duration::from_secs(run.drain_timeout)).await;
    Ok(())
}

/// Logs the problems that were not there before, and that there are none any more.
fn tell(findings: &Findings, told: &mut BTreeSet<Problem>) {
    let problems: BTreeSet<Problem> = findings.problems.iter().cloned().collect();
    for problem in problems.difference(told) {
        tracing::warn!("{problem}");
    }
    if problems.is_empty() && !told.is_empty() {
        tracing::info!("everything is served as written now");
    }
    *told = problems;
}
