//! A naive reading of the specification. It shares nothing with the crate but the resources.

use std::cmp::{Ordering, Reverse};

use novaedge_proto::v1;
use regex::Regex;
use v1::{PathMatchType, StringMatchType};

use super::resources::{Request, route_name};

/// The rule that wins, and the prefix it won by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub route: String,
    pub prefix: Option<String>,
}

/// What a match is worth, in the order of the criteria; more is better.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Worth {
    non_wildcard_hostname_characters: usize,
    hostname_characters: usize,
    path: PathWorth,
    method: bool,
    headers: usize,
    query_params: usize,
    age: Reverse<i64>,
    name: Reverse<String>,
    kind: Reverse<i32>,
    rule: Reverse<u32>,
    position: Reverse<usize>,
}

/// Ours where the specification is open: expressions between exact and prefix; a gRPC method without service before "/".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum PathWorth {
    Everything,
    MethodOfAnyService,
    Prefix(usize),
    Regex(usize, usize),
    Exact,
}

/// The answer of the listener that has the most specific hostname.
pub fn route(
    routes: &[v1::Route],
    listeners: &[(&str, &str)],
    request: &Request,
) -> Option<Answer> {
    all(routes, listeners, request)
        .into_iter()
        .max_by(|a, b| a.0.cmp(&b.0))
        .map(|(_, answer)| answer)
}

/// How many matches accept a request.
pub fn candidates(routes: &[v1::Route], listeners: &[(&str, &str)], request: &Request) -> usize {
    all(routes, listeners, request).len()
}

fn all(
    routes: &[v1::Route],
    listeners: &[(&str, &str)],
    request: &Request,
) -> Vec<(Worth, Answer)> {
    let mut found = Vec::new();
    let Some(listener) = best_listener(listeners, &request.host) else {
        return found;
    };
    for route in routes
        .iter()
        .filter(|route| matches!(route.kind(), v1::RouteKind::Http | v1::RouteKind::Grpc))
    {
        for own in served_hostnames(route, listener, &request.host) {
            for (position, (path, rest)) in paths(route, request).into_iter().enumerate() {
                if let Some((path, prefix)) = path
                    && let Some((method, headers, query_params)) = rest
                {
                    let worth = worth(route, own, path, method, headers, query_params, position);
                    found.push((
                        worth,
                        Answer {
                            route: route_name(route),
                            prefix,
                        },
                    ));
                }
            }
        }
    }
    found
}

/// TLS: hostname, then age.
pub fn connect(routes: &[v1::Route], listeners: &[(&str, &str)], sni: &str) -> Option<String> {
    let listener = best_listener(listeners, sni)?;
    let mut found = Vec::new();
    for route in routes
        .iter()
        .filter(|route| route.kind() == v1::RouteKind::Tls)
    {
        for own in served_hostnames(route, listener, sni) {
            found.push((
                worth(route, own, PathWorth::Everything, false, 0, 0, 0),
                route_name(route),
            ));
        }
    }
    found
        .into_iter()
        .max_by(|a, b| a.0.cmp(&b.0))
        .map(|(_, name)| name)
}

fn worth(
    route: &v1::Route,
    own: &str,
    path: PathWorth,
    method: bool,
    headers: usize,
    query_params: usize,
    position: usize,
) -> Worth {
    let object = route.r#ref.as_ref().expect("random routes have one");
    Worth {
        non_wildcard_hostname_characters: if own.starts_with('*') { 0 } else { own.len() },
        hostname_characters: own.len(),
        path,
        method,
        headers,
        query_params,
        age: Reverse(if route.created == 0 {
            i64::MAX
        } else {
            route.created
        }),
        name: Reverse(format!("{}/{}", object.namespace, object.name)),
        kind: Reverse(route.kind),
        rule: Reverse(route.rule_index),
        position: Reverse(position),
    }
}

/// The listener of the most specific hostname.
fn best_listener<'a>(listeners: &[(&'a str, &str)], host: &str) -> Option<&'a str> {
    listeners
        .iter()
        .filter(|(_, hostname)| hostname.is_empty() || host_matches(hostname, host))
        .max_by(|(_, a), (_, b)| compare_hostnames(a, b))
        .map(|(name, _)| *name)
}

fn compare_hostnames(a: &str, b: &str) -> Ordering {
    let key = |hostname: &str| {
        (
            !hostname.is_empty() && !hostname.starts_with('*'),
            hostname.len(),
        )
    };
    key(a).cmp(&key(b))
}

/// The own hostnames of a route that fit, if the host also lies within what the binding leaves.
fn served_hostnames<'a>(route: &'a v1::Route, listener: &str, host: &str) -> Vec<&'a str> {
    let bound = route.bindings.iter().any(|binding| {
        binding.listener == listener
            && (binding.hostnames.is_empty()
                || binding
                    .hostnames
                    .iter()
                    .any(|pattern| host_matches(pattern, host)))
    });
    if !bound {
        return Vec::new();
    }
    if route.hostnames.is_empty() {
        return vec![""];
    }
    route
        .hostnames
        .iter()
        .map(String::as_str)
        .filter(|own| host_matches(own, host))
        .filter(|own| !route.single_label_wildcards || labels_fit(own, host))
        .collect()
}

/// A wildcard that stands for one label has as many labels as the host.
fn labels_fit(own: &str, host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    own.split('.').count() == host.split('.').count()
}

fn host_matches(pattern: &str, host: &str) -> bool {
    let host: Vec<&str> = host.strip_suffix('.').unwrap_or(host).split('.').collect();
    match pattern.strip_prefix("*.") {
        Some(suffix) => {
            let suffix: Vec<&str> = suffix.split('.').collect();
            host.len() > suffix.len() && host[host.len() - suffix.len()..] == suffix[..]
        }
        None => host == pattern.split('.').collect::<Vec<_>>(),
    }
}

type Path = Option<(PathWorth, Option<String>)>;
type Rest = Option<(bool, usize, usize)>;

/// For each match of a route: how its path fits, and what else it asks for if the request has it.
fn paths(route: &v1::Route, request: &Request) -> Vec<(Path, Rest)> {
    if route.kind() == v1::RouteKind::Grpc {
        let matches = if route.grpc_matches.is_empty() {
            &vec![v1::GrpcMatch::default()]
        } else {
            &route.grpc_matches
        };
        let one = |each: &v1::GrpcMatch| {
            let headers = headers(&each.headers, request).filter(|_| request.grpc);
            (
                grpc_path(each, &request.path),
                headers.map(|count| (false, count, 0)),
            )
        };
        return matches.iter().map(one).collect();
    }
    let matches = if route.http_matches.is_empty() {
        &vec![v1::HttpMatch::default()]
    } else {
        &route.http_matches
    };
    let one = |each: &v1::HttpMatch| {
        let method = each.method.is_empty() || each.method == request.method;
        let rest = headers(&each.headers, request)
            .zip(query_params(&each.query_params, request))
            .filter(|_| method)
            .map(|(headers, params)| (!each.method.is_empty(), headers, params));
        (http_path(each, &request.path), rest)
    };
    matches.iter().map(one).collect()
}

fn http_path(each: &v1::HttpMatch, path: &str) -> Path {
    let Some(wanted) = &each.path else {
        return Some((PathWorth::Everything, Some("/".to_owned())));
    };
    match wanted.r#type() {
        PathMatchType::Exact => (wanted.value == path).then_some((PathWorth::Exact, None)),
        PathMatchType::RegularExpression => {
            whole(&wanted.value, path).then_some((PathWorth::Regex(wanted.value.len(), 0), None))
        }
        PathMatchType::Prefix => prefix(&wanted.value, path),
        PathMatchType::Unspecified => None,
    }
}

fn prefix(value: &str, path: &str) -> Path {
    let value = value.strip_suffix('/').unwrap_or(value);
    if value.is_empty() {
        return Some((PathWorth::Everything, Some("/".to_owned())));
    }
    let (wanted, given): (Vec<&str>, Vec<&str>) =
        (value.split('/').collect(), path.split('/').collect());
    given
        .starts_with(&wanted)
        .then(|| (PathWorth::Prefix(value.len()), Some(value.to_owned())))
}

fn grpc_path(each: &v1::GrpcMatch, path: &str) -> Path {
    let given: Vec<&str> = path.split('/').collect();
    let target = match given[..] {
        ["", service, method] if !service.is_empty() => Some((service, method)),
        _ => None,
    };
    match (each.r#type(), each.service.as_str(), each.method.as_str()) {
        (_, "", "") => Some((PathWorth::Everything, Some("/".to_owned()))),
        (StringMatchType::Exact, "", method) => {
            (target?.1 == method).then_some((PathWorth::MethodOfAnyService, None))
        }
        (StringMatchType::Exact, service, "") => prefix(&format!("/{service}"), path),
        (StringMatchType::Exact, service, method) => {
            (path == format!("/{service}/{method}")).then_some((PathWorth::Exact, None))
        }
        (StringMatchType::RegularExpression, service, method) => {
            let fits = (service.is_empty() || whole(service, target?.0))
                && (method.is_empty() || whole(method, target?.1));
            fits.then_some((PathWorth::Regex(service.len(), method.len()), None))
        }
        (StringMatchType::Unspecified, ..) => None,
    }
}

/// The number of headers asked for, if the request has them all.
fn headers(wanted: &[v1::NameValueMatch], request: &Request) -> Option<usize> {
    let mut seen: Vec<String> = Vec::new();
    for header in wanted {
        let name = header.name.to_lowercase();
        if seen.contains(&name) {
            continue;
        }
        let given: Vec<&str> = request
            .headers
            .iter()
            .filter(|(other, _)| *other == name)
            .map(|(_, value)| value.as_str())
            .collect();
        if given.is_empty() || !value_fits(header, &given.join(",")) {
            return None;
        }
        seen.push(name);
    }
    Some(seen.len())
}

/// The number of parameters asked for, if the request has them all.
fn query_params(wanted: &[v1::NameValueMatch], request: &Request) -> Option<usize> {
    let mut seen: Vec<&str> = Vec::new();
    for param in wanted {
        if seen.contains(&param.name.as_str()) {
            continue;
        }
        let given = request
            .query
            .as_deref()
            .unwrap_or_default()
            .split('&')
            .find_map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (decoded(name) == param.name).then(|| decoded(value))
            })?;
        if !value_fits(param, &given) {
            return None;
        }
        seen.push(&param.name);
    }
    Some(seen.len())
}

/// The escapes that the random queries use.
fn decoded(text: &str) -> String {
    text.replace('+', " ")
        .replace("%71", "q")
        .replace("%31", "1")
        .replace("%20", " ")
}

fn value_fits(wanted: &v1::NameValueMatch, given: &str) -> bool {
    match wanted.r#type() {
        StringMatchType::Exact => wanted.value == given,
        StringMatchType::RegularExpression => whole(&wanted.value, given),
        StringMatchType::Unspecified => false,
    }
}

fn whole(pattern: &str, text: &str) -> bool {
    Regex::new(&format!("^({pattern})$"))
        .expect("random expressions are valid")
        .is_match(text)
}
