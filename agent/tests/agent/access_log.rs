//! The access log of a whole agent, over real sockets.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use novaedge_access_log::settings::Errors;
use novaedge_access_log::{Format, Sampling, Settings, Target, Template};
use novaedge_agent::{Agent, Telemetry};
use novaedge_ports::free_port;
use novaedge_proto::v1::{self, resource::Body};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    agent_with, ask, backend, connect, gateway, http_origin, http_route, listener, resource, route,
    step, talk, tcp_origin, udp_origin,
};

/// An agent that logs to a file.
struct Logging {
    agent: Agent,
    folder: TempDir,
    port: u16,
}

impl Logging {
    /// Serves these resources besides a Gateway.
    async fn start(
        protocol: v1::Protocol,
        more: Vec<v1::Resource>,
        set: impl FnOnce(&mut Settings),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::new(Target::File(folder.path().join("access.log")));
        set(&mut settings);
        let agent = agent_with(Telemetry {
            access_log: Some(settings),
            ..Telemetry::default()
        });
        let port = free_port();
        let name = match protocol {
            v1::Protocol::Http => "http",
            v1::Protocol::Tcp => "tcp",
            v1::Protocol::Tls => "tls",
            _ => "udp",
        };
        let plain = listener(name, port, protocol);
        let Some(Body::Listener(mut body)) = plain.body else {
            panic!("a listener");
        };
        if protocol == v1::Protocol::Http {
            body.forwarded_headers_trusted_cidrs = vec!["127.0.0.0/8".into()];
        }
        let mut all = vec![gateway(), resource(&plain.name, Body::Listener(body))];
        all.extend(more);
        assert_eq!(agent.apply(step(1, all, &[])).await.unwrap(), []);
        Self {
            agent,
            folder,
            port,
        }
    }

    async fn http(origin: SocketAddr, set: impl FnOnce(&mut Settings)) -> Self {
        let mut all = vec![http_route(v1::RouteKind::Http, "a")];
        all.extend(backend("a", &[origin]));
        Self::start(v1::Protocol::Http, all, set).await
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("access.log")).unwrap()
    }

    /// The lines, once there are so many.
    fn lines(&self, count: usize) -> Vec<String> {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let text = self.text();
            if text.lines().count() >= count {
                let lines: Vec<_> = text.lines().map(str::to_owned).collect();
                assert_eq!(lines.len(), count, "{text}");
                return lines;
            }
            assert!(Instant::now() < end, "{count} lines: {text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn records(&self, count: usize) -> Vec<Value> {
        let lines = self.lines(count);
        let read = |line: &String| serde_json::from_str(line).unwrap();
        lines.iter().map(read).collect()
    }

    async fn end(self) {
        self.agent.drain(Duration::from_secs(2)).await;
    }
}

fn get(path: &str, fields: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n{fields}\r\n")
        .into_bytes()
}

fn check(record: &Value, expect: &[(&str, Value)]) {
    for (name, value) in expect {
        assert_eq!(&record[name], value, "{name} of {record:#}");
    }
}

#[tokio::test]
async fn a_request_is_told_with_all_that_is_known_of_it() {
    let origin = http_origin();
    let logging = Logging::http(origin, |_| {}).await;
    let fields = "x-forwarded-for: 203.0.113.7\r\nuser-agent: test/1\r\nx-request-id: r-1\r\n\
                  traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
    let answer = ask(logging.port, &get("/cart?id=7&token=s3cret", fields));
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    let record = logging.records(1).remove(0);
    check(
        &record,
        &[
            ("client.address", "203.0.113.7".into()),
            ("network.peer.address", "127.0.0.1".into()),
            ("gateway", "default/g".into()),
            ("listener", "http".into()),
            ("route", "HTTPRoute/default/a".into()),
            ("rule", 0.into()),
            ("backend", "default/a".into()),
            ("endpoint", origin.to_string().into()),
            ("http.request.method", "GET".into()),
            ("url.scheme", "http".into()),
            ("server.address", "a.example".into()),
            ("url.path", "/cart".into()),
            ("url.query", "id=7&token=REDACTED".into()),
            ("network.protocol.name", "http".into()),
            ("network.protocol.version", "1.1".into()),
            ("http.response.status_code", 200.into()),
            ("http.request.body.size", 0.into()),
            ("http.response.body.size", body.len().into()),
            ("tries", 1.into()),
            ("request_id", "r-1".into()),
            ("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736".into()),
            ("user_agent.original", "test/1".into()),
            ("termination", "complete".into()),
        ],
    );
    let seconds = |name: &str| record[name].as_f64().unwrap();
    assert!(seconds("duration") >= seconds("upstream.duration"));
    assert!(record.get("reason").is_none());
    logging.end().await;
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

#[tokio::test]
async fn answers_of_the_gateway_say_why() {
    let gone = nobody();
    let logging = Logging::http(gone, |_| {}).await;
    ask(logging.port, &get("/", ""));
    ask(
        logging.port,
        b"GET / HTTP/1.1\r\nhost: other.example\r\nconnection: close\r\n\r\n",
    );
    ask(logging.port, b"GET / HTTP/1.1\r\nhost a\r\n\r\n");
    ask(logging.port, b"GET / HTTP/3.7\r\nhost: a\r\n\r\n");
    let records = logging.records(4);
    let told = |reason: &str, status: u16, termination: &str| {
        let found = records.iter().find(|record| record["reason"] == *reason);
        let record = found.unwrap_or_else(|| panic!("{reason} in {records:#?}"));
        assert_eq!(record["http.response.status_code"], status, "{record:#}");
        assert_eq!(record["termination"], termination, "{record:#}");
        record
    };
    let failed = told("connect_failed", 502, "upstream");
    let failure = failed["upstream.failure"].as_str().unwrap();
    assert!(failure.contains("refused"), "{failure}");
    assert_eq!(failed["endpoint"], gone.to_string());
    told("no_route", 404, "gateway");
    told("malformed_head", 400, "gateway");
    told("http_version", 505, "gateway");
    logging.end().await;
}

/// Sends a head and half of the body that it says, then waits.
fn stalling_origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut buffer = [0; 1024];
            let _ = stream.read(&mut buffer);
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello";
            let _ = stream.write_all(head);
            let says_bye = buffer.starts_with(b"GET /break");
            if !says_bye {
                std::thread::sleep(Duration::from_secs(30));
            }
        }
    });
    address
}

#[tokio::test]
async fn who_ended_it_is_told() {
    let logging = Logging::http(stalling_origin(), |_| {}).await;
    ask(logging.port, &get("/break", ""));
    let broken = logging.records(1).remove(0);
    check(
        &broken,
        &[
            ("termination", "upstream".into()),
            ("http.response.body.size", 5.into()),
            ("http.response.status_code", 200.into()),
        ],
    );
    let mut client = connect(logging.port);
    client.write_all(&get("/wait", "")).unwrap();
    let mut some = [0; 16];
    client.read_exact(&mut some).unwrap();
    drop(client);
    let gone = logging.records(2).remove(1);
    check(&gone, &[("termination", "client".into())]);
    logging.end().await;
}

#[tokio::test]
async fn a_template_has_the_fields_that_it_names() {
    let template = "%{http.request.method} %{url.path} %{http.request.header.x-tenant} \
                    %{http.request.header.authorization} %{http.response.header.x-origin} 100%%";
    let origin = http_origin();
    let logging = Logging::http(origin, |settings| {
        settings.format = Format::Template(Template::parse(template).unwrap());
    })
    .await;
    let fields = "x-tenant: a\"b\r\nauthorization: Basic YTpi\r\n";
    ask(logging.port, &get("/x", fields));
    let expect = format!("GET /x a\\\"b REDACTED {} 100%", origin.port());
    assert_eq!(logging.lines(1), [expect]);
    logging.end().await;
}

#[tokio::test]
async fn a_sample_keeps_errors() {
    let logging = Logging::http(http_origin(), |settings| {
        settings.sampling = Sampling {
            share: 0.0,
            errors: Errors::Kept,
        };
    })
    .await;
    for _ in 0..5 {
        ask(logging.port, &get("/", ""));
    }
    let gone = backend("a", &[]);
    logging.agent.apply(step(2, gone, &[])).await.unwrap();
    ask(logging.port, &get("/", ""));
    let record = logging.records(1).remove(0);
    assert_eq!(record["reason"], "no_endpoints");
    logging.end().await;
}

#[tokio::test]
async fn tcp_connections_are_told_when_they_end() {
    let origin = tcp_origin("a");
    let mut all = vec![route(v1::RouteKind::Tcp, "tcp", "", &[("a", 1)])];
    all.extend(backend("a", &[origin]));
    let logging = Logging::start(v1::Protocol::Tcp, all, |_| {}).await;
    assert_eq!(talk(logging.port, b"hello"), "ahello!");
    let record = logging.records(1).remove(0);
    check(
        &record,
        &[
            ("network.protocol.name", "tcp".into()),
            ("client.address", "127.0.0.1".into()),
            ("route", "TCPRoute/default/tcp-".into()),
            ("backend", "default/a".into()),
            ("endpoint", origin.to_string().into()),
            ("http.request.body.size", 5.into()),
            ("http.response.body.size", 7.into()),
            ("tries", 1.into()),
            ("termination", "complete".into()),
        ],
    );
    let gone = backend("a", &[]);
    logging.agent.apply(step(2, gone, &[])).await.unwrap();
    assert_eq!(talk(logging.port, b"hello"), "");
    let record = logging.records(2).remove(1);
    check(
        &record,
        &[
            ("reason", "no_endpoint".into()),
            ("termination", "gateway".into()),
        ],
    );
    logging.end().await;
}

#[tokio::test]
async fn udp_sessions_are_told_when_they_end() {
    let mut all = vec![route(v1::RouteKind::Udp, "udp", "", &[("u", 1)])];
    all.extend(backend("u", &[udp_origin("u")]));
    let logging = Logging::start(v1::Protocol::Udp, all, |_| {}).await;
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    client.connect(("127.0.0.1", logging.port)).unwrap();
    client.send(b"abc").unwrap();
    assert_eq!(client.recv(&mut [0; 64]).unwrap(), 4);
    // The session goes with its listener.
    let gone = ["listener/default/g/udp", "route/UDPRoute/default/udp-/0"];
    logging.agent.apply(step(2, vec![], &gone)).await.unwrap();
    let record = logging.records(1).remove(0);
    check(
        &record,
        &[
            ("network.protocol.name", "udp".into()),
            ("route", "UDPRoute/default/udp-".into()),
            ("http.request.body.size", 3.into()),
            ("http.response.body.size", 4.into()),
        ],
    );
    logging.end().await;
}

#[tokio::test]
async fn the_file_is_opened_anew_on_request_and_all_lines_are_there_at_the_end() {
    let logging = Logging::http(http_origin(), |_| {}).await;
    ask(logging.port, &get("/1", ""));
    logging.lines(1);
    let path = logging.folder.path().join("access.log");
    std::fs::rename(&path, path.with_extension("1")).unwrap();
    logging.agent.reopen_access_log();
    let admin = logging.agent.admin_address().unwrap();
    for turn in 0..20 {
        ask(logging.port, &get(&format!("/{turn}"), ""));
    }
    let metrics = ask(admin.port(), b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n");
    for line in [
        "novaedge_access_log_lines_total 21",
        "novaedge_access_log_dropped_lines_total 0",
        "novaedge_access_log_lost_lines_total 0",
    ] {
        assert!(metrics.lines().any(|one| one == line), "{line}: {metrics}");
    }
    let Logging { agent, folder, .. } = logging;
    agent.drain(Duration::from_secs(2)).await;
    let count = |path: &Path| std::fs::read_to_string(path).unwrap().lines().count();
    let path = folder.path().join("access.log");
    assert_eq!(count(&path) + count(&path.with_extension("1")), 21);
    assert!(count(&path) >= 19, "the file is made again");
}

/// Reads a chunked request to its end, then answers.
fn taking_origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (mut got, mut buffer) = (Vec::new(), [0; 1024]);
            while !got.ends_with(b"0\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(read @ 1..) => got.extend(&buffer[..read]),
                    _ => break,
                }
            }
            let head = b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
            let _ = stream.write_all(head);
        }
    });
    address
}

#[tokio::test]
async fn requests_of_http2_have_their_bodies_counted() {
    let logging = Logging::http(taking_origin(), |_| {}).await;
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", logging.port));
    let (mut client, connection) = h2::client::handshake(stream.await.unwrap()).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = http::Request::post("http://a.example/up").body(()).unwrap();
    let (answer, mut body) = client.send_request(request, false).unwrap();
    body.send_data(bytes::Bytes::from_static(b"hello"), true)
        .unwrap();
    let mut answer = answer.await.unwrap().into_body();
    let mut length = 0;
    while let Some(data) = answer.data().await {
        length += data.unwrap().len();
    }
    let record = logging.records(1).remove(0);
    check(
        &record,
        &[
            ("network.protocol.version", "2".into()),
            ("http.request.method", "POST".into()),
            ("server.address", "a.example".into()),
            ("url.path", "/up".into()),
            ("http.response.status_code", 201.into()),
            ("http.request.body.size", 5.into()),
            ("http.response.body.size", length.into()),
            ("termination", "complete".into()),
        ],
    );
    drop(client);
    connection.abort();
    logging.end().await;
}
