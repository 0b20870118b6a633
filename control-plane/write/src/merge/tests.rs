use serde_json::json;

use super::*;

const THEN: &str = "2025-01-01T00:00:00Z";
const NOW: &str = "2026-01-01T00:00:00Z";

fn condition(type_: &str, status: &str, time: &str) -> Value {
    json!({"type": type_, "status": status, "reason": "R", "message": "", "lastTransitionTime": time})
}

fn parent(controller: &str, name: &str, conditions: &[Value]) -> Value {
    json!({
        "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": name},
        "controllerName": controller,
        "conditions": conditions,
    })
}

/// A patch, applied as RFC 7386 says, which must leave nothing more to write.
fn check(kind: Kind, wanted: &Value, current: &Value, expect: &Value) {
    let Some(patch) = merge(kind, Some(wanted), current, NOW) else {
        assert_eq!(current, expect);
        return;
    };
    let mut after = current.as_object().cloned().unwrap_or_default();
    for (field, value) in patch.as_object().expect("an object") {
        match value {
            Value::Null => after.remove(field),
            value => after.insert(field.clone(), value.clone()),
        };
    }
    let after = Value::Object(after);
    assert_eq!(&after, expect);
    let again = merge(kind, Some(wanted), &after, "2027-01-01T00:00:00Z");
    assert_eq!(again, None, "equal state is not written");
}

const EPOCH: &str = "1970-01-01T00:00:00Z";

#[test]
fn gatewayclass_transition_time_moves_with_the_status_only() {
    let status = |conditions: &[Value]| json!({"conditions": conditions});
    let kind = Kind::GatewayClass;
    let wanted = status(&[condition("Accepted", "True", EPOCH)]);
    let now = status(&[condition("Accepted", "True", NOW)]);
    let then = status(&[condition("Accepted", "True", THEN)]);
    check(kind, &wanted, &Value::Null, &now);
    check(kind, &wanted, &then, &then);
    let refused = status(&[condition("Accepted", "False", THEN)]);
    check(kind, &wanted, &refused, &now);
    let mut other_reason = condition("Accepted", "True", THEN);
    other_reason["reason"] = "Other".into();
    check(kind, &wanted, &status(&[other_reason]), &then);
}

#[test]
fn gateway_conditions_of_other_types_survive_on_gateway_and_listener() {
    let foreign = condition("example.com/Scanned", "True", THEN);
    let listener = |name: &str, attached: i32, conditions: &[Value]| {
        json!({"name": name, "attachedRoutes": attached, "conditions": conditions,
               "supportedKinds": []})
    };
    let wanted = json!({
        "addresses": [{"type": "IPAddress", "value": "10.0.0.1"}],
        "conditions": [condition("Accepted", "True", EPOCH), condition("Programmed", "True", EPOCH)],
        "listeners": [listener("a", 2, &[condition("Accepted", "True", EPOCH)])],
    });
    let current = json!({
        "conditions": [
            foreign,
            condition("Programmed", "Unknown", THEN),
            condition("Accepted", "True", THEN),
            condition("InsecureFrontendValidationMode", "True", THEN),
        ],
        "listeners": [
            listener("gone", 1, &[]),
            listener("a", 1, &[foreign.clone(), condition("Accepted", "True", THEN)]),
        ],
        "attachedListenerSets": 1,
        "future": {"kept": true},
    });
    let expect = json!({
        "addresses": [{"type": "IPAddress", "value": "10.0.0.1"}],
        "conditions": [
            foreign,
            condition("Programmed", "True", NOW),
            condition("Accepted", "True", THEN),
        ],
        "listeners": [
            listener("a", 2, &[foreign.clone(), condition("Accepted", "True", THEN)]),
        ],
        "future": {"kept": true},
    });
    check(Kind::Gateway, &wanted, &current, &expect);
    assert!(has_foreign(Kind::Gateway, &current));
    assert!(!has_foreign(Kind::Gateway, &wanted));
    assert_eq!(merge(Kind::Gateway, None, &current, NOW), None);
}

#[test]
fn route_entries_of_other_controllers_survive_unchanged() {
    let ours = |name: &str, time: &str| {
        parent(
            CONTROLLER_NAME,
            name,
            &[condition("Accepted", "True", time)],
        )
    };
    let theirs = parent(
        "example.com/other",
        "a",
        &[condition("Accepted", "False", THEN)],
    );
    let wanted = json!({"parents": [ours("a", EPOCH), ours("b", EPOCH)]});
    let current = json!({"parents": [ours("old", THEN), theirs, ours("b", THEN)]});
    let expect = json!({"parents": [theirs, ours("b", THEN), ours("a", NOW)]});
    check(Kind::HttpRoute, &wanted, &current, &expect);
    assert!(has_foreign(Kind::HttpRoute, &current));
    assert!(has_our_entries(Kind::HttpRoute, &current));
    let gone = merge(Kind::HttpRoute, None, &current, NOW);
    assert_eq!(gone, Some(json!({"parents": [theirs]})));
    let not_ours = json!({"parents": [theirs]});
    assert_eq!(merge(Kind::HttpRoute, None, &not_ours, NOW), None);
    assert_eq!(merge(Kind::HttpRoute, None, &Value::Null, NOW), None);
    let last = json!({"parents": [ours("a", THEN)]});
    let gone = merge(Kind::HttpRoute, None, &last, NOW);
    assert_eq!(gone, Some(json!({"parents": []})));
}

#[test]
fn conditions_that_others_add_to_our_entry_survive() {
    let foreign = condition("example.com/Dns", "True", THEN);
    let entry =
        |conditions: &[Value]| json!({"parents": [parent(CONTROLLER_NAME, "a", conditions)]});
    check(
        Kind::GrpcRoute,
        &entry(&[condition("Accepted", "False", EPOCH)]),
        &entry(&[condition("Accepted", "True", THEN), foreign.clone()]),
        &entry(&[condition("Accepted", "False", NOW), foreign]),
    );
}

#[test]
fn a_reference_without_group_and_kind_is_a_gateways() {
    let mut bare = parent(CONTROLLER_NAME, "a", &[condition("Accepted", "True", THEN)]);
    bare["parentRef"] = json!({"name": "a"});
    let full = parent(CONTROLLER_NAME, "a", &[condition("Accepted", "True", THEN)]);
    let full = json!({"parents": [full]});
    check(Kind::HttpRoute, &full, &json!({"parents": [bare]}), &full);
}

#[test]
fn policy_ancestors_stop_at_sixteen_and_others_come_first() {
    let ancestor = |controller: &str, name: &str, time: &str| {
        json!({"ancestorRef": {"name": name}, "controllerName": controller,
               "conditions": [condition("Accepted", "True", time)]})
    };
    let theirs: Vec<Value> = (0..15)
        .map(|n| ancestor("example.com/other", &n.to_string(), THEN))
        .collect();
    let wanted = json!({"ancestors": [
        ancestor(CONTROLLER_NAME, "a", EPOCH), ancestor(CONTROLLER_NAME, "b", EPOCH),
    ]});
    let mut expect = theirs.clone();
    expect.push(ancestor(CONTROLLER_NAME, "a", NOW));
    check(
        Kind::BackendTlsPolicy,
        &wanted,
        &json!({"ancestors": theirs}),
        &json!({"ancestors": expect}),
    );
}

#[test]
fn nothing_is_like_null_and_like_an_empty_list() {
    let wanted = json!({"conditions": [], "addresses": []});
    assert_eq!(merge(Kind::Gateway, Some(&wanted), &Value::Null, NOW), None);
    assert_eq!(
        merge(Kind::Secret, Some(&wanted), &json!({"x": 1}), NOW),
        None
    );
}

#[test]
fn addresses_of_an_ingress_come_change_and_go() {
    let kind = Kind::Ingress;
    let at = |ips: &[&str]| {
        let points: Vec<Value> = ips.iter().map(|ip| json!({"ip": ip})).collect();
        json!({"loadBalancer": {"ingress": points}})
    };
    let nothing = json!({"loadBalancer": {}});
    // As the API server shows a status that nobody has written.
    assert_eq!(merge(kind, Some(&nothing), &nothing, NOW), None);
    assert_eq!(merge(kind, Some(&nothing), &Value::Null, NOW), None);
    check(kind, &at(&["192.0.2.1"]), &nothing, &at(&["192.0.2.1"]));
    check(
        kind,
        &at(&["192.0.2.2"]),
        &at(&["192.0.2.1"]),
        &at(&["192.0.2.2"]),
    );
    let gone = merge(kind, Some(&nothing), &at(&["192.0.2.1"]), NOW);
    assert_eq!(gone, Some(json!({"loadBalancer": {"ingress": null}})));
    // One that is no longer ours is somebody else's to write.
    assert_eq!(merge(kind, None, &at(&["192.0.2.1"]), NOW), None);
}
