//! The Service of a Gateway: its name, what it carries, where it can be reached.

use k8s_openapi::api::core::v1::LoadBalancerIngress;
use novaedge_api::gateway::AddressType;
use novaedge_fleet::{ServiceType, Write};
use serde_json::json;

use crate::world::{HTTP, HTTPS, World, balanced, key};

#[test]
fn a_gateway_gets_a_service_of_its_name() {
    let mut world = World::new();
    let gateway = world.want("gw", &[HTTP, HTTPS]);
    gateway.labels.insert("team".into(), "edge".into());
    gateway.annotations.insert("note".into(), "hello".into());
    // What the fleet finds its Services by cannot be replaced.
    let managed_by = "app.kubernetes.io/managed-by";
    gateway.labels.insert(managed_by.into(), "me".into());
    world.settle();
    let service = &world.services[&key("gw")];
    let mut spec = json!(service.spec);
    for port in spec["ports"].as_array_mut().unwrap() {
        port["targetPort"] = json!("some");
    }
    assert_eq!(
        spec,
        json!({
            "type": "LoadBalancer",
            "ipFamilyPolicy": "PreferDualStack",
            "ports": [
                {"name": "tcp-80", "port": 80, "protocol": "TCP", "targetPort": "some"},
                {"name": "tcp-443", "port": 443, "protocol": "TCP", "targetPort": "some"},
            ],
        })
    );
    assert_eq!(
        json!(service.metadata.labels),
        json!({
            "app.kubernetes.io/managed-by": "novaedge",
            "gateway.networking.k8s.io/gateway-name": "gw",
            "team": "edge",
        })
    );
    let annotations = service.metadata.annotations.as_ref().unwrap();
    assert_eq!(annotations["note"], "hello");
    let owners = service.metadata.owner_references.as_ref().unwrap();
    assert_eq!(owners[0].uid, "uid-of-gw");
}

#[test]
fn long_names_get_a_hash() {
    let mut world = World::new();
    let long = format!("{}.{}", "a".repeat(63), "b".repeat(189));
    let alike = format!("{}.{}c", "a".repeat(63), "b".repeat(188));
    world.want(&long, &[HTTP]);
    world.want(&alike, &[HTTP]);
    world.settle();
    assert_eq!(world.services.len(), 2);
    for (key, service) in &world.services {
        assert!(key.name.len() <= 63 && !key.name.contains('.'), "{key}");
        let labels = service.metadata.labels.as_ref().unwrap();
        let label = &labels["gateway.networking.k8s.io/gateway-name"];
        assert!(label.len() <= 63, "{label}");
        let gateway = &service.metadata.annotations.as_ref().unwrap()["novaedge.io/gateway"];
        assert!(*gateway == long || *gateway == alike);
    }
    assert_eq!(world.due(), []);
}

#[test]
fn a_service_of_somebody_else_is_never_taken_over() {
    let mut world = World::new();
    world.want("gw", &[HTTP]);
    world.taken.insert(key("gw"));
    let written = world.settle();
    let names: Vec<String> = written.iter().map(|write| write.object().1.name).collect();
    assert_eq!(names.len(), 1);
    assert!(
        names[0].starts_with("gw-") && names[0].len() == 13,
        "{names:?}"
    );
    // It keeps that name, also when the other one is free again.
    world.taken.clear();
    assert_eq!(world.due(), []);
}

#[test]
fn what_others_add_to_a_service_is_theirs_and_what_they_change_is_put_right() {
    let mut world = World::new();
    world.want("gw", &[HTTP]);
    world.settle();
    world.edit_service("gw", |service| {
        let labels = service.metadata.labels.as_mut().unwrap();
        labels.insert("added".into(), "by-somebody".into());
        service.spec.as_mut().unwrap().external_traffic_policy = Some("Local".into());
    });
    assert_eq!(world.due(), []);
    world.edit_service("gw", |service| {
        service.spec.as_mut().unwrap().type_ = Some("ClusterIP".into());
    });
    assert!(matches!(world.due()[..], [Write::ApplyService(_)]));
}

#[test]
fn a_label_that_is_no_longer_wanted_is_taken_away() {
    let mut world = World::new();
    world
        .want("gw", &[HTTP])
        .labels
        .insert("a".into(), "b".into());
    world.settle();
    world.want("gw", &[HTTP]);
    assert!(matches!(world.due()[..], [Write::ApplyService(_)]));
    world.settle();
}

#[test]
fn a_gateway_with_nothing_to_serve_keeps_its_address() {
    let mut world = World::served(&[("gw", &[HTTP])]);
    world.want("gw", &[]);
    let written = world.settle();
    assert!(
        matches!(written[..], [Write::DeleteSlice(..)]),
        "{written:?}"
    );
    let state = &world.plan().state.gateways[&key("gw")];
    assert_eq!(state.addresses[0].value, "192.0.2.1");
    // One that never had anything gets none.
    world.want("new", &[]);
    assert_eq!(world.due(), []);
}

#[test]
fn a_gateway_that_goes_takes_everything_along() {
    let mut world = World::served(&[("gw", &[HTTP]), ("stays", &[HTTP])]);
    world.gateways.remove(&key("gw"));
    world.settle();
    let services: Vec<_> = world.services.keys().collect();
    assert_eq!(services, [&key("stays")]);
    assert!(
        world
            .slices
            .keys()
            .all(|key| key.name.starts_with("stays-"))
    );
}

#[test]
fn of_two_services_of_a_gateway_the_newer_goes() {
    let mut world = World::new();
    world.want("gw", &[HTTP]);
    world.settle();
    let mut copy = (*world.services[&key("gw")]).clone();
    copy.metadata.name = Some("copy".into());
    copy.metadata.creation_timestamp = None;
    world.services.insert(key("copy"), copy.into());
    let written = world.settle();
    assert!(matches!(&written[..], [Write::DeleteService(gone, _)] if *gone == key("copy")));
}

#[test]
fn an_address_is_asked_for_and_a_second_one_is_a_problem() {
    let mut world = World::new();
    let gateway = world.want("gw", &[HTTP]);
    gateway.addresses = ["0.0.0.0", "192.0.2.7", "192.0.2.8"]
        .map(|ip| ip.parse().unwrap())
        .into();
    world.settle();
    let spec = world.services[&key("gw")].spec.clone().unwrap();
    assert_eq!(spec.load_balancer_ip.as_deref(), Some("192.0.2.7"));
    assert_eq!(spec.external_ips, None);
    let problems = &world.plan().state.gateways[&key("gw")].problems;
    let fields: Vec<&str> = problems.iter().map(|p| p.field.as_str()).collect();
    assert_eq!(fields, ["spec.addresses[2]"]);
    // Another one is asked for instead.
    world.want("gw", &[HTTP]).addresses = vec!["192.0.2.8".parse().unwrap()];
    world.settle();
    let spec = world.services[&key("gw")].spec.clone().unwrap();
    assert_eq!(spec.load_balancer_ip.as_deref(), Some("192.0.2.8"));
}

#[test]
fn addresses_are_those_of_the_load_balancer() {
    let mut world = World::new();
    world.want("gw", &[HTTP]);
    world.settle();
    world.edit_service("gw", |service| {
        service.status = Some(balanced("192.0.2.9"));
        let status = service.status.as_mut().unwrap();
        let ingress = &mut status.load_balancer.as_mut().unwrap().ingress;
        ingress.as_mut().unwrap().push(LoadBalancerIngress {
            hostname: Some("lb.example.net".into()),
            ..LoadBalancerIngress::default()
        });
    });
    let state = &world.plan().state.gateways[&key("gw")];
    let addresses = state.addresses.iter();
    let addresses: Vec<_> = addresses.map(|a| (a.type_.clone(), &*a.value)).collect();
    assert_eq!(
        addresses,
        [
            (AddressType::IpAddress, "192.0.2.9"),
            (AddressType::Hostname, "lb.example.net")
        ]
    );
}

#[test]
fn without_a_load_balancer_the_address_is_the_services_own() {
    let mut world = World::new();
    world.settings.service_type = ServiceType::ClusterIp;
    world.want("gw", &[HTTP]).addresses = vec!["192.0.2.7".parse().unwrap()];
    world.settle();
    world.edit_service("gw", |service| {
        let spec = service.spec.as_mut().unwrap();
        assert_eq!(spec.load_balancer_ip, None);
        spec.cluster_ips = Some(vec!["10.96.0.7".into(), "fd00::7".into()]);
    });
    let state = &world.plan().state.gateways[&key("gw")];
    let addresses: Vec<&str> = state.addresses.iter().map(|a| &*a.value).collect();
    assert_eq!(addresses, ["10.96.0.7", "fd00::7"]);
    assert_eq!(state.problems[0].reason, "AddressNotUsable");
}
