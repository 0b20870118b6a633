//! Layer 4 traffic through a whole agent, over real sockets.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use novaedge_agent::{Agent, AgentConfig};
use novaedge_proto::v1::{self, resource::Body};
use novaedge_subscribe::{Origin, Step};

const GATEWAY: &str = "gateway/default/g";

fn agent() -> Agent {
    let mut config = AgentConfig::new("test");
    config.workers = 2;
    config.admin = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    Agent::start(config).unwrap()
}

fn step(sequence: u64, upserts: Vec<v1::Resource>, removed: &[&str]) -> Step {
    Step {
        version: v1::Version {
            sequence,
            digest: String::new(),
        },
        upserts,
        removed: removed.iter().map(|&name| name.into()).collect(),
        full: false,
        origin: Origin::Stream,
    }
}

fn resource(name: &str, body: Body) -> v1::Resource {
    v1::Resource {
        name: name.into(),
        version: "1".into(),
        body: Some(body),
    }
}

fn gateway() -> v1::Resource {
    let bind_addresses = vec!["127.0.0.1".into()];
    resource(
        GATEWAY,
        Body::Gateway(v1::Gateway {
            bind_addresses,
            ..Default::default()
        }),
    )
}

fn listener(name: &str, port: u16, protocol: v1::Protocol) -> v1::Resource {
    let passthrough = protocol == v1::Protocol::Tls;
    let mode = if passthrough {
        v1::TlsMode::Passthrough
    } else {
        v1::TlsMode::Unspecified
    };
    let body = v1::Listener {
        gateway: GATEWAY.into(),
        section_name: name.into(),
        port: port.into(),
        bind_port: port.into(),
        protocol: protocol.into(),
        tls_mode: mode.into(),
        ..Default::default()
    };
    resource(&format!("listener/default/g/{name}"), Body::Listener(body))
}

fn route(kind: v1::RouteKind, listener: &str, hostname: &str, to: &[(&str, u32)]) -> v1::Resource {
    let (kind_name, hostnames) = match kind {
        v1::RouteKind::Udp => ("UDPRoute", vec![]),
        v1::RouteKind::Tls => ("TLSRoute", vec![hostname.to_owned()]),
        _ => ("TCPRoute", vec![]),
    };
    let backends = to.iter().map(|(name, weight)| v1::WeightedBackend {
        weight: *weight,
        target: Some(v1::weighted_backend::Target::Backend(format!(
            "backend/default/{name}"
        ))),
        filters: vec![],
    });
    let body = v1::Route {
        r#ref: Some(v1::ObjectRef {
            kind: kind_name.into(),
            namespace: "default".into(),
            name: format!("{listener}-{}", hostname.replace('.', "-")),
        }),
        kind: kind.into(),
        hostnames: hostnames.clone(),
        bindings: vec![v1::Binding {
            listener: format!("listener/default/g/{listener}"),
            hostnames,
        }],
        backends: backends.collect(),
        ..Default::default()
    };
    let name = format!(
        "route/{kind_name}/default/{listener}-{}/0",
        hostname.replace('.', "-")
    );
    resource(&name, Body::Route(body))
}

fn backend(name: &str, endpoints: &[SocketAddr]) -> Vec<v1::Resource> {
    let parent = format!("backend/default/{name}");
    let list = endpoints.iter().map(|address| v1::Endpoint {
        address: address.ip().to_string(),
        port: address.port().into(),
        ..Default::default()
    });
    let endpoints = v1::Endpoints {
        backend: parent.clone(),
        endpoints: list.collect(),
    };
    vec![
        resource(&parent, Body::Backend(v1::Backend::default())),
        resource(
            &format!("endpoints/default/{name}"),
            Body::Endpoints(endpoints),
        ),
    ]
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Answers each connection with its name, then with all it got, once it has ended.
fn tcp_origin(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut buffer = [0; 1024];
                let _ = stream.write_all(name.as_bytes());
                while let Ok(read @ 1..) = stream.read(&mut buffer) {
                    let _ = stream.write_all(&buffer[..read]);
                }
                let _ = stream.write_all(b"!");
            });
        }
    });
    address
}

fn udp_origin(name: &'static str) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            let answer = [name.as_bytes(), &buffer[..length]].concat();
            let _ = socket.send_to(&answer, peer);
        }
    });
    address
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    stream
}

fn talk(port: u16, text: &[u8]) -> String {
    let mut stream = connect(port);
    let _ = stream.write_all(text);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn tcp_is_forwarded_by_weight_and_flows_survive_swaps() {
    let agent = agent();
    let port = free_port();
    let mut all = vec![gateway(), listener("tcp", port, v1::Protocol::Tcp)];
    all.push(route(v1::RouteKind::Tcp, "tcp", "", &[("a", 3), ("b", 1)]));
    all.extend(backend("a", &[tcp_origin("a")]));
    all.extend(backend("b", &[tcp_origin("b")]));
    assert_eq!(agent.apply(step(1, all, &[])).await.unwrap(), []);

    let mut counts = [0, 0];
    for _ in 0..40 {
        let answer = talk(port, b"hello");
        counts[usize::from(answer.starts_with('b'))] += 1;
        assert_eq!(&answer[1..], "hello!");
    }
    assert!((28..=32).contains(&counts[0]), "{counts:?}");

    let mut open = connect(port);
    for sequence in 2..202 {
        let weights = [("a", u32::try_from(sequence).unwrap()), ("b", 1)];
        let change = route(v1::RouteKind::Tcp, "tcp", "", &weights);
        agent
            .apply(step(sequence, vec![change], &[]))
            .await
            .unwrap();
    }
    let gone = ["listener/default/g/tcp", "route/TCPRoute/default/tcp-/0"];
    agent.apply(step(202, vec![], &gone)).await.unwrap();
    assert!(
        TcpStream::connect(("127.0.0.1", port)).is_err(),
        "the listener is closed"
    );
    open.write_all(b"still here").unwrap();
    open.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    open.read_to_string(&mut answer).unwrap();
    assert_eq!(&answer[1..], "still here!");
    agent.drain(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn udp_sessions_keep_their_endpoint_and_large_and_empty_datagrams_pass() {
    let agent = agent();
    let port = free_port();
    let mut all = vec![gateway(), listener("udp", port, v1::Protocol::Udp)];
    all.push(route(v1::RouteKind::Udp, "udp", "", &[("u", 1)]));
    all.extend(backend("u", &[udp_origin("1"), udp_origin("2")]));
    assert_eq!(agent.apply(step(1, all, &[])).await.unwrap(), []);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..8 {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        client.connect(("127.0.0.1", port)).unwrap();
        let mut session = std::collections::BTreeSet::new();
        for length in [3, 0, 60_000] {
            client.send(&vec![b'x'; length]).unwrap();
            let mut buffer = vec![0; 65_536];
            assert_eq!(client.recv(&mut buffer).unwrap(), length + 1);
            session.insert(buffer[0]);
        }
        assert_eq!(session.len(), 1);
        seen.extend(session);
    }
    assert_eq!(seen.len(), 2);
    agent.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn tls_passes_through_by_server_name_and_others_are_closed_without_an_alert() {
    let agent = agent();
    let port = free_port();
    let mut all = vec![gateway(), listener("tls", port, v1::Protocol::Tls)];
    all.push(route(v1::RouteKind::Tls, "tls", "one.example", &[("a", 1)]));
    all.extend(backend("a", &[tcp_origin("a")]));
    assert_eq!(agent.apply(step(1, all, &[])).await.unwrap(), []);
    let hello = |name: &str| {
        let config = rustls::ClientConfig::builder()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let name = name.to_owned().try_into().unwrap();
        let mut connection = rustls::ClientConnection::new(config.into(), name).unwrap();
        let mut bytes = Vec::new();
        connection.write_tls(&mut bytes).unwrap();
        bytes
    };
    let one = hello("one.example");
    let answer = talk(port, &one);
    assert_eq!(answer, format!("a{}!", String::from_utf8_lossy(&one)));
    assert_eq!(talk(port, &hello("two.example")), "");
    assert_eq!(talk(port, b"GET / HTTP/1.1\r\n\r\n"), "");
    agent.drain(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn a_port_in_use_rejects_its_listener_alone() {
    let agent = agent();
    let (port, taken) = (free_port(), TcpListener::bind("127.0.0.1:0").unwrap());
    let taken_port = taken.local_addr().unwrap().port();
    let mut all = vec![gateway(), listener("ok", port, v1::Protocol::Tcp)];
    all.push(listener("taken", taken_port, v1::Protocol::Tcp));
    all.push(route(v1::RouteKind::Tcp, "ok", "", &[("a", 1)]));
    all.extend(backend("a", &[tcp_origin("a")]));
    let rejected = agent.apply(step(1, all, &[])).await.unwrap();
    assert_eq!(rejected.len(), 1, "{rejected:?}");
    assert_eq!(rejected[0].name, "listener/default/g/taken");
    assert!(
        rejected[0]
            .error
            .contains(&format!("127.0.0.1:{taken_port}")),
        "{rejected:?}"
    );
    assert_eq!(talk(port, b"x"), "ax!");
    agent.drain(Duration::from_secs(2)).await;
}
