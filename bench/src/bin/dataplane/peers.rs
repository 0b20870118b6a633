//! The proxies, each on one thread on core 0, access logs off, upstream connections kept.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;
use novaedge_bench::{
    process::Process,
    world::{self, Backends, Route, Spread},
};

use crate::{Ports, jobs::Via};

/// Where Debian's package libnginx-mod-stream puts its module.
const NGINX_STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// A proxy under test.
pub struct Peer {
    /// Name in tables.
    pub name: &'static str,
    start: fn(&Bench<'_>, usize) -> anyhow::Result<Running>,
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

/// What all proxies are started with.
pub struct Bench<'a> {
    /// For configurations and logs; holds the certificate.
    pub folder: &'a Path,
    /// Where to listen and to forward.
    pub ports: &'a Ports,
    /// The folder of our binaries.
    pub binaries: &'a Path,
}

/// A proxy that runs.
pub struct Running {
    /// What is measured.
    pub proxy: Process,
    /// What it needs beside it, which is not measured.
    _companion: Option<Process>,
}

impl Peer {
    /// Starts it with this many routes, told apart by hostname.
    pub fn start(&self, bench: &Bench<'_>, routes: usize) -> anyhow::Result<Running> {
        (self.start)(bench, routes)
    }

    /// Whether it can do this here.
    pub fn serves(&self, via: Via) -> bool {
        via != Via::Tcp || self.name != "nginx" || Path::new(NGINX_STREAM).exists()
    }
}

impl Bench<'_> {
    fn file(&self, name: &str, text: &str) -> anyhow::Result<String> {
        let path = self.folder.join(name);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        word(&path)
    }

    fn proxy(&self, name: &str, program: &str, arguments: &[&str]) -> anyhow::Result<Process> {
        let log = self.folder.join(format!("{name}.log"));
        Process::start(name, "0", program, arguments, &log)
    }
}

fn hosts(routes: usize) -> impl Iterator<Item = String> {
    (0..routes).map(|index| Route::new(index, Spread::Hosts, Backends::Shared).host())
}

fn nginx(bench: &Bench<'_>, routes: usize) -> anyhow::Result<Running> {
    let (folder, ports) = (bench.folder.display(), bench.ports);
    let mut config = String::new();
    if Path::new(NGINX_STREAM).exists() {
        let _ = writeln!(
            config,
            "load_module {NGINX_STREAM};\nstream {{ server {{ listen {} backlog=4096; proxy_pass \
             {}; }} }}",
            ports.tcp, ports.origin
        );
    }
    let _ = writeln!(
        config,
        "daemon off; user root; worker_processes 1; error_log {folder}/nginx.err; pid \
         {folder}/nginx.pid;\nevents {{ worker_connections 8192; }}\n\
         http {{ access_log off; keepalive_requests 100000000; server_names_hash_max_size 65536; \
         server_names_hash_bucket_size 128; ssl_session_tickets off; ssl_certificate \
         {folder}/tls.crt; ssl_certificate_key {folder}/tls.key; proxy_http_version 1.1; \
         proxy_max_temp_file_size 0; proxy_set_header Connection \"\"; proxy_set_header Host \
         $host; proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header \
         X-Forwarded-Proto $scheme;\n\
         upstream origin {{ server {}; keepalive 1024; keepalive_requests 100000000; }}",
        ports.origin
    );
    // One server ends TLS: nginx loads the certificate once for each that does.
    let mut listen = format!(
        "listen {} backlog=4096; listen {} ssl backlog=4096",
        ports.http, ports.https
    );
    for host in hosts(routes) {
        let _ = writeln!(
            config,
            "server {{ {listen}; server_name {host}; location / {{ proxy_pass http://origin; }} }}"
        );
        listen = format!("listen {}", ports.http);
    }
    config.push_str("}\n");
    let config = bench.file("nginx.conf", &config)?;
    Ok(Running {
        proxy: bench.proxy("nginx", "nginx", &["-c", &config])?,
        _companion: None,
    })
}

fn haproxy(bench: &Bench<'_>, routes: usize) -> anyhow::Result<Running> {
    let (folder, ports) = (bench.folder.display(), bench.ports);
    let mut map = String::new();
    for host in hosts(routes) {
        let _ = writeln!(map, "{host} origin");
    }
    let map = bench.file("hosts.map", &map)?;
    let config = format!(
        "global\n  nbthread 1\n  maxconn 4096\n  ssl-default-bind-options ssl-min-ver TLSv1.2 \
         no-tls-tickets\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n  \
         http-reuse always\n\
         frontend in\n  option forwardfor\n  bind {} backlog 4096\n  bind {} ssl crt \
         {folder}/tls.pem backlog 4096\n  use_backend %[req.hdr(host),lower,map({map},none)]\n\
         backend origin\n  server o {origin}\nbackend none\n  http-request return status 404\n\
         listen l4\n  mode tcp\n  option splice-auto\n  bind {} backlog 4096\n  server o {origin}\n",
        ports.http,
        ports.https,
        ports.tcp,
        origin = ports.origin
    );
    let config = bench.file("haproxy.cfg", &config)?;
    Ok(Running {
        proxy: bench.proxy("HAProxy", "haproxy", &["-db", "-f", &config])?,
        _companion: None,
    })
}

/// The agent alone, as in a fleet; its control plane is a process of its own on core 1.
fn novaedge(bench: &Bench<'_>, routes: usize) -> anyhow::Result<Running> {
    let manifests = bench.folder.join("manifests");
    let state = bench.folder.join("state");
    for folder in [&manifests, &state] {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
    }
    bench.file("manifests/system.yaml", &system(bench)?)?;
    let routes: Vec<String> = (0..routes)
        .map(|index| Route::new(index, Spread::Hosts, Backends::Shared).yaml())
        .collect();
    bench.file("manifests/routes.yaml", &routes.join("---\n"))?;
    let (grpc, admin) = (bench.ports.grpc.to_string(), bench.ports.admin.to_string());
    let (manifests, state) = (word(&manifests)?, word(&state)?);
    let serve = [
        "serve",
        "--folder",
        &manifests,
        "--grpc",
        &grpc,
        "--state-dir",
        &state,
    ];
    let log = bench.folder.join("control-plane.log");
    let program = binary(bench, "novaedge-control-plane")?;
    let mut control_plane = Process::start("control plane", "1", &program, &serve, &log)?;
    control_plane.wait_for(bench.ports.grpc)?;
    let control_plane_url = format!("http://{grpc}");
    let arguments = [
        "--control-plane",
        &control_plane_url,
        "--node-id",
        "bench",
        "--workers",
        "1",
        "--admin",
        &admin,
        "--drain-timeout",
        "0",
    ];
    Ok(Running {
        proxy: bench.proxy("NovaEdge", &binary(bench, "novaedge-agent")?, &arguments)?,
        _companion: Some(control_plane),
    })
}

fn binary(bench: &Bench<'_>, name: &str) -> anyhow::Result<String> {
    let path: PathBuf = bench.binaries.join(name);
    anyhow::ensure!(
        path.exists(),
        "{} is missing: cargo build --release --workspace --bins",
        path.display()
    );
    word(&path)
}

/// Everything but the routes.
fn system(bench: &Bench<'_>) -> anyhow::Result<String> {
    let (ports, read) = (bench.ports, |name| {
        fs::read_to_string(bench.folder.join(name))
    });
    let layer4 = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: l4}}\nspec:\n  \
         gatewayClassName: novaedge\n  addresses: [{{type: IPAddress, value: 127.0.0.1}}]\n  \
         listeners: [{{name: tcp, protocol: TCP, port: {}}}]\n---\napiVersion: \
         gateway.networking.k8s.io/v1\nkind: TCPRoute\nmetadata: {{name: l4}}\nspec:\n  \
         parentRefs: [{{name: l4}}]\n  rules: [{{backendRefs: [{{name: s0, port: 80}}]}}]\n",
        ports.tcp.port()
    );
    let parts = [
        world::gateway(ports.http.port(), ports.https.port()),
        layer4,
        world::secret(&read("tls.crt")?, &read("tls.key")?),
        world::service(0),
        world::endpoints(0, ports.origin),
    ];
    Ok(parts.join("---\n"))
}

fn word(path: &Path) -> anyhow::Result<String> {
    Ok(path.to_str().context("a UTF-8 path")?.to_owned())
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
        let text = String::from_utf8_lossy(&text);
        let line = text.lines().next()?;
        // Copyright and address of the project follow.
        Some(
            line.split(" - ")
                .next()?
                .split(" Copyright")
                .next()?
                .to_owned(),
        )
    };
    [("nginx", "-v"), ("haproxy", "-v"), ("wrk", "-v")]
        .into_iter()
        .filter_map(|(program, argument)| first_line(program, argument))
        .collect::<Vec<_>>()
        .join("; ")
}
