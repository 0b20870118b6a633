//! Retries by code, by connection errors, and within timeouts.

use std::{net::SocketAddr, time::Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use novaedge_e2e::{
    clients::send,
    manifests::{http_gateway, service},
    origins::{self, Origin},
    system::System,
};
use novaedge_ports::free_port;

use crate::bed::{accepted, get, start};

const HOST: &str = "www.example.com";

/// Origins read the rest of the path: `/retry/KEY/N/CODE/MS`.
const RETRIES: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: retries}
spec:
  parentRefs: [{name: gw}]
  rules:
  - matches: [{headers: [{name: x-rule, value: only-500}]}]
    retry: {codes: [500], attempts: 3}
    backendRefs: [{name: a, port: 80}]
  - matches: [{headers: [{name: x-rule, value: all}]}]
    retry: {codes: [500, 502, 503, 504], attempts: 2}
    backendRefs: [{name: a, port: 80}]
  - matches: [{headers: [{name: x-rule, value: none}]}]
    retry: {codes: [500, 502, 503, 504], attempts: 0}
    backendRefs: [{name: a, port: 80}]
  - matches: [{headers: [{name: x-rule, value: default}]}]
    retry: {codes: [500]}
    backendRefs: [{name: a, port: 80}]
  - matches: [{headers: [{name: x-rule, value: within-500ms}]}]
    retry: {codes: [500], attempts: 5}
    timeouts: {request: 500ms}
    backendRefs: [{name: a, port: 80}]
  - matches: [{headers: [{name: x-rule, value: each-300ms}]}]
    retry: {codes: [500], attempts: 3}
    timeouts: {request: 15s, backendRequest: 300ms}
    backendRefs: [{name: a, port: 80}]
";

struct Bed {
    system: System,
    origin: Origin,
    port: u16,
    keys: usize,
}

impl Bed {
    async fn start() -> Self {
        let origin = origins::http("a").await;
        let port = free_port();
        let system = start([
            http_gateway("gw", port),
            RETRIES.to_owned(),
            service("a", 80, "TCP", &[origin.address]),
        ])
        .await;
        accepted(&system, &["HTTPRoute/default/retries"]).await;
        Self {
            system,
            origin,
            port,
            keys: 0,
        }
    }

    /// Asks by a rule for an answer that fails `times` with `code` after `ms`: the status, and how often the origin
    /// was asked.
    async fn ask(&mut self, rule: &str, times: usize, code: u16, ms: u64) -> (u16, usize) {
        self.keys += 1;
        let path = format!("/retry/{}/{times}/{code}/{ms}", self.keys);
        let before = self.origin.hits();
        let answer = get(System::local(self.port), HOST, &path, &[("x-rule", rule)]).await;
        (answer.status.as_u16(), self.origin.hits() - before)
    }
}

/// HTTPRouteRetry.
#[tokio::test]
async fn listed_codes_are_retried_as_often_as_attempts_says() {
    let mut bed = Bed::start().await;
    let mut cases = vec![
        ("only-500", 2, 500, (200, 3)),
        ("only-500", 4, 500, (500, 4)),
        ("only-500", 2, 503, (503, 1)),
        // Without attempts there is one.
        ("default", 1, 500, (200, 2)),
        ("default", 2, 500, (500, 2)),
    ];
    for code in [500, 502, 503, 504] {
        cases.push(("all", 1, code, (200, 2)));
        cases.push(("all", 3, code, (code, 3)));
        cases.push(("none", 1, code, (code, 1)));
    }
    for (rule, times, code, expect) in cases {
        let found = bed.ask(rule, times, code, 0).await;
        assert_eq!(found, expect, "{rule}: {times} times {code}");
    }
    bed.system.stop().await;
}

/// HTTPRouteRetryWithRequestTimeout.
#[tokio::test]
async fn retries_end_with_the_time_of_the_whole_request() {
    let mut bed = Bed::start().await;
    assert_eq!(bed.ask("within-500ms", 1, 500, 0).await, (200, 2));
    let begin = Instant::now();
    let (status, tries) = bed.ask("within-500ms", 3, 500, 300).await;
    let took = begin.elapsed().as_millis();
    assert_eq!(status, 504);
    assert!((500..1_500).contains(&took), "{took} ms");
    assert_eq!(tries, 2, "the second try was cut off");
    bed.system.stop().await;
}

/// HTTPRouteRetryWithBackendTimeout.
#[tokio::test]
async fn each_try_has_the_time_of_a_backend_request() {
    let mut bed = Bed::start().await;
    // Three tries of 150 ms take longer than one may.
    let begin = Instant::now();
    assert_eq!(bed.ask("each-300ms", 3, 500, 150).await, (200, 4));
    assert!(begin.elapsed().as_millis() >= 450);
    // A try whose time is over is retried, whatever code it would have given.
    assert_eq!(bed.ask("each-300ms", 2, 404, 2_000).await, (200, 3));
    let begin = Instant::now();
    assert_eq!(bed.ask("each-300ms", 9, 500, 2_000).await, (504, 4));
    let took = begin.elapsed().as_millis();
    assert!((1_200..4_000).contains(&took), "{took} ms");
    bed.system.stop().await;
}

const CONNECTION_ERRORS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: connections}
spec:
  parentRefs: [{name: gw}]
  rules:
  - matches: [{path: {value: /retried}}]
    # As many as it takes to find the endpoint that is well.
    retry: {attempts: 100}
    backendRefs: [{name: broken, port: 80}]
  - matches: [{path: {value: /resets}}]
    retry: {attempts: 100}
    backendRefs: [{name: resetting, port: 80}]
  - matches: [{path: {value: /off}}]
    retry: {attempts: 0}
    backendRefs: [{name: broken, port: 80}]
  - matches: [{path: {value: /bare}}]
    backendRefs: [{name: broken, port: 80}]
";

/// [`CONNECTION_ERRORS`] with one endpoint of `broken` that refuses connections and one that is well, and these of
/// `resetting`; and where they are served.
async fn with_broken_endpoints(well: &Origin, resetting: &[SocketAddr]) -> (System, SocketAddr) {
    let port = free_port();
    let closed = System::local(free_port());
    let system = start([
        http_gateway("gw", port),
        CONNECTION_ERRORS.to_owned(),
        service("broken", 80, "TCP", &[closed, well.address]),
        service("resetting", 80, "TCP", resetting),
    ])
    .await;
    accepted(&system, &["HTTPRoute/default/connections"]).await;
    (system, System::local(port))
}

/// HTTPRouteRetryConnectionError.
#[tokio::test]
async fn connection_errors_are_retried_on_another_endpoint() {
    let (origin, resets) = (origins::http("well").await, origins::resetting().await);
    let endpoints = [resets.address, origin.address];
    let (system, http) = with_broken_endpoints(&origin, &endpoints).await;
    for path in ["/retried", "/resets"] {
        for _ in 0..10 {
            let answer = get(http, HOST, path, &[]).await;
            assert_eq!(
                (answer.status.as_u16(), answer.origin()),
                (200, "well"),
                "{path}"
            );
        }
    }
    assert!(resets.hits() > 0, "no request met the endpoint that resets");
    for path in ["/off", "/bare"] {
        let mut statuses = Vec::new();
        for _ in 0..10 {
            statuses.push(get(http, HOST, path, &[]).await.status.as_u16());
        }
        assert!(statuses.contains(&502), "{path} was retried: {statuses:?}");
    }
    system.stop().await;
}

/// The same row: what was sent may have been done, so it is not sent again unless that does no harm.
#[tokio::test]
async fn a_request_that_is_not_idempotent_is_not_sent_again_after_a_reset() {
    let (origin, resets) = (origins::http("well").await, origins::resetting().await);
    let (system, http) = with_broken_endpoints(&origin, &[resets.address]).await;
    let post = async |path: &str| {
        let request = Request::post(path).header("host", HOST);
        let request = request.body(Full::new(Bytes::from_static(b"once")));
        send(http, request.expect("a request")).await
    };
    assert_eq!(post("/resets").await.status, 502);
    assert_eq!(resets.hits(), 1, "one try");
    // A refused connection has carried nothing.
    for _ in 0..4 {
        assert_eq!(post("/retried").await.echo().body, "once");
    }
    system.stop().await;
}
