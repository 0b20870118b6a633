//! Layer 4 traffic through a whole agent, over real sockets.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use novaedge_proto::v1;

use crate::support::{
    agent, backend, connect, free_port, gateway, listener, route, step, talk, tcp_origin,
    udp_origin,
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
