//! Requests of a whole agent, seen step by step by whoever asked for them.

use std::io::{Read as _, Write as _};
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

/// docs/observability.md has the names of all fields.
fn is_documented(traced: &v1::TracedRequest) {
    let page = crate::documented::page();
    for field in traced.steps.iter().flat_map(|step| &step.fields) {
        let is_header = field.name.starts_with("http.request.header.")
            || field.name.starts_with("http.response.header.");
        let is_told = page.contains(&format!("`{}`", field.name));
        assert!(is_header || is_told, "{} is not documented", field.name);
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
            ("received", "server.address", "a.example"),
            ("received", "url.path", "/cart"),
            ("received", "url.query", "id=7&token=REDACTED"),
            ("received", "http.request.header.host", "a.example"),
            ("received", "http.request.header.x-user", "anna"),
            ("received", "http.request.header.authorization", "REDACTED"),
            ("matched", "client.address", "127.0.0.1"),
            ("matched", "gateway", "default/g"),
            ("matched", "listener", "http"),
            ("matched", "route", "HTTPRoute/default/a"),
            ("matched", "rule", "0"),
            ("backend", "backend", "default/a"),
            ("try", "tries", "1"),
            ("try", "endpoint", &origin.to_string()),
            ("try", "url.path", "/cart"),
            ("try", "url.query", "id=7&token=REDACTED"),
            ("try", "http.request.header.x-forwarded-for", "127.0.0.1"),
            ("try", "http.request.header.authorization", "REDACTED"),
            ("answered", "http.response.status_code", "200"),
            ("answer", "http.response.status_code", "200"),
            ("answer", "by", "backend"),
            ("end", "http.response.body.size", &body),
            ("end", "termination", "complete"),
            ("end", "client.address", "127.0.0.1"),
        ],
    );
    let times: Vec<u64> = traced.steps.iter().map(|step| step.at_us).collect();
    assert!(times.is_sorted(), "{times:?}");
    is_documented(&traced);
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
            "received", "matched", "backend", "try", "failed", "retry", "try", "failed", "refused",
            "answer", "end"
        ]
    );
    let error = told(&failed, "failed", "upstream.failure").unwrap();
    assert!(error.contains("refused"), "{error}");
    check(
        &failed,
        &[
            ("failed", "reason", "connect_failed"),
            ("refused", "reason", "connect_failed"),
            ("answer", "by", "gateway"),
            ("answer", "reason", "connect_failed"),
            ("answer", "http.response.status_code", "502"),
            ("end", "termination", "upstream"),
        ],
    );
    is_documented(&failed);
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
async fn a_try_at_another_endpoint_follows_one_that_failed() {
    let gone = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let origin = http_origin();
    let (agent, port) = serve(&[gone, origin], |route| {
        route.retry = Some(v1::Retry {
            attempts: 1,
            ..v1::Retry::default()
        });
    })
    .await;
    // Either endpoint may be the first.
    let tapped = tap(&agent, |question| question.count = 10);
    for _ in 0..10 {
        get(port, "/", "");
    }
    let all = all(tapped).await;
    let retried = all.iter().find(|one| names(one).contains(&"retry"));
    let retried = retried.unwrap_or_else(|| panic!("no retry: {all:#?}"));
    assert_eq!(
        names(retried),
        [
            "received", "matched", "backend", "try", "failed", "retry", "try", "answered",
            "answer", "end"
        ]
    );
    let tries = retried.steps.iter().filter(|step| step.what == "try");
    let endpoints = tries.map(|step| {
        let field = step.fields.iter().find(|field| field.name == "endpoint");
        field.map(|field| field.value.clone())
    });
    let expect = [gone, origin].map(|one| Some(one.to_string()));
    assert_eq!(endpoints.collect::<Vec<_>>(), expect);
    check(
        retried,
        &[
            ("retry", "after", "0.000000"),
            ("answer", "http.response.status_code", "200"),
            ("answer", "by", "backend"),
        ],
    );
    agent.drain(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn a_redirect_is_an_answer_of_the_gateway_and_no_refusal() {
    let (agent, port) = serve(&[http_origin()], |route| {
        route.backends.clear();
        let redirect = v1::Redirect {
            hostname: "b.example".into(),
            status_code: 301,
            ..v1::Redirect::default()
        };
        route.filters = vec![v1::Filter {
            kind: Some(v1::filter::Kind::Redirect(redirect)),
        }];
    })
    .await;
    let tapped = tap(&agent, |question| question.status = "3xx".into());
    get(port, "/x?token=s3cret", "");
    let traced = all(tapped).await.remove(0);
    assert_eq!(names(&traced), ["received", "matched", "answer", "end"]);
    check(
        &traced,
        &[
            ("answer", "by", "gateway"),
            ("answer", "reason", "redirect"),
            ("answer", "http.response.status_code", "301"),
        ],
    );
    let location = told(&traced, "answer", "http.response.header.location");
    assert!(
        location.unwrap().ends_with("/x?token=REDACTED"),
        "{location:?}"
    );
    agent.drain(Duration::from_secs(2)).await;
}

/// Switches to whatever is asked, says hello, and hangs up.
fn switching_origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                head.extend(byte);
            }
            let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
                          upgrade: x\r\n\r\nhello";
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

#[tokio::test]
async fn a_switch_of_protocols_is_told_with_what_passed() {
    let (agent, port) = serve(&[switching_origin()], |_| {}).await;
    let tapped = tap(&agent, |_| {});
    ask(
        port,
        b"GET / HTTP/1.1\r\nhost: a.example\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    );
    let traced = all(tapped).await.remove(0);
    assert_eq!(
        names(&traced),
        [
            "received", "matched", "backend", "try", "answered", "answer", "upgraded", "end"
        ]
    );
    check(
        &traced,
        &[
            ("answer", "http.response.status_code", "101"),
            ("end", "http.response.body.size", "5"),
        ],
    );
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
