//! `X-Forwarded-*` fields of proxies that a listener trusts, and of others, over real sockets.

use std::collections::BTreeSet;
use std::time::Duration;

use novaedge_agent::Agent;
use novaedge_ports::free_port;
use novaedge_proto::v1::{self, resource::Body};

use crate::support::{
    agent, ask, backend, field, gateway, http_origin, http_route, listener, resource, step,
};

/// An HTTP listener that trusts these proxies, in front of origins that answer with the head they got.
async fn http(trusted: &[&str], origins: usize) -> (Agent, u16) {
    let (agent, port) = (agent(), free_port());
    let plain = listener("http", port, v1::Protocol::Http);
    let Some(Body::Listener(mut body)) = plain.body else {
        panic!("a listener");
    };
    body.forwarded_headers_trusted_cidrs = trusted.iter().map(ToString::to_string).collect();
    let mut all = vec![gateway(), resource(&plain.name, Body::Listener(body))];
    all.push(http_route(v1::RouteKind::Http, "a"));
    let origins: Vec<_> = (0..origins).map(|_| http_origin()).collect();
    let mut behind = backend("a", &origins);
    let hashed = v1::Backend {
        load_balancing: v1::LoadBalancing::SourceHash.into(),
        ..Default::default()
    };
    behind[0] = resource(&behind[0].name, Body::Backend(hashed));
    all.extend(behind);
    assert_eq!(agent.apply(step(1, all, &[])).await.unwrap(), []);
    (agent, port)
}

fn request(fields: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n{fields}\r\n").into_bytes()
}

const CLAIMS: &str = "x-forwarded-for: 198.51.100.1, 203.0.113.7\r\nx-forwarded-proto: https\r\n\
                      x-forwarded-host: shop.example\r\nforwarded: for=203.0.113.7\r\n";

#[tokio::test]
async fn fields_of_a_trusted_proxy_are_kept_and_extended() {
    let (agent, port) = http(&["127.0.0.0/8"], 1).await;
    let answer = ask(port, &request(CLAIMS));
    let expect = "198.51.100.1, 203.0.113.7, 127.0.0.1";
    assert_eq!(field(&answer, "x-forwarded-for"), expect);
    assert_eq!(field(&answer, "x-forwarded-proto"), "https");
    assert_eq!(field(&answer, "x-forwarded-host"), "shop.example");
    assert_eq!(field(&answer, "forwarded"), "for=203.0.113.7");
    let answer = ask(port, &request(""));
    assert_eq!(field(&answer, "x-forwarded-for"), "127.0.0.1");
    agent.drain(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn fields_of_others_are_replaced() {
    for trusted in [&[][..], &["192.0.2.0/24", "2001:db8::/32"]] {
        let (agent, port) = http(trusted, 1).await;
        let answer = ask(port, &request(CLAIMS));
        assert_eq!(field(&answer, "x-forwarded-for"), "127.0.0.1");
        assert_eq!(field(&answer, "x-forwarded-proto"), "http");
        assert_eq!(field(&answer, "x-forwarded-host"), "a.example");
        assert_eq!(field(&answer, "forwarded"), "");
        agent.drain(Duration::from_secs(2)).await;
    }
}

/// Ports of the origins that clients behind a proxy reach.
fn reached(port: u16, chain: impl Fn(u8) -> String) -> BTreeSet<String> {
    let one = |client| {
        let asked = request(&format!("x-forwarded-for: {}\r\n", chain(client)));
        let origin = field(&ask(port, &asked), "x-origin").to_owned();
        assert_eq!(field(&ask(port, &asked), "x-origin"), origin);
        origin
    };
    (0..32).map(one).collect()
}

#[tokio::test]
async fn clients_behind_a_trusted_proxy_are_told_apart_by_what_it_says() {
    let (agent, port) = http(&["127.0.0.0/8", "10.0.0.0/8"], 2).await;
    let clients = |client| format!("203.0.113.{client}, 10.0.0.1");
    assert_eq!(reached(port, clients).len(), 2);
    // What stands before the client's own address is the client's claim.
    let claims = |claim| format!("203.0.113.{claim}, 198.51.100.1, 10.0.0.1");
    assert_eq!(reached(port, claims).len(), 1);
    agent.drain(Duration::from_secs(2)).await;

    let (agent, port) = http(&["192.0.2.0/24"], 2).await;
    assert_eq!(reached(port, clients).len(), 1, "nobody here is trusted");
    agent.drain(Duration::from_secs(2)).await;
}
