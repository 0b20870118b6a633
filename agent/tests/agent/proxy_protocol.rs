//! The PROXY protocol at listeners, over real sockets: the peer is a proxy, and says who the client is.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::time::Duration;

use novaedge_agent::Agent;
use novaedge_ports::free_port;
use novaedge_proto::v1::{self, accept_proxy_protocol::Mode, resource::Body};
use novaedge_router::proxy_protocol::{Header, Inet, Version, encode};

use crate::lifecycle::admin;
use crate::support::{
    agent, backend, connect, gateway, http_origin, http_route, listener, resource, route, step,
    talk, tcp_origin,
};
use crate::tls::{Authority, say};

pub const LOOPBACK: &str = "127.0.0.0/8";
const ELSEWHERE: &str = "192.0.2.0/24";
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n";

fn header(version: Version, source: &str) -> Vec<u8> {
    let destination = if source.starts_with('[') {
        "[2001:db8::99]:443"
    } else {
        "198.51.100.9:443"
    };
    let inet = Inet::stream(source.parse().unwrap(), destination.parse().unwrap());
    encode(version, &Header::Inet(inet))
}

/// The listener with headers in this mode from these peers.
pub fn behind_proxies(listener: &v1::Resource, mode: Mode, trusted: &str) -> v1::Resource {
    let Some(Body::Listener(mut body)) = listener.body.clone() else {
        panic!("a listener");
    };
    body.accept_proxy_protocol = Some(v1::AcceptProxyProtocol {
        mode: mode.into(),
        trusted_cidrs: vec!["2001:db8::/32".into(), trusted.into()],
    });
    resource(&listener.name, Body::Listener(body))
}

async fn serve(mut resources: Vec<v1::Resource>) -> Agent {
    let agent = agent();
    resources.push(gateway());
    assert_eq!(agent.apply(step(1, resources, &[])).await.unwrap(), []);
    agent
}

/// An HTTP listener in front of an origin that answers with the head it got.
async fn http(mode: Mode, trusted: &str) -> (Agent, u16) {
    let port = free_port();
    let plain = listener("http", port, v1::Protocol::Http);
    let mut all = vec![behind_proxies(&plain, mode, trusted)];
    all.push(http_route(v1::RouteKind::Http, "a"));
    all.extend(backend("a", &[http_origin()]));
    (serve(all).await, port)
}

/// The answer to a request behind these bytes; nothing when the connection is refused.
fn ask(port: u16, header: &[u8]) -> String {
    crate::support::ask(port, &[header, REQUEST].concat())
}

fn forwarded_for(answer: &str) -> &str {
    crate::support::field(answer, "x-forwarded-for")
}

fn refused(agent: &Agent, reason: &str) -> u64 {
    let metrics = admin(agent.admin_address().unwrap(), "/metrics");
    let name = format!("novaedge_proxy_protocol_refused_connections_total{{reason=\"{reason}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.unwrap().parse().unwrap()
}

#[tokio::test]
async fn requests_carry_the_address_that_the_header_says() {
    let (agent, port) = http(Mode::Required, LOOPBACK).await;
    for version in [Version::V1, Version::V2] {
        for (source, expect) in [
            ("203.0.113.7:40000", "203.0.113.7"),
            ("[2001:db8::7]:1", "2001:db8::7"),
            ("[::ffff:203.0.113.8]:2", "203.0.113.8"),
        ] {
            let answer = ask(port, &header(version, source));
            assert_eq!(forwarded_for(&answer), expect, "{answer}");
        }
        let mut slow = connect(port);
        slow.set_nodelay(true).unwrap();
        for byte in [&header(version, "203.0.113.9:3"), REQUEST].concat() {
            slow.write_all(&[byte]).unwrap();
        }
        let mut answer = String::new();
        slow.read_to_string(&mut answer).unwrap();
        assert_eq!(forwarded_for(&answer), "203.0.113.9");
        let local = encode(version, &Header::Local);
        assert_eq!(forwarded_for(&ask(port, &local)), "127.0.0.1");
    }
    agent.drain(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn a_required_header_that_does_not_come_ends_the_connection() {
    let (agent, port) = http(Mode::Required, LOOPBACK).await;
    assert_eq!(ask(port, b""), "");
    assert_eq!(ask(port, b"PROXY TCP4 1.2.3.4 1.2.3.4 1 x\r\n"), "");
    assert_eq!(refused(&agent, "malformed"), 2);
    assert_eq!(talk(port, b"PROXY TCP4 1.2.3.4"), "");
    assert_eq!(refused(&agent, "ended"), 1);
    assert_eq!(talk(port, b""), "", "a check of the port is no error");
    assert_eq!(refused(&agent, "ended"), 1);

    // The time runs from the accept, and a byte does not lengthen it.
    let mut slow = connect(port);
    slow.set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    slow.write_all(b"PROXY TCP4 ").unwrap();
    let begin = std::time::Instant::now();
    let mut answer = Vec::new();
    let _ = slow.read_to_end(&mut answer);
    assert!(begin.elapsed() > Duration::from_secs(4));
    assert_eq!((answer, refused(&agent, "timed_out")), (vec![], 1));
    agent.drain(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn peers_that_are_not_trusted_are_closed_or_plain() {
    let told = header(Version::V1, "203.0.113.7:40000");
    let (agent, port) = http(Mode::Required, ELSEWHERE).await;
    assert_eq!(ask(port, &told), "");
    assert_eq!(ask(port, b""), "");
    assert_eq!(refused(&agent, "untrusted"), 2);
    agent.drain(Duration::from_secs(2)).await;

    let (agent, port) = http(Mode::Optional, ELSEWHERE).await;
    assert_eq!(forwarded_for(&ask(port, b"")), "127.0.0.1");
    assert!(ask(port, &told).starts_with("HTTP/1.1 400 "));
    let binary = ask(port, &header(Version::V2, "203.0.113.7:40000"));
    assert!(!binary.contains("203.0.113.7"), "{binary}");
    agent.drain(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn an_optional_header_may_be_there_or_not() {
    let (agent, port) = http(Mode::Optional, LOOPBACK).await;
    for version in [Version::V1, Version::V2] {
        let answer = ask(port, &header(version, "203.0.113.7:40000"));
        assert_eq!(forwarded_for(&answer), "203.0.113.7");
    }
    assert_eq!(forwarded_for(&ask(port, b"")), "127.0.0.1");
    assert_eq!(ask(port, b"PROXY TCP4 x\r\n"), "", "half a header is none");

    // First bytes that both have.
    let post =
        b"POST / HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let mut slow = connect(port);
    slow.write_all(&post[..1]).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    slow.write_all(&post[1..]).unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert_eq!(forwarded_for(&answer), "127.0.0.1");
    agent.drain(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn tcp_is_forwarded_without_the_header_and_hashed_by_its_source() {
    let port = free_port();
    let plain = listener("tcp", port, v1::Protocol::Tcp);
    let mut all = vec![behind_proxies(&plain, Mode::Required, LOOPBACK)];
    all.push(route(v1::RouteKind::Tcp, "tcp", "", &[("a", 1)]));
    all.extend(backend("a", &[tcp_origin("a"), tcp_origin("b")]));
    let hashed = v1::Backend {
        load_balancing: v1::LoadBalancing::SourceHash.into(),
        ..Default::default()
    };
    all.push(resource("backend/default/a", Body::Backend(hashed)));
    all.remove(2);
    let agent = serve(all).await;
    let mut seen = BTreeSet::new();
    for client in 0..32 {
        let told = header(Version::V2, &format!("203.0.113.{client}:1"));
        let bytes = [&told[..], b"hello"].concat();
        let answer = talk(port, &bytes);
        assert_eq!(&answer[1..], "hello!");
        assert_eq!(talk(port, &bytes), answer, "a client keeps its endpoint");
        seen.insert(answer);
    }
    assert_eq!(seen.len(), 2, "clients are told apart");
    agent.drain(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn tls_begins_behind_the_header() {
    let (port, authority) = (free_port(), Authority::new());
    let mut tls = listener("tls", port, v1::Protocol::Tls);
    let mut https = listener("http", port, v1::Protocol::Https);
    for (listener, host) in [(&mut tls, "one.example"), (&mut https, "a.example")] {
        let Some(Body::Listener(body)) = &mut listener.body else {
            panic!("a listener");
        };
        body.tls_mode = v1::TlsMode::Terminate.into();
        body.hostname = host.into();
        body.certificates = vec![format!("certificate/default/{host}")];
    }
    let mut all = vec![
        behind_proxies(&tls, Mode::Required, LOOPBACK),
        behind_proxies(&https, Mode::Required, LOOPBACK),
        route(v1::RouteKind::Tls, "tls", "one.example", &[("b", 1)]),
        http_route(v1::RouteKind::Http, "a"),
    ];
    all.extend(backend("a", &[http_origin()]));
    all.extend(backend("b", &[tcp_origin("b")]));
    for host in ["one.example", "a.example"] {
        let name = format!("certificate/default/{host}");
        all.push(authority.issue(host).resource(&name));
    }
    let agent = serve(all).await;
    let told = header(Version::V2, "203.0.113.7:40000");

    let mut stream = authority.connect(port, "one.example");
    stream.sock.write_all(&told).unwrap();
    assert_eq!(say(stream, b"hello").unwrap(), "bhello!");

    let mut stream = authority.connect(port, "a.example");
    stream.sock.write_all(&told).unwrap();
    stream.write_all(REQUEST).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert_eq!(forwarded_for(&answer), "203.0.113.7");

    let hello = authority.connect(port, "one.example");
    assert!(say(hello, b"hello").is_err(), "no header");
    agent.drain(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn tls_is_passed_through_without_the_header() {
    let port = free_port();
    let plain = listener("tls", port, v1::Protocol::Tls);
    let mut all = vec![behind_proxies(&plain, Mode::Required, LOOPBACK)];
    all.push(route(v1::RouteKind::Tls, "tls", "one.example", &[("a", 1)]));
    all.extend(backend("a", &[tcp_origin("a")]));
    let agent = serve(all).await;
    let authority = Authority::new();
    let mut hello = Vec::new();
    let mut client = authority.connect(port, "one.example");
    client.conn.write_tls(&mut hello).unwrap();
    let told = header(Version::V1, "203.0.113.7:40000");
    let answer = talk(port, &[&told[..], &hello].concat());
    assert_eq!(answer, format!("a{}!", String::from_utf8_lossy(&hello)));
    agent.drain(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn listeners_of_a_socket_agree_on_the_header() {
    let port = free_port();
    let (one, two) = (
        listener("one", port, v1::Protocol::Http),
        listener("two", port, v1::Protocol::Http),
    );
    let with_host = |listener: &v1::Resource, host: &str| {
        let Some(Body::Listener(mut body)) = listener.body.clone() else {
            panic!("a listener");
        };
        body.hostname = host.into();
        resource(&listener.name, Body::Listener(body))
    };
    let all = vec![
        gateway(),
        behind_proxies(&with_host(&one, "one.example"), Mode::Required, LOOPBACK),
        with_host(&two, "two.example"),
    ];
    let agent = agent();
    let rejected = agent.apply(step(1, all, &[])).await.unwrap();
    let names: Vec<&str> = rejected.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["listener/default/g/two"]);
    agent.drain(Duration::from_secs(2)).await;
}
