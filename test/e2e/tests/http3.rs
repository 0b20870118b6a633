//! HTTP/3, from an annotation of a Gateway to answers.

use novaedge_e2e::{
    certificates::Ca,
    clients::{Http3, eventually, get_tls},
    manifests::{GATEWAY_CLASS, documents, http_route, service},
    origins,
    system::System,
};
use novaedge_ports::free_port;

const HOST: &str = "www.example.com";

fn gateway(port: u16, http3: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
         metadata:\n  name: gw\n  annotations: {{novaedge.io/http3: \"{http3}\"}}\n\
         spec:\n  gatewayClassName: novaedge\n  listeners:\n  \
         - {{name: https, protocol: HTTPS, port: {port}, tls: {{certificateRefs: [{{name: cert}}]}}}}\n"
    )
}

#[tokio::test]
async fn an_annotation_switches_it_on_and_off() {
    let port = free_port();
    let address = System::local(port);
    let web = origins::http("web").await;
    let ca = Ca::new();
    let behind = documents([
        GATEWAY_CLASS.to_owned(),
        ca.issue(&[HOST]).secret("cert"),
        service("web", 80, "TCP", &[web.address]),
        http_route("web", "gw", HOST, "web"),
    ]);
    let (on, off) = (gateway(port, "true"), gateway(port, "false"));
    let system = System::start(&[("behind.yaml", &behind), ("gateway.yaml", &on)]).await;

    let tls = ca.client(&["h3"]);
    let mut client = eventually("a connection of QUIC", async || {
        Http3::connect(address, HOST, &tls).await.ok()
    })
    .await;
    let told = get_tls(address, HOST, "/", ca.client(&["h2"])).await;
    let expect = format!("h3=\":{port}\"; ma=86400");
    assert_eq!(told.headers["alt-svc"], expect.as_str());
    let answer = client.get(HOST, "/").await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.origin(), "web");
    assert!(!answer.headers.contains_key("alt-svc"));
    client.move_away();
    assert_eq!(client.get(HOST, "/").await.unwrap().status, 200);

    system.write("gateway.yaml", &off);
    eventually("no word of HTTP/3", async || {
        let answer = get_tls(address, HOST, "/", ca.client(&["h2"])).await;
        (!answer.headers.contains_key("alt-svc")).then_some(())
    })
    .await;
    system.stop().await;
}
