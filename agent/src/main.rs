//! The binary `novaedge-agent`.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use novaedge_agent::{Agent, AgentConfig};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Serves the traffic of Gateways, as the control plane says.
#[derive(Debug, Parser)]
#[command(name = "novaedge-agent", version)]
struct Arguments {
    /// The control plane, such as http://127.0.0.1:9090
    #[arg(long, env = "NOVAEDGE_CONTROL_PLANE", value_name = "URL")]
    control_plane: String,
    /// Name of this agent, unique in the fleet
    #[arg(long, env = "NOVAEDGE_NODE_ID", value_name = "NAME")]
    node_id: String,
    /// Where the last good snapshot is kept (with private keys; mode 0700)
    #[arg(long, env = "NOVAEDGE_STATE_DIR", value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Threads that serve traffic [default: one per core]
    #[arg(long, env = "NOVAEDGE_WORKERS", value_name = "N")]
    workers: Option<NonZeroUsize>,
    /// Address of /livez, /readyz, /version and /metrics
    #[arg(
        long,
        env = "NOVAEDGE_ADMIN",
        value_name = "ADDR",
        default_value = "127.0.0.1:9901"
    )]
    admin: SocketAddr,
    /// Seconds that connections may go on after SIGTERM
    #[arg(
        long,
        env = "NOVAEDGE_DRAIN_TIMEOUT",
        value_name = "SECONDS",
        default_value_t = 30
    )]
    drain_timeout: u64,
    /// What to log, as in RUST_LOG: "info", "debug", "novaedge_l4=debug"
    #[arg(
        long,
        env = "NOVAEDGE_LOG",
        value_name = "FILTER",
        default_value = "info"
    )]
    log: String,
    /// Log one JSON object per line
    #[arg(long, env = "NOVAEDGE_LOG_JSON")]
    log_json: bool,
}

/// A terminal does, unless its user wants none (<https://no-color.org>).
fn stderr_shows_colours() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !unwanted
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_new(&arguments.log).context("--log is not a filter")?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(stderr_shows_colours())
        .with_writer(std::io::stderr);
    if arguments.log_json {
        logs.json().init();
    } else {
        logs.init();
    }
    let mut config = AgentConfig::new(arguments.node_id);
    config.control_plane = Some(arguments.control_plane);
    config.state_dir = arguments.state_dir;
    config.admin = Some(arguments.admin);
    if let Some(workers) = arguments.workers {
        config.workers = workers.get();
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut agent = Agent::start(config)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        error = agent.failed() => return Err(error.into()),
    }
    tracing::info!(seconds = arguments.drain_timeout, "draining");
    agent
        .drain(Duration::from_secs(arguments.drain_timeout))
        .await;
    Ok(())
}
