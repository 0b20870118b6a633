//! Short ways to write resources and requests.

use std::borrow::Cow;

use novaedge_proto::v1;
use novaedge_router::RequestHead;
use v1::resource::Body;

pub const LISTENER: &str = "listener/infra/gw/http";

pub fn resource(name: &str, body: Body) -> v1::Resource {
    v1::Resource {
        name: name.to_owned(),
        version: String::new(),
        body: Some(body),
    }
}

pub fn gateway(name: &str) -> v1::Resource {
    resource(name, Body::Gateway(v1::Gateway::default()))
}

pub fn listener(name: &str, protocol: v1::Protocol, port: u32, hostname: &str) -> v1::Resource {
    let body = v1::Listener {
        gateway: "gateway/infra/gw".to_owned(),
        section_name: name.rsplit('/').next().unwrap_or_default().to_owned(),
        port,
        bind_port: port,
        protocol: protocol.into(),
        hostname: hostname.to_owned(),
        ..v1::Listener::default()
    };
    resource(name, Body::Listener(body))
}

/// A Gateway with an HTTP listener on port 80, [`LISTENER`].
pub fn http_gateway() -> Vec<v1::Resource> {
    vec![
        gateway("gateway/infra/gw"),
        listener(LISTENER, v1::Protocol::Http, 80, ""),
    ]
}

/// A rule of an HTTPRoute on [`LISTENER`], of one namespace.
pub fn rule(name: &str, index: u32) -> v1::Route {
    v1::Route {
        r#ref: Some(v1::ObjectRef {
            kind: "HTTPRoute".into(),
            namespace: "default".into(),
            name: name.into(),
        }),
        kind: v1::RouteKind::Http.into(),
        rule_index: index,
        created: 1,
        bindings: vec![binding(LISTENER)],
        ..v1::Route::default()
    }
}

pub fn binding(listener: &str) -> v1::Binding {
    v1::Binding {
        listener: listener.to_owned(),
        hostnames: Vec::new(),
    }
}

/// The resource of a rule, under the name that the contract gives it.
pub fn route(rule: &v1::Route) -> v1::Resource {
    resource(&route_name(rule), Body::Route(rule.clone()))
}

pub fn route_name(rule: &v1::Route) -> String {
    let object = rule.r#ref.clone().unwrap_or_default();
    format!(
        "route/{}/{}/{}/{}",
        object.kind, object.namespace, object.name, rule.rule_index
    )
}

pub fn strings(values: &[&str]) -> Vec<String> {
    values.iter().map(|&value| value.to_owned()).collect()
}

pub fn path(kind: v1::PathMatchType, value: &str) -> v1::HttpMatch {
    v1::HttpMatch {
        path: Some(v1::PathMatch {
            r#type: kind.into(),
            value: value.to_owned(),
        }),
        ..v1::HttpMatch::default()
    }
}

pub fn prefix(value: &str) -> v1::HttpMatch {
    path(v1::PathMatchType::Prefix, value)
}

pub fn exact(value: &str) -> v1::HttpMatch {
    path(v1::PathMatchType::Exact, value)
}

pub fn pair(name: &str, value: &str) -> v1::NameValueMatch {
    v1::NameValueMatch {
        r#type: v1::StringMatchType::Exact.into(),
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

/// A request as a client would send it.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub method: String,
    pub host: String,
    pub path: String,
    pub query: Option<String>,
    pub headers: Vec<(String, String)>,
    pub grpc: bool,
}

impl Request {
    pub fn get(host: &str, path: &str) -> Self {
        Self {
            method: "GET".into(),
            host: host.into(),
            path: path.into(),
            ..Self::default()
        }
    }
}

impl RequestHead for Request {
    fn method(&self) -> &str {
        &self.method
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    fn header<'a>(&'a self, lowercase_name: &str) -> Option<Cow<'a, str>> {
        let values: Vec<&str> = self
            .headers
            .iter()
            .filter(|(name, _)| name == lowercase_name)
            .map(|(_, value)| value.as_str())
            .collect();
        (!values.is_empty()).then(|| Cow::Owned(values.join(",")))
    }

    fn is_grpc(&self) -> bool {
        self.grpc
    }
}
