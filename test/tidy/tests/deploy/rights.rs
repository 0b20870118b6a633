//! Who may do what.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::manifests::{Manifest, read, text};
use crate::{deployments, pod};

fn words<'a>(rule: &'a Value, field: &str) -> BTreeSet<&'a str> {
    rule[field]
        .as_array()
        .into_iter()
        .flatten()
        .map(text)
        .collect()
}

fn rules(all: &[Manifest]) -> Vec<&Value> {
    all.iter()
        .filter_map(|one| one.object["rules"].as_array())
        .flatten()
        .collect()
}

/// Whether all names of a group may be used so.
fn may(rules: &[&Value], group: &str, resource: &str, verb: &str) -> bool {
    rules.iter().any(|rule| {
        words(rule, "apiGroups").contains(group)
            && words(rule, "resources").contains(resource)
            && words(rule, "verbs").contains(verb)
            && rule["resourceNames"].is_null()
    })
}

#[test]
fn accounts_and_roles_exist_and_agents_have_no_rights() {
    let set = read("ha").resources;
    let named = |kind: &str, name: &Value| {
        set.iter()
            .any(|one| one.is(kind) && one.name() == text(name))
    };
    for deployment in deployments(&set) {
        assert!(named(
            "ServiceAccount",
            &pod(deployment)["serviceAccountName"]
        ));
    }
    let mut bindings = 0;
    for one in set.iter().filter(|one| one.kind().ends_with("RoleBinding")) {
        let role = &one.object["roleRef"];
        assert!(named(text(&role["kind"]), &role["name"]), "{}", one.file);
        for subject in one.object["subjects"].as_array().into_iter().flatten() {
            assert!(named("ServiceAccount", &subject["name"]), "{}", one.file);
            assert_eq!(subject["namespace"], "novaedge-system");
            assert_ne!(subject["name"], "novaedge-agent", "agents need no rights");
        }
        bindings += 1;
    }
    assert_eq!(bindings, 2);
    let agent = deployments(&set)
        .into_iter()
        .find(|one| one.name() == "novaedge-agent");
    assert_eq!(
        pod(agent.expect("it is there"))["automountServiceAccountToken"],
        false
    );
}

#[test]
fn rights_are_enough_and_not_more() {
    let set = read("ha").resources;
    let rules = rules(&set);
    for rule in &rules {
        for field in ["apiGroups", "resources", "verbs"] {
            assert!(!words(rule, field).contains("*"), "{rule}");
        }
    }
    for crd in set.iter().filter(|one| one.is("CustomResourceDefinition")) {
        let plural = text(&crd.object["spec"]["names"]["plural"]);
        for verb in [
            "get", "list", "watch", "create", "update", "patch", "delete",
        ] {
            assert!(may(&rules, "novaedge.io", plural, verb), "{plural}: {verb}");
        }
        assert!(may(
            &rules,
            "novaedge.io",
            &format!("{plural}/status"),
            "patch"
        ));
    }
    for rule in &rules {
        let gateway_api = words(rule, "apiGroups")
            .iter()
            .any(|group| group.starts_with("gateway."));
        let verbs = words(rule, "verbs");
        for resource in words(rule, "resources") {
            // What users wrote is theirs.
            if gateway_api && !resource.ends_with("/status") {
                assert_eq!(verbs, BTreeSet::from(["get", "list", "watch"]), "{rule}");
            }
        }
    }
    for resource in ["secrets", "configmaps"] {
        assert!(may(&rules, "", resource, "watch"));
        assert!(!may(&rules, "", resource, "update") && !may(&rules, "", resource, "delete"));
    }
    assert!(!may(&rules, "", "pods", "create"));
    assert!(may(
        &rules,
        "authentication.k8s.io",
        "tokenreviews",
        "create"
    ));
}

#[test]
fn agents_of_their_own_have_no_rights_either() {
    let set = read("fleet").resources;
    let rules = rules(&set);
    assert!(may(&rules, "", "pods", "watch"));
    assert!(!may(&rules, "", "configmaps", "get") && !may(&rules, "", "secrets", "get"));
    let mut bindings = set.iter().filter(|one| one.kind().ends_with("RoleBinding"));
    let binding = bindings.next().expect("the control plane has rights");
    assert!(bindings.next().is_none() && !set.iter().any(|one| one.is("ClusterRole")));
    let subjects = &binding.object["subjects"];
    assert_eq!(subjects.as_array().map(Vec::len), Some(1));
    assert_eq!(subjects[0]["name"], "novaedge-control-plane");
    assert_eq!(subjects[0]["namespace"], "novaedge-system");
}
