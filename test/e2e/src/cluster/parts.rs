//! The pods of NovaEdge, and what can be done to them and to the cluster's own programs.

use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    fs,
    io::Write as _,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{Namespace, SYSTEM, kubectl, try_kubectl};

/// The Deployment of the agents.
const AGENTS: &str = "novaedge-agent";
/// Of the project's own cluster, with the names that nft has for them.
const NODE: &str = "10.244.0.1";
const CUT: &str = "novaedge-e2e-cut";

/// Runs kubectl in the system's namespace.
fn system(arguments: &[&str]) -> String {
    kubectl(&[&["--namespace", SYSTEM], arguments].concat())
}

/// Waits for all pods of a Deployment of ours. It asks in the test's own thread: load goes on in the others.
pub fn rolled_out(name: &str) {
    let deployment = format!("deployment/{name}");
    system(&["rollout", "status", &deployment, "--timeout=300s"]);
}

/// Ends a pod of ours at once, as a machine that fails would.
pub fn kill(pod: &str) {
    system(&["delete", "pod", pod, "--grace-period=0", "--force"]);
}

/// The control plane that leads; empty if none does.
pub fn holder() -> String {
    system(&[
        "get",
        "lease/novaedge-control-plane",
        "-o",
        "jsonpath={.spec.holderIdentity}",
    ])
}

/// Names and addresses of the pods of a Deployment of ours that are ready and stay.
pub fn ready_pods(deployment: &str) -> Vec<(String, IpAddr)> {
    let label = format!("app.kubernetes.io/name={deployment}");
    let text = system(&[
        "get",
        "pods",
        "-l",
        &label,
        "-o",
        "jsonpath={range .items[*]}{.metadata.name} {.status.podIP} \
         {.status.conditions[?(@.type==\"Ready\")].status}{.metadata.deletionTimestamp}{\"\\n\"}{end}",
    ]);
    let pods = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (name, ip, ready) = (words.next()?, words.next()?, words.next()?);
        (ready == "True").then_some((name.to_owned(), ip.parse().ok()?))
    });
    pods.collect()
}

/// An agent, and where it serves the Gateway `edge` of a namespace by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Its pod.
    pub pod: String,
    /// Its own address and the local port of the listener.
    pub address: SocketAddr,
}

/// The agents that serve the first listener of the Gateway `edge` of a namespace.
pub fn agents(namespace: &Namespace) -> Vec<Agent> {
    let port = namespace.kubectl(&[
        "get",
        "service/edge",
        "-o",
        "jsonpath={.spec.ports[0].targetPort}",
    ]);
    let port = port.parse().expect("the local port of a listener");
    let pods = ready_pods(AGENTS).into_iter();
    pods.map(|(pod, ip)| Agent {
        pod,
        address: SocketAddr::new(ip, port),
    })
    .collect()
}

/// How often containers of ours were started again, by pod.
pub fn restarts() -> Vec<String> {
    let text = system(&[
        "get",
        "pods",
        "-o",
        "jsonpath={range .items[*]}{.metadata.name}: {.status.containerStatuses[*].restartCount}{\"\\n\"}{end}",
    ]);
    let mut pods: Vec<_> = text.lines().map(str::to_owned).collect();
    pods.sort();
    pods
}

/// Resident memory of each program of NovaEdge on this machine in KiB, by program and process id.
pub fn memory() -> BTreeMap<String, u64> {
    let processes = fs::read_dir("/proc").expect("Linux").flatten();
    let ours = processes.filter_map(|process| {
        let command = fs::read_to_string(process.path().join("cmdline")).ok()?;
        let program = command.split('\0').next()?.strip_prefix("/novaedge-")?;
        let status = fs::read_to_string(process.path().join("status")).ok()?;
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib = resident.trim().strip_suffix(" kB")?.parse().ok()?;
        let id = process.file_name().to_string_lossy().into_owned();
        Some((format!("{program} {id}"), kib))
    });
    ours.collect()
}

/// The agents under the test's own hand: their autoscaler is away until this is dropped.
pub struct FixedScale {
    autoscaler: Option<String>,
    replicas: String,
}

impl FixedScale {
    /// Takes the autoscaler away, if there is one.
    pub fn take() -> Self {
        let replicas = system(&[
            "get",
            "deployment/novaedge-agent",
            "-o",
            "jsonpath={.spec.replicas}",
        ]);
        let name = "hpa/novaedge-agent";
        let autoscaler = try_kubectl(&["--namespace", SYSTEM, "get", name, "-o", "yaml"], "").ok();
        if autoscaler.is_some() {
            system(&["delete", name]);
        }
        Self {
            autoscaler,
            replicas,
        }
    }

    /// Sets how many agents there are, and waits for them.
    pub fn set(&self, replicas: u32) {
        scale(&replicas.to_string());
        rolled_out(AGENTS);
    }
}

impl Drop for FixedScale {
    fn drop(&mut self) {
        scale(&self.replicas);
        if let Some(manifest) = &self.autoscaler {
            // What tells of the object that is gone would make this one a stranger.
            let lines = manifest.lines();
            let kept: Vec<_> = lines
                .filter(|line| {
                    !["  uid:", "  resourceVersion:"]
                        .iter()
                        .any(|key| line.starts_with(key))
                })
                .collect();
            let back = try_kubectl(&["create", "-f", "-"], &kept.join("\n"));
            if let Err(error) = back {
                eprintln!("the autoscaler is not back: {error}");
            }
        }
    }
}

fn scale(replicas: &str) {
    let replicas = format!("--replicas={replicas}");
    let scale = ["--namespace", SYSTEM, "scale", "deployment/novaedge-agent"];
    if let Err(error) = try_kubectl(&[&scale[..], &[&replicas]].concat(), "") {
        eprintln!("the agents cannot be scaled: {error}");
    }
}

/// Whether the cluster is the project's own on this machine, whose programs a test may stop. Says so if not.
pub fn is_own() -> bool {
    let named = env::var_os("KUBECONFIG").map(PathBuf::from);
    let own = state().join("audit.yaml").exists()
        && named.is_none_or(|named| named == state().join("admin.conf"));
    if !own {
        eprintln!("SKIPPED: the cluster is not the project's own");
    }
    own
}

/// The folder of the cluster's data and logs.
pub(super) fn state() -> PathBuf {
    env::var_os("NOVAEDGE_CLUSTER_STATE")
        .map_or_else(|| "/var/lib/novaedge-cluster".into(), PathBuf::from)
}

/// Starts or stops a program of the project's own cluster.
pub fn component(name: &str, action: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster/component");
    run_as_host(Command::new(script).args([name, action]), "");
}

/// Runs a program of this machine: what it printed. Panics if it fails.
pub fn run_as_host(command: &mut Command, input: &str) -> String {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{command:?}: {}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A cut between pods and what they ask, on the bridge of the project's own cluster; mended when it is dropped.
pub struct CutOff(());

impl CutOff {
    /// Between these pods and the control plane's port for agents.
    pub fn from_control_plane(pods: &[IpAddr]) -> Self {
        Self::new(pods, "", "18000")
    }

    /// Between these pods and the API server.
    pub fn from_api_server(pods: &[IpAddr]) -> Self {
        Self::new(pods, NODE, "6443")
    }

    fn new(pods: &[IpAddr], server: &str, port: &str) -> Self {
        let pods: Vec<_> = pods.iter().map(ToString::to_string).collect();
        let pods = pods.join(", ");
        let (mut to, mut from) = (String::new(), String::new());
        if !server.is_empty() {
            to = format!("ip daddr {server} ");
            from = format!("ip saddr {server} ");
        }
        let mut table = format!("table inet {CUT}\ndelete table inet {CUT}\ntable inet {CUT} {{\n");
        // Service addresses are rewritten before any of these.
        for hook in ["input", "forward", "output"] {
            writeln!(
                table,
                "chain {hook} {{ type filter hook {hook} priority 10;\n\
                 ip saddr {{ {pods} }} {to}tcp dport {port} counter drop\n\
                 ip daddr {{ {pods} }} {from}tcp sport {port} counter drop\n}}"
            )
            .expect("text takes all");
        }
        table.push_str("}\n");
        run_as_host(Command::new("nft").args(["-f", "-"]), &table);
        Self(())
    }
}

impl Drop for CutOff {
    fn drop(&mut self) {
        let mended = Command::new("nft")
            .args(["delete", "table", "inet", CUT])
            .status();
        if !mended.is_ok_and(|status| status.success()) {
            eprintln!("the network is still cut: nft delete table inet {CUT}");
        }
    }
}
