//! The proxies: access logs off but where that is the point, upstream connections kept.

use std::{fmt::Write as _, fs, net::SocketAddr, path::Path, process::Command};

use anyhow::Context as _;
use novaedge_bench::{
    folders::{binary, word},
    process::Process,
    world::{self, Backends, Route, Spread},
};
use serde_json::{Value, json};

use crate::{
    Ports,
    jobs::{self, Cores, Via},
    origin,
};

/// Where Debian's package libnginx-mod-stream puts its module.
const NGINX_STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// A proxy under test.
pub struct Peer {
    /// Name in tables.
    pub name: &'static str,
    /// What must be installed for it; ours is named by its folder.
    program: Option<&'static str>,
    /// When it takes part.
    part: Part,
    start: fn(&Bench<'_>, &Setup) -> anyhow::Result<Running>,
}

/// When a proxy takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// In every run that names no others.
    Always,
    /// Where it is named.
    Named,
}

/// How a proxy is set up for a job.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Routes, told apart by hostname.
    pub routes: usize,
    /// Its cores.
    pub cores: Cores,
}

/// Ours first, then those to compare with.
pub const PEERS: [Peer; 7] = [
    Peer {
        name: "NovaEdge",
        program: None,
        part: Part::Always,
        start: novaedge,
    },
    Peer {
        name: "nginx",
        program: Some("nginx"),
        part: Part::Always,
        start: nginx,
    },
    Peer {
        name: "HAProxy",
        program: Some("haproxy"),
        part: Part::Always,
        start: haproxy,
    },
    Peer {
        name: "Envoy",
        program: Some("envoy"),
        part: Part::Always,
        start: envoy,
    },
    Peer {
        name: "Traefik",
        program: Some("traefik"),
        part: Part::Always,
        start: traefik,
    },
    // What its own telemetry costs the agent.
    Peer {
        name: "NovaEdge-access-log",
        program: None,
        part: Part::Named,
        start: logging,
    },
    Peer {
        name: "NovaEdge-traces",
        program: None,
        part: Part::Named,
        start: tracing,
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
    /// Where a collector takes traces.
    pub collector: SocketAddr,
}

/// A proxy that runs.
pub struct Running {
    /// What is measured.
    pub proxy: Process,
    /// What it needs beside it: not measured, and at rest meanwhile.
    companion: Option<Process>,
}

impl Peer {
    /// Starts it, and waits until it answers the host with 200 and nothing is left to do.
    pub fn start(&self, bench: &Bench<'_>, setup: &Setup, host: &str) -> anyhow::Result<Running> {
        let mut running = (self.start)(bench, setup)?;
        running.proxy.wait_for(bench.ports.http)?;
        jobs::settle(host, bench.ports)?;
        if let Some(companion) = &running.companion {
            // It tells the state of every route once the agent has them.
            companion.rest()?;
        }
        Ok(running)
    }

    /// Whether it is installed here.
    pub fn is_there(&self) -> bool {
        self.program
            .is_none_or(|program| origin::require(&[program]).is_ok())
    }

    /// Whether it takes part where these are named.
    pub fn takes_part(&self, named: &[String]) -> bool {
        let is_named = named.iter().any(|name| name == self.name);
        is_named || (named.is_empty() && self.part == Part::Always)
    }

    /// Whether it can do this here.
    pub fn serves(&self, via: Via) -> bool {
        let streams = matches!(via, Via::Tcp | Via::Sni);
        !streams || self.name != "nginx" || Path::new(NGINX_STREAM).exists()
    }
}

impl Bench<'_> {
    fn file(&self, name: &str, text: &str) -> anyhow::Result<String> {
        let path = self.folder.join(name);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        word(&path)
    }

    fn proxy(
        &self,
        name: &str,
        cores: Cores,
        program: &str,
        arguments: &[&str],
    ) -> anyhow::Result<Process> {
        let log = self.folder.join(format!("{name}.log"));
        Process::start(name, &cores.of_proxy(), program, arguments, &log)
    }
}

/// The host of a route.
pub fn host(index: usize) -> String {
    Route::new(index, Spread::Hosts, Backends::Shared).host()
}

fn hosts(routes: usize) -> impl Iterator<Item = String> {
    (0..routes).map(host)
}

fn nginx(bench: &Bench<'_>, setup: &Setup) -> anyhow::Result<Running> {
    let (folder, ports, threads) = (bench.folder.display(), bench.ports, setup.cores.threads());
    let mut config = String::new();
    if Path::new(NGINX_STREAM).exists() {
        let _ = writeln!(
            config,
            "load_module {NGINX_STREAM};\nstream {{ map_hash_bucket_size 128; map \
             $ssl_preread_server_name $named {{ {} {}; }} server {{ listen {} backlog=4096; \
             proxy_pass {}; }} server {{ listen {} backlog=4096; ssl_preread on; proxy_pass \
             $named; }} }}",
            host(0),
            ports.origin_tls,
            ports.tcp,
            ports.origin,
            ports.sni,
        );
    }
    let _ = writeln!(
        config,
        "daemon off; user root; worker_processes {threads}; error_log {folder}/nginx.err; pid \
         {folder}/nginx.pid;\nevents {{ worker_connections 16384; }}\n\
         http {{ access_log off; keepalive_requests 100000000; server_names_hash_max_size 65536; \
         server_names_hash_bucket_size 128; ssl_session_tickets off; ssl_certificate \
         {folder}/tls.crt; ssl_certificate_key {folder}/tls.key; proxy_http_version 1.1; \
         proxy_max_temp_file_size 0; proxy_set_header Connection \"\"; proxy_set_header Host \
         $host; proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header \
         X-Forwarded-Proto $scheme; grpc_set_header Host $host; grpc_set_header X-Forwarded-For \
         $remote_addr; grpc_set_header X-Forwarded-Proto $scheme;\n\
         upstream origin {{ server {}; keepalive 1024; keepalive_requests 100000000; }}\n\
         upstream h2c {{ server {}; keepalive 1024; keepalive_requests 100000000; }}\n\
         server {{ listen {} http2 backlog=4096; server_name {host}; location / {{ proxy_pass \
         http://origin; }} }}\n\
         server {{ listen {} http2 backlog=4096; server_name {host}; location / {{ grpc_pass \
         grpc://h2c; }} }}",
        ports.origin,
        ports.origin_h2c,
        ports.http2,
        ports.h2c,
        host = host(0),
    );
    // One server ends TLS: nginx loads the certificate once for each that does.
    let mut listen = format!(
        "listen {} backlog=4096; listen {} ssl backlog=4096",
        ports.http, ports.https
    );
    for host in hosts(setup.routes) {
        let _ = writeln!(
            config,
            "server {{ {listen}; server_name {host}; location / {{ proxy_pass http://origin; }} }}"
        );
        listen = format!("listen {}", ports.http);
    }
    config.push_str("}\n");
    let config = bench.file("nginx.conf", &config)?;
    Ok(Running {
        proxy: bench.proxy("nginx", setup.cores, "nginx", &["-c", &config])?,
        companion: None,
    })
}

fn haproxy(bench: &Bench<'_>, setup: &Setup) -> anyhow::Result<Running> {
    let (folder, ports) = (bench.folder.display(), bench.ports);
    let mut map = String::new();
    for host in hosts(setup.routes) {
        let _ = writeln!(map, "{host} origin");
    }
    let map = bench.file("hosts.map", &map)?;
    let config = format!(
        "global\n  nbthread {threads}\n  maxconn 7900\n  ssl-default-bind-options ssl-min-ver \
         TLSv1.2 no-tls-tickets\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n  \
         http-reuse always\n\
         frontend in\n  option forwardfor\n  bind {http} backlog 4096\n  bind {http2} proto h2 \
         backlog 4096\n  bind {https} ssl crt {folder}/tls.pem backlog 4096\n  use_backend \
         %[req.hdr(host),lower,map({map},none)]\n\
         frontend in-h2c\n  option forwardfor\n  bind {h2c} proto h2 backlog 4096\n  use_backend \
         h2c if {{ req.hdr(host) {host} }}\n\
         backend origin\n  server o {origin}\nbackend h2c\n  server o {origin_h2c} proto h2\n\
         backend none\n  http-request return status 404\n\
         listen l4\n  mode tcp\n  option splice-auto\n  bind {tcp} backlog 4096\n  server o {origin}\n\
         frontend sni\n  mode tcp\n  option splice-auto\n  bind {sni} backlog 4096\n  tcp-request \
         inspect-delay 5s\n  tcp-request content accept if {{ req_ssl_hello_type 1 }}\n  \
         use_backend named if {{ req_ssl_sni -i {host} }}\n\
         backend named\n  mode tcp\n  option splice-auto\n  server o {origin_tls}\n",
        threads = setup.cores.threads(),
        http = ports.http,
        http2 = ports.http2,
        https = ports.https,
        h2c = ports.h2c,
        tcp = ports.tcp,
        sni = ports.sni,
        host = host(0),
        origin = ports.origin,
        origin_h2c = ports.origin_h2c,
        origin_tls = ports.origin_tls,
    );
    let config = bench.file("haproxy.cfg", &config)?;
    Ok(Running {
        proxy: bench.proxy("HAProxy", setup.cores, "haproxy", &["-db", "-f", &config])?,
        companion: None,
    })
}

fn envoy(bench: &Bench<'_>, setup: &Setup) -> anyhow::Result<Running> {
    let (folder, ports) = (bench.folder.display(), bench.ports);
    let of = |name: &str| format!("type.googleapis.com/envoy.extensions.{name}");
    let address =
        |of: SocketAddr| json!({"socket_address": {"address": of.ip(), "port_value": of.port()}});
    let http = |codec: &str, hosts: Vec<String>, cluster: &str| {
        let hosts: Vec<Value> = hosts
            .iter()
            .map(|host| json!({"name": host, "domains": [host], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": cluster}}]}))
            .collect();
        json!({"name": "http", "typed_config": {
            "@type": of("filters.network.http_connection_manager.v3.HttpConnectionManager"),
            "stat_prefix": "in", "codec_type": codec, "use_remote_address": true, "generate_request_id": false,
            "route_config": {"name": "routes", "virtual_hosts": hosts},
            "http_filters": [{"name": "router", "typed_config": {"@type": of("filters.http.router.v3.Router")}}],
        }})
    };
    let tcp = |cluster: &str| {
        json!({"name": "tcp", "typed_config": {
            "@type": of("filters.network.tcp_proxy.v3.TcpProxy"), "stat_prefix": "tcp", "cluster": cluster,
        }})
    };
    let tls = json!({"name": "tls", "typed_config": {
        "@type": of("transport_sockets.tls.v3.DownstreamTlsContext"),
        "common_tls_context": {"tls_certificates": [{
            "certificate_chain": {"filename": format!("{folder}/tls.crt")},
            "private_key": {"filename": format!("{folder}/tls.key")},
        }]},
    }});
    let listener = |name: &str, at, chain: Value| json!({"name": name, "address": address(at), "filter_chains": [chain]});
    let all = || hosts(setup.routes).collect();
    let one = || vec![host(0)];
    let mut by_name = listener(
        "sni",
        ports.sni,
        json!({"filter_chain_match": {"server_names": [host(0)]}, "filters": [tcp("tls")]}),
    );
    by_name["listener_filters"] = json!([{"name": "tls", "typed_config": {
        "@type": of("filters.listener.tls_inspector.v3.TlsInspector"),
    }}]);
    let cluster = |name: &str, at| {
        json!({"name": name, "type": "STATIC", "connect_timeout": "5s",
            "circuit_breakers": {"thresholds": [{"max_connections": 65536, "max_pending_requests": 65536, "max_requests": 65536}]},
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(at)}}]}]},
        })
    };
    let mut h2c = cluster("h2c", ports.origin_h2c);
    h2c["typed_extension_protocol_options"] = json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": of("upstreams.http.v3.HttpProtocolOptions"),
        "explicit_http_config": {"http2_protocol_options": {}},
    }});
    let config = json!({"static_resources": {
        "listeners": [
            listener("http", ports.http, json!({"filters": [http("HTTP1", all(), "origin")]})),
            listener("https", ports.https, json!({"filters": [http("HTTP1", one(), "origin")], "transport_socket": tls})),
            listener("http2", ports.http2, json!({"filters": [http("HTTP2", one(), "origin")]})),
            listener("h2c", ports.h2c, json!({"filters": [http("HTTP2", one(), "h2c")]})),
            listener("tcp", ports.tcp, json!({"filters": [tcp("origin")]})),
            by_name,
        ],
        "clusters": [cluster("origin", ports.origin), h2c, cluster("tls", ports.origin_tls)],
    }});
    let config = bench.file("envoy.json", &config.to_string())?;
    let threads = setup.cores.threads().to_string();
    let arguments = [
        "--config-path",
        &config,
        "--concurrency",
        &threads,
        "--disable-hot-restart",
        "--log-level",
        "error",
    ];
    Ok(Running {
        proxy: bench.proxy("Envoy", setup.cores, "envoy", &arguments)?,
        companion: None,
    })
}

/// One thread for each core that it may use.
fn traefik(bench: &Bench<'_>, setup: &Setup) -> anyhow::Result<Running> {
    let (folder, ports) = (bench.folder.display(), bench.ports);
    let mut routers: serde_json::Map<String, Value> = hosts(setup.routes)
        .map(|host| {
            let router = json!({"rule": format!("Host(`{host}`)"), "service": "origin", "entryPoints": ["http", "http2"]});
            (host.replace('.', "-"), router)
        })
        .collect();
    let rule = format!("Host(`{}`)", host(0));
    routers.insert(
        "https".to_owned(),
        json!({"rule": rule, "service": "origin", "entryPoints": ["https"], "tls": {}}),
    );
    routers.insert(
        "h2c".to_owned(),
        json!({"rule": rule, "service": "h2c", "entryPoints": ["h2c"]}),
    );
    let service = |key: &str, value: String| json!({"loadBalancer": {"servers": [{key: value}]}});
    let config = json!({
        "http": {"routers": routers, "services": {
            "origin": service("url", format!("http://{}", ports.origin)),
            "h2c": service("url", format!("h2c://{}", ports.origin_h2c)),
        }},
        "tcp": {
            "routers": {
                "tcp": {"rule": "HostSNI(`*`)", "service": "tcp", "entryPoints": ["tcp"]},
                "sni": {"rule": format!("HostSNI(`{}`)", host(0)), "service": "sni", "entryPoints": ["sni"], "tls": {"passthrough": true}},
            },
            "services": {
                "tcp": service("address", ports.origin.to_string()),
                "sni": service("address", ports.origin_tls.to_string()),
            },
        },
        "tls": {"certificates": [{"certFile": format!("{folder}/tls.crt"), "keyFile": format!("{folder}/tls.key")}]},
    });
    // JSON is YAML too.
    let config = bench.file("traefik.yaml", &config.to_string())?;
    let mut arguments: Vec<String> = [
        ("http", ports.http),
        ("https", ports.https),
        ("http2", ports.http2),
        ("h2c", ports.h2c),
        ("tcp", ports.tcp),
        ("sni", ports.sni),
    ]
    .iter()
    .map(|(name, at)| format!("--entrypoints.{name}.address={at}"))
    .collect();
    arguments.push(format!("--providers.file.filename={config}"));
    arguments.extend(
        [
            "--serverstransport.maxidleconnsperhost=1024",
            "--global.checknewversion=false",
            "--log.level=ERROR",
        ]
        .map(str::to_owned),
    );
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Ok(Running {
        proxy: bench.proxy("Traefik", setup.cores, "traefik", &arguments)?,
        companion: None,
    })
}

fn novaedge(bench: &Bench<'_>, setup: &Setup) -> anyhow::Result<Running> {
    agent(bench, setup, &[])
}

/// With a line for each request, in a file.
fn logging(bench: &Bench<'_>, setup: &Setup) -> anyhow::Result<Running> {
    let file = bench.folder.join("access.log");
    if file.exists() {
        fs::remove_file(&file)?;
    }
    agent(bench, setup, &["--access-log", &word(&file)?])
}

/// With a trace of one request in a hundred.
fn tracing(bench: &Bench<'_>, setup: &Setup) -> anyhow::Result<Running> {
    let collector = format!("http://{}", bench.collector);
    let flags = [
        "--otlp-endpoint",
        &collector,
        "--trace-sample-ratio",
        "0.01",
    ];
    agent(bench, setup, &flags)
}

/// The agent alone, as in a fleet; its control plane is a process of its own on core 1.
fn agent(bench: &Bench<'_>, setup: &Setup, more: &[&str]) -> anyhow::Result<Running> {
    let manifests = bench.folder.join("manifests");
    let state = bench.folder.join("state");
    for folder in [&manifests, &state] {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
    }
    bench.file("manifests/system.yaml", &system(bench)?)?;
    let routes: Vec<String> = (0..setup.routes)
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
    let program = binary(bench.binaries, "novaedge-control-plane")?;
    let mut control_plane = Process::start("control plane", "1", &program, &serve, &log)?;
    control_plane.wait_for(bench.ports.grpc)?;
    let control_plane_url = format!("http://{grpc}");
    let threads = setup.cores.threads().to_string();
    let mut arguments = vec![
        "--control-plane",
        &control_plane_url,
        "--node-id",
        "bench",
        "--workers",
        &threads,
        "--admin",
        &admin,
        "--drain-timeout",
        "0",
    ];
    arguments.extend(more);
    Ok(Running {
        proxy: bench.proxy(
            "NovaEdge",
            setup.cores,
            &binary(bench.binaries, "novaedge-agent")?,
            &arguments,
        )?,
        companion: Some(control_plane),
    })
}

/// Everything but the routes.
fn system(bench: &Bench<'_>) -> anyhow::Result<String> {
    let (ports, read) = (bench.ports, |name| {
        fs::read_to_string(bench.folder.join(name))
    });
    // Beside the Gateway of the routes: what cannot have many.
    let more = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: more}}\nspec:\n  \
         gatewayClassName: novaedge\n  addresses: [{{type: IPAddress, value: 127.0.0.1}}]\n  \
         listeners:\n  - {{name: tcp, protocol: TCP, port: {}}}\n  - {{name: http2, protocol: HTTP, \
         port: {}}}\n  - {{name: h2c, protocol: HTTP, port: {}}}\n  - {{name: sni, protocol: TLS, \
         port: {}, tls: {{mode: Passthrough}}}}\n",
        ports.tcp.port(),
        ports.http2.port(),
        ports.h2c.port(),
        ports.sni.port()
    );
    let route = |kind: &str, listener: &str, hosts: &str, service: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\nmetadata: {{name: \
             {listener}}}\nspec:\n  parentRefs: [{{name: more, sectionName: {listener}}}]\n{hosts}  \
             rules: [{{backendRefs: [{{name: {service}, port: 80}}]}}]\n"
        )
    };
    let hosts = format!("  hostnames: [{}]\n", host(0));
    let h2c =
        world::service(1).replace("name: http,", "name: http, appProtocol: kubernetes.io/h2c,");
    let parts = [
        world::gateway(ports.http.port(), ports.https.port()),
        more,
        route("TCPRoute", "tcp", "", "s0"),
        route("HTTPRoute", "http2", &hosts, "s0"),
        route("HTTPRoute", "h2c", &hosts, "s1"),
        route("TLSRoute", "sni", &hosts, "s2"),
        world::secret(&read("tls.crt")?, &read("tls.key")?),
        world::service(0),
        world::endpoints(0, ports.origin),
        h2c,
        world::endpoints(1, ports.origin_h2c),
        world::service(2),
        world::endpoints(2, ports.origin_tls),
    ];
    Ok(parts.join("---\n"))
}

/// Versions of the peers and of the load generators, for the report.
pub fn versions() -> String {
    let programs = [
        ("nginx", "-v"),
        ("haproxy", "-v"),
        ("envoy", "--version"),
        ("traefik", "version"),
        ("wrk", "-v"),
        ("h2load", "--version"),
    ];
    let version = |(program, argument): (&str, &str)| {
        let output = Command::new(program).arg(argument).output().ok()?;
        let told = [output.stdout, output.stderr].concat();
        let told = String::from_utf8_lossy(&told);
        Some(format!("{program} {}", version_in(&told)?))
    };
    let versions: Vec<String> = programs.into_iter().filter_map(version).collect();
    versions.join(", ")
}

/// The first number with two dots.
fn version_in(text: &str) -> Option<&str> {
    text.split(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .find(|word| word.matches('.').count() == 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_tell() {
        assert_eq!(version_in("nginx version: nginx/1.22.1"), Some("1.22.1"));
        assert_eq!(
            version_in("/bin/envoy  version: 9e5/1.40.0/Clean"),
            Some("1.40.0")
        );
        assert_eq!(version_in("wrk debian/4.1.0-3+b2 [epoll]"), Some("4.1.0"));
        assert_eq!(version_in("no number"), None);
    }
}
