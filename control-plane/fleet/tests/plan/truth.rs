//! What a Gateway's status may say: only what the agents behind its Service have acknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;

use novaedge_api::meta::ObjectKey;
use novaedge_fleet::AgentWord;

use crate::world::{HTTP, HTTPS, World, key};

fn acknowledged(world: &World) -> Option<i64> {
    world.plan().state.gateways[&key("gw")].acknowledged_generation
}

#[test]
fn an_acknowledgement_counts_once_the_agent_is_behind_the_service() {
    let mut world = World::new();
    world.want("gw", &[HTTP]);
    world.pod("a", 1);
    world.settle();
    assert_eq!(acknowledged(&world), None);
    world.acknowledge("a", 1);
    assert_eq!(acknowledged(&world), None, "its slice is not written yet");
    world.settle();
    assert_eq!(acknowledged(&world), Some(1));
}

#[test]
fn the_slowest_agent_counts() {
    let mut world = World::served(&[("gw", &[HTTP])]);
    world.acknowledge("a", 2);
    assert_eq!(acknowledged(&world), Some(1));
    world.acknowledge("b", 2);
    assert_eq!(acknowledged(&world), Some(2));
}

#[test]
fn an_agent_that_nobody_hears_or_that_drains_holds_nothing_up() {
    let mut world = World::served(&[("gw", &[HTTP])]);
    world.acknowledge("a", 2);
    world.agents.get_mut("b").unwrap().draining = true;
    assert_eq!(acknowledged(&world), Some(2));
    world.agents.remove("b");
    assert_eq!(acknowledged(&world), Some(2));
}

#[test]
fn an_agent_that_has_just_come_holds_nothing_up() {
    let mut world = World::served(&[("gw", &[HTTP])]);
    world.pod("c", 3);
    world.agents.insert("c".into(), AgentWord::default());
    assert_eq!(acknowledged(&world), Some(1));
    assert_eq!(world.due(), []);
}

#[test]
fn a_generation_counts_when_all_of_its_ports_are_served() {
    let mut world = World::served(&[("gw", &[HTTP])]);
    world.want("gw", &[HTTP, HTTPS]);
    // The agents have the new generation before its new port is written anywhere.
    world.acknowledge("a", 2);
    world.acknowledge("b", 2);
    assert_eq!(acknowledged(&world), None);
    world.settle();
    assert_eq!(acknowledged(&world), None);
    world.acknowledge("a", 2);
    world.settle();
    assert_eq!(acknowledged(&world), None);
    world.acknowledge("b", 2);
    world.settle();
    assert_eq!(acknowledged(&world), Some(2));
}

#[test]
fn the_lowest_generation_of_each_listenerset_counts() {
    let mut world = World::served(&[("gw", &[HTTP])]);
    let mut sets = |agent: &str, sets: &[(&str, i64)]| {
        let word = world.agents.get_mut(agent).unwrap();
        let served = Arc::make_mut(&mut word.gateways)
            .get_mut(&key("gw"))
            .unwrap();
        served.listener_sets = sets.iter().map(|(name, at)| (key(name), *at)).collect();
    };
    sets("a", &[("both", 3), ("one", 1)]);
    sets("b", &[("both", 2)]);
    let state = &world.plan().state.gateways[&key("gw")];
    let expected: BTreeMap<ObjectKey, i64> = [(key("both"), 2)].into();
    assert_eq!(state.acknowledged_listener_sets, expected);
}

#[test]
fn a_refused_listener_holds_its_neighbours_statuses_up_for_nobody() {
    let mut world = World::served(&[("gw", &[HTTP])]);
    world.want("gw", &[HTTP, HTTPS]);
    world.settle();
    for agent in ["a", "b"] {
        world.acknowledge(agent, 2);
        let local = world.local("gw", HTTPS).unwrap();
        let word = world.agents.get_mut(agent).unwrap();
        word.refuses.insert(key("gw"));
        let served = Arc::make_mut(&mut word.gateways)
            .get_mut(&key("gw"))
            .unwrap();
        served.ports.remove(&(local, HTTPS.1));
    }
    world.settle();
    assert_eq!(world.takers("gw", HTTP), ["a", "b"]);
    assert_eq!(world.takers("gw", HTTPS), [""; 0]);
    assert_eq!(acknowledged(&world), Some(2));
}
