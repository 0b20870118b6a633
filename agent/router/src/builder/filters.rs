//! Filters, from the wire.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, StatusCode};
use novaedge_proto::v1;
use v1::{filter::Kind, path_modifier::Kind as PathKind};

use crate::{
    error::Fault,
    filters::{
        Cors, FilterSet, Filters, HeaderOps, Mirror, PathModifier, Redirect, Rewrite, Scheme,
    },
    host::HostPattern,
};

/// Converts the filters of a rule or of a backend.
pub(super) fn convert(wire: &[v1::Filter]) -> Result<Filters, Fault> {
    let mut filters = FilterSet::default();
    for filter in wire {
        match filter.kind.as_ref().ok_or(Fault::Missing("filters.kind"))? {
            Kind::RequestHeaders(modifier) => filters.request_headers.push(header_ops(modifier)?),
            Kind::ResponseHeaders(modifier) => filters.response_headers.push(header_ops(modifier)?),
            Kind::Redirect(filter) => once(&mut filters.redirect, redirect(filter)?, "redirect")?,
            Kind::UrlRewrite(filter) => {
                once(&mut filters.rewrite, rewrite(filter)?, "url_rewrite")?;
            }
            Kind::Mirror(filter) => filters.mirrors.push(mirror(filter)?),
            Kind::Cors(filter) => once(&mut filters.cors, cors(filter)?, "cors")?,
        }
    }
    if filters.redirect.is_some() && filters.rewrite.is_some() {
        // HTTPURLRewriteFilter: "MUST NOT be used on the same Route rule as a HTTPRequestRedirect filter".
        return Err(invalid(
            "filters",
            "redirect and url_rewrite".into(),
            "expected one of them",
        ));
    }
    Ok(filters.into())
}

fn once<T>(slot: &mut Option<T>, filter: T, name: &'static str) -> Result<(), Fault> {
    if slot.replace(filter).is_some() {
        return Err(invalid(
            "filters",
            format!("more than one {name}"),
            "expected at most one",
        ));
    }
    Ok(())
}

fn header_ops(wire: &v1::HeaderModifier) -> Result<HeaderOps, Fault> {
    let pairs = |headers: &[v1::Header]| headers.iter().map(header).collect::<Result<Vec<_>, _>>();
    Ok(HeaderOps {
        set: pairs(&wire.set)?,
        add: pairs(&wire.add)?,
        remove: wire
            .remove
            .iter()
            .map(|name| header_name(name))
            .collect::<Result<_, _>>()?,
    })
}

fn header(wire: &v1::Header) -> Result<(HeaderName, HeaderValue), Fault> {
    let value =
        HeaderValue::from_str(&wire.value).map_err(|_| Fault::HeaderValue(wire.name.clone()))?;
    Ok((header_name(&wire.name)?, value))
}

pub(super) fn header_name(name: &str) -> Result<HeaderName, Fault> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| Fault::HeaderName(name.to_owned()))
}

fn redirect(wire: &v1::Redirect) -> Result<Redirect, Fault> {
    let scheme = match wire.scheme.as_str() {
        "" => None,
        "http" => Some(Scheme::Http),
        "https" => Some(Scheme::Https),
        other => {
            return Err(invalid(
                "redirect.scheme",
                format!("{other:?}"),
                "expected http or https",
            ));
        }
    };
    let port = match wire.port {
        0 => None,
        port => Some(
            u16::try_from(port)
                .map_err(|_| invalid("redirect.port", port.to_string(), "expected 1 to 65535"))?,
        ),
    };
    let status = match wire.status_code {
        0 | 302 => StatusCode::FOUND,
        301 => StatusCode::MOVED_PERMANENTLY,
        303 => StatusCode::SEE_OTHER,
        307 => StatusCode::TEMPORARY_REDIRECT,
        308 => StatusCode::PERMANENT_REDIRECT,
        other => {
            return Err(invalid(
                "redirect.status_code",
                other.to_string(),
                "expected 301, 302, 303, 307 or 308",
            ));
        }
    };
    let path = path_modifier(wire.path.as_ref(), "redirect.path")?;
    Ok(Redirect {
        scheme,
        hostname: precise_host(&wire.hostname)?,
        path,
        port,
        status,
    })
}

fn rewrite(wire: &v1::UrlRewrite) -> Result<Rewrite, Fault> {
    let path = path_modifier(wire.path.as_ref(), "url_rewrite.path")?;
    Ok(Rewrite {
        hostname: precise_host(&wire.hostname)?,
        path,
    })
}

fn mirror(wire: &v1::Mirror) -> Result<Mirror, Fault> {
    if wire.backend.is_empty() {
        return Err(Fault::Missing("mirror.backend"));
    }
    if wire.denominator == 0 {
        return Err(invalid(
            "mirror.denominator",
            "0".into(),
            "expected at least 1",
        ));
    }
    Ok(Mirror::new(
        wire.backend.as_str().into(),
        wire.numerator,
        wire.denominator,
    ))
}

fn cors(wire: &v1::Cors) -> Result<Cors, Fault> {
    let expected = "expected origins like https://example.com, methods and header names";
    Cors::new(wire).ok_or_else(|| invalid("cors", format!("{:?}", wire.allow_origins), expected))
}

fn path_modifier(
    wire: Option<&v1::PathModifier>,
    field: &'static str,
) -> Result<Option<PathModifier>, Fault> {
    let Some(wire) = wire else { return Ok(None) };
    let check = |text: &str| -> Result<Arc<str>, Fault> {
        // A query or fragment here would swallow the request's own query.
        let fits = text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#'));
        fits.then(|| text.into()).ok_or_else(|| {
            invalid(
                field,
                format!("{text:?}"),
                "expected the characters of a path",
            )
        })
    };
    match wire.kind.as_ref().ok_or(Fault::Missing(field))? {
        PathKind::ReplaceFullPath(full) => check(full).map(PathModifier::ReplaceFull).map(Some),
        PathKind::ReplacePrefixMatch(prefix) => {
            check(prefix).map(PathModifier::ReplacePrefix).map(Some)
        }
    }
}

fn precise_host(text: &str) -> Result<Option<Arc<str>>, Fault> {
    match HostPattern::parse(text)? {
        HostPattern::Any => Ok(None),
        HostPattern::Exact(name) => Ok(Some(name)),
        HostPattern::Wildcard(_) => Err(Fault::Hostname(text.to_owned())),
    }
}

fn invalid(field: &'static str, value: String, expected: &'static str) -> Fault {
    Fault::Value {
        field,
        value,
        expected,
    }
}
