//! Proxies in front of a Gateway and backends that are told of clients, from annotations and native kinds to bytes.

use std::net::SocketAddr;

use novaedge_e2e::{
    clients::{eventually, within},
    manifests::{GATEWAY_CLASS, documents, http_route, service},
    origins,
    system::System,
};
use novaedge_ports::free_port;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const LINE: &str = "PROXY TCP4 203.0.113.7 198.51.100.9 40000 443\r\n";

fn gateway(http: u16, tcp: u16, annotations: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
         metadata:\n  name: gw\n  annotations: {{{annotations}}}\n\
         spec:\n  gatewayClassName: novaedge\n  listeners:\n  \
         - {{name: http, protocol: HTTP, port: {http}}}\n  - {{name: tcp, protocol: TCP, port: {tcp}}}\n"
    )
}

fn told(address: SocketAddr) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: TCPRoute\nmetadata: {{name: tcp}}\n\
         spec:\n  parentRefs: [{{name: gw}}]\n  rules:\n  \
         - backendRefs: [{{group: novaedge.io, kind: ProxyBackend, name: told}}]\n---\n\
         apiVersion: novaedge.io/v1alpha1\nkind: ProxyBackend\nmetadata: {{name: told}}\n\
         spec:\n  endpoints: [{{address: {}, port: {}}}]\n  proxyProtocol: V1\n",
        address.ip(),
        address.port()
    )
}

/// The answer to these bytes; none when nobody listens or the connection is refused.
async fn ask(port: u16, bytes: String) -> Option<String> {
    within("an answer", async {
        let mut stream = TcpStream::connect(System::local(port)).await.ok()?;
        stream.write_all(bytes.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok()?;
        Some(String::from_utf8_lossy(&answer).into_owned()).filter(|text| !text.is_empty())
    })
    .await
}

fn request(before: &str, fields: &str) -> String {
    format!("{before}GET / HTTP/1.1\r\nhost: www.example.com\r\nconnection: close\r\n{fields}\r\n")
}

async fn until_forwarded_for(port: u16, request: String, expect: &str) {
    eventually(expect, async || {
        let answer = ask(port, request.clone()).await?;
        answer
            .contains(&format!("\"x-forwarded-for\":[\"{expect}\"]"))
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn annotations_name_the_proxies_in_front_of_a_gateway() {
    let (http, tcp) = (free_port(), free_port());
    let (web, database) = (origins::http("web").await, origins::tcp("database").await);
    let behind = documents([
        GATEWAY_CLASS.to_owned(),
        service("web", 80, "TCP", &[web.address]),
        http_route("web", "gw", "www.example.com", "web"),
        told(database.address),
    ]);
    let trusting = gateway(
        http,
        tcp,
        "novaedge.io/proxy-protocol-trusted-cidrs: 127.0.0.0/8, \
         novaedge.io/forwarded-headers-trusted-cidrs: 203.0.113.0/24",
    );
    let system = System::start(&[("behind.yaml", &behind), ("gateway.yaml", &trusting)]).await;

    // The header's client is itself a proxy whose word counts.
    let chain = "x-forwarded-for: 198.51.100.1\r\n";
    let expect = "198.51.100.1, 203.0.113.7";
    until_forwarded_for(http, request(LINE, chain), expect).await;
    assert_eq!(ask(http, request("", "")).await, None, "no header");

    // What came in goes on to a backend that asks for it; the origin sends back what it got.
    let mut stream = TcpStream::connect(System::local(tcp)).await.unwrap();
    stream
        .write_all(format!("{LINE}SELECT 1").as_bytes())
        .await
        .unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, format!("database\n{LINE}SELECT 1"));

    // An edit counts for the next connection.
    system.write("gateway.yaml", &gateway(http, tcp, ""));
    until_forwarded_for(http, request("", chain), "127.0.0.1").await;
    system.stop().await;
}
