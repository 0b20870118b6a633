//! What a lookup and a changed route cost by the number of routes.
//!
//! `cargo bench -p novaedge-router`

use std::{borrow::Cow, hint::black_box, sync::Arc};

use divan::Bencher;
use novaedge_proto::v1;
use novaedge_router::{RequestHead, Socket, Tables, TablesBuilder};
use v1::resource::Body;

const SIZES: [usize; 4] = [1, 100, 1_000, 10_000];
const LISTENER: &str = "listener/infra/gw/http";

fn main() {
    divan::main();
}

/// How the routes differ.
#[derive(Clone, Copy)]
enum Spread {
    /// Each route has a hostname of its own.
    Hosts,
    /// All routes share a hostname, and each has a path prefix of its own.
    Paths,
}

struct Request {
    host: String,
    path: String,
}

impl RequestHead for Request {
    fn method(&self) -> &'static str {
        "GET"
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn query(&self) -> Option<&str> {
        None
    }

    fn header<'a>(&'a self, _: &str) -> Option<Cow<'a, str>> {
        None
    }

    fn is_grpc(&self) -> bool {
        false
    }
}

impl Spread {
    fn request(self, route: usize) -> Request {
        match self {
            Self::Hosts => Request {
                host: format!("h{route}.example.com"),
                path: "/api/v1/items".into(),
            },
            Self::Paths => Request {
                host: "example.com".into(),
                path: format!("/p{route}/v1/items"),
            },
        }
    }

    fn route(self, route: usize, created: i64) -> v1::Resource {
        let (host, prefix) = match self {
            Self::Hosts => (format!("h{route}.example.com"), "/api".to_owned()),
            Self::Paths => ("example.com".to_owned(), format!("/p{route}")),
        };
        let path = v1::PathMatch {
            r#type: v1::PathMatchType::Prefix.into(),
            value: prefix,
        };
        let object = v1::ObjectRef {
            kind: "HTTPRoute".into(),
            namespace: "ns".into(),
            name: format!("r{route}"),
        };
        let body = v1::Route {
            r#ref: Some(object),
            kind: v1::RouteKind::Http.into(),
            created,
            hostnames: vec![host],
            bindings: vec![v1::Binding {
                listener: LISTENER.into(),
                hostnames: Vec::new(),
            }],
            http_matches: vec![v1::HttpMatch {
                path: Some(path),
                ..v1::HttpMatch::default()
            }],
            ..v1::Route::default()
        };
        resource(&format!("route/HTTPRoute/ns/r{route}/0"), Body::Route(body))
    }

    fn builder(self, routes: usize) -> TablesBuilder {
        let listener = v1::Listener {
            gateway: "gateway/infra/gw".into(),
            port: 80,
            bind_port: 80,
            protocol: v1::Protocol::Http.into(),
            ..v1::Listener::default()
        };
        let mut all = vec![resource(
            "gateway/infra/gw",
            Body::Gateway(v1::Gateway::default()),
        )];
        all.push(resource(LISTENER, Body::Listener(listener)));
        all.extend((0..routes).map(|route| self.route(route, 1)));
        let mut builder = TablesBuilder::new();
        builder.apply(all, &[]);
        builder
    }
}

fn resource(name: &str, body: Body) -> v1::Resource {
    v1::Resource {
        name: name.to_owned(),
        version: String::new(),
        body: Some(body),
    }
}

fn lookup(tables: &Tables, request: &Request) -> bool {
    tables.sockets.values().any(|socket| match &**socket {
        Socket::Http(socket) => socket
            .listener(&request.host)
            .and_then(|listener| listener.route(request))
            .is_some(),
        _ => false,
    })
}

/// Thirty-two requests, spread over the table: divide by that.
fn lookups(bencher: Bencher<'_, '_>, spread: Spread, routes: usize) {
    let builder = spread.builder(routes);
    let requests: Vec<Request> = (0..32)
        .map(|at| spread.request(at * 997 % routes))
        .collect();
    let tables = builder.tables();
    bencher.bench_local(|| {
        requests
            .iter()
            .filter(|request| lookup(black_box(tables), request))
            .count()
    });
}

fn changes(bencher: Bencher<'_, '_>, spread: Spread, routes: usize) {
    let mut builder = spread.builder(routes);
    let mut created = 1;
    bencher.bench_local(|| {
        created += 1;
        // As in the agent, the tables before stay alive until those after are there.
        let before = Arc::clone(builder.tables());
        let (after, _) = builder.apply(vec![spread.route(routes / 2, created)], &[]);
        (before, after)
    });
}

#[divan::bench(args = SIZES)]
fn lookups_32_among_hosts(bencher: Bencher<'_, '_>, routes: usize) {
    lookups(bencher, Spread::Hosts, routes);
}

#[divan::bench(args = SIZES)]
fn lookups_32_among_paths(bencher: Bencher<'_, '_>, routes: usize) {
    lookups(bencher, Spread::Paths, routes);
}

#[divan::bench(args = SIZES)]
fn one_change_among_hosts(bencher: Bencher<'_, '_>, routes: usize) {
    changes(bencher, Spread::Hosts, routes);
}

#[divan::bench(args = SIZES)]
fn one_change_among_paths(bencher: Bencher<'_, '_>, routes: usize) {
    changes(bencher, Spread::Paths, routes);
}
