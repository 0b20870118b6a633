//! CORS (HTTPCORSFilter, <https://fetch.spec.whatwg.org/#http-cors-protocol>).

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::redirect::Scheme;

/// A CORS policy, with the fixed values of its headers made in advance.
#[derive(Clone, Debug)]
pub struct Cors {
    origins: Origins,
    methods: Names,
    headers: Names,
    expose: Option<HeaderValue>,
    credentials: Credentials,
    max_age: HeaderValue,
}

/// What CORS says about a request.
#[derive(Debug)]
pub enum CorsDecision {
    /// Answer 204 with these headers; no backend sees the request. Of an origin that is not allowed the answer carries no
    /// CORS headers, so the client gives up.
    Preflight(HeaderMap),
    /// Serve the request, and give [`merge_cors_headers`] these headers for the response.
    Actual(HeaderMap),
    /// Serve the request: it is none of another origin, or of one that is not allowed.
    None,
}

#[derive(Clone, Debug)]
enum Origins {
    All,
    Listed(Arc<[Origin]>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    scheme: Scheme,
    host: OriginHost,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum OriginHost {
    Exact(Box<str>),
    /// `*` stands for one or more characters, dots included, before this suffix.
    EndsWith(Box<str>),
}

/// Method or header names.
#[derive(Clone, Debug)]
enum Names {
    None,
    All,
    Listed(HeaderValue),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Credentials {
    Allowed,
    Refused,
}

impl Cors {
    /// The policy of a filter; None if a value is neither an origin nor a list of names.
    ///
    /// A `max_age` of 0 is one that was not given: the API's default is 5 seconds.
    pub fn new(filter: &novaedge_proto::v1::Cors) -> Option<Self> {
        let all_origins = filter.allow_origins.iter().any(|origin| origin == "*");
        let origins = if all_origins {
            Origins::All
        } else {
            Origins::Listed(
                filter
                    .allow_origins
                    .iter()
                    .map(|text| Origin::pattern(text))
                    .collect::<Option<_>>()?,
            )
        };
        let credentials = if filter.allow_credentials {
            Credentials::Allowed
        } else {
            Credentials::Refused
        };
        // With credentials, `*` in the response would be the name of a header (fetch, section 3.3.3).
        let exposed: Vec<&str> = filter
            .expose_headers
            .iter()
            .map(String::as_str)
            .filter(|name| *name != "*" || credentials == Credentials::Refused)
            .collect();
        Some(Self {
            origins,
            methods: Names::new(&filter.allow_methods)?,
            headers: Names::new(&filter.allow_headers)?,
            expose: if exposed.is_empty() {
                None
            } else {
                Some(joined(&exposed)?)
            },
            credentials,
            max_age: HeaderValue::from(if filter.max_age == 0 {
                5
            } else {
                filter.max_age
            }),
        })
    }

    /// Judges a request by its method and headers.
    pub fn decide(&self, method: &Method, headers: &HeaderMap) -> CorsDecision {
        let Some(origin) = headers.get(header::ORIGIN) else {
            return CorsDecision::None;
        };
        let requested_method = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD);
        let preflight = requested_method.filter(|_| method == Method::OPTIONS);
        let mut answer = HeaderMap::new();
        if !self.allows(origin) {
            // Caches must not give this answer to an origin that is allowed.
            return match preflight {
                Some(_) => {
                    answer.insert(header::VARY, HeaderValue::from_static("Origin"));
                    CorsDecision::Preflight(answer)
                }
                None => CorsDecision::None,
            };
        }
        self.mark(origin, &mut answer);
        let Some(requested_method) = preflight else {
            return CorsDecision::Actual(answer);
        };
        if let Some(value) = self
            .methods
            .answer(Some(requested_method), self.credentials)
        {
            answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, value);
        }
        let requested_headers = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
        if let Some(value) = self.headers.answer(requested_headers, self.credentials) {
            answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, value);
        }
        answer.insert(header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        CorsDecision::Preflight(answer)
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        match &self.origins {
            Origins::All => true,
            Origins::Listed(patterns) => origin
                .to_str()
                .ok()
                .and_then(Origin::of_request)
                .is_some_and(|origin| patterns.iter().any(|pattern| pattern.allows(&origin))),
        }
    }

    /// The headers that preflight and actual responses share.
    fn mark(&self, origin: &HeaderValue, answer: &mut HeaderMap) {
        if matches!(self.origins, Origins::All) && self.credentials == Credentials::Refused {
            answer.insert(
                header::ACCESS_CONTROL_ALLOW_ORIGIN,
                HeaderValue::from_static("*"),
            );
        } else {
            answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            answer.insert(header::VARY, HeaderValue::from_static("Origin"));
        }
        if self.credentials == Credentials::Allowed {
            answer.insert(
                header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
                HeaderValue::from_static("true"),
            );
        }
        if let Some(expose) = &self.expose {
            answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
        }
    }
}

/// Puts the headers of [`CorsDecision::Actual`] on a response. They replace what the backend says about CORS, as the
/// policy is the gateway's; `Vary` is added to.
pub fn merge_cors_headers(decided: HeaderMap, response: &mut HeaderMap) {
    const OWNED: [HeaderName; 3] = [
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
    ];
    for name in OWNED {
        response.remove(name);
    }
    for (name, value) in decided {
        // A name is given once; further values of it come without. There are none here.
        if let Some(name) = name {
            response.append(name, value);
        }
    }
}

impl Origin {
    /// An allowed origin: `scheme://host`, perhaps with a port and a `*` as (the first label of) the host.
    fn pattern(text: &str) -> Option<Self> {
        let (scheme, host, port) = split_origin(text)?;
        let host = host.to_ascii_lowercase();
        let host = match host.strip_prefix('*') {
            Some(suffix) if suffix.contains('*') => return None,
            Some(suffix) => OriginHost::EndsWith(suffix.into()),
            None if host.contains('*') => return None,
            None => OriginHost::Exact(host.into()),
        };
        Some(Self { scheme, host, port })
    }

    /// The origin of a request. Browsers send it in lower case; `null` is none that could be listed.
    fn of_request(text: &str) -> Option<(Scheme, &str, u16)> {
        split_origin(text)
    }

    fn allows(&self, (scheme, host, port): &(Scheme, &str, u16)) -> bool {
        let host_matches = match &self.host {
            OriginHost::Exact(name) => name.eq_ignore_ascii_case(host),
            OriginHost::EndsWith(suffix) => {
                host.len() > suffix.len()
                    && host
                        .get(host.len() - suffix.len()..)
                        .is_some_and(|tail| tail.eq_ignore_ascii_case(suffix))
            }
        };
        self.scheme == *scheme && self.port == *port && host_matches
    }
}

/// Scheme, host and port of an origin. A port that is left out is the scheme's.
fn split_origin(text: &str) -> Option<(Scheme, &str, u16)> {
    let (scheme, rest) = text.split_once("://")?;
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return None,
    };
    let port_at = if rest.starts_with('[') {
        rest.rfind("]:").map(|at| at + 1)
    } else {
        rest.rfind(':')
    };
    let (host, port) = match port_at {
        Some(at) => (rest.get(..at)?, rest.get(at + 1..)?.parse().ok()?),
        None => (rest, scheme.default_port()),
    };
    let host_is_plain = !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']);
    host_is_plain.then_some((scheme, host, port))
}

impl Names {
    fn new(names: &[String]) -> Option<Self> {
        if names.is_empty() {
            Some(Self::None)
        } else if names.iter().any(|name| name == "*") {
            Some(Self::All)
        } else {
            joined(&names.iter().map(String::as_str).collect::<Vec<_>>()).map(Self::Listed)
        }
    }

    /// The value of the allow header, if there is one. For `*` it is what the client asked for: with credentials the
    /// API demands it, and without them `*` would not cover `Authorization`.
    fn answer(
        &self,
        requested: Option<&HeaderValue>,
        credentials: Credentials,
    ) -> Option<HeaderValue> {
        match (self, requested, credentials) {
            (Self::None, ..) | (Self::All, None, Credentials::Allowed) => None,
            (Self::Listed(names), ..) => Some(names.clone()),
            (Self::All, Some(requested), _) => Some(requested.clone()),
            (Self::All, None, Credentials::Refused) => Some(HeaderValue::from_static("*")),
        }
    }
}

fn joined(names: &[&str]) -> Option<HeaderValue> {
    let are_tokens = names
        .iter()
        .all(|name| *name == "*" || HeaderName::from_bytes(name.as_bytes()).is_ok());
    if are_tokens {
        HeaderValue::try_from(names.join(", ")).ok()
    } else {
        None
    }
}

#[cfg(test)]
#[path = "cors/tests.rs"]
mod tests;
