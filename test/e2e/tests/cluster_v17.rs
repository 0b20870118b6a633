//! What version 1.7 of the Gateway API's conformance suite asks beyond 1.6 and needs an API server: what others wrote
//! into a status stays, and long names are served. `v17` has the tests of traffic.

use std::time::Duration;

use novaedge_e2e::{
    certificates::Ca,
    cluster::{GATEWAY, Namespace, bed, kubectl, route, serves, within},
};
use serde_json::{Value, json};

const HOST: &str = "hello.example.com";
const MINUTE: Duration = Duration::from_mins(1);

/// Another implementation, and a type of condition that NovaEdge knows nothing of.
const OTHER: &str = "other.example.com/controller";
const OTHER_TYPE: &str = "other.example.com/Checked";
/// Longer ago than anything that NovaEdge could stamp by mistake.
const OTHER_TIME: &str = "2020-02-20T20:20:20Z";

/// HTTPRoutePreserveForeignStatus.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn entries_of_others_in_a_routes_status_stay_as_they_are() {
    let (namespace, address) = bed("foreign-route", HOST, 1).await;
    let route = "httproute/hello";
    judged(&namespace, route).await;
    let seeded = seed(&namespace, route, "parents", "parentRef");
    let path = json!({"spec": {"rules": [{
        "matches": [{"path": {"type": "PathPrefix", "value": "/changed"}}],
        "backendRefs": [{"name": "hello", "port": 80}],
    }]}});
    merge(&namespace, route, &path);
    let after = judged(&namespace, route).await;
    assert_eq!(entries(&after, "parents"), seeded);
    // Others keep their entry when ours goes, too.
    let elsewhere = json!({"spec": {"parentRefs": [{"name": "unmanaged"}]}});
    merge(&namespace, route, &elsewhere);
    within(MINUTE, "the end of our entry", async || {
        let parents = get(&namespace, route)["status"]["parents"].clone();
        (parents.as_array().map(Vec::len) == Some(1)).then_some(())
    })
    .await;
    assert_eq!(entries(&get(&namespace, route), "parents"), seeded);
    let back = json!({"spec": {"parentRefs": [{"name": "edge"}]}});
    merge(&namespace, route, &back);
    let after = judged(&namespace, route).await;
    assert_eq!(entries(&after, "parents"), seeded);
    within(MINUTE, "the changed path", async || {
        let answer = novaedge_e2e::clients::get(address, HOST, "/changed").await;
        (answer.status == 200).then_some(())
    })
    .await;
}

/// BackendTLSPolicyPreserveForeignStatus.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn entries_of_others_in_a_policys_status_stay_as_they_are() {
    let (namespace, _) = bed("foreign-policy", HOST, 1).await;
    let authority = Ca::new().pem.trim_end().replace('\n', "\n    ");
    namespace.apply(&format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: authority}}\ndata:\n  ca.crt: |\n    {authority}\n---\n\
         apiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\nmetadata: {{name: hello}}\nspec:\n  \
         targetRefs: [{{group: '', kind: Service, name: hello}}]\n  \
         validation: {{hostname: abc.example.com, caCertificateRefs: [{{group: '', kind: ConfigMap, name: authority}}]}}\n"
    ));
    let policy = "backendtlspolicy/hello";
    judged(&namespace, policy).await;
    let seeded = seed(&namespace, policy, "ancestors", "ancestorRef");
    let name = json!({"spec": {"validation": {"hostname": "second.example.com"}}});
    merge(&namespace, policy, &name);
    let after = judged(&namespace, policy).await;
    assert_eq!(entries(&after, "ancestors"), seeded);
}

/// GatewayPreserveForeignConditions.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn conditions_of_others_on_a_gateway_and_its_listeners_stay_as_they_are() {
    let (namespace, _) = bed("foreign-conditions", HOST, 1).await;
    let gateway = "gateway/edge";
    let condition = json!({
        "type": OTHER_TYPE, "status": "True", "reason": "Seeded", "message": "by the test",
        "observedGeneration": 1, "lastTransitionTime": OTHER_TIME,
    });
    let add = |path: &str| json!({"op": "add", "path": path, "value": condition});
    let patch = json!([
        add("/status/conditions/-"),
        add("/status/listeners/0/conditions/-")
    ]);
    patch_status(&namespace, gateway, &patch);
    let hostname =
        json!([{"op": "add", "path": "/spec/listeners/0/hostname", "value": "second.example.com"}]);
    let hostname = hostname.to_string();
    namespace.kubectl(&["patch", gateway, "--type=json", "-p", &hostname]);
    let after = judged(&namespace, gateway).await;
    let status = &after["status"];
    for conditions in [&status["conditions"], &status["listeners"][0]["conditions"]] {
        let mut all = conditions.as_array().expect("conditions").iter();
        let found = all.find(|one| one["type"] == OTHER_TYPE);
        assert_eq!(found, Some(&condition), "{conditions:#}");
    }
}

/// GatewayNameMaximumLength, with traffic.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
async fn a_gateway_with_the_longest_name_is_served() {
    let (namespace, _) = bed("long-name", HOST, 1).await;
    let name = format!("longest-{}", "a".repeat(245));
    assert_eq!(name.len(), 253);
    let named = format!("name: {name}");
    namespace.apply(&GATEWAY.replace("name: edge", &named));
    namespace.apply(&route("long", "long.example.com").replace("name: edge", &named));
    let gateway = format!("gateway/{name}");
    judged(&namespace, &gateway).await;
    let address = namespace.address(&name, 80);
    serves(address, "long.example.com").await;
    // Another generation is judged as well.
    let hostname =
        json!([{"op": "add", "path": "/spec/listeners/0/hostname", "value": "long.example.com"}]);
    namespace.kubectl(&[
        "patch",
        &gateway,
        "--type=json",
        "-p",
        &hostname.to_string(),
    ]);
    judged(&namespace, &gateway).await;
    serves(address, "long.example.com").await;
    namespace.kubectl(&["delete", "httproute/long", &gateway]);
    within(MINUTE, "the end of its Service", async || {
        (namespace.objects("services", &[]).len() == 2).then_some(())
    })
    .await;
}

/// What a cluster's GatewayClass claims is what `novactl conformance` tells, and so what the report has.
#[test]
#[ignore = "needs a cluster (make cluster-up, then make e2e)"]
fn the_gatewayclass_claims_what_novactl_tells() {
    let names = "jsonpath={.status.supportedFeatures[*].name}";
    let claimed = kubectl(&["get", "gatewayclass/novaedge", "-o", names]);
    let claimed: Vec<&str> = claimed.split(' ').collect();
    let conformance = novactl::conformance::Conformance::shipped().expect("the shipped report");
    let told: Vec<&str> = conformance.features().into_keys().collect();
    assert_eq!(claimed, told);
}

fn get(namespace: &Namespace, object: &str) -> Value {
    let text = namespace.kubectl(&["get", object, "-o", "json"]);
    serde_json::from_str(&text).expect("JSON")
}

fn merge(namespace: &Namespace, object: &str, patch: &Value) {
    let patch = patch.to_string();
    namespace.kubectl(&["patch", object, "--type=merge", "-p", &patch]);
}

fn patch_status(namespace: &Namespace, object: &str, patch: &Value) {
    let patch = patch.to_string();
    namespace.kubectl(&[
        "patch",
        object,
        "--subresource=status",
        "--type=json",
        "-p",
        &patch,
    ]);
}

/// Adds an entry of another controller to a list of a status: the entries of others as they then are.
fn seed(namespace: &Namespace, object: &str, list: &str, reference: &str) -> Vec<Value> {
    let entry = json!({
        reference: {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "unmanaged"},
        "controllerName": OTHER,
        "conditions": [{
            "type": "Accepted", "status": "True", "reason": "Accepted", "message": "by the test",
            "observedGeneration": 1, "lastTransitionTime": OTHER_TIME,
        }],
    });
    let path = format!("/status/{list}/-");
    let patch = json!([{"op": "add", "path": path, "value": entry}]);
    patch_status(namespace, object, &patch);
    let seeded = entries(&get(namespace, object), list);
    assert_eq!(seeded, [entry], "the API server has stored it");
    seeded
}

/// The entries of others.
fn entries(object: &Value, list: &str) -> Vec<Value> {
    let all = object["status"][list].as_array().into_iter().flatten();
    all.filter(|entry| entry["controllerName"] == OTHER)
        .cloned()
        .collect()
}

/// The object once each of our conditions tells of its newest generation.
async fn judged(namespace: &Namespace, object: &str) -> Value {
    within(MINUTE, &format!("the status of {object}"), async || {
        let object = get(namespace, object);
        let mut generations = Vec::new();
        observed(&object["status"], &mut generations);
        let newest = &object["metadata"]["generation"];
        let done = !generations.is_empty() && generations.iter().all(|one| one == newest);
        done.then_some(object)
    })
    .await
}

/// The generations of all conditions but those of others.
fn observed(value: &Value, generations: &mut Vec<Value>) {
    match value {
        Value::Object(fields)
            if value["controllerName"] != OTHER && value["type"] != OTHER_TYPE =>
        {
            generations.extend(fields.get("observedGeneration").cloned());
            fields
                .values()
                .for_each(|field| observed(field, generations));
        }
        Value::Array(items) => items.iter().for_each(|item| observed(item, generations)),
        _ => {}
    }
}
