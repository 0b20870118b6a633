//! What a request lacks for a rule to take it: asked of the agents' own code, with requests that have some parts of the
//! rule's own.

use http::{HeaderName, HeaderValue, Method, Uri, header::HOST, request::Parts};
use novaedge_proto::v1::{
    HttpMatch, NameValueMatch, PathMatchType, Resource, Route, resource::Body,
};
use novaedge_proxy::explain::{Connection, explain};
use novaedge_router::{Tables, TablesBuilder};

use crate::entrance::{Entrance, entrances, has_expressions, host_of};

/// The parts of a request that rules match by, in the order in which people look at them.
const PARTS: [&str; 5] = ["host", "path", "method", "headers", "query"];
const HOST_PART: u32 = 0;
const PATH: u32 = 1;
const METHOD: u32 = 2;
const HEADERS: u32 = 3;
const QUERY: u32 = 4;

/// A label in the place of a wildcard.
const LABEL: &str = "any";

/// The fewest parts that must be others for an HTTP rule to take the request. Empty: it is not known, because the rule has
/// expressions, or is none of an HTTPRoute.
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
    let all = [HttpMatch::default()];
    let matches = match route.http_matches.as_slice() {
        [] if route.grpc_matches.is_empty() => &all,
        matches => matches,
    };
    let mut choices: Vec<u32> = (1..1 << PARTS.len()).collect();
    choices.sort_by_key(|choice| choice.count_ones());
    let takes = |choice: &u32| {
        matches.iter().any(|one| {
            let Some((parts, host)) = request(asked, route, listener, one, *choice) else {
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
    one: &HttpMatch,
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
        parts.method = Method::from_bytes(one.method.as_bytes()).ok()?;
    }
    if has(HEADERS) {
        for field in exact(&one.headers)? {
            let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
            let value = HeaderValue::from_str(&field.value).ok()?;
            parts.headers.insert(name, value);
        }
    }
    let path = match &one.path {
        Some(path) if has(PATH) && path.r#type() != PathMatchType::RegularExpression => &path.value,
        _ if has(PATH) => return None,
        _ => asked.uri.path(),
    };
    let query = if has(QUERY) {
        let query = exact(&one.query_params)?.iter();
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

/// The values that are asked for. `None`: there are none, or expressions among them.
fn exact(all: &[NameValueMatch]) -> Option<&[NameValueMatch]> {
    (!all.is_empty() && !has_expressions(all)).then_some(all)
}
