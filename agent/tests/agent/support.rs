//! A whole agent, resources for it, and origins behind it.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use novaedge_agent::{Agent, AgentConfig, Telemetry};
use novaedge_proto::digest::ContentVersion;
use novaedge_proto::v1::{self, resource::Body};
use novaedge_subscribe::{Origin, Step, Upsert};

pub const GATEWAY: &str = "gateway/default/g";

pub fn agent() -> Agent {
    agent_with(Telemetry::default())
}

pub fn agent_with(telemetry: Telemetry) -> Agent {
    let mut config = AgentConfig::new("test");
    config.workers = 2;
    config.admin = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    config.telemetry = telemetry;
    Agent::start(config).unwrap()
}

pub fn step(
    sequence: u64,
    upserts: impl IntoIterator<Item = v1::Resource>,
    removed: &[&str],
) -> Step {
    let upserts = upserts.into_iter().map(|one| Upsert::from(&one));
    Step {
        version: v1::Version {
            sequence,
            digest: String::new(),
        },
        upserts: upserts.collect(),
        removed: removed.iter().map(|&name| name.into()).collect(),
        full: false,
        origin: Origin::Stream,
    }
}

/// A resource with the version that its content has.
pub fn resource(name: &str, body: Body) -> v1::Resource {
    let mut resource = v1::Resource {
        name: name.into(),
        version: String::new(),
        body: Some(body),
    };
    resource.version = ContentVersion::of(&resource).to_string();
    resource
}

pub fn gateway() -> v1::Resource {
    let bind_addresses = vec!["127.0.0.1".into()];
    resource(
        GATEWAY,
        Body::Gateway(v1::Gateway {
            bind_addresses,
            ..Default::default()
        }),
    )
}

pub fn listener(name: &str, port: u16, protocol: v1::Protocol) -> v1::Resource {
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

pub fn route(
    kind: v1::RouteKind,
    listener: &str,
    hostname: &str,
    to: &[(&str, u32)],
) -> v1::Resource {
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

/// A route of all requests for `NAME.example` to the backend of that name.
pub fn http_route(kind: v1::RouteKind, name: &str) -> v1::Resource {
    let kind_name = if kind == v1::RouteKind::Grpc {
        "GRPCRoute"
    } else {
        "HTTPRoute"
    };
    let hostnames = vec![format!("{name}.example")];
    let target = v1::weighted_backend::Target::Backend(format!("backend/default/{name}"));
    let body = v1::Route {
        r#ref: Some(v1::ObjectRef {
            kind: kind_name.into(),
            namespace: "default".into(),
            name: name.into(),
        }),
        kind: kind.into(),
        hostnames: hostnames.clone(),
        bindings: vec![v1::Binding {
            listener: "listener/default/g/http".into(),
            hostnames,
        }],
        backends: vec![v1::WeightedBackend {
            weight: 1,
            target: Some(target),
            filters: vec![],
        }],
        ..Default::default()
    };
    let name = format!("route/{kind_name}/default/{name}/0");
    resource(&name, Body::Route(body))
}

pub fn backend(name: &str, endpoints: &[SocketAddr]) -> Vec<v1::Resource> {
    backend_of(name, endpoints, v1::BackendProtocol::Unspecified)
}

pub fn backend_of(
    name: &str,
    endpoints: &[SocketAddr],
    protocol: v1::BackendProtocol,
) -> Vec<v1::Resource> {
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
    let body = v1::Backend {
        protocol: protocol.into(),
        ..Default::default()
    };
    vec![
        resource(&parent, Body::Backend(body)),
        resource(
            &format!("endpoints/default/{name}"),
            Body::Endpoints(endpoints),
        ),
    ]
}

/// Answers each connection with its name, then with all it got, once it has ended.
pub fn tcp_origin(name: &'static str) -> SocketAddr {
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

/// Answers each request with its head and the field `x-origin`, its own port, then closes.
pub fn http_origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read(&mut buffer) {
                        Ok(read @ 1..) => head.extend(&buffer[..read]),
                        _ => return,
                    }
                }
                let length = head.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nconnection: close\r\nx-origin: {}\r\ncontent-length: {length}\r\n\r\n",
                    address.port(),
                );
                let _ = stream.write_all(&head);
            });
        }
    });
    address
}

pub fn udp_origin(name: &'static str) -> SocketAddr {
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

pub fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    stream
}

pub fn talk(port: u16, text: &[u8]) -> String {
    let mut stream = connect(port);
    let _ = stream.write_all(text);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// The answer to these bytes, to its end; nothing when the connection is refused.
pub fn ask(port: u16, bytes: &[u8]) -> String {
    let mut stream = connect(port);
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// The value of the first field of this name, in lower case, in an answer or its body.
pub fn field<'a>(answer: &'a str, name: &str) -> &'a str {
    let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix(": ");
    answer.split("\r\n").find_map(value).unwrap_or_default()
}

/// A UDP socket that has a port, and the port.
pub fn udp_listener_port() -> (UdpSocket, u16) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}
