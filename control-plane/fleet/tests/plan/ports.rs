//! Local ports: unique, lasting, free again.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use novaedge_api::native::Transport;
use novaedge_fleet::Write;

use crate::world::{DNS, HTTP, HTTPS, World, key};

#[test]
fn gateways_share_a_port_that_clients_see_and_no_local_one() {
    let mut world = World::new();
    for name in ["one", "two", "three"] {
        world.want(name, &[HTTP, HTTPS, DNS]);
    }
    world.settle();
    let mut seen = std::collections::BTreeSet::new();
    for name in ["one", "two", "three"] {
        for port in [HTTP, HTTPS, DNS] {
            let local = world.local(name, port).unwrap();
            assert!((10240..=32767).contains(&local), "{local}");
            assert!(seen.insert((port.1, local)), "{local} twice");
        }
    }
}

#[test]
fn local_ports_are_told_once_they_are_written() {
    let mut world = World::new();
    world.want("gw", &[HTTP]);
    assert_eq!(world.local("gw", HTTP), None);
    world.settle();
    assert!(world.local("gw", HTTP).is_some());
}

#[test]
fn a_listener_that_comes_or_goes_leaves_the_others_alone() {
    let mut world = World::new();
    world.want("gw", &[HTTP]);
    world.settle();
    let http = world.local("gw", HTTP);
    world.want("gw", &[HTTP, HTTPS]);
    world.settle();
    let https = world.local("gw", HTTPS);
    assert_eq!(world.local("gw", HTTP), http);
    assert!(https.is_some());
    world.want("gw", &[HTTPS]);
    world.settle();
    assert_eq!(
        (world.local("gw", HTTP), world.local("gw", HTTPS)),
        (None, https)
    );
    let spec = world.services[&key("gw")].spec.clone().unwrap();
    assert_eq!(spec.ports.unwrap().len(), 1, "the port is free again");
}

#[test]
fn a_listener_of_http3_has_a_port_of_each_transport() {
    let mut world = World::new();
    let http3 = (HTTPS.0, Transport::Udp);
    let wanted = world.want("gw", &[HTTPS]);
    let listener = wanted.listeners.values_mut().next().unwrap();
    listener.push(http3);
    world.settle();
    for port in [HTTPS, http3] {
        assert!(world.local("gw", port).is_some(), "{port:?}");
    }
}

#[test]
fn what_a_service_holds_goes_before_the_hash() {
    let mut world = World::new();
    world.want("gw", &[HTTP]);
    world.settle();
    world.edit_service("gw", |service| {
        let ports = service.spec.as_mut().unwrap().ports.as_mut().unwrap();
        ports[0].target_port = Some(IntOrString::Int(20_000));
    });
    assert_eq!(world.local("gw", HTTP), Some(20_000));
    world.settle();
    assert_eq!(world.local("gw", HTTP), Some(20_000));
}

#[test]
fn of_two_services_with_one_local_port_the_older_keeps_it() {
    let mut world = World::new();
    world.want("young", &[HTTP]);
    world.settle();
    world.want("able", &[HTTP]);
    world.settle();
    let local = world.local("young", HTTP).unwrap();
    world.edit_service("able", |service| {
        let ports = service.spec.as_mut().unwrap().ports.as_mut().unwrap();
        ports[0].target_port = Some(IntOrString::Int(i32::from(local)));
    });
    assert_eq!(world.local("young", HTTP), Some(local));
    assert_eq!(world.local("able", HTTP), None, "it waits for another");
    world.settle();
    assert_eq!(world.local("young", HTTP), Some(local));
    assert!(
        world
            .local("able", HTTP)
            .is_some_and(|other| other != local)
    );
}

#[test]
fn without_a_free_port_one_listener_waits_and_its_neighbours_do_not() {
    let mut world = World::new();
    world.settings.ports = 20_000..=20_001;
    world.want("gw", &[HTTP, HTTPS, (8080, HTTP.1), DNS]);
    world.want("late", &[HTTP]);
    world.settle();
    let state = world.plan().state;
    let gw = &state.gateways[&key("gw")];
    assert_eq!(gw.ports.len(), 3, "UDP is counted apart: {gw:?}");
    let exhausted: Vec<&String> = gw.exhausted_listeners.keys().collect();
    assert_eq!(exhausted, ["l8080"]);
    let late = &state.gateways[&key("late")];
    assert!(late.ports.is_empty());
    assert!(late.exhausted_listeners["l80"].contains("20000 to 20001"));
    assert!(!world.services.contains_key(&key("late")));

    world.gateways.remove(&key("gw"));
    world.settle();
    assert!(world.local("late", HTTP).is_some(), "ports are free again");
}

#[test]
fn a_service_that_goes_holds_its_ports_until_it_is_gone() {
    let mut world = World::new();
    world.settings.ports = 20_000..=20_000;
    world.want("old", &[HTTP]);
    world.settle();
    world.edit_service("old", |service| {
        let created = service.metadata.creation_timestamp.clone();
        service.metadata.deletion_timestamp = created;
    });
    world.gateways.clear();
    world.want("new", &[HTTP]);
    assert_eq!(
        world.due(),
        [],
        "it goes by itself, and its port is not free yet"
    );
    world.services.clear();
    assert!(matches!(world.due()[..], [Write::CreateService(_)]));
}
