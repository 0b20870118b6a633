//! Matches of HTTP and gRPC rules. A match that cannot be served never matches; its rule's others do.

use novaedge_api::gateway::{
    GrpcMethodMatch, GrpcRouteMatch, HttpPathMatch, HttpRouteMatch, MatchType, PathMatchType,
};
use novaedge_api::native::{
    ProxyGrpcMethodMatch, ProxyMatch, ProxyMatchType, ProxyPathMatch, ProxyPathMatchType,
    ProxyValueMatch,
};

use super::fault::Fault;
use super::regex;
use crate::filter::is_token;

/// What came of a rule's matches.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Matches {
    /// Those that can be served.
    pub(crate) native: Vec<ProxyMatch>,
    /// One for each that cannot.
    pub(crate) faults: Vec<Fault>,
    /// Entries without effect, and why.
    pub(crate) ignored: Vec<Fault>,
}

impl Matches {
    /// Whether the rule had matches and none is left, so that it matches nothing.
    pub(crate) fn lost(&self) -> bool {
        self.native.is_empty() && !self.faults.is_empty()
    }

    fn push(&mut self, converted: Result<ProxyMatch, Fault>) {
        match converted {
            Ok(native) => self.native.push(native),
            Err(fault) => self.faults.push(fault),
        }
    }
}

/// Matches of an HTTPRoute's rule; `field` is the path of the list.
pub(crate) fn http(matches: &[HttpRouteMatch], field: &str) -> Matches {
    let mut found = Matches::default();
    for (index, given) in matches.iter().enumerate() {
        let field = format!("{field}[{index}]");
        let converted = http_match(given, &field, &mut found.ignored);
        found.push(converted);
    }
    found
}

/// Matches of a GRPCRoute's rule; `field` is the path of the list.
pub(crate) fn grpc(matches: &[GrpcRouteMatch], field: &str) -> Matches {
    let mut found = Matches::default();
    for (index, given) in matches.iter().enumerate() {
        let field = format!("{field}[{index}]");
        let converted = grpc_match(given, &field, &mut found.ignored);
        found.push(converted);
    }
    found
}

fn http_match(
    given: &HttpRouteMatch,
    field: &str,
    ignored: &mut Vec<Fault>,
) -> Result<ProxyMatch, Fault> {
    let headers = given
        .headers
        .iter()
        .map(|h| (&h.type_, h.name.as_str(), h.value.as_str()));
    let params = given
        .query_params
        .iter()
        .map(|p| (&p.type_, p.name.as_str(), p.value.as_str()));
    Ok(ProxyMatch {
        path: Some(path(&given.path, &format!("{field}.path"))?),
        headers: values(
            headers,
            Names::Headers,
            &format!("{field}.headers"),
            ignored,
        )?,
        query_params: values(
            params,
            Names::Params,
            &format!("{field}.queryParams"),
            ignored,
        )?,
        method: given.method.map(|method| method.as_str().to_owned()),
        grpc_method: None,
    })
}

fn grpc_match(
    given: &GrpcRouteMatch,
    field: &str,
    ignored: &mut Vec<Fault>,
) -> Result<ProxyMatch, Fault> {
    let headers = given
        .headers
        .iter()
        .map(|h| (&h.type_, h.name.as_str(), h.value.as_str()));
    let method = given.method.as_ref();
    Ok(ProxyMatch {
        grpc_method: method
            .map(|m| grpc_method(m, &format!("{field}.method")))
            .transpose()?,
        headers: values(
            headers,
            Names::Headers,
            &format!("{field}.headers"),
            ignored,
        )?,
        ..ProxyMatch::default()
    })
}

fn path(given: &HttpPathMatch, field: &str) -> Result<ProxyPathMatch, Fault> {
    let type_ = match &given.type_ {
        PathMatchType::Exact => ProxyPathMatchType::Exact,
        PathMatchType::PathPrefix => ProxyPathMatchType::PathPrefix,
        PathMatchType::RegularExpression => ProxyPathMatchType::RegularExpression,
        PathMatchType::Other(word) => {
            return Err(unknown(
                field,
                word,
                "Exact, PathPrefix or RegularExpression",
            ));
        }
    };
    let field = format!("{field}.value");
    if type_ == ProxyPathMatchType::RegularExpression {
        expression(&given.value, &field)?;
    } else {
        plain_path(&given.value, &field)?;
    }
    Ok(ProxyPathMatch {
        type_,
        value: given.value.clone(),
    })
}

/// What the CRD schema demands of an Exact or PathPrefix path. Another value could never match,
/// since requests are compared by their normalised path.
fn plain_path(value: &str, field: &str) -> Result<(), Fault> {
    let fault = |text: &str| {
        Err(Fault::unsupported(
            field,
            format!("path \"{value}\" {text}; correct it"),
        ))
    };
    if !value.starts_with('/') {
        return fault("does not start with /");
    }
    if value.len() > 1024 {
        return fault("is longer than 1024 characters");
    }
    for part in ["//", "/./", "/../", "%2f", "%2F", "#", "?"] {
        if value.contains(part) {
            return fault(&format!("contains {part}, which no request path can have"));
        }
    }
    if value.ends_with("/..") || value.ends_with("/.") {
        return fault("ends with a relative segment");
    }
    if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return fault("contains blanks or characters outside ASCII; percent-encode them");
    }
    Ok(())
}

/// Whose names are matched.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    /// Of headers: tokens, case-insensitive.
    Headers,
    /// Of query parameters: any, case-sensitive.
    Params,
}

fn values<'a>(
    given: impl Iterator<Item = (&'a MatchType, &'a str, &'a str)>,
    names: Names,
    field: &str,
    ignored: &mut Vec<Fault>,
) -> Result<Vec<ProxyValueMatch>, Fault> {
    let mut found: Vec<ProxyValueMatch> = Vec::new();
    for (index, (type_, name, value)) in given.enumerate() {
        let field = format!("{field}[{index}]");
        let type_ = match_type(type_, &field)?;
        if names == Names::Headers && !is_token(name) {
            let text = format!("\"{name}\" is no header name; correct it");
            return Err(Fault::unsupported(format!("{field}.name"), text));
        }
        if type_ == ProxyMatchType::RegularExpression {
            expression(value, &format!("{field}.value"))?;
        }
        let known = |other: &ProxyValueMatch| match names {
            Names::Headers => other.name.eq_ignore_ascii_case(name),
            Names::Params => other.name == name,
        };
        if found.iter().any(known) {
            let text = format!(
                "\"{name}\" is matched before, and the first entry counts; remove this one"
            );
            ignored.push(Fault::unsupported(field, text));
            continue;
        }
        found.push(ProxyValueMatch {
            type_,
            name: name.to_owned(),
            value: value.to_owned(),
        });
    }
    Ok(found)
}

fn grpc_method(given: &GrpcMethodMatch, field: &str) -> Result<ProxyGrpcMethodMatch, Fault> {
    let type_ = match_type(&given.type_, field)?;
    let part = |part: &Option<String>| part.clone().filter(|text| !text.is_empty());
    let (service, method) = (part(&given.service), part(&given.method));
    if service.is_none() && method.is_none() {
        let text =
            "neither service nor method is given; give one, or remove the match on the method";
        return Err(Fault::unsupported(field, text));
    }
    for (name, value) in [("service", &service), ("method", &method)] {
        let Some(value) = value else { continue };
        let field = format!("{field}.{name}");
        if type_ == ProxyMatchType::RegularExpression {
            expression(value, &field)?;
        } else if value.contains('/') {
            let text = format!(
                "\"{value}\" contains /, which no gRPC {name} can have; give service and method apart"
            );
            return Err(Fault::unsupported(field, text));
        }
    }
    Ok(ProxyGrpcMethodMatch {
        type_,
        service,
        method,
    })
}

fn match_type(given: &MatchType, field: &str) -> Result<ProxyMatchType, Fault> {
    match given {
        MatchType::Exact => Ok(ProxyMatchType::Exact),
        MatchType::RegularExpression => Ok(ProxyMatchType::RegularExpression),
        MatchType::Other(word) => Err(unknown(field, word, "Exact or RegularExpression")),
    }
}

fn unknown(field: &str, word: &str, known: &str) -> Fault {
    Fault::unsupported(
        format!("{field}.type"),
        format!("match type \"{word}\" is not supported; use {known}"),
    )
}

fn expression(pattern: &str, field: &str) -> Result<(), Fault> {
    regex::check(pattern).map_err(|error| {
        let text = format!("regular expression \"{pattern}\" is invalid: {error}; the match is left out until it is corrected (RE2 syntax)");
        Fault::unsupported(field, text)
    })
}
