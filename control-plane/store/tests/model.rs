//! The store against a model that has no index: it looks through all objects for every answer.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::collections::{BTreeMap, BTreeSet};

use novaedge_api::decode::decode;
use novaedge_api::gateway::{Gateway, HttpRoute, ReferenceGrant};
use novaedge_api::meta::{Kind, Object, ObjectId, ObjectKey};
use novaedge_store::{Change, Store, Touch, references};
use proptest::prelude::*;
use serde_json::{Value, json};

const NAMESPACES: [&str; 2] = ["web", "shop"];
const NAMES: [&str; 3] = ["a", "b", "c"];

/// All objects, and nothing else.
#[derive(Default)]
struct Model(BTreeMap<ObjectId, Object>);

impl Model {
    fn apply(&mut self, change: &Change) -> Option<Object> {
        match change.clone() {
            Change::Upsert(object) => self.0.insert(object.id(), object),
            Change::Delete(id) => self.0.remove(&id),
        }
    }

    fn referrers(&self, target: &ObjectId, kind: Kind) -> Vec<ObjectKey> {
        let of_kind = self.0.iter().filter(|(id, _)| id.kind == kind);
        let referring = of_kind.filter(|(_, object)| references(object).contains(target));
        referring.map(|(id, _)| id.key.clone()).collect()
    }

    fn of_kind(&self, kind: Kind, namespace: Option<&str>) -> Vec<ObjectKey> {
        let ids = self.0.keys().filter(|id| id.kind == kind);
        let ids = ids.filter(|id| namespace.is_none_or(|wanted| id.key.namespace == wanted));
        ids.map(|id| id.key.clone()).collect()
    }
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&NAMES[..])
}

fn namespace() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&NAMESPACES[..])
}

fn metadata() -> impl Strategy<Value = Value> {
    (namespace(), name(), prop::option::of(0..3i64), 0..3u8).prop_map(
        |(namespace, name, generation, version)| {
            let mut metadata = json!({
                "namespace": namespace, "name": name, "resourceVersion": version.to_string(),
            });
            if let Some(generation) = generation {
                metadata["generation"] = json!(generation);
            }
            metadata
        },
    )
}

fn reference() -> impl Strategy<Value = Value> {
    (prop::option::of(namespace()), name()).prop_map(|(namespace, name)| match namespace {
        Some(namespace) => json!({"namespace": namespace, "name": name}),
        None => json!({"name": name}),
    })
}

/// A reference with a port.
fn backend() -> impl Strategy<Value = Value> {
    reference().prop_map(|mut reference| {
        reference["port"] = json!(80);
        reference
    })
}

fn object() -> impl Strategy<Value = Object> {
    let api = "gateway.networking.k8s.io/v1";
    let gateway = (metadata(), name(), prop::option::of(reference())).prop_map(
        move |(metadata, class, certificate)| {
            let listener = match certificate {
                Some(certificate) => json!({
                    "name": "https", "port": 443, "protocol": "HTTPS",
                    "tls": {"certificateRefs": [certificate]},
                }),
                None => json!({"name": "http", "port": 80, "protocol": "HTTP"}),
            };
            json!({
                "apiVersion": api, "kind": "Gateway", "metadata": metadata,
                "spec": {"gatewayClassName": class, "listeners": [listener]},
            })
        },
    );
    let route = (
        metadata(),
        reference(),
        prop::collection::vec(backend(), 0..3),
    )
        .prop_map(move |(metadata, parent, backends)| {
            json!({
                "apiVersion": api, "kind": "HTTPRoute", "metadata": metadata,
                "spec": {"parentRefs": [parent], "rules": [{"backendRefs": backends}]},
            })
        });
    let slice = (metadata(), name()).prop_map(|(mut metadata, service)| {
        metadata["labels"] = json!({"kubernetes.io/service-name": service});
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata,
            "addressType": "IPv4", "endpoints": [],
        })
    });
    let policy = (metadata(), name()).prop_map(move |(metadata, service)| {
        json!({
            "apiVersion": api, "kind": "BackendTLSPolicy", "metadata": metadata,
            "spec": {
                "targetRefs": [{"group": "", "kind": "Service", "name": service}],
                "validation": {"hostname": "a.example.com", "wellKnownCACertificates": "System"},
            },
        })
    });
    let grant = metadata().prop_map(move |metadata| {
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "ReferenceGrant", "metadata": metadata,
            "spec": {
                "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "web"}],
                "to": [{"group": "", "kind": "Service"}],
            },
        })
    });
    let any = prop_oneof![gateway, route, slice, policy, grant];
    any.prop_map(|value| decode(value).unwrap())
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => object().prop_map(Change::Upsert),
        1 => object().prop_map(|object| Change::Delete(object.id())),
    ]
}

/// Every object that somebody could refer to.
fn targets() -> Vec<ObjectId> {
    let kinds = [Kind::Gateway, Kind::Service, Kind::Secret];
    let mut targets: Vec<ObjectId> = NAMES
        .iter()
        .map(|name| ObjectId::new(Kind::GatewayClass, "", *name))
        .collect();
    for namespace in NAMESPACES {
        for name in NAMES {
            targets.extend(kinds.map(|kind| ObjectId::new(kind, namespace, name)));
        }
    }
    targets
}

fn check(store: &Store, model: &Model) -> Result<(), TestCaseError> {
    prop_assert_eq!(store.len(), model.0.len());
    prop_assert_eq!(store.is_empty(), model.0.is_empty());
    for (id, object) in &model.0 {
        prop_assert_eq!(store.object(id), Some(object));
    }
    let routes: Vec<ObjectKey> = store
        .iter::<HttpRoute>()
        .map(|(key, _)| key.clone())
        .collect();
    prop_assert_eq!(routes, model.of_kind(Kind::HttpRoute, None));
    for namespace in NAMESPACES {
        let gateways = store.iter_in::<Gateway>(namespace);
        let gateways: Vec<ObjectKey> = gateways.map(|(key, _)| key.clone()).collect();
        prop_assert_eq!(gateways, model.of_kind(Kind::Gateway, Some(namespace)));
        let grants = store.grants_in(namespace);
        let grants: Vec<ObjectKey> = grants
            .map(|grant: &std::sync::Arc<ReferenceGrant>| ObjectKey::of(&grant.metadata))
            .collect();
        prop_assert_eq!(grants, model.of_kind(Kind::ReferenceGrant, Some(namespace)));
    }
    for target in targets() {
        for kind in Kind::ALL {
            let found: Vec<ObjectKey> = store.referrers(&target, *kind).cloned().collect();
            prop_assert_eq!(
                found,
                model.referrers(&target, *kind),
                "{} of {}",
                kind,
                target
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn after_any_changes_every_answer_is_that_of_a_search(changes in prop::collection::vec(change(), 0..40)) {
        let (mut store, mut model) = (Store::new(), Model::default());
        for change in changes {
            store.apply(change.clone());
            model.apply(&change);
        }
        check(&store, &model)?;
    }

    #[test]
    fn a_change_tells_what_it_made_of_an_object(changes in prop::collection::vec(change(), 0..40)) {
        let (mut store, mut model) = (Store::new(), Model::default());
        for change in changes {
            let old = model.apply(&change);
            let id = change.id();
            let new = model.0.get(&id).cloned();
            let Some(applied) = store.apply(change) else {
                prop_assert_eq!(old, new, "a difference is told");
                continue;
            };
            prop_assert_ne!(&old, &new);
            let of = |object: &Option<Object>| object.as_ref().map(references).unwrap_or_default();
            let moved: BTreeSet<ObjectId> = of(&old).symmetric_difference(&of(&new)).cloned().collect();
            prop_assert_eq!(applied.id, id);
            prop_assert_eq!(applied.old, old);
            prop_assert_eq!(applied.new, new);
            prop_assert_eq!(&applied.references, &moved);
            if applied.touch == Touch::Bookkeeping {
                prop_assert!(moved.is_empty());
            }
        }
    }

    #[test]
    fn the_order_of_changes_does_not_show(objects in prop::collection::vec(object(), 0..20)) {
        let unique: BTreeMap<ObjectId, Object> = objects.into_iter().map(|object| (object.id(), object)).collect();
        let (mut forwards, mut backwards) = (Store::new(), Store::new());
        for object in unique.values() {
            forwards.apply(Change::Upsert(object.clone()));
        }
        for object in unique.values().rev() {
            backwards.apply(Change::Upsert(object.clone()));
        }
        prop_assert_eq!(&forwards, &backwards);
        for id in unique.keys() {
            forwards.apply(Change::Delete(id.clone()));
        }
        prop_assert!(forwards.is_empty());
        for target in targets() {
            let left = Kind::ALL.iter().map(|kind| forwards.referrers(&target, *kind).count());
            prop_assert_eq!(left.sum::<usize>(), 0);
        }
    }
}

/// Objects that differ in nothing but what controllers write.
#[test]
fn status_and_versions_are_bookkeeping_and_content_is_not() {
    let route = |version: &str, generation: i64, status: Value, host: &str| {
        decode(json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {
                "namespace": "web", "name": "a", "resourceVersion": version, "generation": generation,
            },
            "spec": {"hostnames": [host]},
            "status": status,
        }))
        .unwrap()
    };
    let mut store = Store::new();
    let mut touch = |object: Object| {
        store
            .apply(Change::Upsert(object))
            .map(|applied| applied.touch)
    };
    let none = || json!({"parents": []});
    assert_eq!(touch(route("1", 1, none(), "a.com")), Some(Touch::Content));
    assert_eq!(touch(route("1", 1, none(), "a.com")), None);
    assert_eq!(
        touch(route("2", 1, none(), "a.com")),
        Some(Touch::Bookkeeping)
    );
    assert_eq!(touch(route("3", 2, none(), "a.com")), Some(Touch::Content));
    assert_eq!(touch(route("4", 2, none(), "b.com")), Some(Touch::Content));
}
