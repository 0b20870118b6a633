//! Filters of rules and backends, as native filters.
//!
//! A filter that cannot be served is never left out: what it stands at, a rule or one backend of a
//! rule, answers with an error instead. The one exception is a mirror without a usable backend,
//! which the specification drops.

mod cors;
mod headers;
mod path;

use novaedge_api::gateway::{FilterKind, HttpRequestMirrorFilter, HttpRouteFilterType, OneOfError};
use novaedge_api::native::{ProxyFilter, ProxyMirror};

use crate::backend::reference::Refs;
use crate::route::fault::{Fault, INCOMPATIBLE_FILTERS, INVALID_KIND};

pub(crate) use cors::convert as cors;
pub(crate) use headers::{is_token, is_value as is_header_value};

/// A filter as it was given: its type, and what that stands for.
pub(crate) type Given<'a> = (&'a HttpRouteFilterType, Result<FilterKind<'a>, OneOfError>);

/// Where filters stand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// Path of the list, such as `spec.rules[0].filters`.
    pub(crate) field: &'a str,
    /// Whether every match of the rule is a PathPrefix, so that there is a prefix to replace.
    pub(crate) prefix: bool,
    /// Whether the rule has backends, which a redirect excludes.
    pub(crate) backends: bool,
}

/// The filters of one list, or the first fault that keeps all of them from being served.
pub(crate) fn convert<'a>(
    given: impl Iterator<Item = Given<'a>>,
    place: Place<'_>,
    refs: &mut Refs<'_, '_>,
) -> Result<Vec<ProxyFilter>, Fault> {
    let mut found: Vec<ProxyFilter> = Vec::new();
    let mut first_fault = None;
    for (index, (type_, kind)) in given.enumerate() {
        let field = format!("{}[{index}]", place.field);
        // All filters are looked at even after a fault, so that every mirror counts as a reference.
        let converted = kind
            .map_err(|error| one_of(&field, type_, &error))
            .and_then(|kind| filter(kind, &field, place, refs))
            .and_then(|filter| compatible(filter, &found, &field, place));
        match converted {
            Ok(filter) => found.extend(filter),
            Err(fault) => first_fault = first_fault.or(Some(fault)),
        }
    }
    first_fault.map_or(Ok(found), Err)
}

fn filter(
    kind: FilterKind<'_>,
    field: &str,
    place: Place<'_>,
    refs: &mut Refs<'_, '_>,
) -> Result<Option<ProxyFilter>, Fault> {
    let at = |name: &str| format!("{field}.{name}");
    Ok(Some(match kind {
        FilterKind::RequestHeaderModifier(given) => {
            let given = headers::modifier(given, &at("requestHeaderModifier"), refs.ignored())?;
            ProxyFilter::RequestHeaderModifier(given)
        }
        FilterKind::ResponseHeaderModifier(given) => {
            let given = headers::modifier(given, &at("responseHeaderModifier"), refs.ignored())?;
            ProxyFilter::ResponseHeaderModifier(given)
        }
        FilterKind::RequestRedirect(given) => {
            ProxyFilter::RequestRedirect(path::redirect(given, &at("requestRedirect"), place)?)
        }
        FilterKind::UrlRewrite(given) => {
            ProxyFilter::UrlRewrite(path::rewrite(given, &at("urlRewrite"), place)?)
        }
        FilterKind::RequestMirror(given) => return mirror(given, &at("requestMirror"), refs),
        FilterKind::Cors(given) => ProxyFilter::Cors(cors::convert(given, &at("cors"))?),
        FilterKind::ExternalAuth(_) => {
            let text = "filter type ExternalAuth is not supported, and a request that it should check is not let through; remove it";
            return Err(Fault::unsupported(at("type"), text));
        }
        FilterKind::ExtensionRef(given) => {
            let text = format!(
                "filter kind {} of group \"{}\" is unknown, and a filter is never skipped; remove it",
                given.kind, given.group
            );
            refs.fault(Fault::new(at("extensionRef"), INVALID_KIND, text.clone()));
            return Err(Fault::unsupported(at("extensionRef"), text));
        }
    }))
}

/// A mirror; none when its backend cannot be used, which the reference's own fault tells.
fn mirror(
    given: &HttpRequestMirrorFilter,
    field: &str,
    refs: &mut Refs<'_, '_>,
) -> Result<Option<ProxyFilter>, Fault> {
    let backend = refs.backend(&format!("{field}.backendRef"), &given.backend_ref);
    if given.percent.is_some() && given.fraction.is_some() {
        let text = "percent and fraction are both given; remove one";
        return Err(Fault::unsupported(field, text));
    }
    let (numerator, denominator) = given.share();
    if denominator == 0 || numerator > denominator {
        let text = format!("share {numerator}/{denominator} is not between 0 and 1; correct it");
        return Err(Fault::unsupported(field, text));
    }
    Ok(backend.ok().map(|backend_ref| {
        ProxyFilter::RequestMirror(ProxyMirror {
            backend_ref,
            numerator,
            denominator,
        })
    }))
}

/// The filter again, unless it contradicts one before it in the list or the rule.
fn compatible(
    filter: Option<ProxyFilter>,
    before: &[ProxyFilter],
    field: &str,
    place: Place<'_>,
) -> Result<Option<ProxyFilter>, Fault> {
    use ProxyFilter as F;
    let Some(filter) = filter else {
        return Ok(None);
    };
    let fault = |text: String| Err(Fault::new(field, INCOMPATIBLE_FILTERS, text));
    if matches!(filter, F::RequestRedirect(_)) && place.backends {
        return fault("a redirect answers the request itself; remove it or the backendRefs".into());
    }
    for other in before {
        match (other, &filter) {
            (F::RequestMirror(_), F::RequestMirror(_)) => {}
            (F::RequestRedirect(_), F::UrlRewrite(_))
            | (F::UrlRewrite(_), F::RequestRedirect(_)) => {
                return fault(
                    "RequestRedirect and URLRewrite exclude each other; remove one".into(),
                );
            }
            (a, b) if std::mem::discriminant(a) == std::mem::discriminant(b) => {
                let text = format!("a second {} in one list; merge the two", name(&filter));
                return fault(text);
            }
            _ => {}
        }
    }
    Ok(Some(filter))
}

fn name(filter: &ProxyFilter) -> &'static str {
    match filter {
        ProxyFilter::RequestHeaderModifier(_) => "RequestHeaderModifier",
        ProxyFilter::ResponseHeaderModifier(_) => "ResponseHeaderModifier",
        ProxyFilter::RequestRedirect(_) => "RequestRedirect",
        ProxyFilter::UrlRewrite(_) => "URLRewrite",
        ProxyFilter::RequestMirror(_) => "RequestMirror",
        ProxyFilter::Cors(_) => "CORS",
    }
}

fn one_of(field: &str, type_: &HttpRouteFilterType, error: &OneOfError) -> Fault {
    let text = match error {
        OneOfError::UnknownType(_) => format!(
            "filter type \"{type_}\" is not supported here, and a filter is never skipped; remove it"
        ),
        OneOfError::Missing { .. } | OneOfError::Foreign { .. } => format!("{error}; correct it"),
    };
    Fault::unsupported(format!("{field}.type"), text)
}
