//! The matches of a rule.

use std::{cmp::Reverse, sync::Arc};

use novaedge_proto::v1;
use v1::{PathMatchType, StringMatchType};

use super::regex::compile;
use crate::{
    conditions::{Conditions, HostLimit, NameValue, ValueMatch},
    error::Fault,
    host_table::{Expression, PathKey, PathRegex},
    rank::Rank,
};

/// The matches of a rule. Most rules want no more than the hosts of their route, and then there is nothing to keep.
#[derive(Debug)]
pub(super) enum Matches {
    /// The root alone, without conditions.
    Root,
    /// These.
    Some(Box<[CompiledMatch]>),
}

/// A match of a rule, apart from the rule.
#[derive(Debug)]
pub(super) struct CompiledMatch {
    pub(super) path: PathKey,
    /// None: every request meets them.
    pub(super) conditions: Option<Arc<Conditions>>,
    pub(super) rank: Rank,
}

/// Compiles the matches of a rule. A match with a fault is left out: it never matches.
pub(super) fn compile_matches(route: &v1::Route, faults: &mut Vec<Fault>) -> Matches {
    let grpc = route.kind() == v1::RouteKind::Grpc;
    let compiled = if grpc {
        if route.grpc_matches.is_empty() {
            vec![grpc_match(&v1::GrpcMatch::default())]
        } else {
            route.grpc_matches.iter().map(grpc_match).collect()
        }
    } else if route.http_matches.is_empty() {
        vec![Ok((PathKey::Root, Conditions::default()))]
    } else {
        route
            .http_matches
            .iter()
            .map(http_match)
            .collect::<Vec<_>>()
    };
    let compiled_all = compiled.len();
    let mut matches = Vec::with_capacity(compiled_all);
    for (index, result) in (0_u32..).zip(compiled) {
        match result {
            Ok((path, conditions)) => {
                let rank = Rank::new(&conditions, index);
                let conditions = (!conditions.is_empty()).then(|| Arc::new(conditions));
                matches.push(CompiledMatch {
                    path,
                    conditions,
                    rank,
                });
            }
            Err(fault) => faults.push(fault),
        }
    }
    match matches.as_slice() {
        [only] if only.is_root() && compiled_all == 1 => Matches::Root,
        _ => Matches::Some(matches.into()),
    }
}

impl Matches {
    /// Each of them.
    pub(super) fn each(&self, mut visit: impl FnMut(&CompiledMatch)) {
        match self {
            Self::Root => visit(&CompiledMatch {
                path: PathKey::Root,
                conditions: None,
                rank: Rank::new(&Conditions::default(), 0),
            }),
            Self::Some(matches) => matches.iter().for_each(visit),
        }
    }
}

impl CompiledMatch {
    /// The conditions of a candidate that serves some hosts only.
    pub(super) fn conditions_within(&self, limit: &HostLimit) -> Option<Arc<Conditions>> {
        if limit.is_none() {
            return self.conditions.clone();
        }
        let own = self.conditions.as_deref().cloned().unwrap_or_default();
        Some(Arc::new(Conditions {
            hosts: limit.clone(),
            ..own
        }))
    }

    fn is_root(&self) -> bool {
        matches!(self.path, PathKey::Root) && self.conditions.is_none()
    }
}

fn http_match(wire: &v1::HttpMatch) -> Result<(PathKey, Conditions), Fault> {
    let path = match &wire.path {
        None => PathKey::Root,
        Some(path) => match path.r#type() {
            PathMatchType::Exact => PathKey::Exact(absolute(&path.value)?.into()),
            PathMatchType::Prefix => match absolute(&path.value)?.trim_end_matches('/') {
                "" => PathKey::Root,
                prefix => PathKey::Prefix(prefix.into()),
            },
            PathMatchType::RegularExpression => PathKey::Regex(Arc::new(PathRegex {
                rank: (Reverse(path.value.chars().count()), Reverse(0)),
                expression: Expression::Http(compile(&path.value)?),
            })),
            PathMatchType::Unspecified => {
                return Err(unknown_type("http_matches.path.type", path.r#type));
            }
        },
    };
    let conditions = Conditions {
        hosts: HostLimit::None,
        grpc: false,
        method: (!wire.method.is_empty()).then(|| wire.method.as_str().into()),
        headers: headers(&wire.headers)?,
        query_params: query_params(&wire.query_params)?,
    };
    Ok((path, conditions))
}

fn grpc_match(wire: &v1::GrpcMatch) -> Result<(PathKey, Conditions), Fault> {
    let (service, method) = (wire.service.as_str(), wire.method.as_str());
    let path = match (wire.r#type(), service, method) {
        (_, "", "") => PathKey::Root,
        (StringMatchType::Exact, "", method) => PathKey::GrpcMethod(method.into()),
        (StringMatchType::Exact, service, "") => PathKey::Prefix(format!("/{service}").into()),
        (StringMatchType::Exact, service, method) => {
            PathKey::Exact(format!("/{service}/{method}").into())
        }
        (StringMatchType::RegularExpression, service, method) => {
            let rank = (
                Reverse(service.chars().count()),
                Reverse(method.chars().count()),
            );
            let part = |pattern: &str| {
                if pattern.is_empty() {
                    Ok(None)
                } else {
                    compile(pattern).map(Some)
                }
            };
            PathKey::Regex(Arc::new(PathRegex {
                rank,
                expression: Expression::Grpc {
                    service: part(service)?,
                    method: part(method)?,
                },
            }))
        }
        (StringMatchType::Unspecified, ..) => {
            return Err(unknown_type("grpc_matches.type", wire.r#type));
        }
    };
    let conditions = Conditions {
        grpc: true,
        headers: headers(&wire.headers)?,
        ..Conditions::default()
    };
    Ok((path, conditions))
}

/// HTTPHeaderMatch.name: of entries with equivalent names the first counts; names are case-insensitive.
fn headers(wire: &[v1::NameValueMatch]) -> Result<Vec<NameValue>, Fault> {
    let mut matches: Vec<NameValue> = Vec::with_capacity(wire.len());
    for header in wire {
        let name = http::HeaderName::from_bytes(header.name.as_bytes())
            .map_err(|_| Fault::HeaderName(header.name.clone()))?;
        if matches.iter().all(|other| *other.name != *name.as_str()) {
            matches.push(NameValue {
                name: name.as_str().into(),
                value: value("headers.type", header)?,
            });
        }
    }
    Ok(matches)
}

/// HTTPQueryParamMatch.name: of entries with equal names the first counts.
fn query_params(wire: &[v1::NameValueMatch]) -> Result<Vec<NameValue>, Fault> {
    let mut matches: Vec<NameValue> = Vec::with_capacity(wire.len());
    for param in wire {
        if param.name.is_empty() {
            return Err(Fault::Missing("query_params.name"));
        }
        if matches.iter().all(|other| *other.name != *param.name) {
            matches.push(NameValue {
                name: param.name.as_str().into(),
                value: value("query_params.type", param)?,
            });
        }
    }
    Ok(matches)
}

fn value(field: &'static str, wire: &v1::NameValueMatch) -> Result<ValueMatch, Fault> {
    match wire.r#type() {
        StringMatchType::Exact => Ok(ValueMatch::Exact(wire.value.as_str().into())),
        StringMatchType::RegularExpression => compile(&wire.value).map(ValueMatch::Regex),
        StringMatchType::Unspecified => Err(unknown_type(field, wire.r#type)),
    }
}

fn absolute(path: &str) -> Result<&str, Fault> {
    if path.starts_with('/') {
        Ok(path)
    } else {
        let expected = "expected a path that starts with \"/\"; its match never matches";
        Err(Fault::Value {
            field: "http_matches.path.value",
            value: format!("{path:?}"),
            expected,
        })
    }
}

fn unknown_type(field: &'static str, value: i32) -> Fault {
    Fault::Value {
        field,
        value: value.to_string(),
        expected: "expected a known type; its match never matches",
    }
}
