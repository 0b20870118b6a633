//! Traces of a whole agent, sent to a collector that speaks OTLP.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{
    agent_with, ask, backend, field, gateway, http_origin, http_route, listener, step,
};
use novaedge_agent::{Agent, Telemetry};
use novaedge_collector::{
    Collector, Span, SpanKind, SpanStatus, StatusCode, attributes, hex, of_kind,
};
use novaedge_ports::free_port;
use novaedge_proto::v1;
use novaedge_telemetry::{Export, Sampling, TraceConfig, Tracer};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// The spans, once there are so many.
async fn wait(collector: &Collector, count: usize) -> Vec<Span> {
    let spans = collector.wait(|spans| spans.len() >= count).await;
    assert_eq!(spans.len(), count, "{spans:#?}");
    spans
}

fn tracer(collector: SocketAddr, ratio: f64) -> (Tracer, Export) {
    novaedge_telemetry::start(TraceConfig {
        endpoint: format!("http://{collector}"),
        sampling: Sampling { ratio },
        service: "novaedge-agent",
        version: "0",
        instance: "test".into(),
    })
    .unwrap()
}

/// An agent that traces, in front of these endpoints.
async fn serve(tracer: Tracer, to: &[SocketAddr], retries: u32) -> (Agent, u16) {
    let agent = agent_with(Telemetry {
        tracer: Some(tracer),
        ..Telemetry::default()
    });
    let port = free_port();
    let mut route = http_route(v1::RouteKind::Http, "a");
    if let Some(v1::resource::Body::Route(route)) = &mut route.body {
        route.retry = (retries > 0).then(|| v1::Retry {
            attempts: retries,
            ..Default::default()
        });
    }
    let route = crate::support::resource(&route.name, route.body.unwrap());
    let mut all = vec![gateway(), listener("http", port, v1::Protocol::Http), route];
    all.extend(backend("a", to));
    assert_eq!(agent.apply(step(1, all, &[])).await.unwrap(), []);
    (agent, port)
}

/// Asks on a thread of its own, so that the collector is served meanwhile.
async fn get(port: u16, fields: &str) -> String {
    let request = format!(
        "GET /cart?id=7&token=s3cret HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n{fields}\r\n"
    );
    let asked = tokio::task::spawn_blocking(move || ask(port, request.as_bytes()));
    asked.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_belong_together_and_the_backend_sees_the_try() {
    let (collector, address) = Collector::start().await.unwrap();
    let (tracer, export) = tracer(address, 0.0);
    let origin = http_origin();
    let (agent, port) = serve(tracer, &[origin], 0).await;
    let fields = format!("traceparent: 00-{TRACE}-{PARENT}-01\r\ntracestate: a=1\r\n");
    let answer = get(port, &fields).await;
    let spans = wait(&collector, 3).await;
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE));
    let server = of_kind(&spans, SpanKind::Server)[0];
    assert_eq!(hex(&server.parent_span_id), PARENT);
    assert_eq!(server.trace_state, "a=1");
    let routing = of_kind(&spans, SpanKind::Internal)[0];
    let client = of_kind(&spans, SpanKind::Client)[0];
    for child in [routing, client] {
        assert_eq!(child.parent_span_id, server.span_id);
    }
    // The origin answers with the head that it got.
    let seen = field(&answer, "traceparent");
    assert_eq!(seen, format!("00-{TRACE}-{}-01", hex(&client.span_id)));
    assert_eq!(field(&answer, "tracestate"), "a=1");
    for key in spans
        .iter()
        .flat_map(|span| attributes(span).into_keys().collect::<Vec<_>>())
    {
        let page = crate::documented::page();
        assert!(
            page.contains(&format!("`{key}`")),
            "docs/observability.md leaves out {key}"
        );
    }
    let told = attributes(server);
    for (key, value) in [
        ("http.request.method", "GET"),
        ("url.scheme", "http"),
        ("url.path", "/cart"),
        ("url.query", "id=7&token=REDACTED"),
        ("http.response.status_code", "200"),
        ("network.protocol.version", "1.1"),
        ("client.address", "127.0.0.1"),
        ("novaedge.gateway", "default/g"),
        ("novaedge.listener", "http"),
        ("novaedge.route", "HTTPRoute/default/a"),
        ("novaedge.rule", "0"),
        ("novaedge.backend", "default/a"),
        ("novaedge.termination", "complete"),
    ] {
        assert_eq!(
            told.get(key).map(String::as_str),
            Some(value),
            "{key}: {told:?}"
        );
    }
    assert_eq!(attributes(routing)["novaedge.backend"], "default/a");
    let told = attributes(client);
    assert_eq!(told["server.port"], origin.port().to_string());
    assert_eq!(told["http.response.status_code"], "200");
    agent.drain(Duration::from_secs(2)).await;
    export.stop(Duration::from_secs(2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_sampled_is_passed_on_and_not_sent() {
    let (collector, address) = Collector::start().await.unwrap();
    let (tracer, export) = tracer(address, 0.0);
    let (agent, port) = serve(tracer, &[http_origin()], 0).await;
    let passed = format!("00-{TRACE}-{PARENT}-00");
    let answer = get(port, &format!("traceparent: {passed}\r\n")).await;
    assert_eq!(field(&answer, "traceparent"), passed);
    let answer = get(port, "").await;
    assert_eq!(field(&answer, "traceparent"), "");
    agent.drain(Duration::from_secs(2)).await;
    export.stop(Duration::from_secs(2)).await;
    assert_eq!(collector.spans(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_try_has_a_span_and_a_new_trace_forgets_the_state_of_another() {
    let (collector, address) = Collector::start().await.unwrap();
    let (tracer, export) = tracer(address, 1.0);
    let gone = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let (agent, port) = serve(tracer, &[gone], 1).await;
    let answer = get(port, "traceparent: 00-not-valid-01\r\ntracestate: a=1\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    let spans = wait(&collector, 4).await;
    let server = of_kind(&spans, SpanKind::Server)[0];
    assert!(server.parent_span_id.iter().all(|byte| *byte == 0));
    assert_eq!(server.trace_state, "");
    assert_eq!(attributes(server)["error.type"], "connect_failed");
    let failed = |span: &Span| span.status.as_ref().map(SpanStatus::code);
    assert_eq!(failed(server), Some(StatusCode::Error));
    let tries = of_kind(&spans, SpanKind::Client);
    assert_eq!(tries.len(), 2);
    let resent: Vec<_> = tries
        .iter()
        .filter_map(|span| attributes(span).get("http.request.resend_count").cloned())
        .collect();
    assert_eq!(resent, ["1"]);
    assert!(
        tries
            .iter()
            .all(|span| failed(span) == Some(StatusCode::Error))
    );
    agent.drain(Duration::from_secs(2)).await;
    export.stop(Duration::from_secs(2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_is_sent_at_the_end() {
    let (collector, address) = Collector::start().await.unwrap();
    let (tracer, export) = tracer(address, 1.0);
    let counters = Arc::clone(tracer.counters());
    let (agent, port) = serve(tracer, &[http_origin()], 0).await;
    for _ in 0..10 {
        get(port, "").await;
    }
    agent.drain(Duration::from_secs(2)).await;
    export.stop(Duration::from_secs(5)).await;
    assert_eq!(collector.spans().len(), 30);
    assert_eq!(
        (counters.sent(), counters.dropped(), counters.failed()),
        (30, 0, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_gone_harms_no_request() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let (tracer, export) = tracer(address, 1.0);
    let counters = Arc::clone(tracer.counters());
    let (agent, port) = serve(tracer, &[http_origin()], 0).await;
    for _ in 0..20 {
        let answer = get(port, "").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    agent.drain(Duration::from_secs(2)).await;
    let begin = Instant::now();
    export.stop(Duration::from_secs(2)).await;
    assert!(begin.elapsed() < Duration::from_secs(4));
    assert_eq!(counters.sent(), 0);
    assert!(counters.failed() > 0);
}

#[test]
fn a_collector_needs_an_address_that_is_one() {
    for endpoint in [
        "collector:4317",
        "https://collector:4317",
        "http://",
        "ftp://x",
    ] {
        let config = TraceConfig {
            endpoint: endpoint.into(),
            sampling: Sampling { ratio: 1.0 },
            service: "test",
            version: "0",
            instance: "test".into(),
        };
        let error = novaedge_telemetry::start(config).unwrap_err().to_string();
        assert!(
            error.contains(endpoint) && error.contains("http://HOST:PORT"),
            "{error}"
        );
    }
}
