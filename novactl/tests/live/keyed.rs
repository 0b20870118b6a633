//! The endpoint that `novactl explain --client` names is the one that an agent chooses.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
};

use novaedge_ports::free_port;
use serde_json::Value;

use super::system::System;

/// Endpoints of each backend.
const ENDPOINTS: usize = 5;

const MANIFEST: &str = "apiVersion: novaedge.io/v1alpha1\nkind: ProxyGateway\nmetadata: {name: edge}\nspec:\n  \
    addresses: [127.0.0.1]\n  listeners: [{name: http, port: PORT, protocol: HTTP}]\n";

#[test]
fn the_endpoint_that_is_named_for_a_client_is_the_agents() {
    let origins: Vec<u16> = (0..ENDPOINTS).map(|_| origin()).collect();
    let port = free_port();
    let mut files = vec![(
        "gateway.yaml".to_owned(),
        MANIFEST.replace("PORT", &port.to_string()),
    )];
    let policies = [
        ("source", "SourceHash", "{header: x-user}"),
        ("ring", "RingHash", "{queryParameter: user}"),
        ("maglev", "Maglev", "{cookie: sid}"),
        ("turns", "RoundRobin", ""),
    ];
    for (name, policy, key) in policies {
        files.push((format!("{name}.yaml"), backend(name, policy, key, &origins)));
    }
    let system = System::on(&files);
    let mut chosen = Vec::new();
    for (name, _, _) in policies {
        for user in 0..20 {
            let host = format!("Host: {name}.example.com");
            let header = format!("X-User: u{user}");
            let cookie = format!("Cookie: a=b; sid=u{user}");
            let url = format!("http://127.0.0.1:{port}/?user=u{user}");
            let line = [
                "explain",
                &url,
                "-H",
                &host,
                "-H",
                &header,
                "-H",
                &cookie,
                "--client",
                "127.0.0.1",
                "-o",
                "json",
            ];
            let told: Value = serde_json::from_str(&system.ok(&line)).expect("JSON");
            let named = told["answer"]["shares"][0]["forClient"].as_str();
            if name == "turns" {
                assert_eq!(named, None, "nobody knows whose turn it is");
                continue;
            }
            let head = format!(
                "GET /?user=u{user} HTTP/1.1\r\n{host}\r\n{header}\r\n{cookie}\r\nConnection: close\r\n\r\n"
            );
            let served = served_by(port, &head);
            assert_eq!(
                named,
                Some(format!("127.0.0.1:{served}").as_str()),
                "{name} {user}: {told}"
            );
            chosen.push(served);
        }
    }
    chosen.sort_unstable();
    chosen.dedup();
    assert_eq!(
        chosen.len(),
        ENDPOINTS,
        "keys are spread over all endpoints"
    );
    let text = system.ok(&[
        "explain",
        &format!("http://source.example.com:{port}/"),
        "--client",
        "192.0.2.7",
    ]);
    assert!(
        text.contains("Client    192.0.2.7\n") && text.contains("FOR CLIENT"),
        "{text}"
    );
}

/// A backend with a route to it.
fn backend(name: &str, policy: &str, key: &str, origins: &[u16]) -> String {
    let endpoints: Vec<String> = origins
        .iter()
        .map(|port| format!("{{address: 127.0.0.1, port: {port}}}"))
        .collect();
    let key = if key.is_empty() {
        String::new()
    } else {
        format!("  hashKey: {key}\n")
    };
    format!(
        "apiVersion: novaedge.io/v1alpha1\nkind: ProxyBackend\nmetadata: {{name: {name}}}\nspec:\n  \
         endpoints: [{}]\n  lbPolicy: {policy}\n{key}---\n\
         apiVersion: novaedge.io/v1alpha1\nkind: ProxyRoute\nmetadata: {{name: {name}}}\nspec:\n  \
         protocol: HTTP\n  parentRefs: [{{name: edge, listener: http}}]\n  hostnames: [{name}.example.com]\n  \
         rules: [{{backendRefs: [{{backend: {{name: {name}}}, weight: 1}}]}}]\n",
        endpoints.join(", ")
    )
}

/// An origin that answers with its port, and ends with the test.
fn origin() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            thread::spawn(move || {
                let mut head = [0; 4096];
                while stream.read(&mut head).is_ok_and(|length| length > 0) {
                    let body = port.to_string();
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

/// The port of the origin that an answer comes from.
fn served_by(port: u16, head: &str) -> u16 {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("a listener");
    stream.write_all(head.as_bytes()).expect("it is open");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
    body.parse().unwrap_or_else(|_| panic!("{answer}"))
}
