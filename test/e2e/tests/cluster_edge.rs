//! What stands in front of a Gateway and behind it, through Services of a real cluster.

use std::time::Duration;

use novaedge_e2e::{
    certificates::Ca,
    clients::{Http2, Http3, get},
    cluster::{GATEWAY, Namespace, bed, hello, route, serves, within},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const HOST: &str = "hello.example.com";
const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn an_endpoint_whose_checks_fail_gets_no_requests() {
    let (namespace, address) = bed("checks", HOST, 2).await;
    let service = namespace.kubectl(&["get", "service/hello", "-o", "jsonpath={.spec.clusterIP}"]);
    // Nobody answers at an address of documentation (RFC 5737); most requests for it would take the time to connect.
    namespace.apply(&format!(
        "apiVersion: novaedge.io/v1alpha1\nkind: ProxyBackend\nmetadata: {{name: checked}}\nspec:\n  \
         endpoints: [{{address: {service}, port: 80}}, {{address: 192.0.2.1, port: 80}}]\n  lbPolicy: LeastRequest\n  \
         panicPercent: 0\n  connectTimeoutMs: 500\n  healthCheck:\n    probe: {{http: {{path: /}}}}\n    \
         intervalMs: 200\n    timeoutMs: 200\n    unhealthyThreshold: 2\n"
    ));
    namespace.kubectl(&[
        "patch",
        "httproute/hello",
        "--type=json",
        "-p",
        r#"[{"op": "replace", "path": "/spec/rules/0/backendRefs/0",
             "value": {"group": "novaedge.io", "kind": "ProxyBackend", "name": "checked"}}]"#,
    ]);
    // Until the checks have failed some requests fail, too.
    let mut good = 0;
    within(MINUTE, "answers one after the other", async || {
        let answer = get(address, HOST, "/").await;
        good = if answer.status == 200 { good + 1 } else { 0 };
        (good == 100).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn a_gateway_is_served_over_http3() {
    let namespace = Namespace::new("http3");
    let ca = Ca::new();
    namespace.apply(&hello(2));
    namespace.apply(&ca.issue(&[HOST]).secret("cert"));
    namespace.apply(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
         metadata: {name: edge, annotations: {novaedge.io/http3: \"true\"}}\nspec:\n  gatewayClassName: novaedge\n  \
         listeners: [{name: https, protocol: HTTPS, port: 443, tls: {certificateRefs: [{name: cert}]}}]\n",
    );
    namespace.apply(&route("hello", HOST));
    let address = namespace.address("edge", 443);
    within(MINUTE, "answers over HTTP/2", async || {
        let connected = Http2::try_connect_tls(address, HOST, ca.client(&["h2"])).await;
        let answer = connected.ok()?.get(HOST, "/").await.ok()?;
        let told = answer.headers.get("alt-svc")?.to_str().ok()?.to_owned();
        (answer.status == 200 && told == "h3=\":443\"; ma=86400").then_some(())
    })
    .await;
    let tls = ca.client(&["h3"]);
    let mut client = within(MINUTE, "a connection of QUIC", async || {
        Http3::connect(address, HOST, &tls).await.ok()
    })
    .await;
    for _ in 0..10 {
        let answer = client.get(HOST, "/").await.unwrap();
        assert_eq!(answer.status, 200);
        assert!(String::from_utf8_lossy(&answer.body).starts_with("hello-"));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn a_proxy_in_front_tells_who_the_client_is() {
    let (namespace, address) = bed("proxies", HOST, 1).await;
    namespace.apply(&GATEWAY.replace(
        "metadata: {name: edge}",
        "metadata: {name: edge, annotations: {novaedge.io/proxy-protocol-trusted-cidrs: \"0.0.0.0/0, ::/0\"}}",
    ));
    let ask = async |header: &str| {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let request =
            format!("{header}GET / HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        Some(answer).filter(|answer| answer.starts_with("HTTP/1.1 200 "))
    };
    let header = "PROXY TCP4 203.0.113.7 198.51.100.9 40000 80\r\n";
    within(MINUTE, "an answer behind a header", async || {
        ask(header).await.map(drop)
    })
    .await;
    // Each agent has the new listener by now, or will soon.
    within(MINUTE, "no answer without one", async || {
        for _ in 0..20 {
            if ask("").await.is_some() {
                return None;
            }
        }
        Some(())
    })
    .await;
    assert!(ask(header).await.is_some());
    namespace.apply(GATEWAY);
    namespace.kubectl(&[
        "annotate",
        "gateway/edge",
        "novaedge.io/proxy-protocol-trusted-cidrs-",
    ]);
    serves(address, HOST).await;
}
