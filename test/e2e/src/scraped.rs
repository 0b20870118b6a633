//! A run with traffic of all kinds, scraped by a Prometheus.
#![allow(clippy::unwrap_used)] // a harness may panic

use std::{net::SocketAddr, sync::Arc, time::Duration};

use crate::{
    certificates::Ca,
    clients::{
        GrpcStream, Http2, Http3, Tcp, Udp, WebSocket, connect_tls, eventually, get, get_tls, send,
    },
    manifests::{self, GATEWAY_CLASS, service, service_with},
    origins::{self, Origin},
    prometheus::Prometheus,
    system::System,
};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use novaedge_control_plane::{
    Findings,
    admin::{self, Admin},
    metrics::{ClusterMetrics, Metrics},
};
use novaedge_ports::free_port;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// Requests to `shop.example`, each of 200, 404 and 503 so often.
const REQUESTS: u32 = 7;

/// A system under traffic, with a Prometheus that looks at it.
pub struct Run {
    /// Scrapes each second.
    pub prometheus: Prometheus,
    /// Where the listener of HTTP is.
    pub http: SocketAddr,
    /// Where that of TCP is, which echoes.
    pub tcp: SocketAddr,
    /// Where that of UDP is, which answers.
    pub udp: SocketAddr,
    system: System,
    cluster: JoinHandle<()>,
    _origins: Vec<Origin>,
}

struct Ports {
    http: u16,
    https: u16,
    tcp: u16,
    udp: u16,
    tls: u16,
}

impl Run {
    /// Sends traffic until it has been scraped more than once.
    pub async fn start() -> Self {
        let ports = Ports {
            http: free_port(),
            https: free_port(),
            tcp: free_port(),
            udp: free_port(),
            tls: free_port(),
        };
        let ca = Ca::new();
        let identity = ca.issue(&["shop.example", "pass.example"]);
        let web = origins::http("web").await;
        let secure = origins::http_tls("secure", identity.server(&["h2"])).await;
        let (echo, names) = (origins::tcp("echo").await, origins::udp("names").await);
        let system = System::start(&[
            ("class.yaml", GATEWAY_CLASS),
            ("gateway.yaml", &gateway(&ports)),
            ("secret.yaml", &identity.secret("cert")),
            ("services.yaml", &services(&web, &secure, &echo, &names)),
            ("routes.yaml", ROUTES),
        ])
        .await;
        let http = System::local(ports.http);
        eventually("the route", async || {
            let answer = get(http, "ready.example", "/").await;
            (answer.status == 200).then_some(())
        })
        .await;
        let (control_plane, cluster) = unreachable_cluster().await;
        let jobs = [
            ("novaedge", system.admin()),
            ("novaedge-control-plane", control_plane),
        ];
        let rules = crate::dashboards::rules();
        let prometheus = Prometheus::start(&jobs, &rules).await;
        let run = Self {
            prometheus,
            http,
            tcp: System::local(ports.tcp),
            udp: System::local(ports.udp),
            system,
            cluster,
            _origins: vec![web, secure, echo, names],
        };
        run.traffic(&ports, &ca).await;
        run.scraped_again().await;
        run
    }

    async fn traffic(&self, ports: &Ports, ca: &Ca) {
        let http = System::local(ports.http);
        for _ in 0..REQUESTS {
            for (path, status) in [("/", 200), ("/none", 404), ("/down", 503)] {
                assert_eq!(get(http, "shop.example", path).await.status, status);
            }
        }
        let refused = get(http, "refuses.example", "/").await;
        assert_eq!(refused.status, 502);
        let mut http2 = Http2::connect(http).await;
        assert_eq!(http2.get("two.example", "/").await.unwrap().status, 200);
        let https = System::local(ports.https);
        let answer = get_tls(https, "shop.example", "/", ca.client(&["h2"])).await;
        assert_eq!(answer.status, 200);
        let tls = ca.client(&["h3"]);
        let mut http3 = eventually("a connection of QUIC", async || {
            Http3::connect(https, "shop.example", &tls).await.ok()
        })
        .await;
        assert_eq!(http3.get("shop.example", "/").await.unwrap().status, 200);
        let mut socket = WebSocket::connect(http, "ready.example", "/").await;
        socket.echo("x").await.unwrap();
        let mut call = GrpcStream::open(http, "grpc.example", "/echo.Echo/Stream").await;
        call.echo("x").await.unwrap();
        let upload = Request::post("/").header("host", "ready.example");
        let upload = upload.body(Full::new(Bytes::from(vec![7; 100_000])));
        assert_eq!(send(http, upload.unwrap()).await.status, 200);

        let mut tcp = Tcp::connect(System::local(ports.tcp)).await.unwrap();
        tcp.echo("x").await.unwrap();
        tcp.finish().await.unwrap();
        Udp::connect(System::local(ports.udp)).await.ask("x").await;
        let passed = System::local(ports.tls);
        connect_tls(passed, "pass.example", ca.client(&["h2"]))
            .await
            .unwrap();
        let unknown = connect_tls(passed, "unknown.example", ca.client(&["h2"])).await;
        assert!(unknown.is_err(), "nobody has that name");
        // Those who are connected have the next version by a step that they waited for.
        self.system.write("more.yaml", MORE);
        eventually("the route", async || {
            let answer = get(http, "more.example", "/").await;
            (answer.status == 200).then_some(())
        })
        .await;
    }

    /// Waits until all that there is has been scraped at least twice: rates need two samples.
    async fn scraped_again(&self) {
        let scraped = "min(count_over_time(novaedge_accepted_connections_total[1h]))";
        let before = self.prometheus.number(scraped).await.unwrap_or(0.0);
        let deadline = tokio::time::Instant::now() + Duration::from_mins(1);
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let now = self.prometheus.number(scraped).await.unwrap_or(0.0);
            // The last look at pools is up to five seconds before.
            if now >= before + 8.0 {
                return;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{now} scrapes, {before} before"
            );
        }
    }

    /// What is wrong with a query.
    pub async fn unanswered(&self, place: &str, query: &str) -> Option<String> {
        match self.prometheus.query(query).await {
            Ok(answer) if !answer.is_empty() => None,
            Ok(_) => Some(format!("{place}: no answer to {query}")),
            Err(error) => Some(format!("{place}: {error}: {query}")),
        }
    }

    /// What Prometheus has is what was sent.
    pub async fn agrees_with_what_was_sent(&self) {
        let all = f64::from(REQUESTS);
        for (query, expected) in [
            (
                "http_server_request_duration_seconds_count{route=\"shop\",listener=\"http\"}",
                2.0 * all,
            ),
            (
                "novaedge_http_request_errors_total{route=\"shop\",class=\"5xx\"}",
                all,
            ),
            (
                "http_server_request_duration_seconds_count{route_kind=\"\",listener=\"http\"} - on (listener) novaedge_http_request_errors_total{route_kind=\"\",class=\"4xx\"}",
                0.0,
            ),
            (
                "novaedge_http_own_answers_total{reason=\"no_endpoints\"}",
                all,
            ),
            (
                "http_server_request_duration_seconds_count{route=\"shop\",listener=\"https\"}",
                2.0,
            ),
            ("sum(novaedge_l4_connections_total{route=\"echo\"})", 1.0),
            ("sum(novaedge_l4_udp_sessions_total{route=\"names\"})", 1.0),
            ("sum(novaedge_l4_tls_passthrough_total)", 1.0),
            ("sum(novaedge_l4_sni_routing_errors_total)", 1.0),
            ("sum(http_server_active_requests)", 0.0),
        ] {
            let found = self.prometheus.number(query).await;
            assert_eq!(found, Some(expected), "{query}");
        }
        let scrape = self
            .prometheus
            .number("max(scrape_duration_seconds{job=\"novaedge\"})");
        assert!(scrape.await.is_some_and(|took| took < 1.0));
    }

    /// Ends all of it.
    pub async fn stop(self) {
        self.cluster.abort();
        drop(self.prometheus);
        self.system.stop().await;
    }
}

/// A control plane's part for clusters, whose watches cannot reach the API server: its metrics are those of a run, and
/// tell of failures.
async fn unreachable_cluster() -> (SocketAddr, JoinHandle<()>) {
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let config = kube::Config::new(nobody.parse().unwrap());
    let client = kube::Client::try_from(config).unwrap();
    let source = novaedge_watch::ClusterSource::new(client, novaedge_watch::Settings::default());
    let metrics = Metrics {
        publisher: novaedge_publish::Publisher::default(),
        findings: watch::channel(Findings::default()).1,
        pipeline: Arc::default(),
        cluster: Some(ClusterMetrics {
            write: Arc::default(),
            health: source.health(),
            watches: source.metrics(),
        }),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (batches, _read) = tokio::sync::mpsc::channel(1);
        let serving = admin::serve(
            listener,
            Admin {
                unready: Box::new(|| None),
                metrics: Box::new(move || metrics.render()),
                log_level: None,
            },
        );
        tokio::join!(serving, source.run(batches, CancellationToken::new()));
    });
    (address, task)
}

fn gateway(ports: &Ports) -> String {
    let Ports {
        http,
        https,
        tcp,
        udp,
        tls,
    } = ports;
    let listeners = format!(
        "  - {{name: http, protocol: HTTP, port: {http}}}\n  \
         - {{name: https, protocol: HTTPS, port: {https}, tls: {{certificateRefs: [{{name: cert}}]}}}}\n  \
         - {{name: tcp, protocol: TCP, port: {tcp}}}\n  \
         - {{name: udp, protocol: UDP, port: {udp}}}\n  \
         - {{name: tls, protocol: TLS, port: {tls}, hostname: \"*.example\", tls: {{mode: Passthrough}}}}\n"
    );
    let gateway = manifests::gateway("edge", &listeners);
    gateway.replace(
        "metadata: {name: edge}",
        "metadata: {name: edge, annotations: {novaedge.io/http3: \"true\"}}",
    )
}

fn services(web: &Origin, secure: &Origin, echo: &Origin, names: &Origin) -> String {
    manifests::documents([
        service("web", 80, "TCP", &[web.address]),
        service_with("web2", 80, "TCP", "kubernetes.io/h2c", &[web.address]),
        service("down", 80, "TCP", &[]),
        service("refuses", 80, "TCP", &[System::local(free_port())]),
        service("secure", 443, "TCP", &[secure.address]),
        service("echo", 9000, "TCP", &[echo.address]),
        service("names", 9053, "UDP", &[names.address]),
    ])
}

const ROUTES: &str = r#"apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs:
  - {name: edge, sectionName: http}
  - {name: edge, sectionName: https}
  hostnames: ["shop.example"]
  rules:
  - name: home
    matches: [{path: {type: Exact, value: /}}]
    backendRefs: [{name: web, port: 80}]
  - matches: [{path: {value: /down}}]
    backendRefs: [{name: down, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: ready}
spec:
  parentRefs: [{name: edge, sectionName: http}]
  hostnames: ["ready.example"]
  rules:
  - backendRefs: [{name: web, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: refuses}
spec:
  parentRefs: [{name: edge, sectionName: http}]
  hostnames: ["refuses.example"]
  rules:
  - backendRefs: [{name: refuses, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: two}
spec:
  parentRefs: [{name: edge, sectionName: http}]
  hostnames: ["two.example"]
  rules:
  - backendRefs: [{name: web2, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: grpc}
spec:
  parentRefs: [{name: edge, sectionName: http}]
  hostnames: ["grpc.example"]
  rules:
  - backendRefs: [{name: web, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: echo}
spec:
  parentRefs: [{name: edge, sectionName: tcp}]
  rules:
  - backendRefs: [{name: echo, port: 9000}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: UDPRoute
metadata: {name: names}
spec:
  parentRefs: [{name: edge, sectionName: udp}]
  rules:
  - backendRefs: [{name: names, port: 9053}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: pass}
spec:
  parentRefs: [{name: edge, sectionName: tls}]
  hostnames: ["pass.example"]
  rules:
  - backendRefs: [{name: secure, port: 443}]
"#;

const MORE: &str = r#"apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: more}
spec:
  parentRefs: [{name: edge, sectionName: http}]
  hostnames: ["more.example"]
  rules:
  - backendRefs: [{name: web, port: 80}]
"#;
