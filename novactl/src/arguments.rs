//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use novaedge_api::meta::Kind;
use novaedge_control_plane::translate::{Format, Part};

use crate::{
    output::{CheckOutput, Output, SnapshotOutput},
    server::DEFAULT_SERVER,
};

const EXAMPLES: &str = "\
Examples:
  novactl status -f DIR                        What needs a fix, at a glance
  novactl explain URL                          What becomes of a request, and why
  novactl agents                               Who holds which snapshot
  novactl gateway-api gateways -f DIR          The Gateways and their statuses
  novactl gateway-api describe-gateway NAME -f DIR
  novactl snapshot get --gateway NAME          What the agents are sent
  novactl conformance                          What the Gateway API's own tests say

Exit codes: 0 done, and all is well; 1 something is wrong, differs or is not there; 2 it could not be told.";

const STATUS_EXAMPLES: &str = "\
Examples:
  novactl status -f DIR
  novactl status -f DIR -o json | jq .findings

Exits with 1 when something is to be fixed.";

const CHECK_EXAMPLES: &str = "\
Examples:
  novactl check -f DIR
  novactl check -f DIR --strict                   Warnings count as well
  novactl check -f edge.yaml -o sarif > edge.sarif

Exit codes: 0 no errors; 1 something would not be served as written; 2 the manifests cannot be read.";

const TRANSLATE_EXAMPLES: &str = "\
Examples:
  novactl translate -f DIR
  novactl translate -f edge.yaml --only diagnostics
  novactl translate -f . -o json --only snapshot | jq '.snapshot[].name'

Exits with 1 when something is not served as written: see diagnostics.";

const AGENTS_EXAMPLES: &str = "\
Examples:
  novactl agents
  novactl agents --server http://127.0.0.1:18000 -o json";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  novactl explain http://www.example.com/login -f DIR     What a folder would do, without serving it
  novactl explain https://www.example.com/ --gateway infra/edge
  novactl explain http://127.0.0.1:8080/ --header 'Host: www.example.com' --method POST

Without -f it goes by the newest snapshot. Exits with 1 when the client gets an error.";

const GET_EXAMPLES: &str = "\
Examples:
  novactl snapshot get
  novactl snapshot get route/HTTPRoute/default/
  novactl snapshot get --gateway example-gateway -o yaml > before.yaml";

const DIFF_EXAMPLES: &str = "\
Examples:
  novactl snapshot get -o yaml > before.yaml
  novactl snapshot diff before.yaml             Against the snapshot of now
  novactl snapshot diff before.yaml after.yaml

Exits with 1 when they differ.";

const CONFORMANCE_EXAMPLES: &str = "\
Examples:
  novactl conformance
  novactl conformance -o json | jq -r '.features[].name'
  novactl conformance --run                                  The suite, with all that it needs
  DEPLOYED=1 novactl conformance --run -- -run-test HTTPRouteWeight

Exits with 1 when a test failed or was left out.";

const LIST_EXAMPLES: &str = "\
Examples:
  novactl gateway-api gateways -f DIR
  novactl gateway-api httproutes -A -o wide -f DIR
  novactl gateway-api httproutes www -n shop -o yaml -f DIR
  novactl gateway-api describe-gateway example-gateway -f DIR";

/// Looks at a running NovaEdge
#[derive(Clone, Debug, Parser)]
#[command(name = "novactl", version, after_help = EXAMPLES)]
pub struct Arguments {
    /// Where to look
    #[command(flatten)]
    pub place: Place,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// Where to look.
#[derive(Args, Clone, Debug)]
pub struct Place {
    /// gRPC endpoint of the control plane
    #[arg(long, global = true, env = "NOVACTL_SERVER", value_name = "URL", default_value = DEFAULT_SERVER)]
    pub server: String,
    /// Folder of manifests that 'novaedge run' serves [default: the current folder, if it is served]
    #[arg(
        short = 'f',
        long = "folder",
        global = true,
        env = "NOVACTL_FOLDER",
        value_name = "DIR"
    )]
    pub folder: Option<PathBuf>,
    /// State folder of 'novaedge run' [default: .novaedge in the folder of manifests]
    #[arg(long, global = true, env = "NOVACTL_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Shows what needs a fix: conditions, problems, agents
    #[command(after_help = STATUS_EXAMPLES)]
    Status {
        /// How to print it
        #[arg(short, long, value_enum, default_value_t)]
        output: SnapshotOutput,
    },
    /// Tells what becomes of a request: its listener, rule, filters and backends, or why there is an error
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(Explain),
    /// Finds what is wrong with a folder or a file of manifests, with file, line, field and fix, without serving it
    #[command(after_help = CHECK_EXAMPLES)]
    Check {
        /// Warnings count as errors do
        #[arg(long)]
        strict: bool,
        /// How to print it
        #[arg(short, long, value_enum, default_value_t)]
        output: CheckOutput,
    },
    /// Prints what a folder or a file of manifests comes to, without serving it
    #[command(after_help = TRANSLATE_EXAMPLES)]
    Translate {
        /// Only these parts, comma-separated
        #[arg(long, value_enum, value_delimiter = ',', value_name = "PART")]
        only: Vec<Part>,
        /// How to print it
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Shows the agents: what each holds, since when, and what it refuses
    #[command(after_help = AGENTS_EXAMPLES)]
    Agents {
        /// How to print them
        #[arg(short, long, value_enum, default_value_t)]
        output: SnapshotOutput,
    },
    /// Shows snapshots: what the agents are sent, without private keys
    Snapshot {
        /// What to do with them
        #[command(subcommand)]
        command: SnapshotCommand,
    },
    /// Shows Gateway API objects and their statuses
    #[command(visible_alias = "gwapi", after_help = LIST_EXAMPLES)]
    GatewayApi {
        /// Which objects
        #[command(subcommand)]
        command: GatewayApiCommand,
    },
    /// Shows what the official conformance suite found, and what is claimed beyond its report
    #[command(after_help = CONFORMANCE_EXAMPLES)]
    Conformance(Conformance),
    /// Prints a completion script, for instance: source <(novactl completion bash)
    Completion {
        /// Shell
        #[arg(value_enum)]
        shell: Shell,
    },
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
    #[command(after_help = GET_EXAMPLES)]
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
    #[command(after_help = DIFF_EXAMPLES)]
    Diff {
        /// Saved by 'snapshot get -o yaml' or '-o json'
        #[arg(value_name = "BEFORE")]
        before: PathBuf,
        /// The same [default: the newest snapshot]
        #[arg(value_name = "AFTER")]
        after: Option<PathBuf>,
    },
    /// Shows each new snapshot's differences as it comes, until it is interrupted
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
    #[command(visible_aliases = ["gatewayclass", "gwc", "gc"])]
    Gatewayclasses(List),
    /// Lists Gateways
    #[command(visible_aliases = ["gateway", "gw"])]
    Gateways(List),
    /// Lists ListenerSets
    #[command(visible_aliases = ["listenerset", "ls"])]
    Listenersets(List),
    /// Lists HTTPRoutes
    #[command(visible_aliases = ["httproute", "hr"])]
    Httproutes(List),
    /// Lists GRPCRoutes
    #[command(visible_aliases = ["grpcroute", "gr"])]
    Grpcroutes(List),
    /// Lists TLSRoutes
    #[command(visible_alias = "tlsroute")]
    Tlsroutes(List),
    /// Lists TCPRoutes
    #[command(visible_alias = "tcproute")]
    Tcproutes(List),
    /// Lists UDPRoutes
    #[command(visible_alias = "udproute")]
    Udproutes(List),
    /// Lists BackendTLSPolicies
    #[command(visible_aliases = ["backendtlspolicy", "btp"])]
    Backendtlspolicies(List),
    /// Shows a Gateway with every condition, address, listener, route and certificate
    DescribeGateway {
        /// Its name
        name: String,
        /// Its namespace
        #[arg(short, long, value_name = "NAMESPACE", default_value = "default")]
        namespace: String,
    },
}

/// Which objects of a kind, and how to print them.
#[derive(Args, Clone, Debug)]
pub struct List {
    /// Only these
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Namespace
    #[arg(short, long, value_name = "NAMESPACE", default_value = "default")]
    pub namespace: String,
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
    fn the_place_may_stand_behind_the_command() {
        let line = ["novactl", "gateway-api", "gw", "a", "-A", "-f", "dir"];
        assert!(Arguments::try_parse_from(line).is_ok());
        let line = ["novactl", "gateway-api", "gw", "-A", "-n", "x"];
        assert!(Arguments::try_parse_from(line).is_err());
    }
}
