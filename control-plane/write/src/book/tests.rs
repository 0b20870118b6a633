use novaedge_api::{gateway::HttpRoute, meta::ObjectKey};
use serde_json::json;

use super::*;

fn route(version: &str, accepted: Option<&str>) -> Change {
    let parents: Vec<Value> = accepted
        .into_iter()
        .map(|status| {
            json!({
                "parentRef": {"name": "gw"}, "controllerName": novaedge_api::native::CONTROLLER_NAME,
                "conditions": [{"type": "Accepted", "status": status, "reason": "R",
                    "message": "", "lastTransitionTime": "2025-01-01T00:00:00Z"}],
            })
        })
        .collect();
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "a", "namespace": "d", "uid": "u", "resourceVersion": version},
        "spec": {"rules": []}, "status": {"parents": parents},
    });
    let route: HttpRoute = serde_json::from_value(route).expect("a route");
    Change::Upsert(route.into())
}

fn status_work() -> Work {
    Work::Status(ObjectId {
        kind: Kind::HttpRoute,
        key: ObjectKey::new("d", "a"),
    })
}

#[test]
fn what_an_old_watch_tells_does_not_undo_what_was_answered() {
    let mut book = Book::default();
    book.observe(&route("1", None));
    book.wrote(
        &status_work(),
        [0; 32],
        &json!({"metadata": {"resourceVersion": "5"}, "status": {"parents": [1]}}),
    );
    let status = |book: &Book| book.seen[status_work().id()].status();
    book.observe(&route("4", None));
    assert_eq!(status(&book), Some(json!({"parents": [1]})));
    book.observe(&route("6", None));
    assert_eq!(status(&book), Some(json!({"parents": []})));
}

#[test]
fn a_new_leader_looks_at_entries_that_nobody_wants_any_more() {
    let mut book = Book::default();
    book.observe(&route("1", None));
    book.activate();
    assert!(book.take_changed().is_empty());
    book.deactivate();
    book.observe(&route("2", Some("True")));
    assert!(
        book.take_changed().is_empty(),
        "a follower has nothing to do"
    );
    book.activate();
    assert_eq!(book.take_changed(), [status_work()].into());
    assert!(matches!(
        book.plan(&status_work(), None, "now"),
        Plan::Write(_)
    ));
}

#[test]
fn an_object_that_is_gone_needs_nothing() {
    let mut book = Book::default();
    book.activate();
    book.want_status(
        status_work().id(),
        Some(DesiredStatus::Route(
            [novaedge_api::gateway::RouteParentStatus::default()].into(),
        )),
    );
    assert!(matches!(
        book.plan(&status_work(), None, "now"),
        Plan::Nothing
    ));
    book.observe(&route("1", None));
    assert!(matches!(
        book.plan(&status_work(), None, "now"),
        Plan::Write(_)
    ));
    book.observe(&Change::Delete(status_work().id().clone()));
    assert!(matches!(
        book.plan(&status_work(), None, "now"),
        Plan::Nothing
    ));
}

#[test]
fn nothing_is_kept_of_objects_that_are_gone() {
    let mut book = Book::default();
    book.activate();
    let native = Work::Native(ObjectId {
        kind: Kind::ProxyRoute,
        key: ObjectKey::new("d", "a"),
    });
    let live = json!({"metadata": {"uid": "u", "resourceVersion": "2"}});
    // A native object that the writer deletes before the watch tells.
    book.wrote(&native, [0; 32], &live);
    book.forget(native.id());
    book.observe(&Change::Delete(native.id().clone()));
    // An object that somebody deletes while its status is written.
    book.observe(&route("1", None));
    book.wrote(&status_work(), [0; 32], &live);
    book.observe(&Change::Delete(status_work().id().clone()));
    book.wrote(&status_work(), [0; 32], &live);
    assert!(book.written.is_empty(), "{:?}", book.written);
    assert!(book.seen.is_empty(), "{:?}", book.seen);
}
