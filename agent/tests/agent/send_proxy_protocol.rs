//! The PROXY protocol to backends, over real sockets: the backend learns who the client is.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use novaedge_agent::Agent;
use novaedge_ports::free_port;
use novaedge_proto::v1::{self, resource::Body};
use novaedge_router::proxy_protocol::{Header, Inet, Version, encode};

use crate::lifecycle::admin;
use crate::proxy_protocol::{LOOPBACK, behind_proxies};
use crate::support::{
    agent, ask, backend, connect, gateway, http_origin, http_route, listener, resource, route,
    step, tcp_origin, udp_origin,
};
use crate::tls::{Authority, answer_over_tls};

/// The backend `a`, whose connections begin with a header.
fn told(
    version: v1::SendProxyProtocol,
    tls: Option<v1::BackendTls>,
    origin: SocketAddr,
) -> Vec<v1::Resource> {
    let mut resources = backend("a", &[origin]);
    let body = v1::Backend {
        send_proxy_protocol: version.into(),
        tls,
        ..Default::default()
    };
    resources[0] = resource(&resources[0].name, Body::Backend(body));
    resources
}

async fn serve(mut resources: Vec<v1::Resource>) -> Agent {
    let agent = agent();
    resources.push(gateway());
    assert_eq!(agent.apply(step(1, resources, &[])).await.unwrap(), []);
    agent
}

/// Says `bytes` and hears the answer to its end.
fn exchange(mut stream: TcpStream, bytes: &[u8]) -> Vec<u8> {
    stream.write_all(bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

#[tokio::test]
async fn a_tcp_backend_hears_of_the_client_first() {
    for (wire, version) in [
        (v1::SendProxyProtocol::V1, Version::V1),
        (v1::SendProxyProtocol::V2, Version::V2),
    ] {
        let port = free_port();
        let mut all = vec![listener("tcp", port, v1::Protocol::Tcp)];
        all.push(route(v1::RouteKind::Tcp, "tcp", "", &[("a", 1)]));
        all.extend(told(wire, None, tcp_origin("a")));
        let agent = serve(all).await;
        for _ in 0..2 {
            let stream = connect(port);
            let ends = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
            let header = encode(version, &Header::Inet(Inet::stream(ends.0, ends.1)));
            let expect = [b"a", &header[..], b"hello!"].concat();
            assert_eq!(exchange(stream, b"hello"), expect);
        }
        agent.drain(Duration::from_secs(2)).await;
    }
}

#[tokio::test]
async fn what_a_trusted_proxy_said_is_passed_on() {
    let port = free_port();
    let plain = listener("tcp", port, v1::Protocol::Tcp);
    let required = v1::accept_proxy_protocol::Mode::Required;
    let mut all = vec![behind_proxies(&plain, required, LOOPBACK)];
    all.push(route(v1::RouteKind::Tcp, "tcp", "", &[("a", 1)]));
    all.extend(told(v1::SendProxyProtocol::V2, None, tcp_origin("a")));
    let agent = serve(all).await;
    let (source, destination) = ("203.0.113.7:40000", "198.51.100.9:443");
    let inet = Inet::stream(source.parse().unwrap(), destination.parse().unwrap());
    let [line, binary] =
        [Version::V1, Version::V2].map(|version| encode(version, &Header::Inet(inet)));
    let answer = exchange(connect(port), &[&line[..], b"hello"].concat());
    assert_eq!(answer, [b"a", &binary[..], b"hello!"].concat());
    agent.drain(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn the_header_goes_before_the_clients_own_tls() {
    let port = free_port();
    let mut all = vec![listener("tls", port, v1::Protocol::Tls)];
    all.push(route(v1::RouteKind::Tls, "tls", "one.example", &[("a", 1)]));
    all.extend(told(v1::SendProxyProtocol::V2, None, tcp_origin("a")));
    let agent = serve(all).await;
    let mut hello = Vec::new();
    let mut client = Authority::new().connect(port, "one.example");
    client.conn.write_tls(&mut hello).unwrap();
    let ends = (
        client.sock.local_addr().unwrap(),
        client.sock.peer_addr().unwrap(),
    );
    let header = encode(Version::V2, &Header::Inet(Inet::stream(ends.0, ends.1)));
    let expect = [b"a", &header[..], &hello, b"!"].concat();
    assert_eq!(exchange(client.sock, &hello), expect);
    agent.drain(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn the_header_goes_before_tls_to_the_backend() {
    let (port, inside) = (free_port(), Authority::new());
    let origin = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = origin.local_addr().unwrap();
    let identity = inside.issue("inside.example");
    let server = std::thread::spawn(move || {
        let (mut stream, _) = origin.accept().unwrap();
        let (mut line, mut byte) = (Vec::new(), [0]);
        while !line.ends_with(b"\r\n") {
            stream.read_exact(&mut byte).unwrap();
            line.extend(byte);
        }
        answer_over_tls(&identity, stream);
        String::from_utf8(line).unwrap()
    });
    let mut all = vec![listener("tcp", port, v1::Protocol::Tcp)];
    all.push(route(v1::RouteKind::Tcp, "tcp", "", &[("a", 1)]));
    let tls = v1::BackendTls {
        server_name: "inside.example".into(),
        trust_bundles: vec!["trust/ConfigMap/default/ca".into()],
        subject_alt_names: vec![],
    };
    all.extend(told(v1::SendProxyProtocol::V1, Some(tls), address));
    all.push(inside.bundle("trust/ConfigMap/default/ca"));
    let agent = serve(all).await;
    let stream = connect(port);
    let client = stream.local_addr().unwrap().port();
    assert_eq!(exchange(stream, b"hello"), b"inside.example:hello!");
    let expect = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {client} {port}\r\n");
    assert_eq!(server.join().unwrap(), expect);
    agent.drain(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn connections_of_several_clients_and_datagrams_have_no_header() {
    let (port, udp) = (free_port(), free_port());
    let mut all = vec![
        listener("http", port, v1::Protocol::Http),
        listener("udp", udp, v1::Protocol::Udp),
        http_route(v1::RouteKind::Http, "a"),
        route(v1::RouteKind::Udp, "udp", "", &[("a", 1)]),
    ];
    all.extend(told(v1::SendProxyProtocol::V2, None, http_origin()));
    let agent = serve(all).await;
    let request = b"GET / HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n";
    let answer = ask(port, request);
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");

    let heard = told(v1::SendProxyProtocol::V2, None, udp_origin("u"));
    agent.apply(step(2, heard, &[])).await.unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(("127.0.0.1", udp)).unwrap();
    client.send(b"x").unwrap();
    let refused = "backend=\"a\",kind=\"invalid_backend\"} 1\n";
    let metrics = || admin(agent.admin_address().unwrap(), "/metrics");
    while !metrics().contains(refused) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    agent.drain(Duration::from_secs(2)).await;
}
