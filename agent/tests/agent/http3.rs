//! HTTP/3 of a whole agent: its sockets come and go with the listeners, and every worker serves.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use h3::client::SendRequest;
use h3_quinn::OpenStreams;
use http::Request;
use novaedge_access_log::{Settings, Target};
use novaedge_agent::{Agent, Telemetry};
use novaedge_ports::free_port;
use novaedge_proto::v1::{self, resource::Body};
use quinn::crypto::rustls::QuicClientConfig;

use crate::support::{
    agent_with, backend, gateway, http_origin, http_route, listener, resource, step,
};
use crate::tls::Authority;

const LISTENER: &str = "listener/default/g/http";

fn https(port: u16, http3: u16) -> v1::Resource {
    let plain = listener("http", port, v1::Protocol::Https);
    let Some(Body::Listener(body)) = plain.body else {
        panic!("a listener");
    };
    let body = v1::Listener {
        tls_mode: v1::TlsMode::Terminate.into(),
        certificates: vec!["certificate/default/a".into()],
        http3_bind_port: http3.into(),
        ..body
    };
    resource(LISTENER, Body::Listener(body))
}

async fn serve(port: u16, http3: u16, authority: &Authority) -> Agent {
    serve_with(port, http3, authority, Telemetry::default()).await
}

async fn serve_with(port: u16, http3: u16, authority: &Authority, telemetry: Telemetry) -> Agent {
    let mut resources = backend("a", &[http_origin()]);
    resources.push(gateway());
    resources.push(https(port, http3));
    resources.push(
        authority
            .issue("a.example")
            .resource("certificate/default/a"),
    );
    resources.push(http_route(v1::RouteKind::Http, "a"));
    let agent = agent_with(telemetry);
    assert_eq!(agent.apply(step(1, resources, &[])).await.unwrap(), []);
    agent
}

/// A connection, and the endpoint that it needs.
async fn connect(
    port: u16,
    authority: &Authority,
) -> Option<(SendRequest<OpenStreams, Bytes>, quinn::Endpoint)> {
    let crypto = QuicClientConfig::try_from(authority.client(&[b"h3"])).unwrap();
    let endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let config = quinn::ClientConfig::new(Arc::new(crypto));
    let connecting = endpoint.connect_with(config, address, "a.example").unwrap();
    let connected = tokio::time::timeout(Duration::from_secs(1), connecting).await;
    let quic = connected.ok()?.ok()?;
    let (mut driver, sender) = h3::client::new(h3_quinn::Connection::new(quic))
        .await
        .unwrap();
    tokio::spawn(async move { std::future::poll_fn(|cx| driver.poll_close(cx)).await });
    Some((sender, endpoint))
}

async fn get(sender: &mut SendRequest<OpenStreams, Bytes>) -> (u16, String) {
    let request = Request::get("https://a.example/").body(()).unwrap();
    let mut stream = sender.send_request(request).await.unwrap();
    stream.finish().await.unwrap();
    let status = stream.recv_response().await.unwrap().status().as_u16();
    let mut body = Vec::new();
    while let Some(mut data) = stream.recv_data().await.unwrap() {
        body.extend_from_slice(&data.copy_to_bytes(data.remaining()));
    }
    (status, String::from_utf8(body).unwrap())
}

#[tokio::test]
async fn it_is_served_by_all_workers_and_goes_with_its_listener() {
    let (port, http3) = (free_port(), free_port());
    let authority = Authority::new();
    let agent = serve(port, http3, &authority).await;
    // Each has a port of its own, so that some go to either worker.
    let mut open = Vec::new();
    for _ in 0..16 {
        let (mut sender, endpoint) = connect(http3, &authority).await.unwrap();
        let (status, body) = get(&mut sender).await;
        assert_eq!(status, 200);
        assert!(body.contains("via: 3 novaedge"), "{body}");
        open.push((sender, endpoint));
    }
    assert_eq!(
        agent
            .apply(step(2, vec![https(port, 0)], &[]))
            .await
            .unwrap(),
        []
    );
    assert!(connect(http3, &authority).await.is_none(), "nobody listens");
    // Those that are there may end in peace; then the port is free.
    assert_eq!(get(&mut open[0].0).await.0, 404);
    drop(open);
    tokio::time::timeout(Duration::from_secs(15), async {
        while UdpSocket::bind((Ipv4Addr::LOCALHOST, http3)).is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap();
    agent.drain(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn a_client_that_moves_keeps_its_connection() {
    let (port, http3) = (free_port(), free_port());
    let authority = Authority::new();
    let agent = serve(port, http3, &authority).await;
    for _ in 0..4 {
        let (mut sender, endpoint) = connect(http3, &authority).await.unwrap();
        // By its address alone the kernel would give it to another worker sooner or later.
        for _ in 0..4 {
            let moved = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            endpoint.rebind(moved).unwrap();
            let answer = tokio::time::timeout(Duration::from_secs(5), get(&mut sender)).await;
            assert_eq!(answer.unwrap().0, 200);
        }
    }
    agent.drain(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn a_drain_lets_clients_of_http3_finish() {
    let (port, http3) = (free_port(), free_port());
    let authority = Authority::new();
    let agent = serve(port, http3, &authority).await;
    let (mut sender, endpoint) = connect(http3, &authority).await.unwrap();
    assert_eq!(get(&mut sender).await.0, 200);
    let began = tokio::time::Instant::now();
    agent.drain(Duration::from_secs(10)).await;
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
    endpoint.wait_idle().await;
}

#[tokio::test]
async fn its_requests_are_told_to_the_access_log() {
    let (port, http3) = (free_port(), free_port());
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let telemetry = Telemetry {
        access_log: Some(Settings::new(Target::File(file.clone()))),
        ..Telemetry::default()
    };
    let agent = serve_with(port, http3, &authority, telemetry).await;
    let (mut sender, endpoint) = connect(http3, &authority).await.unwrap();
    let (status, body) = get(&mut sender).await;
    assert_eq!(status, 200);
    drop((sender, endpoint));
    agent.drain(Duration::from_secs(3)).await;
    let text = std::fs::read_to_string(file).unwrap();
    let record: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
    for (name, value) in [
        ("network.protocol.version", "3"),
        ("url.scheme", "https"),
        ("server.address", "a.example"),
        ("tls.protocol.version", "1.3"),
        ("tls.client.server_name", "a.example"),
        ("termination", "complete"),
    ] {
        assert_eq!(record[name], value, "{name} of {record:#}");
    }
    assert_eq!(record["http.response.body.size"], body.len());
}
