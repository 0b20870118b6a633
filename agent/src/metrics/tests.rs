use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use novaedge_meter::ResourceName;
use novaedge_proxy::metrics::RuleKey;
use novaedge_proxy::reason::Reason;

use super::*;

fn sources(workers: usize) -> Sources {
    let (_, served) = watch::channel(Some(v1::Version {
        sequence: 42,
        digest: String::new(),
    }));
    let traffic = Traffic::default();
    let counters = |index| Arc::new(WorkerCounters::new(index, &traffic));
    let workers = (0..workers).map(counters).collect();
    Sources {
        workers,
        traffic,
        live: nothing(),
        checked: Arc::default(),
        memory: Arc::default(),
        served,
        observed: Observed::default(),
        subscription: None,
        open_files: Some(1_024),
        more: None,
    }
}

fn rule(route: &str, index: u32) -> RuleKey {
    RuleKey {
        listener: ResourceName::new("listener/ns/gw/http"),
        kind: "HTTPRoute".into(),
        namespace: "team".into(),
        route: route.into(),
        index,
        rule: index.to_string().into(),
        resource: format!("route/HTTPRoute/team/{route}/{index}").into(),
    }
}

fn assert_lines(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|one| one == *line), "{line} in {text}");
    }
}

#[test]
fn workers_are_added_up() {
    let sources = sources(2);
    sources.workers[0].accepted.store(2, Ordering::Relaxed);
    sources.workers[1].accepted.store(3, Ordering::Relaxed);
    sources.workers[0].http.handshakes.tls13.add(4);
    sources.workers[1].l4.handshakes.tls13.add(1);
    assert_lines(
        &render(&sources),
        &[
            "# TYPE novaedge_accepted_connections counter",
            "novaedge_accepted_connections_total 5",
            "novaedge_tls_handshakes_total{transport=\"tcp\",version=\"1.3\",result=\"ok\"} 5",
            "novaedge_open_connections 0",
            "novaedge_snapshot_sequence 42",
            "novaedge_open_files_limit 1024",
            "# EOF",
        ],
    );
}

const SHOP: &str = "gateway_namespace=\"ns\",gateway=\"gw\",listener=\"http\",route_kind=\"HTTPRoute\",route_namespace=\"team\",route=\"shop\"";

#[test]
fn a_route_with_one_rule_has_twenty_series_and_an_unused_one_none() {
    let sources = sources(2);
    let now = Instant::now();
    for worker in 0..2 {
        let shop = sources
            .traffic
            .http
            .rules
            .part(rule("shop", 0), worker, now);
        for millis in [1, 80] {
            shop.durations.observe(Duration::from_millis(millis));
        }
        shop.client_errors.increment();
        shop.server_errors.increment();
    }
    drop(sources.traffic.http.rules.part(rule("unused", 0), 0, now));
    let text = render(&sources);
    let shop = |suffix: &str, more: &str, value: &str| format!("{suffix}{{{SHOP}{more}}} {value}");
    for line in [
        shop(
            "http_server_request_duration_seconds_bucket",
            ",le=\"0.005\"",
            "2",
        ),
        shop(
            "http_server_request_duration_seconds_bucket",
            ",le=\"0.1\"",
            "4",
        ),
        shop("http_server_request_duration_seconds_count", "", "4"),
        shop("http_server_request_duration_seconds_sum", "", "0.162"),
        shop("novaedge_http_rule_requests_total", ",rule=\"0\"", "4"),
        shop("novaedge_http_request_errors_total", ",class=\"4xx\"", "2"),
        shop("novaedge_http_request_errors_total", ",class=\"5xx\"", "2"),
    ] {
        assert_lines(&text, &[&line]);
    }
    let series = |route: &str| text.lines().filter(|line| line.contains(route)).count();
    assert_eq!(series("route=\"shop\""), 20);
    assert_eq!(series("unused"), 0);
}

#[test]
fn rules_of_a_route_make_one_histogram() {
    let sources = sources(1);
    for index in [0, 1, 10] {
        let rules = &sources.traffic.http.rules;
        let part = rules.part(rule("shop", index), 0, Instant::now());
        part.durations.observe(Duration::ZERO);
    }
    let text = render(&sources);
    let line = format!("http_server_request_duration_seconds_count{{{SHOP}}} 3");
    assert_lines(&text, &[&line]);
    let rules = text
        .lines()
        .filter(|line| line.contains("novaedge_http_rule_requests_total{"));
    assert_eq!(rules.count(), 3);
}

#[test]
fn requests_that_no_route_took_are_counted_for_their_listener() {
    let sources = sources(1);
    let none = RuleKey {
        kind: "".into(),
        namespace: "".into(),
        route: "".into(),
        rule: "".into(),
        resource: "".into(),
        ..rule("", 0)
    };
    let http = &sources.traffic.http;
    let now = Instant::now();
    http.rules
        .part(none, 0, now)
        .durations
        .observe(Duration::ZERO);
    let listener = ResourceName::new("listener/ns/gw/http");
    let listener = http.listeners.part(listener, 0, now);
    listener.own_answers[Reason::NoRoute.index()].increment();
    listener.aborted_by_client.increment();
    assert_lines(
        &render(&sources),
        &[
            "http_server_request_duration_seconds_count{gateway_namespace=\"ns\",gateway=\"gw\",listener=\"http\",route_kind=\"\",route_namespace=\"\",route=\"\"} 1",
            "novaedge_http_own_answers_total{gateway_namespace=\"ns\",gateway=\"gw\",listener=\"http\",reason=\"no_route\"} 1",
            "novaedge_http_aborted_requests_total{gateway_namespace=\"ns\",gateway=\"gw\",listener=\"http\",side=\"client\"} 1",
            "http_server_active_requests{gateway_namespace=\"ns\",gateway=\"gw\",listener=\"http\"} 0",
        ],
    );
}

#[test]
fn endpoints_are_those_that_a_worker_sees_and_connections_are_those_of_all() {
    let sources = sources(2);
    for worker in 0..2 {
        let name = ResourceName::new("backend/ns/shop");
        let backends = &sources.traffic.http.backends;
        let part = backends.part(name, worker, Instant::now());
        part.pool.open.set(3);
        part.pool.idle.set(1);
        part.pool.endpoints.set(5);
        part.pool.unhealthy.set(1);
        part.pool.ejected.set(worker as u64);
    }
    assert_lines(
        &render(&sources),
        &[
            "http_client_open_connections{backend_namespace=\"ns\",backend=\"shop\",state=\"active\"} 4",
            "http_client_open_connections{backend_namespace=\"ns\",backend=\"shop\",state=\"idle\"} 2",
            "novaedge_backend_endpoints{backend_namespace=\"ns\",backend=\"shop\",state=\"healthy\"} 3",
            "novaedge_backend_endpoints{backend_namespace=\"ns\",backend=\"shop\",state=\"unhealthy\"} 1",
            "novaedge_backend_endpoints{backend_namespace=\"ns\",backend=\"shop\",state=\"ejected\"} 1",
        ],
    );
}

#[test]
fn metrics_have_one_name_each_and_all_are_described() {
    let text = render(&sources(1));
    let shown = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let shown: Vec<&str> = shown.filter_map(|line| line.split(' ').next()).collect();
    let names: BTreeSet<&str> = shown.iter().copied().collect();
    assert_eq!(names.len(), shown.len());
    let described: Vec<&str> = catalog().iter().map(|one| one.name).collect();
    for name in names {
        assert!(described.contains(&name), "{name}");
    }
    let unique: BTreeSet<&str> = described.iter().copied().collect();
    assert_eq!(unique.len(), described.len());
}
