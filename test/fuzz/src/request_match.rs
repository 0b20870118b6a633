//! Routes and requests: the tables choose what the specification chooses.

use novaedge_proto::v1;
use novaedge_router::{Socket, Tables, TablesBuilder};
use v1::{PathMatchType, StringMatchType};

use crate::choices::Choices;

use resources::{LISTENER, Request, binding, http_gateway, path, route, route_name, rule, strings};

#[path = "../../../agent/router/tests/support/oracle.rs"]
#[allow(clippy::unwrap_used, dead_code, missing_docs)] // a test's module
mod oracle;
#[path = "../../../agent/router/tests/support/resources.rs"]
#[allow(clippy::unwrap_used, dead_code, missing_docs)] // a test's module
mod resources;

const MAX_ROUTES: usize = 12;
const MAX_REQUESTS: usize = 4;

const PATTERNS: [&str; 6] = [
    "*.com",
    "*.example.com",
    "example.com",
    "a.example.com",
    "b.a.example.com",
    "*.a.example.com",
];
const HOSTS: [&str; 6] = [
    "example.com",
    "a.example.com",
    "b.a.example.com",
    "x.com",
    "a.example.com.",
    "",
];
const PATHS: [&str; 8] = ["/", "/a", "/a/", "/a/b", "/ab", "/b", "/a//b", "*"];
const REGEXES: [&str; 4] = ["/a.*", "/[ab]", ".*/b?", "/a|/b"];
const HEADERS: [&str; 3] = ["x", "y", "Z"];
const VALUES: [&str; 4] = ["1", "2", "12", "1,2"];
const QUERIES: [&str; 5] = ["q=1", "q=2&q=1", "r=1&q", "q=1&r=1", ""];
const METHODS: [&str; 3] = ["", "GET", "POST"];

/// The tables and the oracle agree on every request, also when half the routes come later.
pub fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let mut routes: Vec<v1::Route> = choices.some(MAX_ROUTES, any_route);
    // Names are unique in a snapshot.
    routes.sort_by_key(route_name);
    routes.dedup_by_key(|route| route_name(route));
    let mut builder = TablesBuilder::new();
    let (first, second) = routes.split_at(routes.len() / 2);
    builder.apply(second.iter().map(route), &[]);
    let mut rest = http_gateway();
    rest.extend(first.iter().map(route));
    builder.apply(rest, &[]);
    for _ in 0..MAX_REQUESTS {
        let request = any_request(&mut choices);
        let expected = oracle::route(&routes, &[(LISTENER, "")], &request);
        let found = routed(builder.tables(), &request);
        assert_eq!(found, expected, "{request:?} among {routes:?}");
        if choices.is_empty() {
            break;
        }
    }
}

fn any_route(choices: &mut Choices<'_>) -> v1::Route {
    let name = choices.one(&["a", "a-b", "b", "b.c"]);
    let index = u32::try_from(choices.below(8)).unwrap_or(0);
    let hostnames = choices.some(2, |choices| choices.one(&PATTERNS));
    v1::Route {
        created: i64::try_from(choices.below(3)).unwrap_or(0),
        hostnames: strings(&hostnames),
        bindings: vec![binding(LISTENER)],
        http_matches: choices.some(3, any_match),
        ..rule(name, index)
    }
}

fn any_match(choices: &mut Choices<'_>) -> v1::HttpMatch {
    let path = match choices.below(4) {
        0 => v1::HttpMatch::default(),
        1 => path(PathMatchType::Exact, choices.one(&PATHS[..7])),
        2 => path(PathMatchType::Prefix, choices.one(&PATHS[..6])),
        _ => path(PathMatchType::RegularExpression, choices.one(&REGEXES)),
    };
    v1::HttpMatch {
        method: choices.one(&METHODS).to_owned(),
        headers: choices.some(2, |choices| pair(choices, &HEADERS, &VALUES)),
        query_params: choices.some(2, |choices| pair(choices, &["q", "r"], &VALUES)),
        ..path
    }
}

fn pair(choices: &mut Choices<'_>, names: &[&str], values: &[&str]) -> v1::NameValueMatch {
    let (kind, value) = match choices.below(4) {
        0 => (StringMatchType::RegularExpression, "1.*"),
        _ => (StringMatchType::Exact, choices.one(values)),
    };
    v1::NameValueMatch {
        r#type: kind.into(),
        name: choices.one(names).to_owned(),
        value: value.to_owned(),
    }
}

/// A request that the routes know of, or one whose host, path and header are whatever the bytes are.
fn any_request(choices: &mut Choices<'_>) -> Request {
    let known = choices.below(4) > 0;
    let mut text = |options: &[&str]| {
        if known {
            choices.one(options).to_owned()
        } else {
            choices.text()
        }
    };
    let (host, path) = (text(&HOSTS).to_lowercase(), text(&PATHS));
    let header = text(&VALUES);
    let headers = choices.some(2, |choices| {
        let name = choices.one(&HEADERS).to_lowercase();
        (name, choices.one(&VALUES).to_owned())
    });
    let query = choices.one(&QUERIES);
    Request {
        method: choices.one(&METHODS[1..]).to_owned(),
        host,
        path,
        query: (choices.below(4) > 0).then(|| query.to_owned()),
        headers: [("x".to_owned(), header)]
            .into_iter()
            .chain(headers)
            .collect(),
        grpc: false,
    }
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
