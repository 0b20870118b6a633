//! The tables against a naive reading of the specification: every match of every route is tried, and the best is chosen by
//! the criteria in the order in which the specification lists them.

#[path = "support/resources.rs"]
#[allow(dead_code)] // Shared with other tests.
mod resources;

#[path = "support/oracle.rs"]
mod naive;

#[path = "support/random.rs"]
mod random;

use std::sync::Arc;

use novaedge_proto::v1;
use novaedge_router::{Socket, Tables, TablesBuilder, TlsTarget};
use proptest::prelude::*;

use self::{
    naive::Answer,
    random::{LISTENERS, SECURE_LISTENERS, Step, World},
    resources::Request,
};

/// What the tables answer to a request on the HTTP socket.
fn routed(tables: &Tables, request: &Request) -> Option<Answer> {
    let socket = tables.sockets.values().find_map(|socket| match &**socket {
        Socket::Http(socket) => Some(socket),
        _ => None,
    })?;
    let matched = socket.listener(&request.host)?.route(request)?;
    Some(Answer {
        route: matched.rule.id.resource.to_string(),
        prefix: matched.prefix.map(str::to_owned),
    })
}

/// What the tables answer to a server name on the TLS socket.
fn connected(tables: &Tables, sni: &str) -> Option<String> {
    let socket = tables.sockets.values().find_map(|socket| match &**socket {
        Socket::Tls(socket) => Some(socket),
        _ => None,
    })?;
    match socket.select(Some(sni))? {
        TlsTarget::Passthrough(listener) | TlsTarget::Terminate(listener) => listener
            .route(Some(sni))
            .map(|rule| rule.id.resource.to_string()),
        TlsTarget::Https(_) => None,
    }
}

fn applied(steps: &[Step]) -> Arc<Tables> {
    let mut builder = TablesBuilder::new();
    for step in steps {
        let (_, rejected) = builder.apply(step.upserts.clone(), &step.removed);
        let faults: Vec<_> = rejected
            .iter()
            .filter(|rejected| !rejected.error.contains("is not part of the snapshot"))
            .collect();
        assert!(faults.is_empty(), "{faults:?}");
    }
    Arc::clone(builder.tables())
}

fn rebuilt(resources: Vec<v1::Resource>) -> Arc<Tables> {
    let (tables, rejected) = TablesBuilder::new().apply(resources, &[]);
    assert!(rejected.is_empty(), "{rejected:?}");
    tables
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn the_tables_choose_what_the_specification_chooses(world in random::world(), requests in random::requests(40)) {
        let tables = rebuilt(world.resources());
        for request in &requests {
            let expected = naive::route(&world.routes, &LISTENERS, request);
            prop_assert_eq!(routed(&tables, request), expected, "{:?}", request);
        }
        for request in &requests {
            let expected = naive::connect(&world.routes, &SECURE_LISTENERS, &request.host);
            prop_assert_eq!(connected(&tables, &request.host), expected, "{:?}", request.host);
        }
    }

    #[test]
    fn the_order_of_steps_leaves_no_trace(
        (world, steps) in random::world().prop_flat_map(|world: World| {
            let steps = random::steps(&world);
            (Just(world), steps)
        }),
        requests in random::requests(30),
    ) {
        let once = rebuilt(world.resources());
        let stepwise = applied(&steps);
        let keys = |tables: &Tables| tables.sockets.keys().copied().collect::<Vec<_>>();
        prop_assert_eq!(keys(&once), keys(&stepwise));
        for (key, socket) in &once.sockets {
            prop_assert_eq!(socket.listener_names(), stepwise.sockets[key].listener_names());
        }
        for request in &requests {
            prop_assert_eq!(routed(&once, request), routed(&stepwise, request), "{:?}", request);
            prop_assert_eq!(connected(&once, &request.host), connected(&stepwise, &request.host));
        }
        let rule_of = |tables: &Tables| tables.sockets.values().filter_map(|socket| match &**socket {
            Socket::Tcp(socket) | Socket::Udp(socket) => Some(socket.rule.as_ref().map(|rule| rule.id.clone())),
            _ => None,
        }).collect::<Vec<_>>();
        prop_assert_eq!(rule_of(&once), rule_of(&stepwise));
    }
}

#[test]
fn random_worlds_do_collide() {
    use proptest::{strategy::ValueTree as _, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let (mut answers, mut contested) = (0, 0);
    for _ in 0..200 {
        let world = random::world().new_tree(&mut runner).unwrap().current();
        for request in random::requests(20)
            .new_tree(&mut runner)
            .unwrap()
            .current()
        {
            let candidates = naive::candidates(&world.routes, &LISTENERS, &request);
            answers += usize::from(candidates > 0);
            contested += usize::from(candidates > 1);
        }
    }
    assert!(
        answers > 1500 && contested > 800,
        "{answers} answers, {contested} contested"
    );
}
