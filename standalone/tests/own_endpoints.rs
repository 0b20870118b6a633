//! No route leads to the endpoints of the gateway itself, which trust whoever connects from this machine.
#![allow(clippy::unwrap_used)] // a harness may panic

use std::{net::SocketAddr, time::Duration};

use novaedge::{Config, Standalone, Telemetry};
use novaedge_control_plane::folder::Watch;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// A Gateway that leads, by HTTP, by HTTP and a name, and by TCP, to a port of this machine.
fn manifests(http: u16, named: u16, tcp: u16, to: u16) -> String {
    let route = |name: &str| {
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\n\
             spec:\n  parentRefs: [{{name: edge, sectionName: {name}}}]\n  \
             rules: [{{backendRefs: [{{name: {name}, port: {to}}}]}}]\n"
        )
    };
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {{name: novaedge}}\n\
         spec: {{controllerName: novaedge.io/gateway-controller}}\n---\n\
         apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: edge}}\n\
         spec:\n  gatewayClassName: novaedge\n  addresses: [{{value: 127.0.0.1}}]\n  listeners:\n  \
         - {{name: web, port: {http}, protocol: HTTP}}\n  \
         - {{name: named, port: {named}, protocol: HTTP}}\n  \
         - {{name: tcp, port: {tcp}, protocol: TCP}}\n{}{}\
         ---\napiVersion: gateway.networking.k8s.io/v1\nkind: TCPRoute\nmetadata: {{name: tcp}}\n\
         spec:\n  parentRefs: [{{name: edge, sectionName: tcp}}]\n  \
         rules: [{{backendRefs: [{{name: web, port: {to}}}]}}]\n\
         ---\napiVersion: v1\nkind: Service\nmetadata: {{name: web}}\nspec: {{ports: [{{port: {to}}}]}}\n\
         ---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{name: web, labels: {{kubernetes.io/service-name: web}}}}\n\
         addressType: IPv4\nendpoints: [{{addresses: [127.0.0.1]}}]\nports: [{{port: {to}}}]\n\
         ---\napiVersion: v1\nkind: Service\nmetadata: {{name: named}}\n\
         spec: {{type: ExternalName, externalName: localhost, ports: [{{port: {to}}}]}}\n",
        route("web"),
        route("named"),
    )
}

/// What comes back until the end, if somebody listens.
async fn say(port: u16, text: &str) -> Option<String> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(text.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    // A connection that is broken off has told all it had to tell.
    let _ = timeout(Duration::from_secs(10), read).await.ok()?;
    Some(String::from_utf8_lossy(&answer).into_owned())
}

async fn until_answered(port: u16, text: &str) -> String {
    for _ in 0..500 {
        match say(port, text).await {
            Some(answer) if !answer.starts_with("HTTP/1.1 404") => return answer,
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    panic!("{port} is not served");
}

const LEAVE: &str =
    "POST /drain?delay=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const READY: &str = "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_route_leads_to_the_gateway_itself() {
    let folder = tempfile::tempdir().unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let system = Standalone::start(Config {
        folder: folder.path().to_owned(),
        watch: Watch::Yes,
        grpc: any,
        admin: any,
        state_dir: folder.path().join(".novaedge"),
        workers: Some(1),
        telemetry: Telemetry::default(),
    })
    .await
    .unwrap();
    let admin = system.admin().unwrap().port();
    for to in [admin, system.grpc().port()] {
        let [http, named, tcp] = [(); 3].map(|()| novaedge_ports::free_port());
        let text = manifests(http, named, tcp, to);
        std::fs::write(folder.path().join("edge.yaml"), text).unwrap();
        for port in [http, named] {
            let answer = until_answered(port, LEAVE).await;
            let refused = ["HTTP/1.1 502", "HTTP/1.1 503"];
            assert!(
                refused.iter().any(|one| answer.starts_with(one)),
                "{answer}"
            );
            assert!(answer.contains("\r\n\r\n"), "{answer}");
        }
        assert_eq!(until_answered(tcp, LEAVE).await, "");
        let ready = say(admin, READY).await.unwrap();
        assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    }
    system.stop(Duration::from_millis(200)).await;
}
