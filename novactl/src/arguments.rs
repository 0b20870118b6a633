//! The command line.

mod examples;

use std::{net::IpAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use novaedge_api::meta::Kind;
use novaedge_control_plane::translate::{Format, Part};

use crate::output::{CheckOutput, Output, SnapshotOutput};

/// Looks at a running NovaEdge
#[derive(Clone, Debug, Parser)]
#[command(name = "novactl", version, after_help = examples::ALL)]
pub struct Arguments {
    /// Where to look
    #[command(flatten)]
    pub place: Place,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// Where to look. The rules that choose among these are in [`crate::place`].
#[derive(Args, Clone, Debug, Default)]
pub struct Place {
    /// gRPC endpoint of a control plane [env: NOVACTL_SERVER] [default: http://127.0.0.1:18000]
    #[arg(long, global = true, value_name = "URL", help_heading = WHERE)]
    pub server: Option<String>,
    /// Folder of manifests that 'novaedge run' serves [env: NOVACTL_FOLDER] [default: the current folder, if it is served]
    #[arg(short = 'f', long = "folder", global = true, value_name = "DIR", help_heading = WHERE)]
    pub folder: Option<PathBuf>,
    /// State folder of 'novaedge run' [env: NOVACTL_STATE_DIR] [default: .novaedge in the folder of manifests]
    #[arg(long, global = true, value_name = "DIR", help_heading = WHERE)]
    pub state_dir: Option<PathBuf>,
    /// Kubeconfig of a cluster [env: KUBECONFIG] [default: ~/.kube/config, or the ServiceAccount of the pod]
    #[arg(long, global = true, value_name = "FILE", help_heading = WHERE)]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig [default: its current one]
    #[arg(long, global = true, value_name = "NAME", help_heading = WHERE)]
    pub context: Option<String>,
    /// Namespace that the control plane is deployed in [default: novaedge-system]
    #[arg(long, global = true, value_name = "NAMESPACE", help_heading = WHERE)]
    pub system_namespace: Option<String>,
}

const WHERE: &str = "Where to look";

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Shows what needs a fix: conditions, problems, agents
    #[command(after_help = examples::STATUS)]
    Status {
        /// Only this namespace, and what has none
        #[arg(short, long, value_name = "NAMESPACE")]
        namespace: Option<String>,
        /// How to print it
        #[arg(short, long, value_enum, default_value_t)]
        output: SnapshotOutput,
    },
    /// Tells what becomes of a request: its listener, rule, filters and backends, or why there is an error
    #[command(after_help = examples::EXPLAIN)]
    Explain(Explain),
    /// Finds what is wrong with a folder or a file of manifests, with file, line, field and fix, without serving it
    #[command(after_help = examples::CHECK)]
    Check {
        /// Warnings count as errors do
        #[arg(long)]
        strict: bool,
        /// How to print it
        #[arg(short, long, value_enum, default_value_t)]
        output: CheckOutput,
    },
    /// Prints what a folder or a file of manifests comes to, without serving it
    #[command(after_help = examples::TRANSLATE)]
    Translate {
        /// Only these parts, comma-separated
        #[arg(long, value_enum, value_delimiter = ',', value_name = "PART")]
        only: Vec<Part>,
        /// How to print it
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Shows the agents: what each holds, since when, and what it refuses
    #[command(after_help = examples::AGENTS)]
    Agents {
        /// How to print them
        #[arg(short, long, value_enum, default_value_t)]
        output: SnapshotOutput,
    },
    /// Shows live rates per Gateway, route and backend
    #[command(after_help = examples::TOP)]
    Top(Top),
    /// Shows the next requests that match, each step by step as an agent served it
    #[command(after_help = examples::TRACE)]
    Trace(Trace),
    /// Shows snapshots: what the agents are sent, without private keys
    #[command(after_help = examples::SNAPSHOT)]
    Snapshot {
        /// What to do with them
        #[command(subcommand)]
        command: SnapshotCommand,
    },
    /// Shows Gateway API objects and their statuses
    #[command(visible_alias = "gwapi", after_help = examples::LIST)]
    GatewayApi {
        /// Which objects
        #[command(subcommand)]
        command: GatewayApiCommand,
    },
    /// Shows what the official conformance suite found, and what is claimed beyond its report
    #[command(after_help = examples::CONFORMANCE)]
    Conformance(Conformance),
    /// Writes all that a bug report needs into one file, without secrets
    #[command(after_help = examples::BUNDLE)]
    Bundle {
        /// The file [default: novaedge-bundle-TIME.tar.gz]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Prints a completion script
    #[command(after_help = examples::COMPLETION)]
    Completion {
        /// Shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Writes man pages, one for each command
    #[command(after_help = examples::MAN)]
    Man {
        /// Folder for them; it is made if it is not there
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

/// What `top` shows.
#[derive(Clone, Debug, Args)]
pub struct Top {
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub interval: u64,
    /// Go on until interrupted
    #[arg(short, long)]
    pub watch: bool,
    /// Rows of each table, those with the most requests first
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub limit: usize,
    /// How to print them
    #[arg(short, long, value_enum, default_value_t)]
    pub output: SnapshotOutput,
}

/// Which requests to show.
#[derive(Args, Clone, Debug)]
pub struct Trace {
    /// URL, of which host or path may be left out: http://www.example.com/login, *.example.com, or /api/*
    #[arg(value_name = "URL")]
    pub url: Option<String>,
    /// Method
    #[arg(short = 'X', long, value_name = "METHOD")]
    pub method: Option<String>,
    /// Header, for instance 'X-Request-Id: 42'; may be repeated
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    pub headers: Vec<String>,
    /// Address or network of the client, for instance 10.0.0.0/8
    #[arg(long, value_name = "IP")]
    pub client: Option<String>,
    /// The Gateway
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pub gateway: Option<String>,
    /// The route; its kind may stand before it
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pub route: Option<String>,
    /// Status of the answer: 503, or 5xx
    #[arg(long, value_name = "STATUS")]
    pub status: Option<String>,
    /// Only on this agent
    #[arg(long, value_name = "NODE")]
    pub agent: Option<String>,
    /// How many requests
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub count: u32,
    /// Seconds to wait for them
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=300))]
    pub timeout: u32,
    /// How to print them
    #[arg(short, long, value_enum, default_value_t)]
    pub output: SnapshotOutput,
}

/// Which request to explain.
#[derive(Args, Clone, Debug)]
pub struct Explain {
    /// URL, for instance https://www.example.com/login?next=/
    #[arg(value_name = "URL")]
    pub url: String,
    /// Method
    #[arg(short = 'X', long, value_name = "METHOD", default_value = "GET")]
    pub method: String,
    /// Header, for instance 'Host: www.example.com'; may be repeated
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    pub headers: Vec<String>,
    /// Server name of the TLS handshake [default: the host of the URL]
    #[arg(long, value_name = "NAME")]
    pub sni: Option<String>,
    /// The Gateway that it comes to: NAME or NAMESPACE/NAME [default: the one that listens on the port]
    #[arg(long, value_name = "NAME")]
    pub gateway: Option<String>,
    /// Address of the client: tells which endpoint a policy by hash chooses for it
    #[arg(long, value_name = "IP")]
    pub client: Option<IpAddr>,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: SnapshotOutput,
}

/// Which report to show.
#[derive(Args, Clone, Debug)]
pub struct Conformance {
    /// Report of the suite [default: the one that this version ships with; with --run ./conformance-report.yaml]
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Runs the suite first, on KUBECONFIG's cluster or the project's own; needs the repository and Go
    #[arg(long)]
    pub run: bool,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: SnapshotOutput,
    /// Flags for the suite; with -run-test it writes no report
    #[arg(last = true, value_name = "SUITE FLAG", requires = "run")]
    pub flags: Vec<String>,
}

/// What to do with snapshots.
#[derive(Clone, Debug, Subcommand)]
pub enum SnapshotCommand {
    /// Shows the newest snapshot
    #[command(after_help = examples::GET)]
    Get {
        /// Only resources whose names begin so, for instance route/HTTPRoute/default/
        #[arg(value_name = "PREFIX", default_value = "")]
        prefix: String,
        /// Only what this Gateway needs: NAME or NAMESPACE/NAME
        #[arg(long, value_name = "NAME", conflicts_with = "prefix")]
        gateway: Option<String>,
        /// How to print it
        #[arg(short, long, value_enum, default_value_t)]
        output: SnapshotOutput,
    },
    /// Shows what differs between two saved snapshots, or a saved one and the newest
    #[command(after_help = examples::DIFF)]
    Diff {
        /// Saved by 'snapshot get -o yaml' or '-o json'
        #[arg(value_name = "BEFORE")]
        before: PathBuf,
        /// The same [default: the newest snapshot]
        #[arg(value_name = "AFTER")]
        after: Option<PathBuf>,
    },
    /// Shows each new snapshot's differences as it comes, until it is interrupted
    #[command(after_help = examples::WATCH)]
    Watch {
        /// Milliseconds between two looks
        #[arg(long, value_name = "MS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(50..))]
        interval: u64,
    },
}

/// Which Gateway API objects.
#[derive(Clone, Debug, Subcommand)]
pub enum GatewayApiCommand {
    /// Lists GatewayClasses
    #[command(visible_aliases = ["gatewayclass", "gwc", "gc"], after_help = examples::GATEWAYCLASSES)]
    Gatewayclasses(List),
    /// Lists Gateways
    #[command(visible_aliases = ["gateway", "gw"], after_help = examples::GATEWAYS)]
    Gateways(List),
    /// Lists ListenerSets
    #[command(visible_aliases = ["listenerset", "ls"], after_help = examples::LISTENERSETS)]
    Listenersets(List),
    /// Lists HTTPRoutes
    #[command(visible_aliases = ["httproute", "hr"], after_help = examples::HTTPROUTES)]
    Httproutes(List),
    /// Lists GRPCRoutes
    #[command(visible_aliases = ["grpcroute", "gr"], after_help = examples::GRPCROUTES)]
    Grpcroutes(List),
    /// Lists TLSRoutes
    #[command(visible_alias = "tlsroute", after_help = examples::TLSROUTES)]
    Tlsroutes(List),
    /// Lists TCPRoutes
    #[command(visible_alias = "tcproute", after_help = examples::TCPROUTES)]
    Tcproutes(List),
    /// Lists UDPRoutes
    #[command(visible_alias = "udproute", after_help = examples::UDPROUTES)]
    Udproutes(List),
    /// Lists BackendTLSPolicies
    #[command(visible_aliases = ["backendtlspolicy", "btp"], after_help = examples::BACKENDTLSPOLICIES)]
    Backendtlspolicies(List),
    /// Shows a Gateway with every condition, address, listener, route and certificate
    #[command(after_help = examples::DESCRIBE)]
    DescribeGateway {
        /// Its name
        name: String,
        /// Its namespace [default: that of the context, or 'default']
        #[arg(short, long, value_name = "NAMESPACE")]
        namespace: Option<String>,
    },
}

/// Which objects of a kind, and how to print them.
#[derive(Args, Clone, Debug)]
pub struct List {
    /// Only these
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Namespace [default: that of the context, or 'default']
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// All namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub all_namespaces: bool,
    /// How to print them
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

impl GatewayApiCommand {
    /// The kind to list, and how; none for another command.
    pub fn list(&self) -> Option<(Kind, &List)> {
        match self {
            Self::Gatewayclasses(list) => Some((Kind::GatewayClass, list)),
            Self::Gateways(list) => Some((Kind::Gateway, list)),
            Self::Listenersets(list) => Some((Kind::ListenerSet, list)),
            Self::Httproutes(list) => Some((Kind::HttpRoute, list)),
            Self::Grpcroutes(list) => Some((Kind::GrpcRoute, list)),
            Self::Tlsroutes(list) => Some((Kind::TlsRoute, list)),
            Self::Tcproutes(list) => Some((Kind::TcpRoute, list)),
            Self::Udproutes(list) => Some((Kind::UdpRoute, list)),
            Self::Backendtlspolicies(list) => Some((Kind::BackendTlsPolicy, list)),
            Self::DescribeGateway { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::Arguments;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples_that_parse() {
        let mut commands = vec![(String::from("novactl"), Arguments::command())];
        let mut count = 0;
        while let Some((path, command)) = commands.pop() {
            for inner in command.get_subcommands() {
                commands.push((format!("{path} {}", inner.get_name()), inner.clone()));
            }
            let help = command.get_after_help().map(ToString::to_string);
            let help = help.unwrap_or_else(|| panic!("{path} has no examples"));
            let lines = help.lines().filter_map(|line| line.strip_prefix("  "));
            let lines: Vec<&str> = lines.filter(|line| line.contains("novactl ")).collect();
            assert!(
                lines.iter().any(|line| line.contains(&path)),
                "{path} has no example of its own"
            );
            for line in lines {
                let words = words(line);
                let parsed = Arguments::try_parse_from(&words);
                assert!(parsed.is_ok(), "{line}: {words:?}: {parsed:?}");
                count += 1;
            }
        }
        assert!(count > 40, "{count}");
    }

    /// The words of an example: from `novactl` to a redirection or the remark behind it.
    fn words(line: &str) -> Vec<String> {
        let line = &line[line.find("novactl ").unwrap_or(0)..];
        let line = line.split("   ").next().unwrap_or(line);
        let line = line.split([')', '>', '|']).next().unwrap_or(line);
        let mut words = Vec::new();
        for (index, part) in line.split('\'').enumerate() {
            if index % 2 == 1 {
                words.push(part.to_owned());
            } else {
                words.extend(part.split_whitespace().map(str::to_owned));
            }
        }
        words
    }

    #[test]
    fn the_place_may_stand_behind_the_command() {
        let line = ["novactl", "gateway-api", "gw", "a", "-A", "-f", "dir"];
        assert!(Arguments::try_parse_from(line).is_ok());
        let line = ["novactl", "gateway-api", "gw", "-A", "-n", "x"];
        assert!(Arguments::try_parse_from(line).is_err());
    }
}
