use novaedge_api::meta::Kind;
use novaedge_store::Change;
use serde_json::{Value, json};

use super::{Cache, Effect};
use crate::raw::Raw;
use crate::watch::Event;

fn class(name: &str, version: u32, controller: &Value) -> Raw {
    Raw::of(json!({
        "metadata": {"name": name, "uid": format!("uid-{name}"), "resourceVersion": version.to_string()},
        "spec": {"controllerName": controller},
    }))
}

fn cache() -> Cache {
    Cache::new(Kind::GatewayClass, "gateway.networking.k8s.io/v1")
}

/// What an event amounts to, in words.
fn take(cache: &mut Cache, event: Event<Raw>) -> Vec<String> {
    let mut effect = Effect::default();
    cache.take(event, &mut effect);
    words(&effect)
}

fn words(effect: &Effect) -> Vec<String> {
    let changes = effect.changes.iter().map(|change| match change {
        Change::Upsert(object) => {
            let version = object.metadata().resource_version.clone();
            format!("{} at {}", object.id(), version.unwrap_or_default())
        }
        Change::Delete(id) => format!("{id} gone"),
    });
    let findings = effect.findings.iter().map(|(id, findings)| {
        let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
        format!("{id} has {findings:?}")
    });
    changes.chain(findings).collect()
}

fn list(cache: &mut Cache, objects: Vec<Raw>) -> Vec<String> {
    let mut told = take(cache, Event::Restarted);
    for object in objects {
        told.extend(take(cache, Event::Listed(object)));
    }
    told.extend(take(cache, Event::Complete));
    told
}

#[test]
fn a_list_after_a_gap_tells_what_differs_and_nothing_else() {
    let mut cache = cache();
    let x = json!("x.example/x");
    assert!(!cache.is_in_sync());
    let told = list(
        &mut cache,
        vec![class("a", 1, &x), class("b", 1, &x), class("c", 1, &x)],
    );
    assert_eq!(
        told,
        [
            "GatewayClass/a at 1",
            "GatewayClass/b at 1",
            "GatewayClass/c at 1"
        ]
    );
    assert!(cache.is_in_sync());
    let told = list(
        &mut cache,
        vec![class("a", 1, &x), class("b", 2, &x), class("d", 3, &x)],
    );
    assert_eq!(
        told,
        [
            "GatewayClass/b at 2",
            "GatewayClass/d at 3",
            "GatewayClass/c gone"
        ]
    );
    // A list that breaks off takes nothing away.
    assert!(take(&mut cache, Event::Restarted).is_empty());
    assert_eq!(
        list(&mut cache, vec![class("a", 1, &x), class("b", 2, &x)]),
        ["GatewayClass/d gone"]
    );
}

#[test]
fn an_object_that_cannot_be_read_keeps_its_last_version_and_heals() {
    let mut cache = cache();
    let (good, bad) = (json!("x.example/x"), json!(5));
    take(&mut cache, Event::Applied(class("a", 1, &good)));
    let told = take(&mut cache, Event::Applied(class("a", 2, &bad)));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("GatewayClass/a has [\"GatewayClass/a: spec.controllerName: "),
        "{told:?}"
    );
    assert!(
        told[0].contains("the version before it stays in force"),
        "{told:?}"
    );
    let told = take(&mut cache, Event::Applied(class("a", 3, &good)));
    assert_eq!(told, ["GatewayClass/a at 3", "GatewayClass/a has []"]);
    take(&mut cache, Event::Applied(class("a", 4, &bad)));
    let told = take(&mut cache, Event::Deleted(class("a", 5, &bad)));
    assert_eq!(told, ["GatewayClass/a gone", "GatewayClass/a has []"]);
}

#[test]
fn an_object_that_never_could_be_read_is_left_out() {
    let mut cache = cache();
    let told = list(
        &mut cache,
        vec![
            class("a", 1, &json!({})),
            class("b", 1, &json!("x.example/x")),
        ],
    );
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[1], "GatewayClass/b at 1");
    assert!(told[0].contains("the object is left out"), "{told:?}");
    assert_eq!(
        take(&mut cache, Event::Deleted(class("a", 2, &json!({})))),
        ["GatewayClass/a has []"]
    );
}

#[test]
fn another_object_of_the_same_name_inherits_nothing() {
    let mut cache = cache();
    take(
        &mut cache,
        Event::Applied(class("a", 1, &json!("x.example/x"))),
    );
    let other = Raw::of(json!({
        "metadata": {"name": "a", "uid": "other", "resourceVersion": "2"}, "spec": {"controllerName": 5},
    }));
    let told = take(&mut cache, Event::Applied(other));
    assert_eq!(told[0], "GatewayClass/a gone");
    assert!(told[1].contains("the object is left out"), "{told:?}");
}

#[test]
fn a_field_of_a_newer_api_is_told_and_the_object_is_used() {
    let mut cache = cache();
    let mut newer = class("a", 1, &json!("x.example/x"));
    newer.value["spec"]["novelty"] = json!(1);
    let told = take(&mut cache, Event::Applied(newer));
    assert_eq!(told[0], "GatewayClass/a at 1");
    assert!(
        told[1].contains("spec.novelty: this version of NovaEdge does not know the field"),
        "{told:?}"
    );
}

#[test]
fn slices_that_say_the_same_are_not_given_on() {
    let mut cache = Cache::new(Kind::EndpointSlice, "discovery.k8s.io/v1");
    let slice = |version: u32, trigger: &str, address: &str| {
        Raw::of(json!({
            "metadata": {"name": "s", "namespace": "n", "resourceVersion": version.to_string(),
                         "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": trigger}},
            "addressType": "IPv4", "endpoints": [{"addresses": [address]}], "ports": [],
        }))
    };
    let told = take(&mut cache, Event::Applied(slice(1, "x", "10.0.0.1")));
    assert_eq!(told, ["EndpointSlice/n/s at 1"]);
    assert!(take(&mut cache, Event::Applied(slice(2, "y", "10.0.0.1"))).is_empty());
    let told = take(&mut cache, Event::Applied(slice(3, "z", "10.0.0.2")));
    assert_eq!(told, ["EndpointSlice/n/s at 3"]);
}

#[test]
fn another_version_of_the_kind_keeps_what_it_does_not_change() {
    let mut cache = cache();
    let x = json!("x.example/x");
    list(&mut cache, vec![class("a", 1, &x), class("b", 1, &x)]);
    cache.change_version("gateway.networking.k8s.io/v1beta1");
    assert_eq!(
        list(&mut cache, vec![class("a", 1, &x)]),
        ["GatewayClass/b gone"]
    );
    let mut effect = Effect::default();
    cache.clear(&mut effect);
    assert_eq!(words(&effect), ["GatewayClass/a gone"]);
}
