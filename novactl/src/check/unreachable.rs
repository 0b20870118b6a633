//! Rules that no request reaches, because others take all that they match: tried with requests made for the rule, by the
//! agents' own code.

use std::collections::{BTreeMap, BTreeSet};

use http::{header::CONTENT_TYPE, request::Parts};
use novaedge_control_plane::problem::{Level, Problem};
use novaedge_proto::v1::{
    GrpcMatch, HttpMatch, PathMatchType, Resource, Route, RouteKind, resource::Body,
};
use novaedge_proxy::explain::{Connection, explain};
use novaedge_router::{Tables, TablesBuilder};

use crate::entrance::{Entrance, GRPC, entrances, grpc_path, has_expressions, host_of};

/// Parts of hosts and paths that nobody writes.
const UNLIKELY: &str = "zz-novactl";

/// What may follow a prefix: a rule that takes all of these takes the prefix, as far as people write rules.
const TAILS: [&str; 6] = ["", "/", "/0", "/zz-novactl", "/zz-novactl/0", "/A.b_c~1/-"];

/// Methods that are tried where a match names none.
const METHODS: [&str; 4] = ["GET", "POST", "DELETE", "OPTIONS"];

/// What stands for a service or a method that may be any: a rule that takes all of these takes any.
const CALLS: [&str; 3] = ["zz-novactl", "a.b.C", "Get"];

/// A warning for each rule of an HTTPRoute or a GRPCRoute that is not reached.
pub(super) fn rules(resources: &[Resource]) -> Vec<Problem> {
    let mut builder = TablesBuilder::new();
    let (tables, _rejected) = builder.apply(resources.iter().cloned(), &[]);
    let entrances = entrances(&tables);
    resources
        .iter()
        .filter_map(|resource| match &resource.body {
            Some(Body::Route(route))
                if matches!(route.kind(), RouteKind::Http | RouteKind::Grpc) =>
            {
                Some((resource, route))
            }
            _ => None,
        })
        .filter_map(|(resource, route)| {
            let takers = takers(&tables, &entrances, &resource.name, route)?;
            Some(problem(route, &takers))
        })
        .collect()
}

/// Who takes the requests that are made for a rule. `None`: the rule takes one of them, or it is not known how to make one.
fn takers(
    tables: &Tables,
    entrances: &BTreeMap<&str, Entrance>,
    name: &str,
    route: &Route,
) -> Option<BTreeSet<String>> {
    let mut takers = BTreeSet::new();
    for binding in &route.bindings {
        // A listener that is not served has a problem of its own.
        let entrance = entrances.get(binding.listener.as_str())?;
        for host in hosts(&binding.hostnames) {
            for parts in requests_of(route, &host)? {
                let connection = Connection {
                    key: entrance.key,
                    scheme: entrance.scheme,
                    sni: Some(&host),
                };
                let rule = explain(tables, connection, &parts).matched?.rule;
                if *rule.id.resource == *name {
                    return None;
                }
                let (kind, id) = (rule.id.object_kind(), &rule.id);
                let of = format!("{kind}/{}/{}", id.namespace(), id.name());
                takers.insert(format!("rule {} of {of}", id.rule_index));
            }
        }
    }
    (!takers.is_empty()).then_some(takers)
}

fn hosts(hostnames: &[String]) -> Vec<String> {
    if hostnames.is_empty() {
        return vec![format!("{UNLIKELY}.test")];
    }
    let hosts = hostnames.iter().map(|name| host_of(name, UNLIKELY));
    hosts.collect()
}

/// Requests that the matches of a rule take. `None`: one has expressions.
fn requests_of(route: &Route, host: &str) -> Option<Vec<Parts>> {
    let made: Option<Vec<Vec<Parts>>> = if route.kind() == RouteKind::Grpc {
        let all = [GrpcMatch::default()];
        let matches = match route.grpc_matches.as_slice() {
            [] => &all,
            matches => matches,
        };
        matches.iter().map(|one| calls(one, host)).collect()
    } else {
        let all = [HttpMatch::default()];
        let matches = match route.http_matches.as_slice() {
            [] => &all,
            matches => matches,
        };
        matches.iter().map(|one| requests(one, host)).collect()
    };
    Some(made?.into_iter().flatten().collect())
}

/// Calls that a match of a GRPCRoute takes. `None`: it has expressions, for which none can be made.
fn calls(one: &GrpcMatch, host: &str) -> Option<Vec<Parts>> {
    if has_expressions(&one.headers) {
        return None;
    }
    let calls = CALLS.iter().map(|filler| {
        let mut request = http::Request::post(grpc_path(one, filler)?)
            .header("host", host)
            .header(CONTENT_TYPE, GRPC);
        for header in &one.headers {
            request = request.header(&header.name, &header.value);
        }
        // What cannot be written as a request cannot be tried.
        Some(request.body(()).ok()?.into_parts().0)
    });
    calls.collect()
}

/// Requests that a match takes. `None`: it has expressions, for which none can be made.
fn requests(one: &HttpMatch, host: &str) -> Option<Vec<Parts>> {
    let paths: Vec<String> = match &one.path {
        None => TAILS.map(str::to_owned).to_vec(),
        Some(path) => match path.r#type() {
            PathMatchType::Exact => vec![path.value.clone()],
            PathMatchType::RegularExpression => return None,
            PathMatchType::Prefix | PathMatchType::Unspecified => {
                let prefix = path.value.trim_end_matches('/');
                TAILS.map(|tail| format!("{prefix}{tail}")).to_vec()
            }
        },
    };
    if has_expressions(&one.headers) || has_expressions(&one.query_params) {
        return None;
    }
    let query: Vec<String> = one
        .query_params
        .iter()
        .map(|one| format!("{}={}", one.name, one.value))
        .collect();
    let query = match query.as_slice() {
        [] => String::new(),
        query => format!("?{}", query.join("&")),
    };
    let methods = match one.method.as_str() {
        "" => &METHODS[..],
        method => &[method],
    };
    let mut requests = Vec::new();
    for method in methods {
        for path in &paths {
            let path = if path.is_empty() { "/" } else { path };
            let mut request = http::Request::builder()
                .method(*method)
                .uri(format!("{path}{query}"))
                .header("host", host);
            for header in &one.headers {
                request = request.header(&header.name, &header.value);
            }
            // What cannot be written as a request cannot be tried.
            requests.push(request.body(()).ok()?.into_parts().0);
        }
    }
    Some(requests)
}

fn problem(route: &Route, takers: &BTreeSet<String>) -> Problem {
    let of = route.r#ref.clone().unwrap_or_default();
    let takers: Vec<&str> = takers.iter().map(String::as_str).collect();
    let message = format!(
        "no request reaches this rule, for all that it matches goes to {}; remove it, or match more closely",
        takers.join(", ")
    );
    // Rules of an Ingress are those of its ProxyRoute.
    let field = match of.kind.as_str() {
        "Ingress" => "spec.rules".to_owned(),
        _ => format!("spec.rules[{}]", route.rule_index),
    };
    Problem {
        severity: Level::Warning,
        field,
        ..Problem::of_object(
            format!("{}/{}/{}", of.kind, of.namespace, of.name),
            "Unreachable",
            message,
        )
    }
}
