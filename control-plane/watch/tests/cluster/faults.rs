//! Objects that cannot be read, and an API server that fails or forgets.

use serde_json::json;

use crate::harness::{ROUTES, Running, SERVICES, route, server, service};

#[tokio::test]
async fn an_object_that_cannot_be_read_is_told_and_stops_nothing() {
    let server = server().await;
    server.put(ROUTES, route("bad", &json!({"a": 1})));
    server.put(ROUTES, route("good", &json!("a.example")));
    let mut running = Running::start(&server);
    running.next().await;
    assert!(running.has("HTTPRoute/n/good") && !running.has("HTTPRoute/n/bad"));
    let problem = &running.problems["HTTPRoute/n/bad"][0];
    assert!(
        problem.starts_with("HTTPRoute/n/bad: spec.hostnames[0]: "),
        "{problem}"
    );

    // The watch goes on, a good object keeps its last version, and both heal.
    server.put(ROUTES, route("good", &json!(7)));
    running
        .until("problem", |running| {
            running.problems.contains_key("HTTPRoute/n/good")
        })
        .await;
    assert_eq!(
        running.objects["HTTPRoute/n/good"]["spec"]["hostnames"][0],
        "a.example"
    );
    server.put(ROUTES, route("bad", &json!("b.example")));
    server.put(ROUTES, route("good", &json!("c.example")));
    running
        .until("healed", |running| {
            running.problems.is_empty() && running.has("HTTPRoute/n/bad")
        })
        .await;
    assert_eq!(
        running.objects["HTTPRoute/n/good"]["spec"]["hostnames"][0],
        "c.example"
    );
}

#[tokio::test]
async fn versions_that_are_forgotten_are_listed_again_without_spurious_changes() {
    let server = server().await;
    for name in ["same", "changed", "deleted"] {
        server.put(ROUTES, route(name, &json!("a.example")));
    }
    server.put(SERVICES, service("s"));
    let mut running = Running::start(&server);
    running.next().await;
    running.history.clear();
    // No watch can be opened while things change.
    server.change(|data| data.failing.insert(format!("{ROUTES}?watch"), 500));
    server.compact();
    server.put(ROUTES, route("changed", &json!("b.example")));
    server.put(ROUTES, route("new", &json!("a.example")));
    server.delete(ROUTES, "n/deleted");
    running.is_quiet().await;
    server.compact();
    server.change(|data| data.failing.clear());
    running
        .until("deleted", |running| !running.has("HTTPRoute/n/deleted"))
        .await;
    running.is_quiet().await;
    running.history.sort();
    assert_eq!(
        running.history,
        [
            "+HTTPRoute/n/changed",
            "+HTTPRoute/n/new",
            "-HTTPRoute/n/deleted"
        ]
    );
    // And the new watch follows.
    server.put(ROUTES, route("new", &json!("b.example")));
    running.next().await;
    assert_eq!(running.history.last().unwrap(), "+HTTPRoute/n/new");
}

#[tokio::test]
async fn a_version_that_is_refused_again_and_again_is_given_up() {
    let server = server().await;
    let mut running = Running::start(&server);
    running.next().await;
    server.change(|data| data.failing.insert(format!("{ROUTES}?watch"), 400));
    server.compact();
    let lists = |server: &crate::server::Server| {
        server.change(|data| data.requests.iter().filter(|path| *path == ROUTES).count())
    };
    let before = lists(&server);
    running
        .health
        .wait_for(|health| health.failing.contains_key("HTTPRoute"))
        .await
        .unwrap();
    server.put(ROUTES, route("new", &json!("a.example")));
    running
        .until("listed", |running| running.has("HTTPRoute/n/new"))
        .await;
    assert!(lists(&server) > before);
    server.change(|data| data.failing.clear());
    running
        .health
        .wait_for(|health| health.failing.is_empty())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_kind_that_may_not_be_read_is_told_and_nothing_is_sent_without_it() {
    let server = server().await;
    server.change(|data| data.failing.insert(SERVICES.to_owned(), 403));
    let mut running = Running::start(&server);
    running
        .health
        .wait_for(|health| health.failing.contains_key("Service"))
        .await
        .unwrap();
    running.is_quiet().await;
    server.change(|data| data.failing.clear());
    running.next().await;
    assert!(running.problems.is_empty());
    // Later it is told, and what there was stays.
    server.put(SERVICES, service("s"));
    running.next().await;
    server.change(|data| {
        data.failing.insert(SERVICES.to_owned(), 403);
        data.failing.insert(format!("{SERVICES}?watch"), 403);
    });
    server.compact();
    running
        .until("told", |running| {
            running.problems.contains_key("watch Service")
        })
        .await;
    assert!(running.has("Service/n/s"));
    server.change(|data| data.failing.clear());
    running
        .until("mended", |running| running.problems.is_empty())
        .await;
}
