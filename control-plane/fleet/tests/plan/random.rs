//! What holds after any changes in any order.

use std::collections::BTreeMap;

use novaedge_api::native::Transport;
use proptest::prelude::*;

use crate::world::{DNS, HTTP, HTTPS, World, key};

#[derive(Clone, Debug)]
enum Edit {
    Want(u8, u8),
    Drop(u8),
    Pod(u8),
    NoPod(u8),
    Acknowledge(u8),
    Silence(u8),
    Write,
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        3 => (0..8_u8, 0..16_u8).prop_map(|(gateway, ports)| Edit::Want(gateway, ports)),
        1 => (0..8_u8).prop_map(Edit::Drop),
        1 => (0..3_u8).prop_map(Edit::Pod),
        1 => (0..3_u8).prop_map(Edit::NoPod),
        2 => (0..3_u8).prop_map(Edit::Acknowledge),
        1 => (0..3_u8).prop_map(Edit::Silence),
        3 => Just(Edit::Write),
    ];
    proptest::collection::vec(edit, 1..60)
}

fn apply(world: &mut World, edit: &Edit) {
    let agent = |number: u8| format!("agent-{number}");
    match *edit {
        Edit::Want(gateway, ports) => {
            let all = [HTTP, HTTPS, DNS, (53, Transport::Tcp)]
                .into_iter()
                .enumerate();
            let some = all.filter(|(bit, _)| ports & 1 << bit != 0);
            let some: Vec<_> = some.map(|(_, port)| port).collect();
            world.want(&format!("gw-{gateway}"), &some);
        }
        Edit::Drop(gateway) => {
            world.gateways.remove(&key(&format!("gw-{gateway}")));
        }
        Edit::Pod(number) => {
            world.pod(&agent(number), number + 1);
        }
        Edit::NoPod(number) => {
            world.pods.remove(&agent(number));
        }
        Edit::Acknowledge(number) => world.acknowledge(&agent(number), 1),
        Edit::Silence(number) => {
            world.agents.remove(&agent(number));
        }
        Edit::Write => {
            world.settle();
        }
    }
}

type Ports = BTreeMap<(String, (u16, Transport)), u16>;

fn ports(world: &World) -> Ports {
    let gateways = world.plan().state.gateways.into_iter();
    let ports = gateways.flat_map(|(key, state)| {
        let ports = state.ports.into_iter();
        ports.map(move |(port, local)| ((key.name.clone(), port), local))
    });
    ports.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_local_port_serves_two_listeners_and_what_is_written_is_at_rest(
        edits in edits(),
        narrow in any::<bool>(),
    ) {
        let mut world = World::new();
        if narrow {
            // So few that hashes meet and ports run out.
            world.settings.ports = 20_000..=20_011;
        }
        for edit in &edits {
            let before = ports(&world);
            apply(&mut world, edit);
            let after = ports(&world);
            let mut seen = BTreeMap::new();
            for ((gateway, port), local) in &after {
                let other = seen.insert((port.1, *local), gateway);
                prop_assert_eq!(other, None, "local port {} of {}", local, gateway);
            }
            for (listener, local) in &after {
                let held = before.get(listener).unwrap_or(local);
                prop_assert_eq!(held, local, "{:?} moved", listener);
            }
        }
        world.settle();
        prop_assert_eq!(world.plan(), world.plan());
        prop_assert_eq!(world.due(), vec![]);
    }

    #[test]
    fn what_is_written_reads_the_same_whoever_reads_it(edits in edits()) {
        let mut world = World::new();
        for edit in &edits {
            apply(&mut world, edit);
        }
        world.settle();
        // Another replica that comes later hears of the Gateways in another order, and has seen no edit.
        let mut other = World::new();
        other.services = world.services.clone();
        other.slices = world.slices.clone();
        for (key, wanted) in world.gateways.iter().rev() {
            other.gateways.insert(key.clone(), wanted.clone());
        }
        other.pods = world.pods.clone();
        prop_assert_eq!(ports(&other), ports(&world));
    }
}
