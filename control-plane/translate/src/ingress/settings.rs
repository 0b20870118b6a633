//! What the annotations of an Ingress say.

mod backend;
mod filters;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use novaedge_api::native::{ProxyCors, ProxyHeaderModifier, ProxyRetry};

pub(crate) use self::backend::{BackendSettings, Speaks};
use super::annotation::{self, ANNOTATIONS, Fate, PREFIX};
use super::value::{Values, bytes, fault, list};
use crate::filter::{is_header_value, is_token};
use crate::route::fault::Fault;

/// What the annotations of an Ingress say.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Settings {
    /// Why nobody is let in.
    pub(crate) closed: Option<Fault>,
    pub(crate) redirect: Redirect,
    pub(crate) expressions: Expressions,
    /// The path that backends see.
    pub(crate) rewrite_target: Option<String>,
    /// Milliseconds for each try.
    pub(crate) try_timeout_ms: Option<u64>,
    /// Bytes of a request body.
    pub(crate) max_body: Option<u64>,
    pub(crate) retry: Option<ProxyRetry>,
    pub(crate) session: Option<Session>,
    pub(crate) request_headers: ProxyHeaderModifier,
    pub(crate) response_headers: ProxyHeaderModifier,
    pub(crate) cors: Option<ProxyCors>,
    pub(crate) mirror: Option<Mirror>,
    pub(crate) canary: Option<Canary>,
    pub(crate) backend: BackendSettings,
}

/// Whether requests over HTTP are sent to HTTPS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Redirect {
    /// Where some Ingress has TLS for the host.
    #[default]
    WithTls,
    /// Never.
    Never,
    /// Always, but for requests that came to a proxy before us over HTTPS.
    Always,
}

/// What paths of the type `ImplementationSpecific` are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Expressions {
    /// Prefixes.
    #[default]
    Off,
    /// Regular expressions.
    On,
}

/// A cookie that keeps clients on an endpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Session {
    pub(crate) cookie: Option<String>,
    pub(crate) ttl_ms: Option<u64>,
}

/// A backend that gets copies of requests.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mirror {
    pub(crate) service: String,
    pub(crate) port: u16,
    pub(crate) percent: u32,
}

/// That an Ingress takes part of the traffic of another one.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Canary {
    /// In percent.
    pub(crate) weight: u32,
    /// Name of a header that decides before the weight.
    pub(crate) header: Option<String>,
    /// The value of it that leads here. Absent: `always` does, and `never` leads elsewhere.
    pub(crate) value: Option<String>,
}

/// Annotations of other Ingress controllers, which people expect to work here, too.
const FOREIGN: &str = "nginx.ingress.kubernetes.io/";

impl Settings {
    /// Reads the annotations. One that cannot be read counts as absent, but for those that keep clients away.
    pub(crate) fn read(metadata: &ObjectMeta) -> (Self, Vec<Fault>) {
        let mut values = Values::of(metadata);
        let closed = refused(&mut values);
        let per_try = values.millis("retry-per-try-timeout");
        let read = values.millis("proxy-read-timeout");
        let request_headers = filters::request_headers(&mut values);
        let response_headers = filters::response_headers(&mut values);
        let max_body = values.read(
            "proxy-body-size",
            "size; write bytes, or a number with k, m or g behind it",
            bytes,
        );
        let settings = Self {
            closed,
            redirect: redirect(&mut values),
            expressions: match values.flag("use-regex") {
                Some(true) => Expressions::On,
                _ => Expressions::Off,
            },
            rewrite_target: values.read("rewrite-target", "path; begin it with /", |text| {
                text.starts_with('/').then(|| text.to_owned())
            }),
            try_timeout_ms: read.into_iter().chain(per_try).min(),
            max_body: max_body.filter(|bytes| *bytes > 0),
            retry: retry(&mut values),
            session: session(&mut values),
            request_headers,
            response_headers,
            cors: filters::cors(&mut values),
            mirror: filters::mirror(&mut values),
            canary: canary(&mut values),
            backend: BackendSettings::read(&mut values),
        };
        (settings, values.faults)
    }

    /// What is odd about the annotations, and keeps nothing from being served.
    pub(crate) fn warnings(metadata: &ObjectMeta) -> Vec<Fault> {
        let names = metadata.annotations.iter().flatten().map(|(name, _)| name);
        let foreign: Vec<&str> = names
            .filter(|name| name.starts_with(FOREIGN))
            .map(String::as_str)
            .collect();
        let Some(first) = foreign.first() else {
            return Vec::new();
        };
        let text = format!(
            "annotations of ingress-nginx have no effect here ({} of them); use those that begin with {PREFIX}",
            foreign.len()
        );
        let field = format!("metadata.annotations[{first}]");
        vec![Fault::unsupported(field, text)]
    }
}

/// Tells of annotations that are refused or unknown; gives back why nobody is let in.
fn refused(values: &mut Values<'_>) -> Option<Fault> {
    let mut closed = None;
    for (name, _) in values.ours() {
        match annotation::find(name).map(|known| known.fate) {
            Some(Fate::Kept | Fate::Changed) => {}
            Some(Fate::Refused(fix)) => values.fault(name, format!("it has no effect: {fix}")),
            Some(Fate::Closed(fix)) => {
                closed.get_or_insert_with(|| fault(name, fix));
            }
            // Written by other parts of the system, or for other kinds.
            None if name == "gateway-api-owner" => {}
            None => {
                let similar = ANNOTATIONS
                    .iter()
                    .find(|known| known.name.contains(name) || name.contains(known.name));
                let hint = similar.map_or_else(String::new, |known| {
                    format!("; did you mean {PREFIX}{}?", known.name)
                });
                values.fault(name, format!("there is no such annotation{hint}"));
            }
        }
    }
    values.faults.extend(closed.clone());
    closed
}

fn redirect(values: &mut Values<'_>) -> Redirect {
    match (
        values.flag("force-ssl-redirect"),
        values.flag("ssl-redirect"),
    ) {
        (Some(true), _) => Redirect::Always,
        (_, Some(false)) => Redirect::Never,
        _ => Redirect::WithTls,
    }
}

/// The codes that a word of `retry-on` stands for; failures to connect are retried in any case.
fn codes(word: &str) -> Option<Vec<u16>> {
    Some(match word {
        "5xx" => vec![500, 502, 503, 504],
        "gateway-error" => vec![502, 503, 504],
        "retriable-4xx" => vec![409],
        "connect-failure" | "error" | "timeout" | "reset" | "refused-stream" => Vec::new(),
        _ => {
            let word = word.strip_prefix("http_").unwrap_or(word);
            let code: u16 = word.parse().ok()?;
            (400..=599).contains(&code).then(|| vec![code])?
        }
    })
}

fn retry(values: &mut Values<'_>) -> Option<ProxyRetry> {
    let attempts = values.number("retry-attempts", 0..=10);
    let wanted = "list of causes; write status codes, 5xx, gateway-error, retriable-4xx or connect-failure, with commas \
                  between them";
    let on = values.read("retry-on", wanted, |text| {
        let all: Option<Vec<Vec<u16>>> = list(text).map(codes).collect();
        all.map(|all| all.concat())
    });
    if attempts.is_none() && on.is_some() {
        values.fault(
            "retry-on",
            "it says nothing without novaedge.io/retry-attempts; add that",
        );
    }
    let mut codes = on.unwrap_or_default();
    codes.sort_unstable();
    codes.dedup();
    let attempts = attempts.filter(|attempts| *attempts > 0)?;
    Some(ProxyRetry {
        codes,
        attempts,
        backoff_ms: None,
    })
}

fn session(values: &mut Values<'_>) -> Option<Session> {
    let cookie = values.read("session-affinity-cookie-name", "name of a cookie", |text| {
        is_token(text).then(|| text.to_owned())
    });
    let ttl_ms = values.millis("session-affinity-cookie-ttl");
    let wanted = "kind of affinity here; write cookie, or use novaedge.io/load-balancing: source-hash to go by the \
                  client's address";
    let kind = values.read("session-affinity", wanted, |text| {
        matches!(text, "cookie" | "none").then_some(text)
    });
    (kind == Some("cookie")).then_some(Session { cookie, ttl_ms })
}

fn canary(values: &mut Values<'_>) -> Option<Canary> {
    let header = values.read("canary-header", "name of a header", |text| {
        is_token(text).then(|| text.to_owned())
    });
    let value = values.read("canary-header-value", "value of a header", |text| {
        (!text.is_empty() && is_header_value(text)).then(|| text.to_owned())
    });
    let weight = values.number("canary-weight", 0..=100);
    if value.is_some() && header.is_none() {
        let text = "it says nothing without novaedge.io/canary-header; add that";
        values.fault("canary-header-value", text);
    }
    let is_canary = ["canary-header", "canary-weight"]
        .iter()
        .any(|name| values.text(name).is_some());
    is_canary.then(|| Canary {
        weight: weight.unwrap_or(0),
        value: value.filter(|_| header.is_some()),
        header,
    })
}
