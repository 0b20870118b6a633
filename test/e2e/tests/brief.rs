//! Every example of the product's first document, from YAML to bytes on a socket.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use novaedge_e2e::{
    certificates::Ca,
    clients::{Answer, Tcp, connect_tls, eventually, get, get_tls, send},
    manifests::{self, GATEWAY_CLASS, service},
    origins::{self, Origin},
    system::System,
};
use novaedge_ports::free_port;

/// A system with the examples `files`, on free ports instead of the examples' well-known ones.
struct Bed {
    system: System,
    /// From the port in the example to where it is served.
    served: BTreeMap<u16, SocketAddr>,
}

impl Bed {
    async fn start(files: &[&str], more: &[(&str, String)]) -> Self {
        let mut served = BTreeMap::new();
        let mut written = vec![("class.yaml".to_owned(), GATEWAY_CLASS.to_owned())];
        for file in files {
            let path = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("brief")
                .join(file);
            let text = fs::read_to_string(&path).expect("the example is there");
            written.push(((*file).to_owned(), on_free_ports(&text, &mut served)));
        }
        written.extend(
            more.iter()
                .map(|(name, text)| ((*name).to_owned(), text.clone())),
        );
        let borrowed: Vec<_> = written
            .iter()
            .map(|(n, t)| (n.as_str(), t.as_str()))
            .collect();
        let system = System::start(&borrowed).await;
        Self { system, served }
    }

    async fn http(route: &str, backends: &[(&str, u16, &Origin)]) -> Self {
        let backends = manifests::documents(
            backends
                .iter()
                .map(|(name, port, o)| service(name, *port, "TCP", &[o.address])),
        );
        let secret = Ca::new()
            .issue(&["example.com"])
            .secret("example-tls-secret");
        let more = [("backends.yaml", backends), ("secret.yaml", secret)];
        Self::start(&["gateway.yaml", route], &more).await
    }

    fn at(&self, port: u16) -> SocketAddr {
        self.served[&port]
    }

    /// GET once the route is there.
    async fn get(&self, host: &str, path: &str) -> Answer {
        let address = self.at(80);
        eventually("the route", async || {
            let answer = get(address, host, path).await;
            (answer.status != 404).then_some(answer)
        })
        .await
    }
}

/// Gives each listener of the Gateways in `text` a free port, and remembers where it went.
fn on_free_ports(text: &str, served: &mut BTreeMap<u16, SocketAddr>) -> String {
    let mut in_gateway = false;
    let lines = text.lines().map(|line| {
        if let Some(kind) = line.strip_prefix("kind: ") {
            in_gateway = kind == "Gateway";
        }
        let Some((head, port)) = line.split_once("port: ").filter(|_| in_gateway) else {
            return line.to_owned();
        };
        let port = port.parse().expect("a port");
        let address = served
            .entry(port)
            .or_insert_with(|| System::local(free_port()));
        format!("{head}port: {}", address.port())
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn example_gateway_serves_http_and_https() {
    let api = origins::http("api").await;
    let ca = Ca::new();
    let more = [
        (
            "backends.yaml",
            service("api-service", 8080, "TCP", &[api.address]),
        ),
        (
            "secret.yaml",
            ca.issue(&["example.com"]).secret("example-tls-secret"),
        ),
    ];
    let bed = Bed::start(&["gateway.yaml", "example-httproute.yaml"], &more).await;
    let answer = bed.get("example.com", "/api/users?page=2").await;
    assert_eq!(answer.status, 200);
    let echo = answer.echo();
    assert_eq!(
        (echo.path.as_str(), echo.host.as_str()),
        ("/api/users?page=2", "example.com")
    );
    assert_eq!(echo.header("x-forwarded-proto"), Some("http"));
    assert_eq!(get(bed.at(80), "example.com", "/other").await.status, 404);
    assert_eq!(get(bed.at(80), "elsewhere.com", "/api").await.status, 404);

    let answer = get_tls(bed.at(443), "example.com", "/api", ca.client(&["h2"])).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.echo().header("x-forwarded-proto"), Some("https"));
    bed.system.stop().await;
}

#[tokio::test]
async fn path_based_route_chooses_by_prefix() {
    let (v1, v2) = (origins::http("v1").await, origins::http("v2").await);
    let backends = [("api-v1-service", 8080, &v1), ("api-v2-service", 8080, &v2)];
    let bed = Bed::http("path-based-route.yaml", &backends).await;
    assert_eq!(
        bed.get("any.example.com", "/api/v1/users").await.origin(),
        "v1"
    );
    assert_eq!(bed.get("any.example.com", "/api/v2").await.origin(), "v2");
    assert_eq!(
        get(bed.at(80), "any.example.com", "/api/v10").await.status,
        404
    );
    bed.system.stop().await;
}

#[tokio::test]
async fn header_based_route_chooses_by_header() {
    let (v1, v2) = (origins::http("v1").await, origins::http("v2").await);
    let backends = [("api-v1-service", 8080, &v1), ("api-v2-service", 8080, &v2)];
    let bed = Bed::http("header-based-route.yaml", &backends).await;
    assert_eq!(bed.get("any.example.com", "/").await.origin(), "v1");
    let request = with_headers("/", &[("x-api-version", "v2")]);
    assert_eq!(send(bed.at(80), request).await.origin(), "v2");
    let request = with_headers("/", &[("x-api-version", "v3")]);
    assert_eq!(send(bed.at(80), request).await.origin(), "v1");
    bed.system.stop().await;
}

#[tokio::test]
async fn filtered_route_changes_request_headers() {
    let api = origins::http("api").await;
    let bed = Bed::http("filtered-route.yaml", &[("api-service", 8080, &api)]).await;
    bed.get("any.example.com", "/api").await;
    let headers = [
        ("x-legacy-header", "old"),
        ("x-custom-header", "mine"),
        ("x-forwarded-proto", "gopher"),
    ];
    let echo = send(bed.at(80), with_headers("/api", &headers))
        .await
        .echo();
    assert_eq!(echo.header("x-legacy-header"), None);
    assert_eq!(echo.header("x-forwarded-proto"), Some("https"));
    let custom = echo.headers["x-custom-header"].join(",").replace(", ", ",");
    assert_eq!(custom, "mine,added-by-gateway");
    bed.system.stop().await;
}

#[tokio::test]
async fn response_header_route_changes_response_headers() {
    let api = origins::http("static").await;
    let bed = Bed::http(
        "response-header-route.yaml",
        &[("static-service", 80, &api)],
    )
    .await;
    let answer = bed.get("any.example.com", "/static/site.css").await;
    assert_eq!(answer.headers["x-cache-status"], "HIT");
    assert_eq!(answer.headers["cache-control"], "public, max-age=3600");
    assert!(!answer.headers.contains_key("server"));
    bed.system.stop().await;
}

#[tokio::test]
async fn rewrite_route_rewrites_prefix_and_host() {
    let api = origins::http("api").await;
    let bed = Bed::http("rewrite-route.yaml", &[("api-service", 8080, &api)]).await;
    let echo = bed
        .get("any.example.com", "/old-api/users?page=2")
        .await
        .echo();
    assert_eq!(echo.path, "/api/v2/users?page=2");
    assert_eq!(echo.host, "internal-api.example.com");
    assert_eq!(
        bed.get("any.example.com", "/old-api").await.echo().path,
        "/api/v2"
    );
    bed.system.stop().await;
}

#[tokio::test]
async fn canary_route_splits_ninety_to_ten() {
    let (stable, canary) = (origins::http("stable").await, origins::http("canary").await);
    let backends = [
        ("stable-service", 8080, &stable),
        ("canary-service", 8080, &canary),
    ];
    let bed = Bed::http("canary-route.yaml", &backends).await;
    bed.get("any.example.com", "/").await;
    let mut counts = BTreeMap::<String, u32>::new();
    for _ in 0..500 {
        let answer = get(bed.at(80), "any.example.com", "/").await;
        *counts.entry(answer.origin().to_owned()).or_default() += 1;
    }
    // The official suite allows five points of a hundred.
    assert!((25..=75).contains(&counts["canary"]), "{counts:?}");
    assert_eq!(counts["canary"] + counts["stable"], 500);
    bed.system.stop().await;
}

#[tokio::test]
async fn mirror_route_copies_requests() {
    let (production, shadow) = (
        origins::http("production").await,
        origins::http("shadow").await,
    );
    let backends = [
        ("production-service", 8080, &production),
        ("shadow-service", 8080, &shadow),
    ];
    let bed = Bed::http("mirror-route.yaml", &backends).await;
    assert_eq!(
        bed.get("any.example.com", "/api").await.origin(),
        "production"
    );
    for _ in 0..9 {
        assert_eq!(
            get(bed.at(80), "any.example.com", "/api").await.origin(),
            "production"
        );
    }
    eventually("ten mirrored requests", async || {
        (shadow.hits() == 10).then_some(())
    })
    .await;
    assert_eq!(production.hits(), 10);
    bed.system.stop().await;
}

#[tokio::test]
async fn tcp_route_forwards_connections() {
    let mysql = origins::tcp("mysql").await;
    let more = [(
        "backends.yaml",
        service("mysql-service", 3306, "TCP", &[mysql.address]),
    )];
    let bed = Bed::start(&["tcp.yaml"], &more).await;
    let mut flow = eventually("the route", async || Tcp::connect(bed.at(3306)).await.ok()).await;
    assert_eq!(flow.origin, "mysql");
    flow.echo("select 1").await.expect("bytes both ways");
    assert_eq!(flow.finish().await.expect("an orderly end"), b"");
    let closed = Tcp::connect(bed.at(5432)).await;
    assert!(closed.is_err(), "the listener postgres has no route");
    bed.system.stop().await;
}

#[tokio::test]
async fn tls_route_passes_through_by_sni() {
    let ca = Ca::new();
    let identity = ca.issue(&["api.example.com"]);
    let origin = origins::http_tls("api", identity.server(&["h2"])).await;
    let more = [(
        "backends.yaml",
        service("api-service", 443, "TCP", &[origin.address]),
    )];
    let bed = Bed::start(&["tls.yaml"], &more).await;
    eventually("the route", async || {
        connect_tls(bed.at(443), "api.example.com", ca.client(&["h2"]))
            .await
            .ok()
    })
    .await;
    let answer = get_tls(bed.at(443), "api.example.com", "/", ca.client(&["h2"])).await;
    assert_eq!(
        answer.origin(),
        "api",
        "the origin's own certificate was accepted"
    );
    let refused = connect_tls(bed.at(443), "other.example.com", ca.client(&["h2"])).await;
    let error = refused.expect_err("an SNI that no route has").to_string();
    assert!(
        !error.contains("alert"),
        "closed without a TLS alert: {error}"
    );
    bed.system.stop().await;
}

fn with_headers(path: &str, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let builder = Request::builder()
        .uri(path)
        .header("host", "any.example.com");
    headers
        .iter()
        .fold(builder, |builder, (name, value)| {
            builder.header(*name, *value)
        })
        .body(Full::default())
        .expect("a request")
}
