//! The binary `novaedge`.

use std::{
    collections::BTreeSet,
    io::{self, IsTerminal as _},
    net::SocketAddr,
    num::NonZeroUsize,
    path::PathBuf,
    time::Duration,
};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use novaedge::{Config, Standalone, Telemetry};
use novaedge_agent::flags::AccessLogFlags;
use novaedge_control_plane::{Findings, folder::Watch, problem::Problem};
use novaedge_telemetry::LogFormat;
use novaedge_telemetry::flags::{Service, TraceFlags};
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How long the last spans may take on their way.
const LAST_SPANS: Duration = Duration::from_secs(3);

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
    /// Admin endpoint: /livez, /readyz, /version, /metrics, /loglevel
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
    #[command(flatten)]
    access_log: AccessLogFlags,
    #[command(flatten)]
    traces: TraceFlags,
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
    let format = if io::stderr().is_terminal() {
        LogFormat::Coloured
    } else {
        LogFormat::Plain
    };
    let level = novaedge_telemetry::level::log(&run.log, format).context("--log")?;
    let service = Service {
        name: "novaedge",
        version: env!("CARGO_PKG_VERSION"),
        instance: "standalone".into(),
    };
    let (tracer, export) = run.traces.start(service)?.unzip();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut reopen = signal(SignalKind::hangup())?;
    let mut system = Standalone::start(Config {
        state_dir: run
            .state_dir
            .unwrap_or_else(|| run.folder.join(".novaedge")),
        folder: run.folder,
        watch: if run.watch { Watch::Yes } else { Watch::No },
        grpc: run.grpc,
        admin: run.admin,
        workers: run.workers.map(NonZeroUsize::get),
        telemetry: Telemetry {
            access_log: run.access_log.settings(),
            tracer,
            log_level: Some(level),
        },
    })
    .await?;
    tracing::info!(grpc = %system.grpc(), admin = %run.admin, "started");
    let mut findings = system.findings();
    let mut told = BTreeSet::new();
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = reopen.recv() => system.reopen_access_log(),
            error = system.failed() => return Err(error.into()),
            Ok(()) = findings.changed() => tell(&findings.borrow_and_update(), &mut told),
        }
    }
    system.stop(Duration::from_secs(run.drain_timeout)).await;
    if let Some(export) = export {
        export.stop(LAST_SPANS).await;
    }
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
