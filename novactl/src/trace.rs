//! Requests as an agent saw them, step by step.

use std::fmt::Write as _;

use k8s_openapi::jiff::Timestamp;
use novaedge_proto::v1::{TraceField, TraceQuestion, TracedRequest};
use serde::Serialize;

use crate::table::{Paint, Tone, harmless, painted};

/// What stands before the names of header fields.
const HEADERS: [&str; 2] = ["http.request.header.", "http.response.header."];

/// Columns of the time and the name of a step.
const INDENT: usize = 24;

/// One request.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Traced {
    /// The node of the agent.
    pub agent: String,
    /// When it began.
    pub began: String,
    /// What was done with it.
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// Since it began.
    pub seconds: f64,
    /// What it is.
    pub step: String,
    /// More of it.
    pub fields: Vec<Field>,
}

/// One thing that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Field {
    /// As in the access log.
    pub name: String,
    /// Secrets are replaced.
    pub value: String,
}

/// The words of a command line.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a> {
    /// `http://host/path`, of which a part may be left out.
    pub url: Option<&'a str>,
    /// The method.
    pub method: Option<&'a str>,
    /// Each as `Name: value`.
    pub headers: &'a [String],
    /// An address or a network.
    pub client: Option<&'a str>,
    /// `NAMESPACE/NAME`.
    pub gateway: Option<&'a str>,
    /// `NAMESPACE/NAME` or `KIND/NAMESPACE/NAME`.
    pub route: Option<&'a str>,
    /// `503` or `5xx`.
    pub status: Option<&'a str>,
    /// How many.
    pub count: u32,
}

/// A command line that names no requests.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the header {0:?} is none: write it as 'Name: value'")]
pub struct NoHeader(String);

/// The question to the agents. They judge what else may be wrong with it.
pub fn question(words: &Words<'_>) -> Result<TraceQuestion, NoHeader> {
    let (host, path) = words.url.map(host_and_path).unwrap_or_default();
    let said = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let header = |text: &String| {
        let (name, value) = text.split_once(':').ok_or_else(|| NoHeader(text.clone()))?;
        Ok(TraceField {
            name: name.trim().to_owned(),
            value: value.trim().to_owned(),
        })
    };
    Ok(TraceQuestion {
        host,
        path,
        method: said(words.method),
        headers: words.headers.iter().map(header).collect::<Result<_, _>>()?,
        client: said(words.client),
        gateway: said(words.gateway),
        route: said(words.route),
        status: said(words.status),
        count: words.count,
    })
}

/// The host without its port, and the path without its query.
fn host_and_path(url: &str) -> (String, String) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    (host.to_owned(), path.to_owned())
}

impl Traced {
    /// As an agent told it.
    pub fn new(agent: &str, traced: TracedRequest) -> Self {
        let micros = i64::try_from(traced.began_at_us).unwrap_or(i64::MAX);
        let began = Timestamp::from_microsecond(micros).unwrap_or_default();
        let steps = traced.steps.into_iter().map(|step| Step {
            #[allow(clippy::cast_precision_loss)] // within 285 years
            seconds: step.at_us as f64 / 1e6,
            step: harmless(&step.what),
            fields: step.fields.iter().map(Field::new).collect(),
        });
        Self {
            agent: harmless(agent),
            began: format!("{began:.6}"),
            steps: steps.collect(),
        }
    }

    /// For people.
    pub fn text(&self, paint: Paint) -> String {
        let mut text = format!("Request at {} on {}\n", self.began, self.agent);
        for step in &self.steps {
            let name = painted(
                &format!("{:<10}", step.step.to_uppercase()),
                step.tone(),
                paint,
            );
            let (headers, others): (Vec<&Field>, Vec<&Field>) = step
                .fields
                .iter()
                .partition(|field| field.header().is_some());
            let others: Vec<String> = others
                .iter()
                .map(|field| format!("{}={}", field.name, field.value))
                .collect();
            let line = format!("+{:.6}s  {name}  {}", step.seconds, others.join(" "));
            text.push_str(line.trim_end());
            text.push('\n');
            for field in headers {
                let name = field.header().unwrap_or_default();
                let _ = writeln!(text, "{:INDENT$}{name}: {}", "", field.value);
            }
        }
        text
    }
}

impl Step {
    fn tone(&self) -> Tone {
        match self.step.as_str() {
            "failed" | "refused" | "unmatched" => Tone::Bad,
            _ => Tone::Neutral,
        }
    }
}

impl Field {
    fn new(field: &TraceField) -> Self {
        Self {
            name: harmless(&field.name),
            value: harmless(&field.value),
        }
    }

    /// The name of a header field, if it is one.
    fn header(&self) -> Option<&str> {
        let mut prefixes = HEADERS.iter();
        prefixes.find_map(|prefix| self.name.strip_prefix(prefix))
    }
}

#[cfg(test)]
mod tests {
    use novaedge_proto::v1::TraceStep;

    use super::*;

    #[test]
    fn a_url_names_host_and_path() {
        for (url, host, path) in [
            ("http://www.example.com/", "www.example.com", "/"),
            (
                "https://www.example.com:8443/a/b?c=d#e",
                "www.example.com",
                "/a/b",
            ),
            ("www.example.com", "www.example.com", ""),
            ("*.example.com/api/*", "*.example.com", "/api/*"),
            ("/api/*", "", "/api/*"),
            ("http://[2001:db8::1]:8080/", "[2001:db8::1]", "/"),
            ("http://[2001:db8::1]/", "[2001:db8::1]", "/"),
        ] {
            let found = host_and_path(url);
            assert_eq!(found, (host.to_owned(), path.to_owned()), "{url}");
        }
    }

    #[test]
    fn headers_have_names_and_values() {
        let question = |headers: &[String]| {
            question(&Words {
                url: None,
                method: None,
                headers,
                client: None,
                gateway: None,
                route: None,
                status: None,
                count: 1,
            })
        };
        let asked = question(&["X-User:  anna ".to_owned()]).unwrap();
        assert_eq!(asked.headers[0].name, "X-User");
        assert_eq!(asked.headers[0].value, "anna");
        let error = question(&["X-User".to_owned()]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the header \"X-User\" is none: write it as 'Name: value'"
        );
    }

    #[test]
    fn steps_are_lines_and_nothing_of_a_client_leaves_them() {
        let field = |name: &str, value: &str| TraceField {
            name: name.into(),
            value: value.into(),
        };
        let traced = TracedRequest {
            began_at_us: 1_796_098_862_000_001,
            steps: vec![
                TraceStep {
                    at_us: 0,
                    what: "received".into(),
                    fields: vec![
                        field("http.request.method", "GET"),
                        field("url.path", "/a\x1b[31m\nb"),
                        field("http.request.header.host", "www.example.com"),
                    ],
                },
                TraceStep {
                    at_us: 1_234,
                    what: "refused".into(),
                    fields: vec![field("reason", "no-route")],
                },
            ],
        };
        let traced = Traced::new("node-1", traced);
        assert_eq!(
            traced.text(Paint::Plain),
            "Request at 2026-12-01T04:21:02.000001Z on node-1\n\
             +0.000000s  RECEIVED    http.request.method=GET url.path=/a\u{fffd}[31m b\n\
             \u{20}                       host: www.example.com\n\
             +0.001234s  REFUSED     reason=no-route\n"
        );
    }
}
