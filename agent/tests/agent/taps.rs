//! Requests of a whole agent, seen step by step by whoever asked for them.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use futures_util::StreamExt as _;
use novaedge_agent::Agent;
use novaedge_ports::free_port;
use novaedge_proto::v1::{self, resource::Body};
use novaedge_proxy::taps::Tapped;

use crate::support::{
    agent, ask, backend, connect, gateway, http_origin, http_route, listener, resource, step,
};

/// An agent in front of these endpoints, and its port.
async fn serve(to: &[SocketAddr], set: impl FnOnce(&mut v1::Route)) -> (Agent, u16) {
    let agent = agent();
    let port = free_port();
    let route = http_route(v1::RouteKind::Http, "a");
    let Some(Body::Route(mut body)) = route.body else {
        panic!("a route");
    };
    set(&mut body);
    let mut all = vec![
        gateway(),
        listener("http", port, v1::Protocol::Http),
        resource(&route.name, Body::Route(body)),
    ];
    all.extend(backend("a", to));
    assert_eq!(agent.apply(step(1, all, &[])).await.unwrap(), []);
    (agent, port)
}

fn tap(agent: &Agent, set: impl FnOnce(&mut v1::TraceQuestion)) -> Tapped {
    let mut question = v1::TraceQuestion::default();
    set(&mut question);
    agent.taps().open(&question).unwrap()
}

/// All that was asked for.
async fn all(tapped: Tapped) -> Vec<v1::TracedRequest> {
    let all = tokio::time::timeout(Duration::from_secs(10), tapped.collect());
    all.await.unwrap()
}

fn get(port: u16, path: &str, fields: &str) -> String {
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n{fields}\r\n");
    ask(port, request.as_bytes())
}

fn names(traced: &v1::TracedRequest) -> Vec<&str> {
    traced.steps.iter().map(|step| &*step.what).collect()
}

/// A field of the first step of this name.
fn told<'a>(traced: &'a v1::TracedRequest, what: &str, name: &str) -> Option<&'a str> {
    let step = traced.steps.iter().find(|step| step.what == what)?;
    let field = step.fields.iter().find(|field| field.name == name)?;
    Some(&field.value)
}

fn check(traced: &v1::TracedRequest, expect: &[(&str, &str, &str)]) {
    for (what, name, value) in expect {
        assert_eq!(
            told(traced, what, name),
            Some(*value),
            "{name} of {what}: {traced:#?}"
        );
    }
}

#[tokio::test]
async fn a_request_is_told_step_by_step() {
    let origin = http_origin();
    let (agent, port) = serve(&[origin], |_| {}).await;
    // Nobody wants this one.
    get(port, "/before", "");
    let tapped = tap(&agent, |_| {});
    let answer = get(
        port,
        "/cart?id=7&token=s3cret",
        "authorization: Basic YTpi\r\nx-user: anna\r\n",
    );
    let body = answer.split_once("\r\n\r\n").unwrap().1.len().to_string();
    let traced = all(tapped).await.remove(0);
    assert_eq!(
        names(&traced),
        [
            "received", "matched", "backend", "try", "answered", "answer", "end"
        ]
    );
    check(
        &traced,
        &[
            ("received", "network.peer.address", "127.0.0.1"),
            ("received", "network.protocol.version", "1.1"),
            ("received", "url.scheme", "http"),
            ("received", "http.request.method", "GET"),
            ("received", "url.path", "/cart"),
            ("received", "url.query", "id=7&token=REDACTED"),
            ("received", "http.request.header.host", "a.example"),
            ("received", "http.request.header.x-user", "anna"),
            ("received", "http.request.header.authorization", "REDACTED"),
            ("matched", "gateway", "default/g"),
            ("matched", "listener", "http"),
            ("matched", "route", "HTTPRoute/default/a"),
            ("matched", "rule", "0"),
            ("backend", "backend", "default/a"),
            ("try", "tries", "1"),
            ("try", "endpoint", &origin.to_string()),
            ("try", "http.request.header.x-forwarded-for", "127.0.0.1"),
            ("try", "http.request.header.authorization", "REDACTED"),
            ("answered", "http.response.status_code", "200"),
            ("answer", "http.response.status_code", "200"),
            ("end", "http.response.body.size", &body),
            ("end", "termination", "complete"),
            ("end", "client.address", "127.0.0.1"),
        ],
    );
    let times: Vec<u64> = traced.steps.iter().map(|step| step.at_us).collect();
    assert!(times.is_sorted(), "{times:?}");
    agent.drain(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn failed_tries_and_own_answers_say_why() {
    let gone = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (agent, port) = serve(&[gone], |route| {
        route.retry = Some(v1::Retry {
            attempts: 1,
            ..v1::Retry::default()
        });
    })
    .await;
    let tapped = tap(&agent, |question| question.count = 2);
    get(port, "/", "");
    ask(
        port,
        b"GET / HTTP/1.1\r\nhost: other.example\r\nconnection: close\r\n\r\n",
    );
    let [failed, missed] = all(tapped).await.try_into().unwrap();
    assert_eq!(
        names(&failed),
        [
            "received", "matched", "backend", "try", "failed", "try", "failed", "refused",
            "answer", "end"
        ]
    );
    let error = told(&failed, "failed", "error").unwrap();
    assert!(error.contains("refused"), "{error}");
    check(
        &failed,
        &[
            ("refused", "reason", "connect_failed"),
            ("answer", "http.response.status_code", "502"),
            ("end", "termination", "upstream"),
        ],
    );
    assert_eq!(
        names(&missed),
        ["received", "unmatched", "refused", "answer", "end"]
    );
    check(
        &missed,
        &[
            ("refused", "reason", "no_route"),
            ("answer", "http.response.status_code", "404"),
        ],
    );
    agent.drain(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn requests_of_http2_are_told_too_and_only_those_that_match() {
    let (agent, port) = serve(&[http_origin()], |_| {}).await;
    let tapped = tap(&agent, |question| {
        question.host = "a.example".into();
        question.path = "/api/*".into();
        question.route = "default/a".into();
        question.status = "2xx".into();
        question.count = 2;
    });
    let elsewhere = tap(&agent, |question| question.status = "5xx".into());
    let stream = connect(port);
    stream.set_nonblocking(true).unwrap();
    let stream = tokio::net::TcpStream::from_std(stream).unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    for path in ["/", "/api/1", "/apis", "/api/2?x=1"] {
        let request = http::Request::get(format!("http://a.example{path}"))
            .body(())
            .unwrap();
        client = client.ready().await.unwrap();
        let (answer, _) = client.send_request(request, true).unwrap();
        let mut body = answer.await.unwrap().into_body();
        while let Some(part) = body.data().await {
            let _ = body.flow_control().release_capacity(part.unwrap().len());
        }
    }
    let traced = all(tapped).await;
    let paths: Vec<_> = traced
        .iter()
        .map(|one| told(one, "received", "url.path"))
        .collect();
    assert_eq!(paths, [Some("/api/1"), Some("/api/2")]);
    for one in &traced {
        check(
            one,
            &[
                ("received", "network.protocol.version", "2"),
                ("received", "server.address", "a.example"),
                ("end", "termination", "complete"),
            ],
        );
    }
    let none = tokio::time::timeout(Duration::from_millis(100), elsewhere.collect::<Vec<_>>());
    assert!(none.await.is_err());
    drop(client);
    connection.abort();
    agent.drain(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn what_is_long_is_cut() {
    let (agent, port) = serve(&[http_origin()], |_| {}).await;
    let tapped = tap(&agent, |_| {});
    let long = "x".repeat(2_900);
    let fields: Vec<String> = (0..20)
        .map(|index| format!("x-{index}: {long}\r\n"))
        .collect();
    get(port, "/", &fields.concat());
    let traced = all(tapped).await.remove(0);
    let size: usize = traced
        .steps
        .iter()
        .flat_map(|step| &step.fields)
        .map(|field| field.name.len() + field.value.len())
        .sum();
    assert!(size < 20_000, "{size}");
    assert!(
        told(&traced, "received", "...")
            .unwrap()
            .ends_with("more fields")
    );
    assert_eq!(names(&traced).last(), Some(&"end"));
    agent.drain(Duration::from_secs(2)).await;
}
