//! An agent from its start to its end, as a library and as a program.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use novaedge_agent::{Agent, AgentConfig};
use novaedge_ports::free_port;
use novaedge_proto::v1::{self, resource::Body};

use crate::control_plane::ControlPlane;
use crate::support::{
    agent, backend, connect, gateway, listener, resource, route, step, talk, tcp_origin,
};
use crate::tls::Authority;

pub fn admin(address: SocketAddr, path: &str) -> String {
    get(address, "admin", path)
}

fn get(address: SocketAddr, host: &str, path: &str) -> String {
    exchange(address, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n"))
}

/// One request with these header lines to the admin endpoint.
pub fn http(address: SocketAddr, method: &str, path: &str, fields: &str) -> String {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: admin\r\n{fields}");
    exchange(address, &head)
}

/// The answer as it is; nothing, when nobody listens.
fn exchange(address: SocketAddr, head: &str) -> String {
    let request = format!("{head}Connection: close\r\n\r\n");
    let Ok(mut stream) = std::net::TcpStream::connect(address) else {
        return String::new();
    };
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn tcp_service(port: u16) -> Vec<v1::Resource> {
    let mut all = vec![gateway(), listener("tcp", port, v1::Protocol::Tcp)];
    all.push(route(v1::RouteKind::Tcp, "tcp", "", &[("a", 1)]));
    all.extend(backend("a", &[tcp_origin("a")]));
    all
}

/// The program, ended when a test fails.
struct Program(Child);

impl Program {
    fn start(control_plane: SocketAddr, admin: SocketAddr, state: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_novaedge-agent"));
        command
            .args(["--control-plane", &format!("http://{control_plane}")])
            .args(["--node-id", "test", "--workers", "2"])
            .args(["--admin", &admin.to_string(), "--drain-timeout", "20"])
            .args(["--log", "debug", "--state-dir"])
            .arg(state)
            .stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    fn terminate(&self) {
        let process = self.0.id().to_string();
        let told = Command::new("kill").args(["-TERM", &process]).status();
        assert!(told.unwrap().success());
    }

    /// Waits for the end; returns what was logged, too.
    fn end(mut self) -> (ExitStatus, String) {
        let mut log = String::new();
        let mut stderr = self.0.stderr.take().unwrap();
        stderr.read_to_string(&mut log).unwrap();
        (self.0.wait().unwrap(), log)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // After an orderly end there is nothing to end.
        let _ = self.0.kill();
    }
}

async fn until_ready(address: SocketAddr) {
    let begin = Instant::now();
    while !admin(address, "/readyz").starts_with("HTTP/1.1 200") {
        assert!(begin.elapsed() < Duration::from_secs(10), "not ready");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_listener_has_no_more_connections_than_it_may_have() {
    let (limited, free) = (free_port(), free_port());
    let agent = agent();
    let mut resources = backend("a", &[tcp_origin("a")]);
    resources.push(gateway());
    let plain = listener("limited", limited, v1::Protocol::Tcp);
    let Some(Body::Listener(body)) = plain.body else {
        panic!("a listener");
    };
    // One for each of two workers.
    let body = v1::Listener {
        max_connections: 2,
        ..body
    };
    resources.push(resource(&plain.name, Body::Listener(body)));
    resources.push(listener("free", free, v1::Protocol::Tcp));
    for name in ["limited", "free"] {
        resources.push(route(v1::RouteKind::Tcp, name, "", &[("a", 1)]));
    }
    assert_eq!(agent.apply(step(1, resources, &[])).await.unwrap(), []);
    let greeted = |port: u16| {
        let mut stream = connect(port);
        stream
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        let mut greeting = [0];
        let heard = stream.read_exact(&mut greeting).is_ok();
        (stream, heard)
    };
    let mut held: Vec<_> = (0..8).map(|_| greeted(limited)).collect();
    let served = held.iter().filter(|(_, heard)| *heard).count();
    // All may have come to the same worker.
    assert!((1..=2).contains(&served), "{served}");
    assert!((0..8).all(|_| greeted(free).1), "others have room");
    held.retain(|(_, heard)| !heard);
    let (waiting, _) = &mut held[0];
    waiting
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    assert!(waiting.read_exact(&mut [0]).is_ok(), "it waited for room");
    drop(held);
    agent.drain(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn the_admin_endpoint_tells_health_version_and_metrics() {
    let (agent, port) = (agent(), free_port());
    let address = agent.admin_address().unwrap();
    assert!(admin(address, "/livez").starts_with("HTTP/1.1 200"));
    let unready = admin(address, "/readyz");
    assert!(unready.starts_with("HTTP/1.1 503"), "{unready}");
    assert!(unready.ends_with("no snapshot yet\n"), "{unready}");
    agent.apply(step(7, tcp_service(port), &[])).await.unwrap();
    assert!(admin(address, "/readyz").starts_with("HTTP/1.1 200"));
    let version = admin(address, "/version");
    assert!(version.contains("\"sequence\":7"), "{version}");
    assert_eq!(talk(port, b"x"), "ax!");
    let metrics = admin(address, "/metrics");
    assert!(
        metrics.contains("\nnovaedge_accepted_connections_total 1\n"),
        "{metrics}"
    );
    let unknown = admin(address, "/");
    assert!(unknown.starts_with("HTTP/1.1 404") && unknown.contains("/readyz"));

    let open = connect(port);
    let draining = tokio::spawn(agent.drain(Duration::from_secs(10)));
    while !admin(address, "/readyz").ends_with("draining\n") {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(admin(address, "/livez").starts_with("HTTP/1.1 200"));
    drop(open);
    draining.await.unwrap();
}

#[tokio::test]
async fn requests_are_counted_by_listener_route_and_rule() {
    let (agent, port) = (agent(), free_port());
    let body = v1::Route {
        r#ref: Some(v1::ObjectRef {
            kind: "HTTPRoute".into(),
            namespace: "default".into(),
            name: "shop".into(),
        }),
        kind: v1::RouteKind::Http.into(),
        hostnames: vec!["shop.example".into()],
        bindings: vec![v1::Binding {
            listener: "listener/default/g/http".into(),
            hostnames: vec!["shop.example".into()],
        }],
        backends: vec![v1::WeightedBackend {
            weight: 1,
            target: Some(v1::weighted_backend::Target::Backend(
                "backend/default/a".into(),
            )),
            filters: vec![],
        }],
        ..Default::default()
    };
    let mut all = vec![gateway(), listener("http", port, v1::Protocol::Http)];
    all.push(resource(
        "route/HTTPRoute/default/shop/0",
        Body::Route(body),
    ));
    all.extend(backend("a", &[]));
    assert_eq!(agent.apply(step(1, all, &[])).await.unwrap(), []);
    for host in ["shop.example", "shop.example", "other.example"] {
        let answer = get(([127, 0, 0, 1], port).into(), host, "/");
        assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    }
    let metrics = admin(agent.admin_address().unwrap(), "/metrics");
    let listener = "gateway_namespace=\"default\",gateway=\"g\",listener=\"http\"";
    let shop =
        format!("{listener},route_kind=\"HTTPRoute\",route_namespace=\"default\",route=\"shop\"");
    let none = format!("{listener},route_kind=\"\",route_namespace=\"\",route=\"\"");
    for line in [
        format!("http_server_request_duration_seconds_count{{{shop}}} 2"),
        format!("http_server_request_duration_seconds_count{{{none}}} 1"),
        format!("novaedge_http_rule_requests_total{{{shop},rule=\"0\"}} 2"),
        format!("novaedge_http_request_errors_total{{{shop},class=\"5xx\"}} 2"),
        format!("novaedge_http_request_errors_total{{{none},class=\"4xx\"}} 1"),
        format!("novaedge_http_own_answers_total{{{listener},reason=\"no_endpoints\"}} 2"),
        format!("novaedge_http_own_answers_total{{{listener},reason=\"no_route\"}} 1"),
        format!("http_server_active_requests{{{listener}}} 0"),
        "novaedge_http_upstream_errors_total{backend_namespace=\"default\",backend=\"a\",reason=\"no_endpoints\"} 2".to_owned(),
        "novaedge_snapshot_sequence 1".to_owned(),
    ] {
        assert!(
            metrics.lines().any(|one| one == line),
            "{line} in {metrics}"
        );
    }
    // What is gone is scraped once more.
    let gone = step(2, Vec::new(), &["route/HTTPRoute/default/shop/0"]);
    assert_eq!(agent.apply(gone).await.unwrap(), []);
    let answer = get(([127, 0, 0, 1], port).into(), "shop.example", "/");
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    let metrics = admin(agent.admin_address().unwrap(), "/metrics");
    for line in [
        format!("http_server_request_duration_seconds_count{{{shop}}} 2"),
        format!("http_server_request_duration_seconds_count{{{none}}} 2"),
    ] {
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
    agent.drain(Duration::ZERO).await;
}

#[test]
fn an_admin_address_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = AgentConfig::new("test");
    config.admin = Some(taken.local_addr().unwrap());
    let error = Agent::start(config).err().unwrap().to_string();
    let address = taken.local_addr().unwrap().to_string();
    assert!(error.contains(&address), "{error}");
}

#[tokio::test]
async fn listeners_open_and_close_at_run_time() {
    let (agent, first, second) = (agent(), free_port(), free_port());
    agent.apply(step(1, tcp_service(first), &[])).await.unwrap();
    assert_eq!(talk(first, b"x"), "ax!");
    let moved = vec![listener("tcp", second, v1::Protocol::Tcp)];
    assert_eq!(agent.apply(step(2, moved, &[])).await.unwrap(), []);
    assert_eq!(talk(second, b"x"), "ax!");
    assert!(std::net::TcpStream::connect(("127.0.0.1", first)).is_err());
    let again = TcpListener::bind(("127.0.0.1", first));
    assert!(again.is_ok(), "the port is free for others");
    let none = ["listener/default/g/tcp"];
    agent.apply(step(3, vec![], &none)).await.unwrap();
    assert!(std::net::TcpStream::connect(("127.0.0.1", second)).is_err());
    agent.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn the_program_serves_drains_at_a_signal_and_starts_again_from_disk() {
    let control_plane = ControlPlane::start().await;
    let state = tempfile::tempdir().unwrap();
    let directory = state.path().join("agent");
    let (port, admin) = (free_port(), SocketAddr::from(([127, 0, 0, 1], free_port())));
    let mut all = tcp_service(port);
    let identity = Authority::new().issue("one.example");
    all.push(identity.resource("certificate/default/c"));
    control_plane.publish(all, &[]);
    let program = Program::start(control_plane.address, admin, &directory);
    control_plane.until_refused(&[]).await;
    until_ready(admin).await;

    // An open flow outlives the signal.
    let mut open = connect(port);
    open.read_exact(&mut [0]).unwrap();
    program.terminate();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    open.write_all(b"last words").unwrap();
    open.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    open.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "last words!");
    let (status, log) = program.end();
    assert!(status.success(), "{log}");
    assert!(log.contains("draining"), "{log}");
    assert!(!log.contains("PRIVATE KEY"), "{log}");
    assert!(!log.contains('\u{1b}'), "no terminal, no colours: {log}");

    let mode = std::fs::metadata(&directory).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let address = control_plane.address;
    control_plane.stop().await;
    let begin = Instant::now();
    let program = Program::start(address, admin, &directory);
    until_ready(admin).await;
    assert_eq!(talk(port, b"x"), "ax!");
    assert!(begin.elapsed() < Duration::from_secs(2));
    program.terminate();
    assert!(program.end().0.success());
}

#[test]
fn the_program_says_what_is_wrong_with_its_arguments() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_novaedge-agent"))
            .args(arguments)
            .args(["--node-id", "test", "--admin", "127.0.0.1:0"])
            .output()
            .unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(run(&[]).contains("--control-plane"));
    let no_url = run(&["--control-plane", "not a url"]);
    assert!(no_url.contains("not a url"), "{no_url}");
    let no_filter = run(&["--control-plane", "http://127.0.0.1:1", "--log", "=/="]);
    assert!(no_filter.contains("--log"), "{no_filter}");
}
