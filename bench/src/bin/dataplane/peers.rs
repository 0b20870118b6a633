//! The proxies and the origin, each on one thread, access logs off, upstream connections kept.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;
use novaedge_bench::process::Process;

use crate::Ports;

/// A proxy under test.
pub struct Peer {
    /// Name in tables.
    pub name: &'static str,
    /// Starts it with this many routes `r<i>.example.com`; the last argument is our binary.
    pub start: fn(&Path, &Ports, usize, &Path) -> anyhow::Result<Process>,
}

/// Ours first, then those to compare with.
pub const PEERS: [Peer; 3] = [
    Peer {
        name: "NovaEdge",
        start: novaedge,
    },
    Peer {
        name: "nginx",
        start: nginx,
    },
    Peer {
        name: "HAProxy",
        start: haproxy,
    },
];

/// Makes `tls.crt`, `tls.key` (P-256) and `tls.pem` with both.
pub fn certificate(folder: &Path) -> anyhow::Result<()> {
    let status = Command::new("openssl")
        .current_dir(folder)
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ])
        .args([
            "-days",
            "2",
            "-subj",
            "/CN=example.com",
            "-addext",
            "subjectAltName=DNS:*.example.com",
        ])
        .args(["-keyout", "tls.key", "-out", "tls.crt"])
        .output()
        .context("running openssl")?;
    anyhow::ensure!(
        status.status.success(),
        "openssl: {}",
        String::from_utf8_lossy(&status.stderr)
    );
    let both =
        fs::read_to_string(folder.join("tls.crt"))? + &fs::read_to_string(folder.join("tls.key"))?;
    fs::write(folder.join("tls.pem"), both)?;
    Ok(())
}

/// nginx answering 1 KiB.
pub fn origin(folder: &Path, ports: &Ports) -> anyhow::Result<Process> {
    let body = "x".repeat(1024);
    let config = format!(
        "daemon off; user root; worker_processes 1; error_log {0}/origin.err; pid {0}/origin.pid;\n\
         events {{ worker_connections 16384; }}\n\
         http {{ access_log off; keepalive_requests 100000000; server {{ listen {1} backlog=4096; \
         location / {{ return 200 \"{body}\"; }} }} }}\n",
        folder.display(),
        ports.origin
    );
    let path = folder.join("origin.conf");
    fs::write(&path, config)?;
    let arguments = ["-c", path.to_str().context("a UTF-8 path")?];
    Process::start("origin", 1, "nginx", &arguments, &folder.join("origin.log"))
}

fn nginx(folder: &Path, ports: &Ports, routes: usize, _: &Path) -> anyhow::Result<Process> {
    let mut config = format!(
        "daemon off; user root; worker_processes 1; error_log {0}/nginx.err; pid {0}/nginx.pid;\n\
         events {{ worker_connections 16384; }}\n\
         http {{ access_log off; keepalive_requests 100000000; server_names_hash_max_size 65536; \
         server_names_hash_bucket_size 128; ssl_certificate {0}/tls.crt; ssl_certificate_key \
         {0}/tls.key; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header \
         Host $host; proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header \
         X-Forwarded-Proto $scheme;\n\
         upstream origin {{ server {1}; keepalive 1024; keepalive_requests 100000000; }}\n",
        folder.display(),
        ports.origin
    );
    for route in 0..routes {
        let _ = writeln!(
            config,
            "server {{ listen {}{}; listen {} ssl; server_name r{route}.example.com; location / {{ \
             proxy_pass http://origin; }} }}",
            ports.http,
            if route == 0 { " backlog=4096" } else { "" },
            ports.https
        );
    }
    config.push_str("}\n");
    let path = folder.join("nginx.conf");
    fs::write(&path, config)?;
    let arguments = ["-c", path.to_str().context("a UTF-8 path")?];
    Process::start("nginx", 0, "nginx", &arguments, &folder.join("nginx.log"))
}

fn haproxy(folder: &Path, ports: &Ports, routes: usize, _: &Path) -> anyhow::Result<Process> {
    let hosts: String = (0..routes)
        .map(|i| format!("r{i}.example.com origin\n"))
        .collect();
    fs::write(folder.join("hosts.map"), hosts)?;
    let config = format!(
        "global\n  nbthread 1\n  maxconn 16384\n  ssl-default-bind-options ssl-min-ver TLSv1.2\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n  \
         http-reuse always\n  option forwardfor\n\
         frontend in\n  bind {} backlog 4096\n  bind {} ssl crt {2}/tls.pem\n  use_backend \
         %[req.hdr(host),lower,map({2}/hosts.map,none)]\n\
         backend origin\n  server o {3}\nbackend none\n  http-request return status 404\n",
        ports.http,
        ports.https,
        folder.display(),
        ports.origin
    );
    let path = folder.join("haproxy.cfg");
    fs::write(&path, config)?;
    let arguments = ["-db", "-f", path.to_str().context("a UTF-8 path")?];
    Process::start(
        "HAProxy",
        0,
        "haproxy",
        &arguments,
        &folder.join("haproxy.log"),
    )
}

fn novaedge(folder: &Path, ports: &Ports, routes: usize, binary: &Path) -> anyhow::Result<Process> {
    let manifests = folder.join("manifests");
    if manifests.exists() {
        fs::remove_dir_all(&manifests)?;
    }
    fs::create_dir_all(&manifests)?;
    fs::write(manifests.join("system.yaml"), system(folder, ports)?)?;
    let mut text = String::new();
    for route in 0..routes {
        let _ = writeln!(
            text,
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: \
             r{route}}}\nspec:\n  parentRefs: [{{name: gw}}]\n  hostnames: \
             [r{route}.example.com]\n  rules:\n  - backendRefs: [{{name: origin, port: 80}}]"
        );
    }
    fs::write(manifests.join("routes.yaml"), text)?;
    let state: PathBuf = folder.join("state");
    if state.exists() {
        fs::remove_dir_all(&state)?;
    }
    let arguments = [
        "run",
        manifests.to_str().context("a UTF-8 path")?,
        "--workers",
        "1",
        "--state-dir",
        state.to_str().context("a UTF-8 path")?,
        "--grpc",
        "127.0.0.1:18400",
        "--admin",
        "127.0.0.1:18401",
    ];
    let binary = binary.to_str().context("a UTF-8 path")?;
    Process::start(
        "NovaEdge",
        0,
        binary,
        &arguments,
        &folder.join("novaedge.log"),
    )
}

fn system(folder: &Path, ports: &Ports) -> anyhow::Result<String> {
    let indented = |name: &str| -> anyhow::Result<String> {
        let text = fs::read_to_string(folder.join(name))?;
        Ok(text.lines().map(|line| format!("    {line}\n")).collect())
    };
    Ok(format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {{name: novaedge}}\n\
         spec: {{controllerName: novaedge.io/gateway-controller}}\n---\n\
         apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: gw}}\nspec:\n  \
         gatewayClassName: novaedge\n  addresses: [{{type: IPAddress, value: 127.0.0.1}}]\n  \
         listeners:\n  - {{name: http, protocol: HTTP, port: {}}}\n  - name: https\n    protocol: \
         HTTPS\n    port: {}\n    tls: {{certificateRefs: [{{name: tls}}]}}\n---\n\
         apiVersion: v1\nkind: Secret\nmetadata: {{name: tls}}\ntype: kubernetes.io/tls\nstringData:\n  \
         tls.crt: |\n{}  tls.key: |\n{}---\napiVersion: v1\nkind: Service\nmetadata: {{name: \
         origin}}\nspec:\n  ports: [{{name: http, port: 80}}]\n---\napiVersion: \
         discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: origin\n  labels: \
         {{kubernetes.io/service-name: origin}}\naddressType: IPv4\nports: [{{name: http, port: \
         {}}}]\nendpoints: [{{addresses: [\"{}\"]}}]\n",
        ports.http.port(),
        ports.https.port(),
        indented("tls.crt")?,
        indented("tls.key")?,
        ports.origin.port(),
        ports.origin.ip()
    ))
}

/// Versions of the peers, for the report.
pub fn versions() -> String {
    let first_line = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).output().ok()?;
        let text = if output.stdout.is_empty() {
            output.stderr
        } else {
            output.stdout
        };
        String::from_utf8_lossy(&text)
            .lines()
            .next()
            .map(str::to_owned)
    };
    [("nginx", "-v"), ("haproxy", "-v"), ("wrk", "-v")]
        .into_iter()
        .filter_map(|(program, argument)| first_line(program, argument))
        .collect::<Vec<_>>()
        .join("; ")
}
