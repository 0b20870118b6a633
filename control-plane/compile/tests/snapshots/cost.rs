//! The cost of an edit is that of what it concerns, however many other routes there are. It is counted in units of work
//! and resources, not in time, so that it is the same on every machine.

use std::collections::BTreeMap;

use novaedge_api::decode::decode;
use novaedge_api::meta::{Kind, Object, ObjectId, ObjectKey};
use novaedge_store::Change;
use novaedge_translate::{GatewayFleet, TranslateConfig};
use serde_json::{Value, json};

use crate::system::System;

const GATEWAY_API: &str = "gateway.networking.k8s.io/v1";
/// Enough that each Service has several routes, as among many.
const FEW: usize = 300;
const MANY: usize = 10_000;

/// What an edit cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cost {
    /// Units translated.
    translated: u64,
    /// Units compiled.
    compiled: u64,
    /// Resources that agents get, or lose.
    resources: usize,
}

fn object(value: Value) -> Object {
    decode(value).unwrap()
}

fn class() -> Object {
    object(json!({
        "apiVersion": GATEWAY_API, "kind": "GatewayClass", "metadata": {"name": "novaedge"},
        "spec": {"controllerName": "novaedge.io/gateway-controller"},
    }))
}

fn gateway(generation: i64) -> Object {
    object(json!({
        "apiVersion": GATEWAY_API, "kind": "Gateway",
        "metadata": {"name": "gw", "namespace": "infra", "generation": generation},
        "spec": {"gatewayClassName": "novaedge", "listeners": [
            {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}},
        ]},
    }))
}

/// One of a hundred Services.
fn service(index: usize) -> Object {
    object(json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": format!("app-{}", index % 100), "namespace": "web"},
        "spec": {"ports": [{"name": "http", "port": 80}]},
    }))
}

fn slice(index: usize, address: &str) -> Object {
    let service = format!("app-{}", index % 100);
    object(json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{service}-1"), "namespace": "web",
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": [address]}],
    }))
}

fn route(index: usize, path: &str, app: usize) -> Object {
    object(json!({
        "apiVersion": GATEWAY_API, "kind": "HTTPRoute",
        "metadata": {"name": format!("route-{index}"), "namespace": "web", "generation": 1},
        "spec": {
            "parentRefs": [{"name": "gw", "namespace": "infra"}],
            "hostnames": [format!("host-{index}.example.com")],
            "rules": [{
                "matches": [{"path": {"value": path}}],
                "backendRefs": [{"name": format!("app-{app}"), "port": 80}],
            }],
        },
    }))
}

fn system(routes: usize) -> System {
    let mut system = System::new(TranslateConfig::cluster([].into()));
    let services = (0..100).flat_map(|index| [service(index), slice(index, "10.0.0.1")]);
    let routes = (0..routes).map(|index| route(index, "/", index % 100));
    let objects = [class(), gateway(1)]
        .into_iter()
        .chain(services)
        .chain(routes);
    system.update(objects.map(Change::Upsert).collect());
    system
}

/// The cost of each edit of a system of so many routes, by what it does.
fn costs(routes: usize) -> BTreeMap<&'static str, Cost> {
    let mut system = system(routes);
    let route_id = |index: usize| ObjectId::new(Kind::HttpRoute, "web", format!("route-{index}"));
    let gone = ObjectId::new(Kind::EndpointSlice, "web", "app-4-1");
    let edits = [
        ("path of a route", Change::Upsert(route(7, "/new", 7))),
        ("backend of a route", Change::Upsert(route(7, "/new", 8))),
        ("new route", Change::Upsert(route(MANY, "/", 9))),
        ("deleted route", Change::Delete(route_id(5))),
        (
            "endpoints of a Service",
            Change::Upsert(slice(3, "10.0.0.2")),
        ),
        ("endpoints that are gone", Change::Delete(gone)),
        ("generation of the Gateway", Change::Upsert(gateway(2))),
        ("nothing at all", Change::Upsert(gateway(2))),
    ];
    let mut costs = BTreeMap::new();
    for (what, change) in edits {
        costs.insert(
            what,
            cost(&mut system, |system| system.update(vec![change])),
        );
    }
    let fleet = GatewayFleet {
        acknowledged_generation: Some(2),
        ..GatewayFleet::default()
    };
    let fleet = BTreeMap::from([(ObjectKey::new("infra", "gw"), fleet)]);
    let acknowledged = cost(&mut system, |system| {
        system.translator.set_fleet(fleet);
    });
    costs.insert("acknowledgement", acknowledged);
    let told = cost(&mut system, |system| {
        system.translator.set_clock(1);
    });
    costs.insert("the time", told);
    costs
}

fn cost(system: &mut System, edit: impl FnOnce(&mut System)) -> Cost {
    let before = (
        system.translator.load().computed,
        system.compiler.load().computed,
    );
    let resources = system.touched;
    edit(system);
    Cost {
        translated: system.translator.load().computed - before.0,
        compiled: system.compiler.load().computed - before.1,
        resources: system.touched - resources,
    }
}

#[test]
fn an_edit_among_ten_thousand_routes_costs_what_it_costs_among_a_hundred() {
    let (few, many) = (costs(FEW), costs(MANY));
    assert_eq!(few, many);
    let most = Cost {
        translated: 8,
        compiled: 8,
        resources: 4,
    };
    for (what, cost) in many {
        assert!(
            cost.translated <= most.translated
                && cost.compiled <= most.compiled
                && cost.resources <= most.resources,
            "{what}: {cost:?}"
        );
    }
}
