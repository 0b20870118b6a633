use super::*;
use novaedge_proxy::metrics::RouteKey;

fn sources(workers: usize) -> Arc<Sources> {
    let (_, served) = watch::channel(Some(v1::Version {
        sequence: 42,
        digest: String::new(),
    }));
    let workers = (0..workers).map(|_| Arc::new(WorkerCounters::default()));
    Arc::new(Sources {
        workers: workers.collect(),
        checked: Arc::default(),
        memory: Arc::default(),
        served,
        subscription: None,
        open_files: Some(1_024),
        more: None,
    })
}

#[test]
fn workers_are_added_up() {
    let sources = sources(2);
    sources.workers[0].accepted.store(2, Ordering::Relaxed);
    sources.workers[1].accepted.store(3, Ordering::Relaxed);
    let text = render(&sources);
    for line in [
        "# TYPE novaedge_accepted_connections counter",
        "novaedge_accepted_connections_total 5",
        "novaedge_l4_connection_errors_total{kind=\"no_route\"} 0",
        "novaedge_http_own_answers_total{reason=\"overflow\"} 0",
        "novaedge_open_connections 0",
        "novaedge_snapshot_sequence 42",
        "novaedge_open_files_limit 1024",
        "# EOF",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} in {text}");
    }
}

#[test]
fn requests_have_listener_route_and_class() {
    let sources = sources(2);
    for worker in &sources.workers {
        let key = |route: Option<&str>| RouteKey {
            listener: "listener/ns/gw/http".into(),
            route: route.map(Into::into),
        };
        let shop = worker.http.route(key(Some("route/HTTPRoute/ns/shop/0")));
        shop.responses[2].increment();
        worker.http.route(key(None)).responses[4].increment();
        let listener = worker.http.listener(&"listener/ns/gw/http".into());
        listener.durations.buckets[1].increment();
    }
    let text = render(&sources);
    for line in [
        "novaedge_http_requests_total{listener=\"ns/gw/http\",route=\"HTTPRoute/ns/shop/0\",code=\"2xx\"} 2",
        "novaedge_http_requests_total{listener=\"ns/gw/http\",route=\"\",code=\"4xx\"} 2",
        "novaedge_http_request_duration_seconds_count{listener=\"ns/gw/http\"} 2",
        "novaedge_http_request_duration_seconds_bucket{le=\"0.0005\",listener=\"ns/gw/http\"} 0",
        "novaedge_http_request_duration_seconds_bucket{le=\"0.001\",listener=\"ns/gw/http\"} 2",
        "novaedge_http_request_duration_seconds_bucket{le=\"+Inf\",listener=\"ns/gw/http\"} 2",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} in {text}");
    }
}

#[test]
fn every_metric_has_one_name() {
    let text = render(&sources(1));
    let mut names = std::collections::BTreeSet::new();
    for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
        assert!(names.insert(line.split(' ').nth(2)), "{line}");
    }
    assert!(names.len() > 35, "{}", names.len());
}
