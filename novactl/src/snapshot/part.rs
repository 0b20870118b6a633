//! The part of a snapshot that one Gateway needs.

use std::collections::BTreeSet;

use novaedge_proto::v1::{
    Backend, Filter, Listener, Resource, Route, filter::Kind, resource::Body,
    weighted_backend::Target,
};

/// The Gateway `namespace/name`, its listeners, the routes on them, their backends with endpoints, and
/// the certificates and authorities of all these; in the order of the snapshot.
pub fn part_of(resources: &[Resource], namespace: &str, name: &str) -> Vec<Resource> {
    let mut wanted = BTreeSet::from([format!("gateway/{namespace}/{name}")]);
    // Children point to their parents, so each round finds the names that the next one needs.
    for pass in [listeners, routes, backends, endpoints] {
        for resource in resources {
            pass(resource, &mut wanted);
        }
    }
    resources
        .iter()
        .filter(|resource| wanted.contains(&resource.name))
        .cloned()
        .collect()
}

fn listeners(resource: &Resource, wanted: &mut BTreeSet<String>) {
    match &resource.body {
        Some(Body::Gateway(gateway)) if wanted.contains(&resource.name) => {
            wanted.insert(gateway.backend_client_certificate.clone());
        }
        Some(Body::Listener(listener)) if wanted.contains(&listener.gateway) => {
            wanted.insert(resource.name.clone());
            wanted.extend(of_listener(listener));
        }
        _ => {}
    }
}

fn routes(resource: &Resource, wanted: &mut BTreeSet<String>) {
    if let Some(Body::Route(route)) = &resource.body
        && route.bindings.iter().any(|b| wanted.contains(&b.listener))
    {
        wanted.insert(resource.name.clone());
        wanted.extend(of_route(route));
    }
}

fn backends(resource: &Resource, wanted: &mut BTreeSet<String>) {
    if let Some(Body::Backend(backend)) = &resource.body
        && wanted.contains(&resource.name)
    {
        wanted.extend(of_backend(backend));
    }
}

fn endpoints(resource: &Resource, wanted: &mut BTreeSet<String>) {
    if let Some(Body::Endpoints(endpoints)) = &resource.body
        && wanted.contains(&endpoints.backend)
    {
        wanted.insert(resource.name.clone());
    }
}

fn of_listener(listener: &Listener) -> impl Iterator<Item = String> {
    let validation = listener.client_validation.iter();
    let trust = validation.flat_map(|validation| &validation.trust_bundles);
    listener.certificates.iter().chain(trust).cloned()
}

fn of_route(route: &Route) -> impl Iterator<Item = String> {
    let targets = route.backends.iter().filter_map(|b| match &b.target {
        Some(Target::Backend(name)) => Some(name),
        _ => None,
    });
    let filters = route.backends.iter().flat_map(|b| &b.filters);
    let mirrors = route.filters.iter().chain(filters).filter_map(mirror);
    targets.chain(mirrors).cloned()
}

fn mirror(filter: &Filter) -> Option<&String> {
    match &filter.kind {
        Some(Kind::Mirror(mirror)) => Some(&mirror.backend),
        _ => None,
    }
}

fn of_backend(backend: &Backend) -> impl Iterator<Item = String> {
    let tls = backend.tls.iter();
    tls.flat_map(|tls| &tls.trust_bundles).cloned()
}

#[cfg(test)]
mod tests {
    use novaedge_proto::v1::{
        Backend, Binding, Endpoints, Filter, Gateway, Listener, Mirror, Resource, Route,
        WeightedBackend, filter::Kind, resource::Body, weighted_backend::Target,
    };

    use super::part_of;

    fn resource(name: &str, body: Body) -> Resource {
        Resource {
            name: name.into(),
            version: String::new(),
            body: Some(body),
        }
    }

    fn listener(gateway: &str) -> Body {
        Body::Listener(Listener {
            gateway: gateway.into(),
            certificates: vec!["certificate/default/tls".into()],
            ..Listener::default()
        })
    }

    fn route(listener: &str, backend: &str, mirror: &str) -> Body {
        let mirror = Mirror {
            backend: mirror.into(),
            ..Mirror::default()
        };
        Body::Route(Route {
            bindings: vec![Binding {
                listener: listener.into(),
                hostnames: Vec::new(),
            }],
            filters: vec![Filter {
                kind: Some(Kind::Mirror(mirror)),
            }],
            backends: vec![WeightedBackend {
                weight: 1,
                target: Some(Target::Backend(backend.into())),
                filters: Vec::new(),
            }],
            ..Route::default()
        })
    }

    fn endpoints(backend: &str) -> Body {
        Body::Endpoints(Endpoints {
            backend: backend.into(),
            endpoints: Vec::new(),
        })
    }

    #[test]
    fn a_gateway_comes_with_all_that_it_reaches_and_nothing_else() {
        let snapshot = [
            resource("backend/default/a", Body::Backend(Backend::default())),
            resource("backend/default/b", Body::Backend(Backend::default())),
            resource("backend/default/m", Body::Backend(Backend::default())),
            resource(
                "certificate/default/other",
                Body::Certificate(novaedge_proto::v1::Certificate::default()),
            ),
            resource(
                "certificate/default/tls",
                Body::Certificate(novaedge_proto::v1::Certificate::default()),
            ),
            resource("endpoints/default/a", endpoints("backend/default/a")),
            resource("endpoints/default/b", endpoints("backend/default/b")),
            resource("gateway/default/one", Body::Gateway(Gateway::default())),
            resource("gateway/default/two", Body::Gateway(Gateway::default())),
            resource("listener/default/one/http", listener("gateway/default/one")),
            resource("listener/default/two/http", listener("gateway/default/two")),
            resource(
                "route/HTTPRoute/default/x/0",
                route(
                    "listener/default/one/http",
                    "backend/default/a",
                    "backend/default/m",
                ),
            ),
            resource(
                "route/HTTPRoute/default/y/0",
                route(
                    "listener/default/two/http",
                    "backend/default/b",
                    "backend/default/b",
                ),
            ),
        ];
        let names: Vec<String> = part_of(&snapshot, "default", "one")
            .into_iter()
            .map(|resource| resource.name)
            .collect();
        let expect = [
            "backend/default/a",
            "backend/default/m",
            "certificate/default/tls",
            "endpoints/default/a",
            "gateway/default/one",
            "listener/default/one/http",
            "route/HTTPRoute/default/x/0",
        ];
        assert_eq!(names, expect);
        assert!(part_of(&snapshot, "default", "none").is_empty());
    }
}
