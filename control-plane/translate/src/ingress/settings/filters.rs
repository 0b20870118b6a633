//! Annotations that change requests and answers.

use novaedge_api::gateway::{HttpCorsFilter, HttpMethodWithWildcard};
use novaedge_api::native::{ProxyCors, ProxyHeader, ProxyHeaderModifier};

use super::super::value::{Values, list};
use super::Mirror;
use crate::filter;

pub(super) fn request_headers(values: &mut Values<'_>) -> ProxyHeaderModifier {
    modifier(values, "request-headers", "remove-request-headers")
}

pub(super) fn response_headers(values: &mut Values<'_>) -> ProxyHeaderModifier {
    modifier(values, "response-headers", "remove-response-headers")
}

/// Headers that are set, and headers that are removed. One that is in both is set.
fn modifier(values: &mut Values<'_>, set: &str, remove: &str) -> ProxyHeaderModifier {
    let headers = values.headers(set);
    let mut removed = values.names(remove);
    let is_set = |name: &String| {
        let same = |header: &ProxyHeader| header.name.eq_ignore_ascii_case(name);
        headers.iter().any(same)
    };
    if let Some(both) = removed.iter().find(|name| is_set(name)) {
        let text = format!("header \"{both}\" is set by novaedge.io/{set}; remove it from one");
        values.fault(remove, text);
    }
    removed.retain(|name| !is_set(name));
    ProxyHeaderModifier {
        set: headers,
        add: Vec::new(),
        remove: removed,
    }
}

/// Cross-origin answers; `cors: "true"` alone lets every origin in.
pub(super) fn cors(values: &mut Values<'_>) -> Option<ProxyCors> {
    let texts = |values: &Values<'_>, name| -> Vec<String> {
        let text = values.text(name).unwrap_or_default();
        list(text).map(str::to_owned).collect()
    };
    let mut allow_origins = texts(values, "cors-allow-origins");
    if allow_origins.is_empty() {
        allow_origins.push("*".to_owned());
    }
    let methods = values.read("cors-allow-methods", "list of methods", |text| {
        let methods = list(text).map(|word| serde_json::from_value(word.into()).ok());
        methods.collect::<Option<Vec<HttpMethodWithWildcard>>>()
    });
    let given = HttpCorsFilter {
        allow_origins,
        allow_credentials: values.flag("cors-allow-credentials"),
        allow_methods: methods.unwrap_or_default(),
        allow_headers: texts(values, "cors-allow-headers"),
        expose_headers: texts(values, "cors-expose-headers"),
        max_age: values.number("cors-max-age", 1..=86_400).unwrap_or(5),
    };
    if values.flag("cors") != Some(true) {
        return None;
    }
    match filter::cors(&given, "cors") {
        Ok(cors) => Some(cors),
        Err(fault) => {
            values.fault("cors", fault.to_string());
            None
        }
    }
}

/// `service:port`, a Service of the Ingress' own namespace.
pub(super) fn mirror(values: &mut Values<'_>) -> Option<Mirror> {
    let wanted =
        "backend; write service:port, with a Service of this namespace and the number of its port";
    let percent = values.number("mirror-percent", 0..=100);
    let backend = values.read("mirror-backend", wanted, |text| {
        let (service, port) = text.split_once(':')?;
        let port = port.parse().ok().filter(|port| *port > 0)?;
        let is_name = !service.is_empty() && !service.contains('/');
        is_name.then(|| (service.to_owned(), port))
    });
    if backend.is_none() && percent.is_some() && values.text("mirror-backend").is_none() {
        let text = "it says nothing without novaedge.io/mirror-backend; add that";
        values.fault("mirror-percent", text);
    }
    let (service, port) = backend?;
    Some(Mirror {
        service,
        port,
        percent: percent.unwrap_or(100),
    })
}
