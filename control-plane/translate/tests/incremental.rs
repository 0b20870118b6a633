//! Whatever comes and goes, and in whatever order: the result is that of a translation from nothing.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use novaedge_api::decode::decode;
use novaedge_api::meta::Object;
use novaedge_store::Change;
use novaedge_translate::{Output, TranslateConfig, Translator};
use serde_json::Value;

fn translator(objects: &[Object]) -> Translator {
    let mut translator = Translator::new(TranslateConfig::cluster(BTreeSet::new()));
    translator.update(objects.iter().cloned().map(Change::Upsert).collect());
    translator
}

fn check(translator: &Translator, objects: &[Object], what: &str) {
    let full = self::translator(objects);
    let (
        Output {
            natives,
            statuses,
            diagnostics,
        },
        found,
    ) = (full.output(), translator.output());
    assert_eq!(&found.natives, natives, "{what}: natives");
    assert_eq!(&found.statuses, statuses, "{what}: statuses");
    assert_eq!(&found.diagnostics, diagnostics, "{what}: diagnostics");
}

/// Takes each object of each case away and brings it back.
#[test]
fn incremental_equals_full() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for area in fs::read_dir(root).unwrap() {
        for case in fs::read_dir(area.unwrap().path()).unwrap() {
            let path = case.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.contains(".out") {
                continue;
            }
            let values: Vec<Value> =
                serde_saphyr::from_multiple(&fs::read_to_string(&path).unwrap()).unwrap();
            let values = values.into_iter().filter(|value| !value.is_null());
            let objects: Vec<Object> = values.map(|value| decode(value).unwrap()).collect();
            let mut translator = translator(&objects);
            for index in 0..objects.len() {
                let mut rest = objects.clone();
                let gone = rest.remove(index);
                translator.update(vec![Change::Delete(gone.id())]);
                check(&translator, &rest, &format!("{name} without {}", gone.id()));
                translator.update(vec![Change::Upsert(gone.clone())]);
                check(
                    &translator,
                    &objects,
                    &format!("{name} with {} again", gone.id()),
                );
            }
        }
    }
}

const MOVERS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: novaedge}
spec: {controllerName: novaedge.io/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: a, namespace: infra}
spec:
  gatewayClassName: novaedge
  allowedListeners: {namespaces: {from: Same}}
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: b, namespace: infra}
spec:
  gatewayClassName: novaedge
  allowedListeners: {namespaces: {from: Same}}
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: infra}
spec:
  parentRefs: [{kind: ListenerSet, name: set}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: set, namespace: infra}
spec:
  parentRef: {name: PARENT}
  listeners: [{name: extra, port: 8080, protocol: HTTP}]
";

/// Whichever of the two Gateways is computed first.
#[test]
fn a_listenerset_that_moves_between_gateways_is_taken_over() {
    let objects = |parent: &str| -> Vec<Object> {
        let text = MOVERS.replace("PARENT", parent);
        let values: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        values
            .into_iter()
            .map(|value| decode(value).unwrap())
            .collect()
    };
    let mut translator = translator(&objects("a"));
    for parent in ["b", "a", "gone", "b", "gone", "a"] {
        let objects = objects(parent);
        let moved = objects.last().cloned().unwrap();
        translator.update(vec![Change::Upsert(moved)]);
        check(&translator, &objects, &format!("moved to {parent}"));
    }
}
