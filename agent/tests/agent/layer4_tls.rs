//! TLS that ends here, and TLS that begins here, for bytes.

use std::net::SocketAddr;
use std::time::Duration;

use novaedge_agent::Agent;
use novaedge_ports::free_port;
use novaedge_proto::v1::{self, resource::Body};

use crate::support::{agent, backend, gateway, listener, resource, route, step, talk, tcp_origin};
use crate::tls::{Authority, say, tls_origin};

const TRUST: &str = "trust/ConfigMap/default/ca";

/// A TLS listener that ends TLS with the certificate `c`.
fn terminating(port: u16) -> v1::Resource {
    let passthrough = listener("tls", port, v1::Protocol::Tls);
    let Some(Body::Listener(mut body)) = passthrough.body else {
        panic!("a listener");
    };
    body.tls_mode = v1::TlsMode::Terminate.into();
    body.certificates = vec!["certificate/default/c".into()];
    resource(&passthrough.name, Body::Listener(body))
}

/// A backend that TLS is spoken to, checked by [`TRUST`].
fn tls_backend(name: &str, host: &str, endpoints: &[SocketAddr]) -> Vec<v1::Resource> {
    let mut resources = backend(name, endpoints);
    let tls = v1::BackendTls {
        server_name: host.into(),
        trust_bundles: vec![TRUST.into()],
        subject_alt_names: vec![],
    };
    let body = v1::Backend {
        tls: Some(tls),
        ..Default::default()
    };
    resources[0] = resource(&resources[0].name, Body::Backend(body));
    resources
}

async fn serve(resources: Vec<v1::Resource>) -> Agent {
    let agent = agent();
    assert_eq!(agent.apply(step(1, resources, &[])).await.unwrap(), []);
    agent
}

#[tokio::test]
async fn tls_ends_here_and_each_direction_ends_by_itself() {
    let (port, authority) = (free_port(), Authority::new());
    let mut all = vec![gateway(), terminating(port)];
    all.push(route(v1::RouteKind::Tls, "tls", "one.example", &[("a", 1)]));
    all.extend(backend("a", &[tcp_origin("a")]));
    all.push(
        authority
            .issue("one.example")
            .resource("certificate/default/c"),
    );
    let agent = serve(all).await;

    // The origin says "!" only when it has seen the client's end.
    let answer = say(authority.connect(port, "one.example"), b"hello").unwrap();
    assert_eq!(answer, "ahello!");
    assert!(say(authority.connect(port, "two.example"), b"hello").is_err());
    agent.drain(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn tls_that_ended_here_begins_again_to_the_backend() {
    let (port, authority, inside) = (free_port(), Authority::new(), Authority::new());
    let mut all = vec![gateway(), terminating(port)];
    all.push(route(v1::RouteKind::Tls, "tls", "one.example", &[("a", 1)]));
    let origin = tls_origin(&inside.issue("inside.example"));
    all.extend(tls_backend("a", "inside.example", &[origin]));
    all.push(inside.bundle(TRUST));
    all.push(
        authority
            .issue("one.example")
            .resource("certificate/default/c"),
    );
    let agent = serve(all).await;

    let answer = say(authority.connect(port, "one.example"), b"hello").unwrap();
    assert_eq!(answer, "inside.example:hello!");
    agent.drain(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn tcp_becomes_tls_to_a_backend_that_is_trusted_and_to_no_other() {
    let (port, inside) = (free_port(), Authority::new());
    let mut all = vec![gateway(), listener("tcp", port, v1::Protocol::Tcp)];
    all.push(route(v1::RouteKind::Tcp, "tcp", "", &[("a", 1)]));
    let origin = tls_origin(&inside.issue("inside.example"));
    all.extend(tls_backend("a", "inside.example", &[origin]));
    all.push(inside.bundle(TRUST));
    let agent = serve(all).await;
    assert_eq!(talk(port, b"hello"), "inside.example:hello!");

    // Another name, another authority, cleartext behind it: nothing arrives, nothing falls back.
    let other_name = tls_backend("a", "other.example", &[origin]);
    agent.apply(step(2, other_name, &[])).await.unwrap();
    assert_eq!(talk(port, b"hello"), "");
    let cleartext = tls_backend("a", "inside.example", &[tcp_origin("a")]);
    agent.apply(step(3, cleartext, &[])).await.unwrap();
    assert_eq!(talk(port, b"hello"), "");
    let mut healed = tls_backend("a", "inside.example", &[origin]);
    healed.push(Authority::new().bundle(TRUST));
    agent.apply(step(4, healed, &[])).await.unwrap();
    assert_eq!(talk(port, b"hello"), "");
    let trusted = vec![inside.bundle(TRUST)];
    agent.apply(step(5, trusted, &[])).await.unwrap();
    assert_eq!(talk(port, b"hello"), "inside.example:hello!");
    agent.drain(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_new_connections_and_leaves_old_ones_alone() {
    let (port, old, new) = (free_port(), Authority::new(), Authority::new());
    let mut all = vec![gateway(), terminating(port)];
    all.push(route(v1::RouteKind::Tls, "tls", "one.example", &[("a", 1)]));
    all.extend(backend("a", &[tcp_origin("a")]));
    all.push(old.issue("one.example").resource("certificate/default/c"));
    let agent = serve(all).await;
    let mut open = old.connect(port, "one.example");
    let mut greeting = [0];
    std::io::Read::read_exact(&mut open, &mut greeting).unwrap();

    let next = new.issue("one.example").resource("certificate/default/c");
    agent.apply(step(2, vec![next], &[])).await.unwrap();
    assert_eq!(
        say(new.connect(port, "one.example"), b"new").unwrap(),
        "anew!"
    );
    assert!(say(old.connect(port, "one.example"), b"x").is_err());
    assert_eq!(say(open, b"old").unwrap(), "old!");
    agent.drain(Duration::from_secs(2)).await;
}
