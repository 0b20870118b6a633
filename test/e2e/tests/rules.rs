//! What a rule says beside its backends, from a manifest to bytes on a socket.

use std::{net::SocketAddr, time::Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use novaedge_e2e::{
    clients::{Answer, eventually, get, send},
    fixture::{Values, fill},
    manifests::{self, GATEWAY_CLASS, service},
    origins::{self, Origin},
    system::System,
};
use novaedge_ports::free_port;

const HOST: &str = "www.example.com";

const GATEWAY_AND_RULES: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: novaedge
  listeners: [{name: http, protocol: HTTP, port: ${HTTP}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: www}
spec:
  parentRefs: [{name: gw}]
  hostnames: [www.example.com]
  rules:
  - matches: [{path: {value: /delay}}]
    timeouts: {request: 200ms}
    backendRefs: [{name: a, port: 80}]
  - matches: [{path: {value: /flaky/once}}]
    retry: {codes: [503]}
    backendRefs: [{name: a, port: 80}]
  - matches: [{path: {value: /flaky/thrice}}]
    retry: {codes: [503], attempts: 3}
    backendRefs: [{name: a, port: 80}]
  - matches: [{path: {value: /flaky}}]
    backendRefs: [{name: a, port: 80}]
  - matches: [{path: {value: /status}}]
    retry: {codes: [503], attempts: 2}
    backendRefs: [{name: a, port: 80}]
  - matches: [{path: {value: /secure}}]
    filters: [{type: RequestRedirect, requestRedirect: {scheme: https, statusCode: 301}}]
  - matches: [{path: {value: /old}}]
    filters:
    - type: RequestRedirect
      requestRedirect:
        hostname: new.example.com
        port: 8443
        path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}
  - matches: [{path: {value: /api}}]
    filters:
    - type: CORS
      cors:
        allowOrigins: ["https://*.example.com"]
        allowMethods: [GET, PUT]
        allowHeaders: [x-one]
        allowCredentials: true
        maxAge: 60
    backendRefs: [{name: a, port: 80}]
  - matches: [{method: PUT, queryParams: [{name: v, value: "2"}]}]
    backendRefs: [{name: b, port: 80}]
"#;

struct Bed {
    system: System,
    http: SocketAddr,
    a: Origin,
    _b: Origin,
}

impl Bed {
    async fn start() -> Self {
        let port = free_port();
        let values: Values = [("HTTP", port.to_string())].into();
        let (a, b) = (origins::http("a").await, origins::http("b").await);
        let base = manifests::documents([
            GATEWAY_CLASS.to_owned(),
            fill(GATEWAY_AND_RULES, &values),
            service("a", 80, "TCP", &[a.address]),
            service("b", 80, "TCP", &[b.address]),
        ]);
        let system = System::start(&[("base.yaml", &base)]).await;
        let http = System::local(port);
        // Redirects come from the gateway itself, so the origins' counts stay at zero.
        eventually("the rules", async || {
            (get(http, HOST, "/secure").await.status == 301).then_some(())
        })
        .await;
        Self {
            system,
            http,
            a,
            _b: b,
        }
    }

    async fn get(&self, path: &str) -> Answer {
        get(self.http, HOST, path).await
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let builder = Request::builder()
            .method(method)
            .uri(path)
            .header("host", HOST);
        let builder = headers.iter().fold(builder, |builder, (name, value)| {
            builder.header(*name, *value)
        });
        let request = builder.body(Full::<Bytes>::default()).expect("a request");
        send(self.http, request).await
    }
}

#[tokio::test]
async fn a_request_that_takes_too_long_gets_504() {
    let bed = Bed::start().await;
    assert_eq!(bed.get("/delay/10").await.status, 200);
    let start = Instant::now();
    assert_eq!(bed.get("/delay/5000").await.status, 504);
    let took = start.elapsed().as_millis();
    assert!((200..1_000).contains(&took), "{took} ms");
    bed.system.stop().await;
}

#[tokio::test]
async fn listed_codes_are_tried_again_as_often_as_the_rule_says() {
    let bed = Bed::start().await;
    let mut before = 0;
    for (path, status, tries) in [
        ("/flaky/never/1", 503, 1),
        ("/flaky/once/1", 200, 2),
        ("/flaky/thrice/2", 200, 3),
        // The last answer of the backend is passed on.
        ("/status/503", 503, 3),
        ("/status/500", 500, 1),
    ] {
        assert_eq!(bed.get(path).await.status, status, "{path}");
        assert_eq!(bed.a.hits() - before, tries, "{path}");
        before = bed.a.hits();
    }
    bed.system.stop().await;
}

#[tokio::test]
async fn redirects_keep_what_they_do_not_name() {
    let bed = Bed::start().await;
    let answer = bed.get("/secure/x?y=1").await;
    assert_eq!(answer.status, 301);
    assert_eq!(
        answer.headers["location"],
        "https://www.example.com/secure/x?y=1"
    );
    let answer = bed.get("/old/x?y=1").await;
    assert_eq!(answer.status, 302);
    assert_eq!(
        answer.headers["location"],
        "http://new.example.com:8443/new/x?y=1"
    );
    assert_eq!(bed.a.hits(), 0, "redirects end requests at the gateway");
    bed.system.stop().await;
}

#[tokio::test]
async fn cors_is_answered_for_the_origins_that_are_allowed() {
    let bed = Bed::start().await;
    let origin = "https://shop.eu.example.com";
    let asked = [
        ("origin", origin),
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "x-one"),
    ];
    let answer = bed.send("OPTIONS", "/api", &asked).await;
    assert!(answer.status.is_success(), "{}", answer.status);
    assert_eq!(answer.headers["access-control-allow-origin"], origin);
    assert_eq!(answer.headers["access-control-allow-credentials"], "true");
    assert_eq!(answer.headers["access-control-max-age"], "60");
    let methods = answer.headers["access-control-allow-methods"]
        .to_str()
        .expect("text");
    assert!(
        methods.contains("GET") && methods.contains("PUT"),
        "{methods}"
    );
    assert_eq!(bed.a.hits(), 0, "a preflight ends at the gateway");

    let answer = bed.send("GET", "/api", &[("origin", origin)]).await;
    assert_eq!(answer.origin(), "a");
    assert_eq!(answer.headers["access-control-allow-origin"], origin);
    let answer = bed
        .send("GET", "/api", &[("origin", "https://example.org")])
        .await;
    assert_eq!(
        answer.origin(),
        "a",
        "others are served, without a word about origins"
    );
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
    bed.system.stop().await;
}

#[tokio::test]
async fn methods_and_query_parameters_choose_a_rule() {
    let bed = Bed::start().await;
    for (method, path, status) in [
        ("PUT", "/x?v=2", 200),
        ("PUT", "/x?u=1&v=2", 200),
        ("GET", "/x?v=2", 404),
        ("PUT", "/x?v=3", 404),
        ("PUT", "/x", 404),
    ] {
        assert_eq!(
            bed.send(method, path, &[]).await.status,
            status,
            "{method} {path}"
        );
    }
    bed.system.stop().await;
}
