//! Layer 4 traffic through a whole agent, over real sockets.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use novaedge_agent::Agent;
use novaedge_ports::free_port;
use novaedge_proto::v1;

use crate::support::{
    agent, backend, connect, gateway, listener, route, step, talk, tcp_origin, udp_origin,
};

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
async fn tcp_goes_by_the_client_where_a_hash_decides() {
    for policy in [v1::LoadBalancing::Maglev, v1::LoadBalancing::RingHash] {
        let agent = agent();
        let port = free_port();
        let mut all = vec![gateway(), listener("tcp", port, v1::Protocol::Tcp)];
        all.push(route(v1::RouteKind::Tcp, "tcp", "", &[("a", 1)]));
        let mut backend = backend("a", &[tcp_origin("1"), tcp_origin("2"), tcp_origin("3")]);
        if let Some(v1::resource::Body::Backend(backend)) = &mut backend[0].body {
            backend.load_balancing = policy.into();
        }
        all.extend(backend);
        assert_eq!(agent.apply(step(1, all, &[])).await.unwrap(), []);
        let answers: std::collections::BTreeSet<_> = (0..12).map(|_| talk(port, b"x")).collect();
        assert_eq!(answers.len(), 1, "{policy:?}: {answers:?}");
        agent.drain(Duration::from_secs(2)).await;
    }
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
    let begin = std::time::Instant::now();
    agent.drain(Duration::from_secs(20)).await;
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "quiet sessions are over"
    );
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

/// A TCP listener with a route to these backends; `a`, `b` and so on answer with their names.
async fn tcp(to: &[(&str, u32)], more: Vec<v1::Resource>) -> (Agent, u16) {
    let (agent, port) = (agent(), free_port());
    let mut all = vec![gateway(), listener("tcp", port, v1::Protocol::Tcp)];
    all.push(route(v1::RouteKind::Tcp, "tcp", "", to));
    all.extend(more);
    assert_eq!(agent.apply(step(1, all, &[])).await.unwrap(), []);
    (agent, port)
}

#[tokio::test]
async fn a_weight_of_0_gets_nothing_and_zeros_alone_close_the_connection() {
    let both = [
        backend("a", &[tcp_origin("a")]),
        backend("b", &[tcp_origin("b")]),
    ]
    .concat();
    let (agent, port) = tcp(&[("a", 0), ("b", 1)], both).await;
    for _ in 0..20 {
        assert_eq!(talk(port, b"x"), "bx!");
    }
    let none = route(v1::RouteKind::Tcp, "tcp", "", &[("a", 0), ("b", 0)]);
    agent.apply(step(2, vec![none], &[])).await.unwrap();
    assert_eq!(talk(port, b"x"), "");
    agent.drain(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn a_backend_without_endpoints_closes_connections_until_there_are_some() {
    let (agent, port) = tcp(&[("a", 1)], backend("a", &[])).await;
    assert_eq!(talk(port, b"x"), "");
    let refusing = SocketAddr::from(([127, 0, 0, 1], free_port()));
    agent
        .apply(step(2, backend("a", &[refusing]), &[]))
        .await
        .unwrap();
    assert_eq!(talk(port, b"x"), "");
    let one_of_two = backend("a", &[refusing, tcp_origin("a")]);
    agent.apply(step(3, one_of_two, &[])).await.unwrap();
    for _ in 0..4 {
        assert_eq!(talk(port, b"x"), "ax!", "the endpoint behind is tried");
    }
    let gone = ["backend/default/a", "endpoints/default/a"];
    agent.apply(step(4, vec![], &gone)).await.unwrap();
    assert_eq!(talk(port, b"x"), "", "a backend that is gone gets nothing");
    agent.drain(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn a_backend_may_end_first_and_go_on_listening() {
    let origin = TcpListener::bind("127.0.0.1:0").unwrap();
    let (agent, port) = tcp(&[("a", 1)], backend("a", &[origin.local_addr().unwrap()])).await;
    let mut client = connect(port);
    let mut server = origin.accept().unwrap().0;
    server.write_all(b"that is all").unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    assert_eq!(text, "that is all");
    client.write_all(b"still listening?").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    text.clear();
    server.read_to_string(&mut text).unwrap();
    assert_eq!(text, "still listening?");
    agent.drain(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn a_reset_is_passed_on_as_a_reset() {
    let origin = TcpListener::bind("127.0.0.1:0").unwrap();
    let (agent, port) = tcp(&[("a", 1)], backend("a", &[origin.local_addr().unwrap()])).await;
    let mut client = connect(port);
    let mut server = origin.accept().unwrap().0;
    client.write_all(b"x").unwrap();
    server.read_exact(&mut [0]).unwrap();
    let server = socket2::Socket::from(server);
    server.set_linger(Some(Duration::ZERO)).unwrap();
    drop(server);
    let error = client.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    agent.drain(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn a_drain_waits_for_flows_and_takes_no_new_ones() {
    let (agent, port) = tcp(&[("a", 1)], backend("a", &[tcp_origin("a")])).await;
    let mut open = connect(port);
    open.read_exact(&mut [0]).unwrap();
    let begin = std::time::Instant::now();
    let draining = tokio::spawn(agent.drain(Duration::from_secs(20)));
    while TcpStream::connect(("127.0.0.1", port)).is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    open.write_all(b"last words").unwrap();
    open.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    open.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "last words!");
    draining.await.unwrap();
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "nothing was open"
    );
}

#[tokio::test]
async fn a_flow_that_outlives_the_drain_is_cut_at_its_deadline() {
    let (agent, port) = tcp(&[("a", 1)], backend("a", &[tcp_origin("a")])).await;
    let mut open = connect(port);
    open.read_exact(&mut [0]).unwrap();
    let begin = std::time::Instant::now();
    agent.drain(Duration::from_millis(300)).await;
    assert!(begin.elapsed() >= Duration::from_millis(300));
    assert!(begin.elapsed() < Duration::from_secs(4));
    assert!(
        matches!(open.read(&mut [0]), Ok(0) | Err(_)),
        "it is closed"
    );
}
