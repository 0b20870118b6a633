//! Wire resources with the fields that a test cares about.

use novaedge_proto::v1::{self, resource::Body};

pub fn resource(name: &str, body: Body) -> v1::Resource {
    v1::Resource {
        name: name.into(),
        version: String::new(),
        body: Some(body),
    }
}

pub fn gateway() -> v1::Resource {
    resource("gateway/d/g", Body::Gateway(v1::Gateway::default()))
}

/// An HTTP listener for any host, as clients see it on port 80.
pub fn listener(port: u16) -> v1::Resource {
    listener_with(port, |_| {})
}

pub fn listener_with(port: u16, change: impl FnOnce(&mut v1::Listener)) -> v1::Resource {
    let mut listener = v1::Listener {
        gateway: "gateway/d/g".into(),
        section_name: "http".into(),
        port: 80,
        bind_port: port.into(),
        protocol: v1::Protocol::Http.into(),
        ..Default::default()
    };
    change(&mut listener);
    resource("listener/d/g/http", Body::Listener(listener))
}

/// A route of any host and path to the backend `a`.
pub fn route() -> v1::Route {
    v1::Route {
        r#ref: Some(v1::ObjectRef {
            kind: "HTTPRoute".into(),
            namespace: "d".into(),
            name: "r".into(),
        }),
        kind: v1::RouteKind::Http.into(),
        bindings: vec![v1::Binding {
            listener: "listener/d/g/http".into(),
            hostnames: vec![],
        }],
        backends: vec![to("a")],
        ..Default::default()
    }
}

pub fn to(backend: &str) -> v1::WeightedBackend {
    v1::WeightedBackend {
        weight: 1,
        target: Some(v1::weighted_backend::Target::Backend(format!(
            "backend/d/{backend}"
        ))),
        filters: vec![],
    }
}

pub fn routed(route: v1::Route) -> v1::Resource {
    resource("route/HTTPRoute/d/r/0", Body::Route(route))
}

pub fn routed_as(name: &str, route: v1::Route) -> v1::Resource {
    resource(&format!("route/HTTPRoute/d/{name}/0"), Body::Route(route))
}

pub fn prefix(path: &str) -> v1::HttpMatch {
    v1::HttpMatch {
        path: Some(v1::PathMatch {
            r#type: v1::PathMatchType::Prefix.into(),
            value: path.into(),
        }),
        ..Default::default()
    }
}

pub fn filter(kind: v1::filter::Kind) -> v1::Filter {
    v1::Filter { kind: Some(kind) }
}

pub fn header(name: &str, value: &str) -> v1::Header {
    v1::Header {
        name: name.into(),
        value: value.into(),
    }
}

pub fn backend(name: &str) -> v1::Resource {
    backend_with(name, |_| {})
}

pub fn backend_with(name: &str, change: impl FnOnce(&mut v1::Backend)) -> v1::Resource {
    let mut backend = v1::Backend {
        protocol: v1::BackendProtocol::Http1.into(),
        load_balancing: v1::LoadBalancing::RoundRobin.into(),
        ..Default::default()
    };
    change(&mut backend);
    resource(&format!("backend/d/{name}"), Body::Backend(backend))
}

pub fn endpoints(name: &str, ports: &[u16]) -> v1::Resource {
    let addresses: Vec<(&str, u16)> = ports.iter().map(|port| ("127.0.0.1", *port)).collect();
    endpoints_at(name, &addresses)
}

pub fn endpoints_at(name: &str, addresses: &[(&str, u16)]) -> v1::Resource {
    let endpoints = addresses
        .iter()
        .map(|(address, port)| v1::Endpoint {
            address: (*address).into(),
            port: (*port).into(),
            ..Default::default()
        })
        .collect();
    let backend = format!("backend/d/{name}");
    resource(
        &format!("endpoints/d/{name}"),
        Body::Endpoints(v1::Endpoints { backend, endpoints }),
    )
}

/// One HTTP listener, one route, one backend `a` with these endpoints.
pub fn simple(port: u16, origins: &[u16]) -> Vec<v1::Resource> {
    with_route(port, origins, route())
}

pub fn with_route(port: u16, origins: &[u16], route: v1::Route) -> Vec<v1::Resource> {
    vec![
        gateway(),
        listener(port),
        routed(route),
        backend("a"),
        endpoints("a", origins),
    ]
}
