//! Which agents take connections of a Gateway.

use novaedge_fleet::{AgentWord, Write};

use crate::world::{HTTP, HTTPS, World, key};

#[test]
fn agents_take_connections_once_they_have_acknowledged_the_local_ports() {
    let mut world = World::new();
    world.want("gw", &[HTTP]);
    world.pod("a", 1);
    world.pod("b", 2);
    world.settle();
    assert_eq!(world.takers("gw", HTTP), [""; 0]);
    world.acknowledge("a", 1);
    world.settle();
    assert_eq!(world.takers("gw", HTTP), ["a"]);
    world.acknowledge("b", 1);
    world.settle();
    assert_eq!(world.takers("gw", HTTP), ["a", "b"]);
    let slice = world.slices.values().next().unwrap();
    let ports = slice.ports.clone().unwrap();
    assert_eq!(ports[0].name.as_deref(), Some("tcp-80"));
    assert_eq!(ports[0].port, world.local("gw", HTTP).map(i32::from));
    let labels = slice.metadata.labels.clone().unwrap();
    assert_eq!(labels["kubernetes.io/service-name"], "gw");
    assert_eq!(labels["endpointslice.kubernetes.io/managed-by"], "novaedge");
}

#[test]
fn another_gateway_is_no_reason_to_wait() {
    let mut world = World::served(&[("gw", &[HTTP])]);
    world.want("new", &[HTTP]);
    let written = world.settle();
    assert!(
        matches!(written[..], [Write::CreateService(_)]),
        "{written:?}"
    );
    assert_eq!(world.takers("gw", HTTP), ["a", "b"]);
    assert_eq!(world.takers("new", HTTP), [""; 0]);
}

#[test]
fn a_new_port_does_not_interrupt_the_old_one() {
    let mut world = World::served(&[("gw", &[HTTP])]);
    world.want("gw", &[HTTP, HTTPS]);
    world.settle();
    assert_eq!(world.takers("gw", HTTP), ["a", "b"]);
    world.acknowledge("a", 2);
    world.settle();
    assert_eq!(world.takers("gw", HTTP), ["a", "b"]);
    assert_eq!(world.takers("gw", HTTPS), ["a"]);
    world.acknowledge("b", 2);
    world.settle();
    assert_eq!(world.takers("gw", HTTPS), ["a", "b"]);
    assert_eq!(
        world.slices.len(),
        1,
        "ports of the same agents share a slice"
    );
}

#[test]
fn an_agent_that_drains_takes_connections_when_there_is_no_other() {
    let mut world = World::served(&[("gw", &[HTTP])]);
    world.agents.get_mut("a").unwrap().draining = true;
    world.settle();
    assert_eq!(world.takers("gw", HTTP), ["a-", "b"]);
    // The other one's pod is being deleted; its agent may be silent already.
    world.pods.get_mut("b").unwrap().terminating = true;
    world.pods.get_mut("b").unwrap().ready = false;
    world.agents.remove("b");
    world.settle();
    assert_eq!(world.takers("gw", HTTP), ["a-", "b-"]);
    world.pods.remove("a");
    world.settle();
    assert_eq!(world.takers("gw", HTTP), ["b-"]);
}

#[test]
fn an_agent_that_nobody_hears_serves_what_it_served_while_its_pod_is_well() {
    let mut world = World::served(&[("gw", &[HTTP])]);
    world.agents.clear();
    assert_eq!(world.due(), [], "a new leader has heard nobody yet");
    world.pods.get_mut("a").unwrap().ready = false;
    world.settle();
    assert_eq!(world.takers("gw", HTTP), ["b"]);
    // What is new it does not get.
    world.want("new", &[HTTP]);
    world.settle();
    assert_eq!(world.takers("new", HTTP), [""; 0]);
}

#[test]
fn an_agent_that_speaks_is_well_whatever_its_probe_says() {
    let mut world = World::new();
    world.want("gw", &[HTTP]);
    world.pod("a", 1).ready = false;
    world.settle();
    world.acknowledge("a", 1);
    world.settle();
    assert_eq!(world.takers("gw", HTTP), ["a"]);
}

#[test]
fn large_fleets_have_several_slices() {
    let mut world = World::new();
    world.want("gw", &[HTTP]);
    world.settle();
    for number in 0..1_200_u16 {
        let name = format!("agent-{number:04}");
        let [high, low] = number.to_be_bytes();
        world.pod(&name, 0).ips = vec![[10, 1, high, low].into()];
        world.acknowledge(&name, 1);
    }
    world.settle();
    let sizes: Vec<usize> = world.slices.values().map(|s| s.endpoints.len()).collect();
    assert_eq!(sizes, [500, 500, 200]);
}

#[test]
fn each_family_has_slices_of_its_own() {
    let mut world = World::served(&[("gw", &[HTTP])]);
    world.second_family("a", 1);
    world.settle();
    let slices = world.slices.values();
    let found: Vec<(&str, usize)> = slices
        .map(|slice| (&*slice.address_type, slice.endpoints.len()))
        .collect();
    assert_eq!(found, [("IPv4", 2), ("IPv6", 1)]);
    assert!(world.slices.contains_key(&key("gw-ipv6-0")));
}

#[test]
fn a_gateway_is_served_by_the_agents_that_are_given_it() {
    let mut world = World::new();
    world.want("gw", &[HTTP]);
    world.pod("a", 1);
    world.pod("tenant/a", 2);
    world.settle();
    // The agent of the same name in another namespace is given this Gateway, and the other one nothing of it.
    world.acknowledge("tenant/a", 1);
    world.agents.insert("a".to_owned(), AgentWord::default());
    world.settle();
    assert_eq!(world.takers("gw", HTTP), ["a"]);
    let slice = world.slices.values().next().unwrap();
    let pod = slice.endpoints[0].target_ref.clone().unwrap();
    assert_eq!(pod.namespace.as_deref(), Some("tenant"));
    assert_eq!(slice.endpoints[0].addresses, ["10.0.0.2"]);
    let state = world.plan().state.gateways[&key("gw")].clone();
    assert_eq!(
        state.acknowledged_generation,
        Some(1),
        "the others do not count"
    );
    assert_eq!(state.agents, ["tenant/a".to_owned()].into());
}

#[test]
fn whose_pods_cannot_be_seen_keeps_his_connections() {
    let mut world = World::new();
    world.want("gw", &[HTTP]);
    world.want("other", &[HTTP]);
    world.pod("a", 1);
    world.pod("tenant/b", 2);
    world.settle();
    for agent in ["a", "tenant/b"] {
        world.acknowledge(agent, 1);
    }
    let word = world.agents["a"].clone();
    let mut gateways = (*word.gateways).clone();
    gateways.remove(&key("gw"));
    world.agents.get_mut("a").unwrap().gateways = gateways.into();
    world.settle();
    assert_eq!(world.takers("gw", HTTP), ["b"]);
    // A control plane that has just begun, or lost the right to look there.
    let pod = world.pods.remove("tenant/b").unwrap();
    world.unseen.insert("tenant".to_owned());
    assert_eq!(world.settle(), []);
    assert_eq!(world.takers("gw", HTTP), ["b"]);
    world.unseen.clear();
    world.settle();
    assert_eq!(world.takers("gw", HTTP), [""; 0]);
    world.pods.insert("tenant/b".to_owned(), pod);
    world.settle();
    assert_eq!(world.takers("gw", HTTP), ["b"]);
}
