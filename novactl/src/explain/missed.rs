//! What a request lacks for a rule to take it: asked of the agents' own code, with requests that have some parts of the
//! rule's own.

use http::{
    HeaderName, HeaderValue, Method, Uri,
    header::{CONTENT_TYPE, HOST},
    request::Parts,
};
use novaedge_proto::v1::{
    GrpcMatch, HttpMatch, NameValueMatch, PathMatchType, Resource, Route, RouteKind, resource::Body,
};
use novaedge_proxy::explain::{Connection, explain};
use novaedge_router::{Tables, TablesBuilder};

use crate::entrance::{Entrance, GRPC, entrances, grpc_path, has_expressions, host_of};

/// The parts of a request that rules match by, in the order in which people look at them.
const PARTS: [&str; 6] = ["host", "path", "method", "headers", "query", "content-type"];
const HOST_PART: u32 = 0;
const PATH: u32 = 1;
const METHOD: u32 = 2;
const HEADERS: u32 = 3;
const QUERY: u32 = 4;
const CONTENT: u32 = 5;

/// A label in the place of a wildcard.
const LABEL: &str = "any";

/// A match of a rule.
#[derive(Clone, Copy)]
enum Match<'a> {
    Http(&'a HttpMatch),
    Grpc(&'a GrpcMatch),
}

/// The fewest parts that must be others for a rule to take the request. Empty: it is not known, because the rule has
/// expressions.
pub(super) fn parts(
    resources: &[Resource],
    listener: &str,
    rule: &Resource,
    asked: &Parts,
) -> Vec<&'static str> {
    let Some(Body::Route(route)) = &rule.body else {
        return Vec::new();
    };
    let tables = tables(resources, listener, rule);
    let Some(&Entrance { key, scheme }) = entrances(&tables).get(listener) else {
        return Vec::new();
    };
    let (any_http, any_grpc) = (HttpMatch::default(), GrpcMatch::default());
    let mut matches: Vec<Match<'_>> = route.http_matches.iter().map(Match::Http).collect();
    matches.extend(route.grpc_matches.iter().map(Match::Grpc));
    if matches.is_empty() {
        matches.push(match route.kind() {
            RouteKind::Grpc => Match::Grpc(&any_grpc),
            _ => Match::Http(&any_http),
        });
    }
    let mut choices: Vec<u32> = (1..1 << PARTS.len()).collect();
    choices.sort_by_key(|choice| choice.count_ones());
    let takes = |choice: &u32| {
        matches.iter().any(|one| {
            let Some((parts, host)) = request(asked, route, listener, *one, *choice) else {
                return false;
            };
            let sni = Some(host.as_str());
            let connection = Connection { key, scheme, sni };
            explain(&tables, connection, &parts).matched.is_some()
        })
    };
    let choice = choices.iter().find(|choice| takes(choice));
    let names = (0_u32..).zip(PARTS);
    names
        .filter(|(part, _)| choice.is_some_and(|choice| choice & (1 << part) != 0))
        .map(|(_, name)| name)
        .collect()
}

/// Tables with one listener and one rule.
fn tables(resources: &[Resource], listener: &str, rule: &Resource) -> std::sync::Arc<Tables> {
    let listens = resources.iter().filter(|resource| match &resource.body {
        Some(Body::Gateway(_)) => true,
        Some(Body::Listener(_)) => resource.name == listener,
        _ => false,
    });
    let mut builder = TablesBuilder::new();
    builder.apply(listens.chain([rule]).cloned(), &[]).0
}

/// The request with these parts of the rule's own, and its host. `None`: they cannot be made.
fn request(
    asked: &Parts,
    route: &Route,
    listener: &str,
    one: Match<'_>,
    choice: u32,
) -> Option<(Parts, String)> {
    let has = |part: u32| choice & (1 << part) != 0;
    let mut parts = asked.clone();
    let mut host = asked.headers.get(HOST)?.to_str().ok()?.to_owned();
    if has(HOST_PART) {
        let binding = route.bindings.iter().find(|b| b.listener == listener)?;
        host = host_of(binding.hostnames.first()?, LABEL);
        parts
            .headers
            .insert(HOST, HeaderValue::from_str(&host).ok()?);
    }
    if has(METHOD) {
        parts.method = Method::from_bytes(one.method()?.as_bytes()).ok()?;
    }
    if has(HEADERS) {
        for field in exact(one.headers())? {
            let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
            let value = HeaderValue::from_str(&field.value).ok()?;
            parts.headers.insert(name, value);
        }
    }
    if has(CONTENT) {
        let Match::Grpc(_) = one else { return None };
        parts.headers.insert(CONTENT_TYPE, GRPC);
    }
    let path = if has(PATH) {
        one.path()?
    } else {
        asked.uri.path().to_owned()
    };
    let query = if has(QUERY) {
        let query = exact(one.query())?.iter();
        let query: Vec<String> = query.map(|q| format!("{}={}", q.name, q.value)).collect();
        Some(query.join("&"))
    } else {
        asked.uri.query().map(str::to_owned)
    };
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    parts.uri = format!("{path}{query}").parse::<Uri>().ok()?;
    let host = novaedge_router::host::normalize(&host).into_owned();
    Some((parts, host))
}

impl<'a> Match<'a> {
    /// A path that it takes. `None`: none can be made, or it takes all.
    fn path(self) -> Option<String> {
        match self {
            Self::Http(one) => {
                let path = one.path.as_ref()?;
                let written = path.r#type() != PathMatchType::RegularExpression;
                written.then(|| path.value.clone())
            }
            Self::Grpc(one) => grpc_path(one, LABEL),
        }
    }

    /// The method that it asks for. Calls of gRPC are all alike in that.
    fn method(self) -> Option<&'a str> {
        match self {
            Self::Http(one) => Some(&one.method),
            Self::Grpc(_) => None,
        }
    }

    fn headers(self) -> &'a [NameValueMatch] {
        match self {
            Self::Http(one) => &one.headers,
            Self::Grpc(one) => &one.headers,
        }
    }

    fn query(self) -> &'a [NameValueMatch] {
        match self {
            Self::Http(one) => &one.query_params,
            Self::Grpc(_) => &[],
        }
    }
}

/// The values that are asked for. `None`: there are none, or expressions among them.
fn exact(all: &[NameValueMatch]) -> Option<&[NameValueMatch]> {
    (!all.is_empty() && !has_expressions(all)).then_some(all)
}
