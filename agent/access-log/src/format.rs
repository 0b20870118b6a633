//! Records as lines.

use std::io::Write as _;
use std::net::IpAddr;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use http::{HeaderName, HeaderValue};

use crate::field::{FIELDS, Field, FieldInfo, Place, REQUEST_HEADER, RESPONSE_HEADER};
use crate::record::{Endpoint, Record, Rule, without_kind};
use crate::settings::Settings;
use crate::template::{Part, Template};
use crate::{clock, escape};

/// How a line looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// One object of JSON.
    Json,
    /// As the combined log format, with more at its end: [`TEXT`].
    Text,
    /// As the user says.
    Template(Template),
}

/// The template of [`Format::Text`].
pub const TEXT: &str = "%{client.address} - - [%{time.common}] \"%{http.request.method} %{target} %{network.protocol.name}/%{network.protocol.version}\" \
%{http.response.status_code} %{http.response.body.size} \"-\" \"%{user_agent.original}\" \
%{duration} %{server.address} %{gateway} %{listener} %{route} %{rule} %{backend} %{endpoint} %{tries} %{reason} %{termination}";

static TEXT_TEMPLATE: LazyLock<Template> =
    LazyLock::new(|| Template::parse(TEXT).expect("a test reads it"));

/// What a field has to say.
enum Value<'a> {
    Absent,
    Text(&'a [u8]),
    Owned(String),
    Number(u64),
    Seconds(Duration),
    Address(IpAddr),
    Time(SystemTime),
    CommonTime(SystemTime),
    Route(Rule<'a>),
    Endpoint(Endpoint<'a>),
}

impl<'a> Value<'a> {
    fn text(text: Option<&'a str>) -> Self {
        text.map_or(Self::Absent, |text| Self::Text(text.as_bytes()))
    }

    fn header(value: Option<&'a HeaderValue>) -> Self {
        value.map_or(Self::Absent, |value| Self::Text(value.as_bytes()))
    }
}

/// Writes a record as a line, with its end.
pub fn line(out: &mut Vec<u8>, record: &Record<'_>, settings: &Settings) {
    match &settings.format {
        Format::Json => json(out, record, settings),
        Format::Text => by_template(out, record, settings, &TEXT_TEMPLATE),
        Format::Template(template) => by_template(out, record, settings, template),
    }
    out.push(b'\n');
}

/// What stands before the values of JSON, for the fields that it has.
static KEYS: LazyLock<Vec<(Field, Vec<u8>)>> = LazyLock::new(|| {
    let fields = FIELDS.iter().filter(|info| info.place == Place::Everywhere);
    let key = |info: &FieldInfo| (info.field, format!(",\"{}\":", info.name).into_bytes());
    fields.map(key).collect()
});

fn json(out: &mut Vec<u8>, record: &Record<'_>, settings: &Settings) {
    let start = out.len();
    for (field, key) in &*KEYS {
        let value = value(*field, record, settings);
        if matches!(value, Value::Absent) {
            continue;
        }
        out.extend_from_slice(key);
        json_value(out, &value);
    }
    if let Some(http) = &record.http {
        let (names, values) = (&settings.request_headers, http.request_headers);
        json_headers(out, REQUEST_HEADER, names, values, settings);
        let (names, values) = (&settings.response_headers, http.response_headers);
        json_headers(out, RESPONSE_HEADER, names, values, settings);
    }
    // The comma before the first value: each line has a time.
    if let Some(first) = out.get_mut(start) {
        *first = b'{';
    }
    out.push(b'}');
}

fn json_headers(
    out: &mut Vec<u8>,
    prefix: &str,
    names: &[HeaderName],
    values: &[Option<HeaderValue>],
    settings: &Settings,
) {
    for (name, value) in names.iter().zip(values) {
        let Some(value) = value else { continue };
        out.extend_from_slice(b",\"");
        out.extend_from_slice(prefix.as_bytes());
        escape::json(out, name.as_str().as_bytes());
        out.extend_from_slice(b"\":\"");
        let shown = settings.redaction.header(name.as_str(), value.as_bytes());
        escape::json(out, &shown);
        out.push(b'"');
    }
}

fn json_value(out: &mut Vec<u8>, value: &Value<'_>) {
    if let Value::Number(_) | Value::Seconds(_) = value {
        plain(out, value);
        return;
    }
    out.push(b'"');
    match value {
        Value::Text(text) => escape::json(out, text),
        Value::Owned(text) => escape::json(out, text.as_bytes()),
        Value::Route(rule) => route(out, *rule, escape::json),
        other => plain(out, other),
    }
    out.push(b'"');
}

fn by_template(out: &mut Vec<u8>, record: &Record<'_>, settings: &Settings, template: &Template) {
    let http = record.http.as_ref();
    for part in &template.parts {
        match part {
            Part::Text(text) => out.extend_from_slice(text.as_bytes()),
            Part::Field(field) => text_value(out, &value(*field, record, settings)),
            Part::RequestHeader(name) => {
                let values = http.map_or(&[][..], |http| http.request_headers);
                header(out, name, &settings.request_headers, values, settings);
            }
            Part::ResponseHeader(name) => {
                let values = http.map_or(&[][..], |http| http.response_headers);
                header(out, name, &settings.response_headers, values, settings);
            }
        }
    }
}

fn header(
    out: &mut Vec<u8>,
    name: &HeaderName,
    names: &[HeaderName],
    values: &[Option<HeaderValue>],
    settings: &Settings,
) {
    let at = names.iter().position(|one| one == name);
    match at.and_then(|at| values.get(at)?.as_ref()) {
        Some(value) => {
            escape::text(
                out,
                &settings.redaction.header(name.as_str(), value.as_bytes()),
            );
        }
        None => out.push(b'-'),
    }
}

fn text_value(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Absent => out.push(b'-'),
        Value::Text(text) => escape::text(out, text),
        Value::Owned(text) => escape::text(out, text.as_bytes()),
        Value::Route(rule) => route(out, *rule, escape::text),
        other => plain(out, other),
    }
}

/// What cannot have anything that needs to be escaped.
fn plain(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Number(value) => number(out, *value),
        Value::Seconds(time) => clock::seconds(out, *time),
        Value::Address(value) => address(out, *value),
        Value::Time(time) => clock::rfc3339(out, *time),
        Value::CommonTime(time) => clock::common(out, *time),
        Value::Endpoint(Endpoint::Address(value)) => {
            match value.ip() {
                IpAddr::V4(_) => address(out, value.ip()),
                IpAddr::V6(_) => {
                    out.push(b'[');
                    address(out, value.ip());
                    out.push(b']');
                }
            }
            out.push(b':');
            number(out, value.port().into());
        }
        Value::Endpoint(Endpoint::Name(name, port)) => {
            out.extend_from_slice(name.as_bytes());
            out.push(b':');
            number(out, (*port).into());
        }
        Value::Absent | Value::Text(_) | Value::Owned(_) | Value::Route(_) => {}
    }
}

fn number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (index, octet) in address.octets().into_iter().enumerate() {
                if index > 0 {
                    out.push(b'.');
                }
                number(out, octet.into());
            }
        }
        // Writing to a Vec can't fail.
        IpAddr::V6(address) => drop(write!(out, "{address}")),
    }
}

fn route(out: &mut Vec<u8>, rule: Rule<'_>, escape: fn(&mut Vec<u8>, &[u8])) {
    for part in [rule.kind, "/", rule.namespace, "/", rule.name] {
        escape(out, part.as_bytes());
    }
}

fn value<'a>(field: Field, record: &'a Record<'_>, settings: &Settings) -> Value<'a> {
    let http = record.http.as_ref();
    match field {
        Field::Time => Value::Time(record.time),
        Field::CommonTime => Value::CommonTime(record.time),
        Field::ClientAddress => Value::Address(
            record
                .client
                .unwrap_or_else(|| record.peer.ip().to_canonical()),
        ),
        Field::ClientPort if record.client.is_none() => Value::Number(record.peer.port().into()),
        Field::PeerAddress if record.client.is_some() => {
            Value::Address(record.peer.ip().to_canonical())
        }
        Field::ClientPort | Field::PeerAddress => Value::Absent,
        Field::Gateway => Value::text(record.gateway.map(without_kind)),
        Field::Listener => Value::text(record.listener),
        Field::Route => record.rule.map_or(Value::Absent, Value::Route),
        Field::Rule => match record.rule {
            Some(Rule {
                rule_name: Some(name),
                ..
            }) => Value::Text(name.as_bytes()),
            Some(rule) => Value::Number(rule.index.into()),
            None => Value::Absent,
        },
        Field::Backend => Value::text(record.backend.map(without_kind)),
        Field::Endpoint => record.endpoint.map_or(Value::Absent, Value::Endpoint),
        Field::Protocol => Value::Text(record.protocol.as_bytes()),
        Field::Reason => Value::text(record.reason),
        Field::Failure => Value::text(record.failure),
        Field::Received => Value::Number(record.received),
        Field::Sent => Value::Number(record.sent),
        Field::Duration => Value::Seconds(record.duration),
        Field::UpstreamDuration => record
            .upstream_duration
            .map_or(Value::Absent, Value::Seconds),
        Field::Tries => Value::Number(record.tries.into()),
        Field::TlsVersion => Value::text(record.tls_version),
        Field::Sni => Value::text(record.sni),
        Field::TraceId => Value::text(record.trace_id),
        Field::Termination => Value::Text(record.termination.as_str().as_bytes()),
        Field::Method => filled(http.map(|http| http.method)),
        Field::Scheme => Value::text(http.map(|http| http.scheme)),
        Field::Host => http
            .and_then(|http| http.host)
            .map_or(Value::Absent, Value::Text),
        Field::Path => filled(http.map(|http| http.path)),
        Field::Query | Field::Target => target(field, record, settings),
        Field::Version => Value::text(http.map(|http| http.version)),
        Field::Status => {
            let status = http.and_then(|http| http.status);
            status.map_or(Value::Absent, |status| Value::Number(status.into()))
        }
        Field::RequestId => Value::header(http.and_then(|http| http.request_id)),
        Field::UserAgent => Value::header(http.and_then(|http| http.user_agent)),
    }
}

/// What was no request has neither method nor path.
fn filled(text: Option<&str>) -> Value<'_> {
    Value::text(text.filter(|text| !text.is_empty()))
}

/// The query, or path and query.
fn target<'a>(field: Field, record: &'a Record<'_>, settings: &Settings) -> Value<'a> {
    let Some(http) = &record.http else {
        return Value::Absent;
    };
    let query = http.query.map(|query| settings.redaction.query(query));
    match (field, query) {
        (Field::Target, None) => filled(Some(http.path)),
        (Field::Target, Some(query)) => Value::Owned(format!("{}?{query}", http.path)),
        (_, query) => query.map_or(Value::Absent, Value::Owned),
    }
}

#[cfg(test)]
mod tests;
