//! The binary `novaedge-agent`.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use novaedge_agent::flags::AccessLogFlags;
use novaedge_agent::{Agent, AgentConfig, Telemetry, ask_to_leave};
use novaedge_subscribe::{ClientFiles, TlsFiles};
use novaedge_telemetry::LogFormat;
use novaedge_telemetry::flags::{Service, TraceFlags};
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How long the last spans may take on their way.
const LAST_SPANS: Duration = Duration::from_secs(3);

/// Serves the traffic of Gateways, as the control plane says.
#[derive(Debug, Parser)]
#[command(
    name = "novaedge-agent",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Option<Serve>,
    #[command(flatten)]
    access_log: AccessLogFlags,
    #[command(flatten)]
    traces: TraceFlags,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Takes the running agent of this pod out of the fleet, and returns when it may end
    Drain {
        /// Address of its admin endpoint
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9901")]
        admin: SocketAddr,
        /// Seconds that it serves on; after half of them clients are asked to go elsewhere
        #[arg(long, value_name = "SECONDS", default_value_t = 10)]
        delay: u64,
    },
}

#[derive(Debug, clap::Args)]
struct Serve {
    /// The control plane, such as https://novaedge-control-plane.novaedge-system.svc:18000
    #[arg(long, env = "NOVAEDGE_CONTROL_PLANE", value_name = "URL")]
    control_plane: String,
    /// Authorities of the control plane's certificate (PEM); needed with https
    #[arg(long, env = "NOVAEDGE_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Token of this pod's ServiceAccount; read for each subscription, sent over https alone
    #[arg(long, env = "NOVAEDGE_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificate by which this agent proves itself, instead of a token (PEM)
    #[arg(long, env = "NOVAEDGE_CLIENT_CERT", value_name = "FILE", requires_all = ["client_key", "ca_file"])]
    client_cert: Option<PathBuf>,
    /// Key of the certificate (PEM)
    #[arg(
        long,
        env = "NOVAEDGE_CLIENT_KEY",
        value_name = "FILE",
        requires = "client_cert"
    )]
    client_key: Option<PathBuf>,
    /// Name of this agent, unique in the fleet
    #[arg(long, env = "NOVAEDGE_NODE_ID", value_name = "NAME")]
    node_id: String,
    /// Zone of this agent, for backends that prefer endpoints of their own
    #[arg(long, env = "NOVAEDGE_ZONE", value_name = "ZONE")]
    zone: Option<String>,
    /// Bytes of memory that this agent may use: it sheds load before they are used up [default: those of its control group]
    #[arg(long, env = "NOVAEDGE_MEMORY_LIMIT", value_name = "BYTES")]
    memory_limit: Option<u64>,
    /// Where the last good snapshot is kept (with private keys; mode 0700)
    #[arg(long, env = "NOVAEDGE_STATE_DIR", value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Threads that serve traffic [default: one per core]
    #[arg(long, env = "NOVAEDGE_WORKERS", value_name = "N")]
    workers: Option<NonZeroUsize>,
    /// Address of /livez, /readyz, /version, /metrics and /loglevel
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

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    match (arguments.command, arguments.serve) {
        (Some(Command::Drain { admin, delay }), _) => {
            let delay = Duration::from_secs(delay);
            ask_to_leave(admin, delay)?;
            std::thread::sleep(delay);
            Ok(())
        }
        (None, Some(serving)) => serve(serving, arguments.access_log, arguments.traces),
        // Clap asks for what is required.
        (None, None) => anyhow::bail!("--control-plane and --node-id are missing"),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn serve(
    arguments: Serve,
    access_log: AccessLogFlags,
    traces: TraceFlags,
) -> anyhow::Result<()> {
    let format = match (arguments.log_json, stderr_shows_colours()) {
        (true, _) => LogFormat::Json,
        (false, true) => LogFormat::Coloured,
        (false, false) => LogFormat::Plain,
    };
    let level = novaedge_telemetry::level::log(&arguments.log, format).context("--log")?;
    let service = Service {
        name: "novaedge-agent",
        version: env!("CARGO_PKG_VERSION"),
        instance: arguments.node_id.clone(),
    };
    let (tracer, export) = traces.start(service)?.unzip();
    let mut config = AgentConfig::new(arguments.node_id);
    config.telemetry = Telemetry {
        access_log: access_log.settings(),
        tracer,
        log_level: Some(level),
    };
    config.control_plane = Some(arguments.control_plane);
    let client = arguments.client_cert.zip(arguments.client_key);
    let client = client.map(|(certificate, key)| ClientFiles { certificate, key });
    config.control_plane_tls = arguments.ca_file.map(|authorities| TlsFiles {
        authorities,
        client,
    });
    config.token_file = arguments.token_file;
    config.zone = arguments
        .zone
        .filter(|zone| !zone.is_empty())
        .map(Into::into);
    config.memory_limit = arguments.memory_limit;
    config.state_dir = arguments.state_dir;
    config.admin = Some(arguments.admin);
    if let Some(workers) = arguments.workers {
        config.workers = workers.get();
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut reopen = signal(SignalKind::hangup())?;
    let mut agent = Agent::start(config)?;
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = reopen.recv() => agent.reopen_access_log(),
            error = agent.failed() => return Err(error.into()),
        }
    }
    tracing::info!(seconds = arguments.drain_timeout, "draining");
    agent
        .drain(Duration::from_secs(arguments.drain_timeout))
        .await;
    if let Some(export) = export {
        export.stop(LAST_SPANS).await;
    }
    Ok(())
}
