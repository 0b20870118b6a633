//! One line about a resource.

use serde_json::Value;

use crate::object::{number, text};

/// Items that a line shows; the rest is counted.
const SHOWN: usize = 3;

/// Digits of a fingerprint that a line shows.
const FINGERPRINT_DIGITS: usize = 16;

/// What the resource is, in the words of its user.
pub fn of(resource: &Value) -> String {
    let body = |name: &str| resource.get(name);
    if let Some(gateway) = body("gateway") {
        let addresses = some(strings(gateway, "bindAddresses"), "all addresses");
        // A ProxyGateway that a user wrote comes from no Gateway.
        let generation = number(gateway, "/generation");
        let generation = generation.map_or_else(String::new, |n| format!("generation {n} "));
        return format!("{generation}on {addresses}");
    }
    if let Some(listener) = body("listener") {
        return of_listener(listener);
    }
    if let Some(route) = body("route") {
        return of_route(route);
    }
    if let Some(backend) = body("backend") {
        return of_backend(backend);
    }
    if let Some(endpoints) = body("endpoints") {
        let addresses = list(endpoints, "endpoints").iter().map(|endpoint| {
            let port = number(endpoint, "/port").unwrap_or_default();
            format!("{}:{port}", text(endpoint, "/address"))
        });
        return some(addresses.collect(), "no endpoints");
    }
    if let Some(certificate) = body("certificate") {
        let digits = text(certificate, "/fingerprint").chars();
        let digits: String = digits.take(FINGERPRINT_DIGITS).collect();
        return format!("SHA-256 {digits}...");
    }
    if let Some(bundle) = body("trustBundle") {
        let count = text(bundle, "/caPem").matches("BEGIN CERTIFICATE").count();
        return format!("{count} authorities");
    }
    String::new()
}

fn of_listener(listener: &Value) -> String {
    let protocol = text(listener, "/protocol").trim_start_matches("PROTOCOL_");
    let port = number(listener, "/port").unwrap_or_default();
    let host = match text(listener, "/hostname") {
        "" => "any host",
        hostname => hostname,
    };
    let mode = match text(listener, "/tlsMode") {
        "TLS_MODE_PASSTHROUGH" => ", passthrough",
        _ => "",
    };
    format!("{protocol} :{port} {host}{mode}")
}

fn of_route(route: &Value) -> String {
    let hosts = some(strings(route, "hostnames"), "any host");
    let backends = list(route, "backends").iter().map(|backend| {
        let weight = number(backend, "/weight").unwrap_or_default();
        match text(backend, "/backend") {
            "" => format!("{}={weight}", text(backend, "/invalid/reason")),
            name => format!("{}={weight}", name.trim_start_matches("backend/")),
        }
    });
    let target = match text(route, "/invalid/reason") {
        "" => some(backends.collect(), "no backend"),
        reason => format!("nothing: {reason}"),
    };
    format!("{hosts} -> {target}")
}

fn of_backend(backend: &Value) -> String {
    let protocol = match text(backend, "/protocol") {
        "BACKEND_PROTOCOL_HTTP2" => "HTTP/2",
        _ => "HTTP/1.1 or TCP",
    };
    let tls = backend.get("tls").map(|tls| text(tls, "/serverName"));
    let tls = tls.map_or_else(String::new, |name| format!(", TLS to {name}"));
    match text(backend, "/invalid/reason") {
        "" => format!("{protocol}{tls}"),
        reason => format!("refused: {reason}"),
    }
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value
        .get(field)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn strings(value: &Value, field: &str) -> Vec<String> {
    let items = list(value, field).iter();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn some(items: Vec<String>, none: &str) -> String {
    let more = items.len().saturating_sub(SHOWN);
    let shown: Vec<String> = items.into_iter().take(SHOWN).collect();
    match (shown.is_empty(), more) {
        (true, _) => none.to_owned(),
        (false, 0) => shown.join(", "),
        (false, more) => format!("{} + {more} more", shown.join(", ")),
    }
}
