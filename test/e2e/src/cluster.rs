//! A real cluster with NovaEdge on it, through kubectl.

// These tests tell the numbers that they saw.
#![allow(clippy::print_stderr)]

mod audit;
mod dump;
mod load;
mod open_loop;
mod parts;

use std::{
    env,
    io::Write as _,
    net::SocketAddr,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

pub use self::{
    audit::{Audit, Write},
    dump::{Dump, Shown, inspect},
    load::{Load, serves_grpc},
    open_loop::{Measured, OpenLoop},
    parts::{
        Agent, CutOff, FixedScale, agents, component, holder, is_own, kill, memory, ready_pods,
        restarts, rolled_out, run_as_host,
    },
};
use crate::clients::get;

/// Where NovaEdge is deployed.
pub const SYSTEM: &str = "novaedge-system";

/// Runs kubectl: its output, or what it complained about. `KUBECTL` names the program.
pub fn try_kubectl(arguments: &[&str], input: &str) -> Result<String, String> {
    let program = env::var("KUBECTL").unwrap_or_else(|_| "kubectl".to_owned());
    let mut child = Command::new(&program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin
        .write_all(input.as_bytes())
        .map_err(|error| error.to_string())?;
    drop(stdin);
    let output = child
        .wait_with_output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

/// The same, of which the test needs the output.
pub fn kubectl(arguments: &[&str]) -> String {
    try_kubectl(arguments, "").unwrap_or_else(|error| panic!("kubectl {arguments:?}: {error}"))
}

/// Waits until the namespaces of earlier tests are gone, with all that was made for them. No API server may restart while
/// one ends: for a moment it does not know the Gateway API's kinds, and then what is of them stays behind without its
/// namespace.
pub async fn alone() {
    within(
        Duration::from_mins(3),
        "the end of earlier tests",
        async || {
            let names = kubectl(&["get", "namespaces", "-o", "name"]);
            let tests = names.lines().filter(|name| name.contains("novaedge-e2e-"));
            (tests.count() == 1).then_some(())
        },
    )
    .await;
}

/// Repeats `check` each 100 ms until it gives a value. Panics after `deadline` with `what`.
pub async fn within<T>(
    deadline: Duration,
    what: &str,
    mut check: impl AsyncFnMut() -> Option<T>,
) -> T {
    let begin = Instant::now();
    loop {
        if let Some(value) = check().await {
            return value;
        }
        assert!(
            begin.elapsed() < deadline,
            "{what}: not within {deadline:?}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A namespace of one test; gone with all in it when it is dropped.
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes it anew.
    pub fn new(name: &str) -> Self {
        let namespace = Self {
            name: format!("novaedge-e2e-{name}"),
        };
        let name = namespace.name.as_str();
        kubectl(&["delete", "namespace", name, "--ignore-not-found"]);
        kubectl(&["create", "namespace", name]);
        namespace
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs kubectl in it.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        kubectl(&[&["--namespace", self.name.as_str()], arguments].concat())
    }

    /// Applies a manifest in it.
    pub fn apply(&self, manifest: &str) {
        let applied = try_kubectl(&["--namespace", &self.name, "apply", "-f", "-"], manifest);
        applied.unwrap_or_else(|error| panic!("{error}\n{manifest}"));
    }

    /// Creates the objects of a manifest in it, in less time than [`Namespace::apply`].
    pub fn create(&self, manifest: &str) {
        let created = try_kubectl(&["--namespace", &self.name, "create", "-f", "-"], manifest);
        created.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Objects of these kinds, as `kind/name`.
    pub fn objects(&self, kinds: &str, arguments: &[&str]) -> Vec<String> {
        let text = self.kubectl(&[&["get", kinds, "-o", "name"], arguments].concat());
        text.lines().map(str::to_owned).collect()
    }

    /// The address of a Gateway once it is programmed.
    pub fn address(&self, gateway: &str, port: u16) -> SocketAddr {
        let gateway = format!("gateway/{gateway}");
        self.kubectl(&[
            "wait",
            "--for=condition=Programmed",
            "--timeout=60s",
            &gateway,
        ]);
        let ip = self.kubectl(&[
            "get",
            &gateway,
            "-o",
            "jsonpath={.status.addresses[0].value}",
        ]);
        let ip = ip
            .parse()
            .unwrap_or_else(|_| panic!("{gateway} has the address {ip:?}"));
        SocketAddr::new(ip, port)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // What is left over is deleted before the next run.
        let _ = try_kubectl(
            &["delete", "namespace", self.name.as_str(), "--wait=false"],
            "",
        );
    }
}

/// A Gateway `edge` with a listener for HTTP on port 80.
pub const GATEWAY: &str = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: edge}\n\
     spec:\n  gatewayClassName: novaedge\n  listeners: [{name: http, protocol: HTTP, port: 80}]\n";

/// A Deployment and Service `hello` of `replicas` pods that answer with their names.
pub fn hello(replicas: u32) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: hello}}\nspec:\n  replicas: {replicas}\n  \
         selector: {{matchLabels: {{app: hello}}}}\n  template:\n    metadata: {{labels: {{app: hello}}}}\n    spec:\n      \
         containers:\n      - name: hello\n        image: novaedge/box:dev\n        args: [serve, ':8080']\n        \
         readinessProbe: {{httpGet: {{port: 8080, path: /}}, periodSeconds: 1}}\n        \
         lifecycle: {{preStop: {{sleep: {{seconds: 3}}}}}}\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: {{name: hello}}\nspec:\n  selector: {{app: hello}}\n  \
         ports: [{{port: 80, targetPort: 8080}}]\n"
    )
}

/// An HTTPRoute from `edge` to `hello` for one host.
pub fn route(name: &str, host: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\nspec:\n  \
         parentRefs: [{{name: edge}}]\n  hostnames: [{host}]\n  rules: [{{backendRefs: [{{name: hello, port: 80}}]}}]\n"
    )
}

/// A Service `hello-grpc` of the same pods, and a GRPCRoute from `edge` to it for one host.
pub fn grpc(host: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: hello-grpc}}\nspec:\n  selector: {{app: hello}}\n  \
         ports: [{{port: 80, targetPort: 8080, appProtocol: kubernetes.io/h2c}}]\n---\n\
         apiVersion: gateway.networking.k8s.io/v1\nkind: GRPCRoute\nmetadata: {{name: hello}}\nspec:\n  \
         parentRefs: [{{name: edge}}]\n  hostnames: [{host}]\n  rules: [{{backendRefs: [{{name: hello-grpc, port: 80}}]}}]\n"
    )
}

/// How often or long a test does what it does: the number in this variable, or what suits a build.
pub fn size(variable: &str, default: usize) -> usize {
    env::var(variable).map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is {text:?}, not a number"))
    })
}

/// A namespace with a Gateway, a route for `host` and `replicas` pods behind it, and where that is served.
pub async fn bed(name: &str, host: &str, replicas: u32) -> (Namespace, SocketAddr) {
    let namespace = Namespace::new(name);
    namespace.apply(&hello(replicas));
    namespace.kubectl(&["rollout", "status", "deployment/hello", "--timeout=120s"]);
    namespace.apply(GATEWAY);
    namespace.apply(&route("hello", host));
    let address = namespace.address("edge", 80);
    serves(address, host).await;
    (namespace, address)
}

/// Waits until the backend of `host` answers.
pub async fn serves(address: SocketAddr, host: &str) {
    answers(address, host, 200).await;
}

/// Waits until requests for `host` are answered with `status`.
pub async fn answers(address: SocketAddr, host: &str, status: u16) {
    let what = format!("{status} for {host} from {address}");
    within(Duration::from_mins(1), &what, async || {
        (get(address, host, "/").await.status == status).then_some(())
    })
    .await;
}
