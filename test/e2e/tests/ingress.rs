//! Ingresses from YAML to bytes on a socket, beside a Gateway of the same system.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use novaedge_control_plane::translate::translate;
use novaedge_e2e::{
    certificates::Ca,
    clients::{Answer, Http1, eventually, get, get_tls, send},
    manifests::{self, GATEWAY_CLASS, http_gateway, http_route, service},
    origins::{self, Origin},
    system::System,
};
use novaedge_ports::free_port;

/// The IngressClass `novaedge` on these ports.
fn class(http: u16, https: u16) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata:\n  name: novaedge\n  annotations:\n    \
         novaedge.io/http-port: \"{http}\"\n    novaedge.io/https-port: \"{https}\"\n\
         spec: {{controller: novaedge.io/ingress-controller}}\n"
    )
}

/// An Ingress with more of its metadata and the rest of its spec, both indented by two.
fn ingress(name: &str, annotations: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: {name}\n  annotations: {{{annotations}}}\n\
         spec:\n  ingressClassName: novaedge\n{spec}"
    )
}

/// A rule for a host, with paths: type, path and Service.
fn rule(host: &str, paths: &[(&str, &str, &str)]) -> String {
    let paths = paths.iter().map(|(type_, path, service)| {
        format!(
            "      - path: \"{path}\"\n        pathType: {type_}\n        \
             backend: {{service: {{name: {service}, port: {{name: main}}}}}}\n"
        )
    });
    let paths: String = paths.collect();
    format!("  - host: \"{host}\"\n    http:\n      paths:\n{paths}")
}

/// A system with two ports for Ingresses, and Services that answer with their names.
struct Bed {
    system: System,
    http: SocketAddr,
    https: SocketAddr,
    _origins: Vec<Origin>,
}

const SERVICES: [&str; 3] = ["app", "next", "rest"];

impl Bed {
    async fn start(files: &[String]) -> Self {
        let (http, https) = (free_port(), free_port());
        let mut services = Vec::new();
        let mut origins = Vec::new();
        for name in SERVICES {
            let origin = origins::http(name).await;
            services.push(service(name, 80, "TCP", &[origin.address]));
            origins.push(origin);
        }
        let class = class(http, https);
        let services = manifests::documents(services);
        let all = manifests::documents(files);
        let files = [
            ("class.yaml", class.as_str()),
            ("services.yaml", services.as_str()),
            ("ingresses.yaml", all.as_str()),
        ];
        Self {
            system: System::start(&files).await,
            http: System::local(http),
            https: System::local(https),
            _origins: origins,
        }
    }

    /// GET once something is served there.
    async fn first(&self, host: &str, path: &str) -> Answer {
        eventually("a listener", async || {
            let mut connection = Http1::try_connect(self.http).await.ok()?;
            let answer = connection.get(host, path).await.ok()?;
            (answer.status != StatusCode::NOT_FOUND).then_some(answer)
        })
        .await
    }

    async fn check(&self, cases: &[(&str, &str, &str)]) {
        for (host, path, origin) in cases {
            let answer = get(self.http, host, path).await;
            assert_eq!(answer.origin(), *origin, "{host}{path}: {}", answer.status);
        }
    }
}

#[tokio::test]
async fn hosts_and_paths_lead_where_the_ingress_says() {
    let rules = [
        "  rules:\n".to_owned(),
        rule(
            "app.example.com",
            &[
                ("Prefix", "/foo", "app"),
                ("Exact", "/foo/exact", "next"),
                ("ImplementationSpecific", "/own/", "next"),
            ],
        ),
        rule("*.example.com", &[("Prefix", "/", "next")]),
        "  defaultBackend: {service: {name: rest, port: {number: 80}}}\n".to_owned(),
    ];
    let bed = Bed::start(&[ingress("app", "", &rules.concat())]).await;
    bed.first("app.example.com", "/foo").await;
    bed.check(&[
        ("app.example.com", "/foo", "app"),
        ("app.example.com", "/foo/", "app"),
        ("app.example.com", "/foo/bar", "app"),
        ("app.example.com", "/foo/exact", "next"),
        ("app.example.com", "/foo/exact/", "app"),
        ("app.example.com", "/own", "next"),
        ("app.example.com", "/foobar", "rest"),
        ("app.example.com", "/", "rest"),
        ("other.example.com", "/foo", "next"),
        ("a.other.example.com", "/foo", "rest"),
        ("example.com", "/foo", "rest"),
        ("10.0.0.1", "/foo", "rest"),
    ])
    .await;
    bed.system.stop().await;
}

#[tokio::test]
async fn tls_is_chosen_by_name_and_http_goes_there() {
    let ca = Ca::new();
    let tls = "  tls:\n  - {hosts: [app.example.com], secretName: app}\n  \
               - {hosts: [\"*.b.example.com\"], secretName: b}\n  rules:\n";
    let spec = [
        tls.to_owned(),
        rule("app.example.com", &[("Prefix", "/", "app")]),
        rule("*.b.example.com", &[("Prefix", "/", "next")]),
        rule("plain.example.com", &[("Prefix", "/", "rest")]),
    ];
    let solver = rule(
        "app.example.com",
        &[("Exact", "/.well-known/acme-challenge/x", "rest")],
    );
    let files = [
        ingress("app", "", &spec.concat()),
        ingress("solver", "", &format!("  rules:\n{solver}")),
        ca.issue(&["app.example.com"]).secret("app"),
        ca.issue(&["*.b.example.com"]).secret("b"),
    ];
    let bed = Bed::start(&files).await;
    let answer = bed.first("app.example.com", "/a?b=c").await;
    assert_eq!(answer.status, StatusCode::PERMANENT_REDIRECT);
    let expected = format!("https://app.example.com:{}/a?b=c", bed.https.port());
    assert_eq!(answer.headers["location"], *expected);
    bed.check(&[
        ("plain.example.com", "/", "rest"),
        ("app.example.com", "/.well-known/acme-challenge/x", "rest"),
    ])
    .await;
    let client = ca.client(&["h2"]);
    for (host, origin) in [("app.example.com", "app"), ("x.b.example.com", "next")] {
        let answer = get_tls(bed.https, host, "/", client.clone()).await;
        assert_eq!(answer.origin(), origin, "{host}");
    }
    let refused = Http1::try_connect_tls(bed.https, "plain.example.com", client).await;
    assert!(refused.is_err(), "no certificate is for this host");
    bed.system.stop().await;
}

#[tokio::test]
async fn annotations_do_what_they_say() {
    let annotations = "novaedge.io/rewrite-target: /new, novaedge.io/request-headers: '{\"X-Set\": \"a\"}', \
                       novaedge.io/response-headers: '{\"X-Frame-Options\": \"DENY\"}', novaedge.io/proxy-body-size: \"10\"";
    let rest = "novaedge.io/use-regex: \"true\", novaedge.io/rewrite-target: /new/$2";
    let of = |host: &str, type_: &str, path: &str, service: &str| {
        format!("  rules:\n{}", rule(host, &[(type_, path, service)]))
    };
    let canary = "novaedge.io/canary-weight: \"0\", novaedge.io/canary-header: X-Canary";
    let closed = "novaedge.io/whitelist-source-range: 10.0.0.0/8";
    let files = [
        ingress(
            "app",
            annotations,
            &of("app.example.com", "Prefix", "/", "app"),
        ),
        ingress(
            "rest",
            rest,
            &of(
                "rest.example.com",
                "ImplementationSpecific",
                "/old(/|$)(.*)",
                "app",
            ),
        ),
        ingress("main", "", &of("main.example.com", "Prefix", "/", "app")),
        ingress(
            "canary",
            canary,
            &of("main.example.com", "Prefix", "/", "next"),
        ),
        ingress(
            "closed",
            closed,
            &of("closed.example.com", "Prefix", "/", "app"),
        ),
    ];
    let bed = Bed::start(&files).await;
    let answer = bed.first("app.example.com", "/old/path").await;
    assert_eq!(answer.headers["x-frame-options"], "DENY");
    let echo = answer.echo();
    assert_eq!(
        (echo.path.as_str(), echo.header("x-set")),
        ("/new", Some("a"))
    );
    let long = Request::post("/")
        .header("host", "app.example.com")
        .body(Full::new(Bytes::from("more than ten bytes")))
        .expect("a request");
    let answer = send(bed.http, long).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);

    for (path, expected) in [("/old/a/b", "/new/a/b"), ("/old", "/new")] {
        let echo = get(bed.http, "rest.example.com", path).await.echo();
        assert_eq!(echo.path, expected);
    }
    for (value, origin) in [("always", "next"), ("never", "app"), ("else", "app")] {
        let request = Request::get("/")
            .header("host", "main.example.com")
            .header("x-canary", value)
            .body(Full::default())
            .expect("a request");
        let answer = send(bed.http, request).await;
        assert_eq!(answer.origin(), origin, "{value}");
    }
    let answer = get(bed.http, "closed.example.com", "/").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    bed.system.stop().await;
}

#[tokio::test]
async fn ingresses_and_gateways_are_served_side_by_side_and_statuses_tell_where() {
    let spec = format!(
        "  rules:\n{}",
        rule("app.example.com", &[("Prefix", "/", "app")])
    );
    let port = free_port();
    let files = [
        ingress("app", "", &spec),
        GATEWAY_CLASS.to_owned(),
        http_gateway("edge", port),
        http_route("route", "edge", "route.example.com", "next"),
    ];
    let bed = Bed::start(&files).await;
    let answer = bed.first("app.example.com", "/").await;
    assert_eq!(answer.origin(), "app");
    let gateway = System::local(port);
    assert_eq!(
        get(gateway, "route.example.com", "/").await.origin(),
        "next"
    );
    assert_eq!(get(gateway, "app.example.com", "/").await.status, 404);

    let file = bed.system.state().join("status/Ingress/default/app.yaml");
    let status = eventually("a status with an address", async || {
        let text = std::fs::read_to_string(&file).ok()?;
        text.contains("ip:").then_some(text)
    })
    .await;
    assert!(status.contains("loadBalancer:"), "{status}");

    // An edit reaches the agent, and so does the end of the Ingress.
    let edited = spec.replace("name: app", "name: rest");
    let rest = manifests::documents(&files[1..]);
    let with = manifests::documents([ingress("app", "", &edited), rest.clone()]);
    bed.system.write("ingresses.yaml", &with);
    eventually("the edit", async || {
        let answer = get(bed.http, "app.example.com", "/").await;
        (answer.origin() == "rest").then_some(())
    })
    .await;
    bed.system.write("ingresses.yaml", &rest);
    eventually("the end of the listener", async || {
        Http1::try_connect(bed.http).await.err().map(|_| ())
    })
    .await;
    assert_eq!(
        get(gateway, "route.example.com", "/").await.origin(),
        "next"
    );
    bed.system.stop().await;
}

#[tokio::test]
async fn problems_are_told_with_file_and_line() {
    let spec = format!("  rules:\n{}", rule("10.0.0.1", &[("Prefix", "/", "app")]));
    let bed = Bed::start(&[ingress("app", "", &spec)]).await;
    let file = bed.system.state().join("status/diagnostics.yaml");
    eventually("a diagnostic", async || {
        let text = std::fs::read_to_string(&file).ok()?;
        text.contains("Ingress/default/app").then_some(())
    })
    .await;
    let checked = translate(bed.system.path(), 0).expect("the folder is readable");
    let told: Vec<String> = checked.problems.iter().map(ToString::to_string).collect();
    let expected = "ingresses.yaml:9: Ingress/default/app: spec.rules[0].host: ";
    assert!(told.iter().any(|one| one.contains(expected)), "{told:?}");
    bed.system.stop().await;
}
