//! Namespaces that end.

use super::*;

const NAMESPACE: &str = "/api/v1/namespaces/default";

fn namespace(deleted: bool) -> Value {
    let mut metadata = json!({"name": "default"});
    if deleted {
        metadata["deletionTimestamp"] = json!("2025-01-01T00:00:00Z");
    }
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_in_a_namespace_that_ends_until_it_is_there_again() {
    let server = Server::default();
    let path = format!("{ROUTES}/a");
    server.put(&path, route("a", &[]));
    server.put(NAMESPACE, namespace(true));
    let replica = Replica::start(&server);
    let intake = &replica.intake;
    replica.observe();
    intake.settle();
    replica.lead(true);
    intake.take(&Delta {
        natives: vec![Change::Upsert(native("new"))],
        ..Delta::default()
    });
    intake.status(&route_id("a"), Some(accepted("True")));
    let wrong = Diagnostic::error(route_id("a"), "spec", "BackendNotFound", "make it");
    intake.diagnose(&route_id("a"), &[wrong]);
    soon().await;
    assert_eq!(server.writes(), [""; 0]);
    assert_eq!(replica.metrics.events_dropped(), 1);
    assert_eq!(replica.metrics.queued(), 0);
    assert!(intake.troubles().borrow().is_empty());

    server.put(NAMESPACE, namespace(false));
    replica.observe();
    soon().await;
    let expect = [
        format!("PATCH {path}/status"),
        format!("PATCH {NATIVES}/new"),
    ];
    assert_eq!(server.writes(), expect);
}

#[tokio::test(start_paused = true)]
async fn what_the_api_server_refuses_because_of_that_is_not_tried_again() {
    let server = Server::default();
    server.put(NAMESPACE, namespace(false));
    let replica = Replica::start(&server);
    let intake = &replica.intake;
    replica.observe();
    intake.settle();
    replica.lead(true);
    server.fail(Fault::Ending);
    let natives = ["a", "b"].map(|name| Change::Upsert(native(name)));
    let [a, b] = natives.map(|native| Delta {
        natives: vec![native],
        ..Delta::default()
    });
    intake.take(&a);
    soon().await;
    assert_eq!(server.writes(), [format!("PATCH {NATIVES}/a")]);
    intake.take(&b);
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(server.writes(), [""; 0], "the others are not even tried");
    assert_eq!(replica.metrics.native_errors(), 0);
    assert!(intake.troubles().borrow().is_empty());
    assert_eq!(replica.metrics.queued(), 0);
}
