//! Health checks of a whole agent: what they say holds for all workers, at layer 7 and 4.

use std::time::Duration;

use novaedge_ports::free_port;
use novaedge_proto::v1::{self, resource::Body};

use crate::lifecycle::admin;
use crate::support::{
    agent, ask, backend, gateway, http_origin, http_route, listener, resource, route, step,
    tcp_origin,
};

#[tokio::test]
async fn an_endpoint_that_is_not_well_gets_nothing() {
    let (http, tcp) = (free_port(), free_port());
    let (good, bad) = (http_origin(), tcp_origin("x"));
    let mut resources = backend("a", &[bad, good]);
    let probe = v1::HttpProbe {
        path: "/".into(),
        ..Default::default()
    };
    let body = v1::Backend {
        health_check: Some(v1::HealthCheck {
            probe: Some(v1::health_check::Probe::Http(probe)),
            interval_ms: 100,
            timeout_ms: 1_000,
            healthy_threshold: 1,
            unhealthy_threshold: 1,
            port: 0,
        }),
        ..Default::default()
    };
    resources[0] = resource(&resources[0].name, Body::Backend(body));
    resources.push(gateway());
    resources.push(listener("http", http, v1::Protocol::Http));
    resources.push(listener("tcp", tcp, v1::Protocol::Tcp));
    resources.push(http_route(v1::RouteKind::Http, "a"));
    resources.push(route(v1::RouteKind::Tcp, "tcp", "", &[("a", 1)]));
    let agent = agent();
    assert_eq!(agent.apply(step(1, resources, &[])).await.unwrap(), []);
    let admin_address = agent.admin_address().unwrap();
    while !admin(admin_address, "/metrics").contains("novaedge_health_unhealthy_endpoints 1\n") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let request = b"GET / HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n";
    for port in [http, tcp] {
        for _ in 0..20 {
            let answer = ask(port, request);
            assert!(answer.contains("x-origin: "), "{answer:?}");
        }
    }
    agent.drain(Duration::from_secs(2)).await;
}
