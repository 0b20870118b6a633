//! What an agent refuses, as a control plane hears of it.

use std::net::TcpListener;
use std::time::Duration;

use novaedge_ports::free_port;
use novaedge_proto::v1::{self, resource::Body};

use crate::control_plane::{ControlPlane, subscribed};
use crate::support::{
    backend, gateway, listener, resource, route, talk, tcp_origin, udp_listener_port,
};

fn junk_certificate(name: &str) -> v1::Resource {
    let junk = v1::Certificate {
        chain_pem: b"junk"[..].into(),
        private_key_pem: b"junk"[..].into(),
        ..Default::default()
    };
    resource(name, Body::Certificate(junk))
}

fn junk_bundle(name: &str) -> v1::Resource {
    let junk = v1::TrustBundle {
        ca_pem: b"junk"[..].into(),
    };
    resource(name, Body::TrustBundle(junk))
}

fn distrusting_backend(name: &str, bundle: &str) -> v1::Resource {
    let tls = v1::BackendTls {
        server_name: "a.example".into(),
        trust_bundles: vec![bundle.into()],
        ..Default::default()
    };
    let backend = v1::Backend {
        tls: Some(tls),
        ..Default::default()
    };
    resource(name, Body::Backend(backend))
}

#[tokio::test]
async fn what_is_bad_stays_refused_over_reconnections() {
    let control_plane = ControlPlane::start().await;
    let port = free_port();
    let mut all = vec![gateway(), listener("tcp", port, v1::Protocol::Tcp)];
    all.push(listener("twin", port, v1::Protocol::Tcp));
    all.push(junk_certificate("certificate/default/c"));
    all.push(junk_bundle("trust/ConfigMap/default/t"));
    let trusting = distrusting_backend("backend/default/b", "trust/ConfigMap/default/t");
    all.push(trusting);
    control_plane.publish(all, &[]);
    let agent = subscribed(&control_plane);
    let bad = [
        "backend/default/b",
        "certificate/default/c",
        "listener/default/g/twin",
        "trust/ConfigMap/default/t",
    ];
    let first = control_plane.until_refused(&bad).await;
    let control_plane = control_plane.restart().await;
    assert_eq!(control_plane.until_refused(&bad).await, first);

    // A replica that knows nothing of the agent sends the same snapshot as if it were new.
    let control_plane = control_plane.restart().await;
    assert_eq!(control_plane.until_refused(&bad).await, first);
    control_plane.publish(
        vec![],
        &["backend/default/b", "trust/ConfigMap/default/t", bad[1]],
    );
    control_plane.until_refused(&[bad[2]]).await;
    control_plane.publish(vec![], &["listener/default/g/tcp"]);
    control_plane.until_refused(&[]).await;
    agent.drain(Duration::ZERO).await;
    control_plane.stop().await;
}

#[tokio::test]
async fn a_port_that_another_program_has_is_told_and_served_when_it_is_free() {
    let control_plane = ControlPlane::start().await;
    let other_program = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other_program.local_addr().unwrap().port();
    let (other_socket, taken_udp) = udp_listener_port();
    let free = free_port();
    let mut all = vec![gateway(), listener("free", free, v1::Protocol::Tcp)];
    all.push(listener("taken", taken, v1::Protocol::Tcp));
    all.push(listener("taken-udp", taken_udp, v1::Protocol::Udp));
    for listener in ["free", "taken"] {
        all.push(route(v1::RouteKind::Tcp, listener, "", &[("a", 1)]));
    }
    all.extend(backend("a", &[tcp_origin("a")]));
    control_plane.publish(all, &[]);
    let agent = subscribed(&control_plane);
    let both = ["listener/default/g/taken", "listener/default/g/taken-udp"];
    let errors = control_plane.until_refused(&both).await;
    let expected = format!("can't listen on TCP 127.0.0.1:{taken}: ");
    assert!(errors[0].starts_with(&expected), "{errors:?}");
    assert!(errors[0].contains("stop what listens there"), "{errors:?}");
    assert!(errors[1].contains("ss -lnup"), "{errors:?}");
    assert_eq!(talk(free, b"x"), "ax!", "others are served");

    drop(other_program);
    control_plane.until_refused(&both[1..]).await;
    assert_eq!(talk(taken, b"x"), "ax!");
    drop(other_socket);
    control_plane.until_refused(&[]).await;
    assert_eq!(talk(free, b"x"), "ax!");
    agent.drain(Duration::ZERO).await;
    control_plane.stop().await;
}

#[tokio::test]
async fn a_listener_is_in_order_when_its_gateway_is() {
    let control_plane = ControlPlane::start().await;
    let port = free_port();
    let elsewhere = v1::Gateway {
        bind_addresses: vec!["192.0.2.77".into()],
        ..Default::default()
    };
    let gateway_elsewhere = resource(&gateway().name, Body::Gateway(elsewhere));
    let mut all = vec![gateway_elsewhere, listener("tcp", port, v1::Protocol::Tcp)];
    all.push(route(v1::RouteKind::Tcp, "tcp", "", &[("a", 1)]));
    all.extend(backend("a", &[tcp_origin("a")]));
    control_plane.publish(all, &[]);
    let agent = subscribed(&control_plane);
    let errors = control_plane
        .until_refused(&["listener/default/g/tcp"])
        .await;
    assert!(errors[0].contains("assign the address"), "{errors:?}");
    control_plane.publish(vec![gateway()], &[]);
    control_plane.until_refused(&[]).await;
    assert_eq!(talk(port, b"x"), "ax!");
    agent.drain(Duration::ZERO).await;
    control_plane.stop().await;
}

#[tokio::test]
async fn the_same_full_step_twice_refuses_the_same() {
    let agent = crate::support::agent();
    let full = |sequence| {
        let all = vec![gateway(), junk_certificate("certificate/default/c")];
        let mut step = crate::support::step(sequence, all, &[]);
        step.full = true;
        step
    };
    let first = agent.apply(full(1)).await.unwrap();
    assert_eq!(first.len(), 1);
    assert_eq!(
        first[0].version,
        junk_certificate("certificate/default/c").version
    );
    assert_eq!(agent.apply(full(2)).await.unwrap(), first);
    agent.drain(Duration::ZERO).await;
}
