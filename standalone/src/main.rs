//! The binary `novaedge`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Parser, Subcommand};
use novaedge::{Config, Standalone};
use novaedge_control_plane::{folder::Watch, problem::Problem};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    workers: Option<usize>,
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
    log: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let Command::Run(run) = Arguments::parse().command;
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(&run.log)?)
        .with_writer(std::io::stderr)
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
        workers: run.workers,
    })
    .await?;
    let mut findings = system.findings();
    let mut told: Vec<Problem> = Vec::new();
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            error = system.failed() => return Err(error.into()),
            Ok(()) = findings.changed() => {
                let problems = findings.borrow_and_update().problems.clone();
                for problem in problems.iter().filter(|problem| !told.contains(problem)) {
                    tracing::warn!("{problem}");
                }
                told = problems;
            }
        }
    }
    system.stop(Duration::from_secs(run.drain_timeout)).await;
    Ok(())
}
