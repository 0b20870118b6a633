//! What of a cluster's objects is NovaEdge's: others may serve Gateways there, too.

use std::collections::BTreeSet;

use novaedge_api::{
    meta::{Kind, ObjectKey},
    native::CONTROLLER_NAME,
};
use serde_json::Value;

use crate::object::{Inventory, Parent, Resource, text};

/// Leaves out what others serve, and what they say of routes that both serve. An object that nobody serves stays.
pub(super) fn keep(inventory: &mut Inventory) {
    let classes = classes(inventory);
    let is_foreign = |class: &str| classes.iter().any(|(name, ours)| name == class && !ours);
    let foreign: BTreeSet<ObjectKey> = inventory
        .of_kind(Kind::Gateway)
        .filter(|gateway| is_foreign(gateway.text("/spec/gatewayClassName").unwrap_or_default()))
        .map(|gateway| gateway.id.key.clone())
        .collect();
    inventory.resources.retain(|id, resource| match id.kind {
        Kind::GatewayClass => !is_foreign(&id.key.name),
        Kind::Gateway => !foreign.contains(&id.key),
        Kind::ListenerSet => {
            let parent = resource.value.pointer("/spec/parentRef");
            let parent = Parent::of(parent.unwrap_or(&Value::Null), &id.key.namespace);
            !foreign.contains(&parent.key)
        }
        _ => keep_entries(resource, &foreign),
    });
}

/// The classes, and which are ours.
fn classes(inventory: &Inventory) -> Vec<(String, bool)> {
    let classes = inventory.of_kind(Kind::GatewayClass);
    classes
        .map(|class| {
            let controller = class.text("/spec/controllerName");
            (
                class.id.key.name.clone(),
                controller == Some(CONTROLLER_NAME),
            )
        })
        .collect()
}

/// Leaves out others' entries of a status; false when the object is theirs alone.
fn keep_entries(resource: &mut Resource, foreign: &BTreeSet<ObjectKey>) -> bool {
    let namespace = resource.id.key.namespace.clone();
    let mut left_out = 0;
    for list in ["/status/parents", "/status/ancestors"] {
        let entries = resource
            .value
            .pointer_mut(list)
            .and_then(Value::as_array_mut);
        if let Some(entries) = entries {
            let before = entries.len();
            entries.retain(|entry| text(entry, "/controllerName") == CONTROLLER_NAME);
            left_out += before - entries.len();
            if !entries.is_empty() {
                return true;
            }
        }
    }
    let parents = resource.list("/spec/parentRefs");
    let all_foreign = !parents.is_empty()
        && parents
            .iter()
            .all(|parent| foreign.contains(&Parent::of(parent, &namespace).key));
    left_out == 0 && !all_foreign
}

#[cfg(test)]
mod tests {
    use novaedge_api::meta::ObjectId;
    use serde_json::json;

    use super::*;

    fn enter(inventory: &mut Inventory, kind: Kind, name: &str, value: Value) {
        let id = ObjectId::new(kind, "a", name);
        let resource = Resource {
            id: id.clone(),
            value,
        };
        inventory.resources.insert(id, resource);
    }

    #[test]
    fn what_others_serve_is_left_out_and_what_nobody_serves_stays() {
        let mut all = Inventory::default();
        let class = |controller: &str| json!({"spec": {"controllerName": controller}});
        let gateway = |class: &str| json!({"spec": {"gatewayClassName": class}});
        let route = |parents: &[&str], controllers: &[&str]| {
            let refs = parents.iter().map(|name| json!({"name": name}));
            let entries = controllers.iter().map(|c| json!({"controllerName": c}));
            json!({
                "spec": {"parentRefs": refs.collect::<Vec<_>>()},
                "status": {"parents": entries.collect::<Vec<_>>()},
            })
        };
        enter(&mut all, Kind::GatewayClass, "ours", class(CONTROLLER_NAME));
        enter(&mut all, Kind::GatewayClass, "theirs", class("x/y"));
        enter(&mut all, Kind::Gateway, "edge", gateway("ours"));
        enter(&mut all, Kind::Gateway, "lost", gateway("nobody"));
        enter(&mut all, Kind::Gateway, "other", gateway("theirs"));
        let both = route(&["edge", "other"], &[CONTROLLER_NAME, "x/y"]);
        enter(&mut all, Kind::HttpRoute, "both", both);
        enter(&mut all, Kind::HttpRoute, "unserved", route(&["lost"], &[]));
        enter(&mut all, Kind::HttpRoute, "waiting", route(&["other"], &[]));
        enter(
            &mut all,
            Kind::HttpRoute,
            "foreign",
            route(&["z"], &["x/y"]),
        );
        keep(&mut all);
        let names: Vec<&str> = all
            .resources
            .keys()
            .map(|id| id.key.name.as_str())
            .collect();
        assert_eq!(names, ["ours", "edge", "lost", "both", "unserved"]);
        let both = all.get(Kind::HttpRoute, "a", "both").expect("a route");
        assert_eq!(both.list("/status/parents").len(), 1);
    }
}
