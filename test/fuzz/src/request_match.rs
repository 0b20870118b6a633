//! Routes and requests: the tables choose what the specification chooses.
//!
//! The bytes stand for the random numbers of the router's own property test, so a fuzzer that follows
//! the branches of the matching code finds worlds that chance does not.

use novaedge_router::{Socket, Tables, TablesBuilder};
use proptest::{
    strategy::{Strategy, ValueTree as _},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use random::LISTENERS;
use resources::Request;

#[path = "../../../agent/router/tests/support/oracle.rs"]
#[allow(clippy::unwrap_used, dead_code, missing_docs)] // a test's module
mod oracle;
#[path = "../../../agent/router/tests/support/random.rs"]
#[allow(clippy::unwrap_used, dead_code, missing_docs)] // a test's module
mod random;
#[path = "../../../agent/router/tests/support/resources.rs"]
#[allow(clippy::unwrap_used, dead_code, missing_docs)] // a test's module
mod resources;

/// The tables and the oracle agree on every request.
pub fn run(bytes: &[u8]) {
    let (numbers, texts) = bytes.split_at(bytes.len() - bytes.len() / 4);
    let rng = TestRng::from_seed(RngAlgorithm::PassThrough, numbers);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = (random::world(), random::requests(8));
    let Ok(tree) = strategy.new_tree(&mut runner) else {
        return;
    };
    let (world, mut requests) = tree.current();
    requests.extend(raw_requests(texts));
    let mut builder = TablesBuilder::new();
    builder.apply(world.resources(), &[]);
    for request in &requests {
        let expected = oracle::route(&world.routes, &LISTENERS, request);
        let found = routed(builder.tables(), request);
        assert_eq!(found, expected, "{request:?} among {:?}", world.routes);
    }
}

/// Requests whose hosts and paths are whatever the bytes are.
fn raw_requests(texts: &[u8]) -> impl Iterator<Item = Request> {
    let lines = texts.split(|byte| *byte == b'\n').take(4);
    lines.flat_map(|line| {
        let text = String::from_utf8_lossy(line);
        [
            Request::get("a.example.com", &text),
            Request::get(&text.to_lowercase(), "/a"),
        ]
    })
}

fn routed(tables: &Tables, request: &Request) -> Option<oracle::Answer> {
    let socket = tables.sockets.values().find_map(|socket| match &**socket {
        Socket::Http(socket) => Some(socket),
        _ => None,
    })?;
    let matched = socket.listener(&request.host)?.route(request)?;
    Some(oracle::Answer {
        route: matched.rule.id.resource.to_string(),
        prefix: matched.prefix.map(str::to_owned),
    })
}
