//! A message of the stream, from its bytes to the tables.

use std::{borrow::Cow, collections::BTreeSet};

use novaedge_router::{HttpRule, L4Rule, RequestHead, Socket, Tables, TablesBuilder};
use novaedge_subscribe::{
    Upsert,
    holdings::Holdings,
    staging::{Staging, StepMessage},
};
use prost::Message as _;

/// The largest step that is taken, as in a small agent.
const LIMIT: u64 = 1 << 20;

const HOSTS: [&str; 5] = [
    "",
    "example.com",
    "a.example.com",
    "x.narrow.example.com",
    ".",
];
const PATHS: [&str; 6] = ["/", "/a", "/a/b", "/S/M", "//", "*"];

/// A step is taken or refused, its resources one by one; what is in force answers.
pub fn run(bytes: &[u8]) {
    let Ok(message) = StepMessage::decode(bytes) else {
        return;
    };
    let mut whole = message;
    whole.last = true;
    let Ok(Some(mut step)) = Staging::new(LIMIT).accept(whole) else {
        return;
    };
    // By the contract a step holds each name once, and a version stands for one content.
    let mut names = BTreeSet::new();
    step.upserts
        .retain(|resource| names.insert(resource.name().to_owned()));
    let mut holdings = Holdings::default();
    if let Ok(checked) = holdings.check(&step) {
        holdings.commit(checked, |name| name.len() % 2 == 0);
    }
    let mut builder = TablesBuilder::new();
    let upserts = || step.upserts.iter().map(Upsert::resource);
    let (_, rejected) = builder.apply(upserts(), &step.removed);
    ask(builder.tables());
    // The same again is the same: nothing that was refused comes into force by repetition.
    let (_, again) = builder.apply(upserts(), &step.removed);
    assert_eq!(rejected.len(), again.len(), "{rejected:?}, then {again:?}");
    ask(builder.tables());
    let names: Vec<String> = upserts().map(|resource| resource.name).collect();
    builder.apply(Vec::new(), &names);
    assert!(
        builder.tables().sockets.is_empty(),
        "sockets outlive their listeners"
    );
}

/// Asks the tables everything that traffic asks.
pub fn ask(tables: &Tables) {
    for socket in tables.sockets.values() {
        match &**socket {
            Socket::Http(socket) => HOSTS.iter().for_each(|host| {
                let listener = socket.listener(host);
                if let Some(listener) = listener {
                    requests(host).for_each(|request| {
                        listener
                            .route(&request)
                            .inspect(|matched| http(matched.rule));
                    });
                }
            }),
            Socket::Tls(socket) | Socket::Quic(socket) => {
                for sni in HOSTS.iter().map(|host| Some(*host)).chain([None]) {
                    let _ = socket.select(sni);
                }
                let listeners = socket.tls_listeners();
                listeners
                    .filter_map(|l| l.route(Some("a.example.com")))
                    .for_each(|rule| l4(rule));
            }
            Socket::Tcp(socket) | Socket::Udp(socket) => {
                socket.rule.iter().for_each(|rule| l4(rule));
            }
        }
    }
}

fn requests(host: &'static str) -> impl Iterator<Item = Request> {
    PATHS
        .into_iter()
        .flat_map(move |path| [false, true].map(|grpc| Request { host, path, grpc }))
}

fn http(rule: &HttpRule) {
    let _ = rule.backends.pick();
}

fn l4(rule: &L4Rule) {
    let _ = rule.backends.pick();
}

struct Request {
    host: &'static str,
    path: &'static str,
    grpc: bool,
}

impl RequestHead for Request {
    fn method(&self) -> &'static str {
        "GET"
    }

    fn host(&self) -> &str {
        self.host
    }

    fn path(&self) -> &str {
        self.path
    }

    fn query(&self) -> Option<&str> {
        Some("q=1&r=%zz&=&q")
    }

    fn header<'a>(&'a self, lowercase_name: &str) -> Option<Cow<'a, str>> {
        (lowercase_name.len() < 8).then_some(Cow::Borrowed("1"))
    }

    fn is_grpc(&self) -> bool {
        self.grpc
    }
}
