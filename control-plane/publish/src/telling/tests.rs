use super::*;

fn serves(gateways: &[(&str, i64)]) -> Arc<Serves> {
    let gateway = |(name, generation): &(&str, i64)| {
        let served = ServedGateway {
            generation: *generation,
            tcp_bind_ports: [10_080].into(),
            listener_sets: [(("a".to_owned(), "set".to_owned()), 7)].into(),
            ..ServedGateway::default()
        };
        (Arc::from(*name), Arc::new(served))
    };
    Arc::new(Serves {
        gateways: gateways.iter().map(gateway).collect(),
    })
}

fn fleet(agents: &[(&str, &Arc<Serves>)]) -> FleetAcks {
    let agent = |(node, serves): &(&str, &Arc<Serves>)| {
        let agent = FleetAgent {
            digest: "d".into(),
            serves: Arc::clone(serves),
            connected: true,
            scope: Scope::all_but([(*node).to_owned()].into()),
            ..FleetAgent::default()
        };
        (Arc::from(*node), Arc::new(agent))
    };
    FleetAcks {
        agents: agents.iter().map(agent).collect(),
        silent_peers: 0,
    }
}

/// Tells a state, and checks that it is heard as it is. Gives back how much was told.
fn pass(teller: &mut Teller, hearer: &mut Hearer, state: &FleetAcks) -> (usize, usize) {
    let mut gateways = 0;
    let messages = teller.changes(state);
    let count = messages.len();
    for message in messages {
        assert!(message.encoded_len() <= MAX_MESSAGE_BYTES + 1_024);
        gateways += message
            .sets
            .iter()
            .map(|set| set.upserts.len())
            .sum::<usize>();
        hearer.hear(message).unwrap();
    }
    assert_eq!(hearer.agents(), Some(&state.agents));
    (count, gateways)
}

#[test]
fn changes_alone_are_told_and_sets_once() {
    let (mut teller, mut hearer) = (Teller::default(), Hearer::default());
    assert_eq!(hearer.agents(), None);
    let mut told = |state: &FleetAcks| pass(&mut teller, &mut hearer, state);
    assert_eq!(
        told(&fleet(&[])),
        (1, 0),
        "that there are none is told as well"
    );
    let none = Arc::default();
    let one = serves(&[("gateway/a/g", 1), ("gateway/b/g", 1)]);
    let two = serves(&[("gateway/a/g", 2), ("gateway/b/g", 1)]);
    assert_eq!(told(&fleet(&[("x", &none)])), (1, 0));
    assert_eq!(
        told(&fleet(&[("x", &one), ("y", &one), ("z", &none)])),
        (1, 2)
    );
    assert_eq!(
        told(&fleet(&[("x", &one), ("y", &two), ("z", &none)])),
        (1, 1)
    );
    // Nobody uses it for a moment, so it is told again.
    assert_eq!(told(&fleet(&[("x", &two), ("z", &one)])), (1, 1));
    assert_eq!(told(&fleet(&[("x", &two), ("z", &one)])), (0, 0));
    assert_eq!(told(&fleet(&[("z", &one)])), (1, 0));
    assert_eq!(
        told(&fleet(&[("x", &one)])),
        (1, 0),
        "the newest stays known"
    );
    assert_eq!(told(&fleet(&[("x", &two)])), (1, 1));
}

#[test]
fn agents_of_two_scopes_are_told_of_by_what_changes_in_each() {
    let names: Vec<String> = (0..100).map(|n| format!("gateway/a/{n}")).collect();
    let scope = |generation: i64| {
        let gateways = names.iter().map(|name| (name.as_str(), 1));
        let changed = [("gateway/a/changed", generation)];
        serves(&gateways.chain(changed).collect::<Vec<_>>())
    };
    let other = |generation| serves(&[("gateway/b/g", generation)]);
    let (mut teller, mut hearer) = (Teller::default(), Hearer::default());
    let mut told = |state: &FleetAcks| pass(&mut teller, &mut hearer, state);
    assert_eq!(
        told(&fleet(&[("x", &scope(1)), ("y", &other(1))])),
        (1, 102)
    );
    let mut two = other(1);
    for generation in 2..5 {
        let one = scope(generation);
        assert_eq!(told(&fleet(&[("x", &one), ("y", &two)])), (1, 1));
        two = other(generation);
        assert_eq!(told(&fleet(&[("x", &one), ("y", &two)])), (1, 1));
    }
}

#[test]
fn large_states_come_in_messages_of_bounded_size() {
    let names: Vec<String> = (0..10_000)
        .map(|n| format!("gateway/namespace-of-a-tenant/a-rather-long-name-{n:05}"))
        .collect();
    let gateways: Vec<_> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let (one, two) = (serves(&gateways), serves(&gateways[..5_000]));
    let nodes: Vec<String> = (0..20).map(|n| format!("agent-{n:05}")).collect();
    let agents: Vec<_> = nodes
        .iter()
        .enumerate()
        .map(|(n, node)| (node.as_str(), if n % 2 == 0 { &one } else { &two }))
        .collect();
    let (mut teller, mut hearer) = (Teller::default(), Hearer::default());
    let (messages, _) = pass(&mut teller, &mut hearer, &fleet(&agents));
    assert!(messages > 1);
}

#[test]
fn nonsense_is_refused() {
    let mut hearer = Hearer::default();
    let set = v1::ServedSet {
        id: 2,
        base: 1,
        ..v1::ServedSet::default()
    };
    let changes = v1::AgentChanges {
        sets: vec![set],
        ..v1::AgentChanges::default()
    };
    assert_eq!(hearer.hear(changes), Err(HearError::UnknownBase(2, 1)));
    let agent = v1::AgentHolding {
        served_set: 3,
        ..v1::AgentHolding::default()
    };
    let changes = v1::AgentChanges {
        agents: vec![agent],
        ..v1::AgentChanges::default()
    };
    assert_eq!(
        hearer.hear(changes),
        Err(HearError::UnknownSet(String::new(), 3))
    );
}
