//! The binary `novaedge-control-plane`.

use std::{
    io::{self, IsTerminal as _, Write as _},
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};
use novaedge_control_plane::{
    CertificateFiles, Config, ControlPlane, KubernetesConfig, KubernetesControlPlane,
    folder::Watch,
    translate::{Format, Part, translate},
};
use novaedge_fleet::ServiceType;
use novaedge_identity::AgentAccount;
use novaedge_telemetry::{
    Export, LogFormat,
    flags::{Service, TraceFlags},
};
use tokio::signal::unix::{Signal, SignalKind, signal};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The exit code for findings that keep something from being served.
const FOUND_ERRORS: u8 = 1;
/// The exit code when the command could not do its work; clap gives it for a wrong usage.
const FAILED: u8 = 2;

/// How long the last spans may take on their way.
const LAST_SPANS: Duration = Duration::from_secs(3);

const TRANSLATE_HELP: &str = "\
Examples:
  novaedge-control-plane translate -f examples/quickstart
  novaedge-control-plane translate -f edge.yaml --only diagnostics
  novaedge-control-plane translate -f . -o json --only snapshot | jq '.snapshot[].name'

Exit codes:
  0  everything is served as written
  1  something is not served as written: see diagnostics
  2  wrong usage, or the folder cannot be read";

const SERVE_HELP: &str = "\
Examples:
  novaedge-control-plane serve --folder examples/quickstart/manifests --watch
  novaedge-control-plane serve --kubernetes --grpc 0.0.0.0:18000 --admin 0.0.0.0:18001";

/// Turns Gateway API objects into snapshots for agents.
#[derive(Parser)]
#[command(name = "novaedge-control-plane", version)]
struct Arguments {
    /// What to log, as in RUST_LOG
    #[arg(
        long,
        global = true,
        env = "NOVAEDGE_LOG",
        value_name = "FILTER",
        default_value = "info"
    )]
    log: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Prints what a folder of manifests comes to, without serving it
    #[command(after_help = TRANSLATE_HELP)]
    Translate {
        /// Folder of manifests, or one file
        #[arg(short = 'f', long = "folder", value_name = "DIR")]
        folder: PathBuf,
        /// Text form
        #[arg(short = 'o', long, value_enum, default_value = "yaml")]
        output: Format,
        /// Only these parts, comma-separated
        #[arg(long, value_enum, value_delimiter = ',', value_name = "PART")]
        only: Vec<Part>,
    },
    /// Serves snapshots of a folder of manifests, or of a Kubernetes cluster
    #[command(after_help = SERVE_HELP)]
    Serve {
        /// Folder of manifests
        #[arg(long, value_name = "DIR", required_unless_present = "kubernetes")]
        folder: Option<PathBuf>,
        /// Read changes as they are saved
        #[arg(long, requires = "folder")]
        watch: bool,
        /// Where agents connect; with a folder loopback only
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:18000")]
        grpc: SocketAddr,
        /// Where statuses are written [default: DIR/.novaedge]
        #[arg(long, value_name = "DIR", requires = "folder")]
        state_dir: Option<PathBuf>,
        /// The objects of the cluster that this pod, or KUBECONFIG, belongs to
        #[arg(long, conflicts_with = "folder")]
        kubernetes: bool,
        #[command(flatten)]
        traces: TraceFlags,
        #[command(flatten)]
        cluster: Box<ClusterArguments>,
    },
}

/// What `serve --kubernetes` takes.
#[derive(clap::Args)]
struct ClusterArguments {
    /// Address of /livez, /readyz, /metrics and /loglevel
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:18001")]
    admin: SocketAddr,
    /// Namespace of the agents, the lease and the CA
    #[arg(
        long,
        env = "POD_NAMESPACE",
        value_name = "NAME",
        default_value = "novaedge-system"
    )]
    namespace: String,
    /// Name of this replica, unique among them
    #[arg(
        long,
        env = "POD_NAME",
        value_name = "NAME",
        default_value = "novaedge-control-plane"
    )]
    identity: String,
    /// Address of this replica's pod
    #[arg(long, env = "POD_IP", value_name = "IP")]
    pod_ip: Option<IpAddr>,
    /// Type of the Service of each Gateway
    #[arg(
        long,
        env = "NOVAEDGE_SERVICE_TYPE",
        value_enum,
        default_value = "load-balancer"
    )]
    service_type: GatewayServiceType,
    /// Agents that own the Gateways of some namespaces, which then no others are given: NAMESPACE/ACCOUNT of their
    /// ServiceAccount, and the namespaces that they own. Without these they are given what nobody owns, as are those
    /// of the account novaedge-agent. May be repeated, or several with ; between them
    #[arg(
        long,
        env = "NOVAEDGE_AGENTS",
        value_name = "NAMESPACE/ACCOUNT[=NAMESPACE,...]",
        value_delimiter = ';'
    )]
    agents: Vec<AgentAccount>,
    /// Authorities of agents' certificates (PEM). A certificate names its ServiceAccount as
    /// spiffe://DOMAIN/ns/NAMESPACE/sa/ACCOUNT; agents without one show the token of their pod
    #[arg(long, env = "NOVAEDGE_CLIENT_CA", value_name = "FILE")]
    client_ca: Option<PathBuf>,
    /// Certificate of this replica (PEM, chain), made and renewed by somebody else, as cert-manager. It needs the DNS
    /// name novaedge-control-plane.NAMESPACE.svc. Without it the control plane makes an authority and certificates of
    /// its own
    #[arg(long, env = "NOVAEDGE_TLS_CERT", value_name = "FILE", requires_all = ["tls_key", "tls_ca"])]
    tls_cert: Option<PathBuf>,
    /// Key of the certificate (PEM)
    #[arg(
        long,
        env = "NOVAEDGE_TLS_KEY",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    tls_key: Option<PathBuf>,
    /// Authorities of all replicas' certificates (PEM)
    #[arg(
        long,
        env = "NOVAEDGE_TLS_CA",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    tls_ca: Option<PathBuf>,
    /// Serve agents without TLS: snapshots with private keys cross the network in plaintext, to whoever asks
    #[arg(long, conflicts_with_all = ["agents", "client_ca", "tls_cert"])]
    insecure_plaintext: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum GatewayServiceType {
    LoadBalancer,
    ClusterIp,
    NodePort,
}

impl From<GatewayServiceType> for ServiceType {
    fn from(service_type: GatewayServiceType) -> Self {
        match service_type {
            GatewayServiceType::LoadBalancer => Self::LoadBalancer,
            GatewayServiceType::ClusterIp => Self::ClusterIp,
            GatewayServiceType::NodePort => Self::NodePort,
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let format = if io::stderr().is_terminal() {
        LogFormat::Coloured
    } else {
        LogFormat::Plain
    };
    let level = match novaedge_telemetry::level::log(&arguments.log, format) {
        Ok(level) => level,
        Err(error) => {
            let _ = writeln!(io::stderr(), "--log: {error}");
            return ExitCode::from(FAILED);
        }
    };
    let result = match arguments.command {
        Command::Translate {
            folder,
            output,
            only,
        } => print(&folder, output, &only),
        Command::Serve {
            folder: Some(folder),
            watch,
            grpc,
            state_dir,
            traces,
            ..
        } => {
            let config = Config {
                state_dir: state_dir.unwrap_or_else(|| folder.join(".novaedge")),
                folder,
                watch: if watch { Watch::Yes } else { Watch::No },
                grpc,
                tracer: None,
            };
            serve(config, traces)
        }
        Command::Serve {
            grpc,
            cluster,
            traces,
            ..
        } => {
            let mut config = cluster.into_config(grpc);
            config.log_level = Some(level);
            serve_cluster(config, traces)
        }
    };
    result.unwrap_or_else(|error| {
        tracing::error!("{error:#}");
        ExitCode::from(FAILED)
    })
}

fn print(folder: &Path, format: Format, only: &[Part]) -> anyhow::Result<ExitCode> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.ok().and_then(|now| i64::try_from(now.as_secs()).ok());
    let translation = translate(folder, now.unwrap_or_default())?;
    let text = format.write(&translation.to_value(only)?)?;
    match io::stdout().lock().write_all(text.as_bytes()) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => written.context("cannot write to standard output")?,
    }
    Ok(if translation.has_errors() {
        ExitCode::from(FOUND_ERRORS)
    } else {
        ExitCode::SUCCESS
    })
}

impl ClusterArguments {
    fn into_config(self, grpc: SocketAddr) -> KubernetesConfig {
        let mut fleet = novaedge_fleet::Settings::new(self.namespace);
        fleet.service_type = self.service_type.into();
        KubernetesConfig {
            grpc,
            admin: self.admin,
            identity: self.identity,
            pod_ip: self.pod_ip,
            fleet,
            agents: self.agents,
            client_authorities: self.client_ca,
            certificate: certificate_files(self.tls_cert, self.tls_key, self.tls_ca),
            plaintext: self.insecure_plaintext,
            tracer: None,
            log_level: None,
        }
    }
}

/// All three, or none: the arguments require each other.
fn certificate_files(
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    authorities: Option<PathBuf>,
) -> Option<CertificateFiles> {
    Some(CertificateFiles {
        certificate: certificate?,
        key: key?,
        authorities: authorities?,
    })
}

fn service(instance: &str) -> Service {
    Service {
        name: "novaedge-control-plane",
        version: env!("CARGO_PKG_VERSION"),
        instance: instance.to_owned(),
    }
}

/// Sends the last spans.
async fn end(export: Option<Export>) {
    if let Some(export) = export {
        export.stop(LAST_SPANS).await;
    }
}

/// The signals that end a process in order.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Catches them from now on.
    fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for one of them; what fails before is an error.
    async fn wait<E>(&mut self, failed: impl Future<Output = E>) -> Result<(), E> {
        tokio::select! {
            _ = self.terminate.recv() => Ok(()),
            _ = self.interrupt.recv() => Ok(()),
            error = failed => Err(error),
        }
    }
}

#[tokio::main]
async fn serve_cluster(
    mut config: KubernetesConfig,
    traces: TraceFlags,
) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::catch()?;
    let (tracer, export) = traces.start(service(&config.identity))?.unzip();
    config.tracer = tracer;
    let mut control_plane = KubernetesControlPlane::start(config).await?;
    tracing::info!(address = %control_plane.address(), "serving the cluster");
    signals.wait(control_plane.failed()).await?;
    control_plane.stop().await;
    end(export).await;
    Ok(ExitCode::SUCCESS)
}

#[tokio::main(flavor = "current_thread")]
async fn serve(mut config: Config, traces: TraceFlags) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::catch()?;
    let (tracer, export) = traces.start(service("folder"))?.unzip();
    config.tracer = tracer;
    let mut control_plane = ControlPlane::start(config).await?;
    tracing::info!(address = %control_plane.address(), "serving snapshots");
    signals.wait(control_plane.failed()).await?;
    control_plane.stop().await;
    end(export).await;
    Ok(ExitCode::SUCCESS)
}
