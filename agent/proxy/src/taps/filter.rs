//! Which requests are meant.

use std::net::IpAddr;

use http::header::{self, HeaderName, HeaderValue};
use http::uri::Authority;
use http::{Request, StatusCode};
use novaedge_access_log::record::without_kind;
use novaedge_proto::v1;
use novaedge_router::{HttpRule, Network};

/// Fields of the head that may be asked for.
const MAX_HEADERS: usize = 16;

/// What a request must be. What is not set matches every request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    /// Lower case.
    host: Option<Text>,
    path: Option<Text>,
    method: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
    client: Option<Network>,
    gateway: Option<String>,
    /// The kind, and `namespace/name`.
    route: Option<(Option<String>, String)>,
    status: Option<Status>,
}

/// A text, whole or in part.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Text {
    Exact(String),
    StartsWith(String),
    EndsWith(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Exact(u16),
    /// All that begin with this digit.
    Class(u16),
}

/// What is known of a request when it is over.
pub(crate) struct Seen<'a> {
    pub(crate) client: IpAddr,
    /// Resource name of the Gateway.
    pub(crate) gateway: Option<&'a str>,
    pub(crate) rule: Option<&'a HttpRule>,
    pub(crate) status: Option<StatusCode>,
}

/// A part of a filter that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {value:?}: {fix}")]
pub struct FilterError {
    /// The field of the question.
    pub field: &'static str,
    /// What it says.
    pub value: String,
    /// What it is to say.
    pub fix: &'static str,
}

impl Text {
    fn host(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        match text.strip_prefix('*') {
            Some(suffix) if suffix.starts_with('.') => Self::EndsWith(suffix.to_owned()),
            _ => Self::Exact(text),
        }
    }

    fn path(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some(start) => Self::StartsWith(start.to_owned()),
            None => Self::Exact(text.to_owned()),
        }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(all) => text == all,
            Self::StartsWith(start) => text.starts_with(start.as_str()),
            Self::EndsWith(end) => text.ends_with(end.as_str()),
        }
    }
}

impl Status {
    fn parse(text: &str) -> Option<Self> {
        let (first, rest) = text.split_at_checked(1)?;
        let class: u16 = first.parse().ok().filter(|class| (1..=5).contains(class))?;
        if rest.eq_ignore_ascii_case("xx") {
            return Some(Self::Class(class));
        }
        let status = text.parse().ok();
        let status = status.filter(|status| (100..600).contains(status));
        status.map(Self::Exact)
    }

    fn matches(self, status: u16) -> bool {
        match self {
            Self::Exact(one) => status == one,
            Self::Class(class) => status / 100 == class,
        }
    }
}

impl Filter {
    pub(crate) fn new(question: &v1::TraceQuestion) -> Result<Self, FilterError> {
        let set = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let headers = question.headers.iter().take(MAX_HEADERS + 1);
        let headers: Vec<_> = headers.map(field).collect::<Result<_, _>>()?;
        if headers.len() > MAX_HEADERS {
            let fix = "at most 16 fields can be asked for";
            return Err(wrong("headers", &question.headers.len().to_string(), fix));
        }
        Ok(Self {
            host: set(&question.host).map(|host| Text::host(&host)),
            path: path(&question.path)?,
            method: set(&question.method).map(|method| method.to_ascii_uppercase()),
            headers,
            client: client(&question.client)?,
            gateway: gateway(&question.gateway)?,
            route: route(&question.route)?,
            status: status(&question.status)?,
        })
    }

    /// Whether the head of a request matches, as far as it tells.
    pub(crate) fn matches_head<B>(&self, request: &Request<B>) -> bool {
        let path = |one: &Text| one.matches(request.uri().path());
        self.path.as_ref().is_none_or(path)
            && self
                .method
                .as_ref()
                .is_none_or(|method| request.method().as_str().eq_ignore_ascii_case(method))
            && self.headers.iter().all(|(name, value)| {
                let mut values = request.headers().get_all(name).iter();
                values.any(|one| one == value)
            })
            && self.host.as_ref().is_none_or(|host| {
                let asked = asked_host(request);
                asked.is_some_and(|asked| host.matches(&asked))
            })
    }

    /// Whether the rest matches.
    pub(crate) fn matches_rest(&self, seen: &Seen<'_>) -> bool {
        let gateway = seen.gateway.map(without_kind);
        self.client
            .as_ref()
            .is_none_or(|network| network.contains(seen.client))
            && (self.gateway.is_none() || self.gateway.as_deref() == gateway)
            && self.route.as_ref().is_none_or(|(kind, name)| {
                seen.rule.is_some_and(|rule| {
                    let id = &rule.id;
                    kind.as_ref().is_none_or(|kind| kind == id.kind.as_str())
                        && name.split_once('/') == Some((id.namespace(), id.name()))
                })
            })
            && self.status.is_none_or(|status| {
                let seen = seen.status.map(|status| status.as_u16());
                seen.is_some_and(|seen| status.matches(seen))
            })
    }
}

/// The host that a request asks for, lower case, without a port.
fn asked_host<B>(request: &Request<B>) -> Option<String> {
    if let Some(host) = request.uri().host() {
        return Some(host.to_ascii_lowercase());
    }
    let field = request.headers().get(header::HOST)?;
    let authority = Authority::try_from(field.as_bytes()).ok()?;
    Some(authority.host().to_ascii_lowercase())
}

fn path(text: &str) -> Result<Option<Text>, FilterError> {
    if text.is_empty() {
        return Ok(None);
    }
    if !text.starts_with(['/', '*']) {
        return Err(wrong("path", text, "write it with its first /"));
    }
    Ok(Some(Text::path(text)))
}

fn field(field: &v1::TraceField) -> Result<(HeaderName, HeaderValue), FilterError> {
    let fix = "write the name of a header field, and its whole value";
    let shown = || wrong("header", &format!("{}: {}", field.name, field.value), fix);
    let name = HeaderName::try_from(&field.name).map_err(|_| shown())?;
    let value = HeaderValue::try_from(&field.value).map_err(|_| shown())?;
    Ok((name, value))
}

fn client(text: &str) -> Result<Option<Network>, FilterError> {
    if text.is_empty() {
        return Ok(None);
    }
    let address = text.parse::<IpAddr>().ok().map(|address| Network {
        address,
        prefix: if address.is_ipv4() { 32 } else { 128 },
    });
    let network = address.or_else(|| Network::parse(text));
    let fix = "write an address, or a network as 10.0.0.0/8";
    network.map(Some).ok_or_else(|| wrong("client", text, fix))
}

fn gateway(text: &str) -> Result<Option<String>, FilterError> {
    match text.split('/').count() {
        _ if text.is_empty() => Ok(None),
        2 => Ok(Some(text.to_owned())),
        _ => Err(wrong("gateway", text, "write it as namespace/name")),
    }
}

#[allow(clippy::type_complexity)] // the shape of the field
fn route(text: &str) -> Result<Option<(Option<String>, String)>, FilterError> {
    let parts: Vec<&str> = text.split('/').collect();
    match parts.as_slice() {
        _ if text.is_empty() => Ok(None),
        [_, _] => Ok(Some((None, text.to_owned()))),
        [kind, namespace, name] => {
            let name = format!("{namespace}/{name}");
            Ok(Some((Some((*kind).to_owned()), name)))
        }
        _ => {
            let fix = "write it as namespace/name, or Kind/namespace/name";
            Err(wrong("route", text, fix))
        }
    }
}

fn status(text: &str) -> Result<Option<Status>, FilterError> {
    if text.is_empty() {
        return Ok(None);
    }
    let fix = "write a status as 503, or a class as 5xx";
    let status = Status::parse(text).map(Some);
    status.ok_or_else(|| wrong("status", text, fix))
}

fn wrong(field: &'static str, value: &str, fix: &'static str) -> FilterError {
    let value = value.chars().take(100).collect();
    FilterError { field, value, fix }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Set = fn(&mut v1::TraceQuestion);

    fn filter(set: Set) -> Filter {
        let mut question = v1::TraceQuestion::default();
        set(&mut question);
        Filter::new(&question).unwrap()
    }

    fn request(uri: &str, headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::post(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn heads_match_by_all_that_is_set() {
        let origin = request(
            "/api/cart?x=1",
            &[("Host", "Shop.example:8080"), ("X-A", "1")],
        );
        let absolute = request("http://a.shop.example/api", &[("X-A", "0"), ("X-A", "1")]);
        for (set, of_origin, of_absolute) in [
            ((|_| {}) as Set, true, true),
            (|one| one.host = "SHOP.example".into(), true, false),
            (|one| one.host = "*.shop.example".into(), false, true),
            (|one| one.host = "hop.example".into(), false, false),
            (|one| one.path = "/api".into(), false, true),
            (|one| one.path = "/api/*".into(), true, false),
            (|one| one.path = "*".into(), true, true),
            (|one| one.method = "post".into(), true, true),
            (|one| one.method = "GET".into(), false, false),
            (|one| one.headers = vec![named("x-a", "1")], true, true),
            (|one| one.headers = vec![named("x-a", "0")], false, true),
            (
                |one| one.headers = vec![named("x-a", "1"), named("x-b", "1")],
                false,
                false,
            ),
        ] {
            let filter = filter(set);
            assert_eq!(filter.matches_head(&origin), of_origin, "{filter:?}");
            assert_eq!(filter.matches_head(&absolute), of_absolute, "{filter:?}");
        }
    }

    fn named(name: &str, value: &str) -> v1::TraceField {
        v1::TraceField {
            name: name.into(),
            value: value.into(),
        }
    }

    #[test]
    fn the_rest_matches_by_all_that_is_set() {
        let seen = |client: &str, gateway, status| Seen {
            client: client.parse().unwrap(),
            gateway,
            rule: None,
            status: StatusCode::from_u16(status).ok(),
        };
        let one = seen("10.1.2.3", Some("gateway/shop/edge"), 503);
        let other = seen("2001:db8::1", None, 200);
        for (set, of_one, of_other) in [
            ((|_| {}) as Set, true, true),
            (|all| all.client = "10.0.0.0/8".into(), true, false),
            (|all| all.client = "10.1.2.3".into(), true, false),
            (|all| all.client = "2001:db8::/32".into(), false, true),
            (|all| all.gateway = "shop/edge".into(), true, false),
            (|all| all.route = "shop/cart".into(), false, false),
            (|all| all.status = "503".into(), true, false),
            (|all| all.status = "5xx".into(), true, false),
            (|all| all.status = "2XX".into(), false, true),
        ] {
            let filter = filter(set);
            assert_eq!(filter.matches_rest(&one), of_one, "{filter:?}");
            assert_eq!(filter.matches_rest(&other), of_other, "{filter:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_fix() {
        let error = |set: Set| {
            let mut question = v1::TraceQuestion::default();
            set(&mut question);
            Filter::new(&question).unwrap_err().to_string()
        };
        for (text, expect) in [
            (
                error(|one| one.path = "api".into()),
                "path \"api\": write it with its first /",
            ),
            (
                error(|one| one.client = "10.0.0.0/33".into()),
                "client \"10.0.0.0/33\": write an address, or a network as 10.0.0.0/8",
            ),
            (
                error(|one| one.gateway = "edge".into()),
                "gateway \"edge\": write it as namespace/name",
            ),
            (
                error(|one| one.route = "cart".into()),
                "route \"cart\": write it as namespace/name, or Kind/namespace/name",
            ),
            (
                error(|one| one.status = "600".into()),
                "status \"600\": write a status as 503, or a class as 5xx",
            ),
            (
                error(|one| one.headers = vec![named("a b", "1")]),
                "header \"a b: 1\": write the name of a header field, and its whole value",
            ),
            (
                error(|one| one.headers = vec![named("a", "1"); 17]),
                "headers \"17\": at most 16 fields can be asked for",
            ),
        ] {
            assert_eq!(text, expect);
        }
    }
}
