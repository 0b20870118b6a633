//! A real cluster with NovaEdge on it, through kubectl.

use std::{
    env,
    io::Write as _,
    net::SocketAddr,
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use crate::clients::{Http1, Http2};

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

    /// Runs kubectl in it.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        kubectl(&[&["--namespace", self.name.as_str()], arguments].concat())
    }

    /// Applies a manifest in it.
    pub fn apply(&self, manifest: &str) {
        let applied = try_kubectl(&["--namespace", &self.name, "apply", "-f", "-"], manifest);
        applied.unwrap_or_else(|error| panic!("{error}\n{manifest}"));
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

/// Clients that keep their connections and ask one thing after the other.
pub struct Load {
    over: Arc<AtomicBool>,
    answers: Arc<AtomicUsize>,
    failures: Arc<Mutex<Vec<String>>>,
    clients: JoinSet<()>,
}

impl Load {
    /// Starts `connections` clients of HTTP/1.1 and as many of HTTP/2, each asking about every 10 ms.
    pub fn start(address: SocketAddr, host: &'static str, connections: usize) -> Self {
        let mut load = Self {
            over: Arc::default(),
            answers: Arc::default(),
            failures: Arc::default(),
            clients: JoinSet::new(),
        };
        for _ in 0..connections {
            let client = load.client(address, host);
            load.clients.spawn(client.http1());
            let client = load.client(address, host);
            load.clients.spawn(client.http2());
        }
        load
    }

    /// Answers so far.
    pub fn answers(&self) -> usize {
        self.answers.load(Ordering::Relaxed)
    }

    /// Ends the clients: how many answers came, and what went wrong.
    pub async fn finish(mut self) -> (usize, Vec<String>) {
        self.over.store(true, Ordering::Relaxed);
        while self.clients.join_next().await.is_some() {}
        let failures = std::mem::take(&mut *self.failures.lock().expect("no client panics"));
        (self.answers(), failures)
    }

    fn client(&self, address: SocketAddr, host: &'static str) -> LoadClient {
        LoadClient {
            address,
            host,
            begin: Instant::now(),
            over: Arc::clone(&self.over),
            answers: Arc::clone(&self.answers),
            failures: Arc::clone(&self.failures),
        }
    }
}

struct LoadClient {
    address: SocketAddr,
    host: &'static str,
    begin: Instant,
    over: Arc<AtomicBool>,
    answers: Arc<AtomicUsize>,
    failures: Arc<Mutex<Vec<String>>>,
}

impl LoadClient {
    async fn http1(self) {
        while !self.over.load(Ordering::Relaxed) {
            let Ok(mut client) = Http1::try_connect(self.address).await else {
                self.failed("HTTP/1.1: cannot connect").await;
                continue;
            };
            // A connection that the server has announced to end is not used again.
            while !self.over.load(Ordering::Relaxed) && client.is_open() {
                match client.get(self.host, "/").await {
                    Ok(answer) if answer.status == 200 => self.answered().await,
                    Ok(answer) => self.failed(&format!("HTTP/1.1: {}", answer.status)).await,
                    Err(error) => self.failed(&format!("HTTP/1.1: {error:?}")).await,
                }
            }
        }
    }

    async fn http2(self) {
        while !self.over.load(Ordering::Relaxed) {
            let mut client = Http2::connect(self.address).await;
            while !self.over.load(Ordering::Relaxed) && client.is_open() {
                match client.get(self.host, "/").await {
                    Ok(answer) if answer.status == 200 => self.answered().await,
                    Ok(answer) => self.failed(&format!("HTTP/2: {}", answer.status)).await,
                    Err(error) => self.failed(&format!("HTTP/2: {error:?}")).await,
                }
            }
        }
    }

    async fn answered(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    async fn failed(&self, what: &str) {
        self.note(what);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    fn note(&self, what: &str) {
        let when = self.begin.elapsed().as_millis();
        let mut failures = self.failures.lock().expect("no client panics");
        // The first ones tell enough.
        if failures.len() < 100 {
            failures.push(format!("{when} ms: {what}"));
        }
    }
}
