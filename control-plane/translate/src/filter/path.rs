//! Redirects and rewrites.

use novaedge_api::gateway::{
    HttpPathModifier, HttpRequestRedirectFilter, HttpUrlRewriteFilter, PathModifierKind,
};
use novaedge_api::native::{ProxyPathModifier, ProxyRedirect, ProxyUrlRewrite};

use super::Place;
use crate::route::fault::Fault;
use crate::route::hostname;

/// Status codes of a redirect; 301 and 302 are core, the others extended.
const STATUS_CODES: [u16; 5] = [301, 302, 303, 307, 308];

/// A redirect.
pub(super) fn redirect(
    given: &HttpRequestRedirectFilter,
    field: &str,
    place: Place<'_>,
) -> Result<ProxyRedirect, Fault> {
    if !STATUS_CODES.contains(&given.status_code) {
        let text = format!(
            "status code {} is not supported; use 301, 302, 303, 307 or 308",
            given.status_code
        );
        return Err(Fault::unsupported(format!("{field}.statusCode"), text));
    }
    if given.port == Some(0) {
        let text = "port 0 does not exist; use 1 to 65535";
        return Err(Fault::unsupported(format!("{field}.port"), text));
    }
    Ok(ProxyRedirect {
        scheme: given.scheme.map(|scheme| scheme.as_str().to_owned()),
        hostname: host(given.hostname.as_deref(), field)?,
        path: modifier(given.path.as_ref(), field, place)?,
        port: given.port,
        status_code: given.status_code,
    })
}

/// A rewrite.
pub(super) fn rewrite(
    given: &HttpUrlRewriteFilter,
    field: &str,
    place: Place<'_>,
) -> Result<ProxyUrlRewrite, Fault> {
    Ok(ProxyUrlRewrite {
        hostname: host(given.hostname.as_deref(), field)?,
        path: modifier(given.path.as_ref(), field, place)?,
    })
}

/// A precise hostname: no wildcard. An empty one is as good as none.
fn host(given: Option<&str>, field: &str) -> Result<Option<String>, Fault> {
    let Some(given) = given.filter(|host| !host.is_empty()) else {
        return Ok(None);
    };
    let wildcard = given.contains('*').then_some("it must not have a wildcard");
    match wildcard.or_else(|| hostname::fault(given)) {
        None => Ok(Some(given.to_ascii_lowercase())),
        Some(fault) => {
            let text = format!("hostname \"{given}\" cannot be used: {fault}");
            Err(Fault::unsupported(format!("{field}.hostname"), text))
        }
    }
}

fn modifier(
    given: Option<&HttpPathModifier>,
    field: &str,
    place: Place<'_>,
) -> Result<Option<ProxyPathModifier>, Fault> {
    let Some(given) = given else { return Ok(None) };
    let field = format!("{field}.path");
    let kind = given.kind().map_err(|error| {
        Fault::unsupported(
            format!("{field}.type"),
            format!("{error}; use ReplaceFullPath or ReplacePrefixMatch with its field"),
        )
    })?;
    let (PathModifierKind::ReplaceFullPath(value) | PathModifierKind::ReplacePrefixMatch(value)) =
        kind;
    if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        let text = "the path contains blanks or characters outside ASCII; percent-encode them";
        return Err(Fault::unsupported(field, text));
    }
    Ok(Some(match kind {
        PathModifierKind::ReplaceFullPath(value) => {
            ProxyPathModifier::ReplaceFullPath(value.to_owned())
        }
        PathModifierKind::ReplacePrefixMatch(_) if !place.prefix => {
            let text = "ReplacePrefixMatch needs a rule whose matches are all of type PathPrefix; change the matches, or use ReplaceFullPath";
            return Err(Fault::unsupported(field, text));
        }
        PathModifierKind::ReplacePrefixMatch(value) => {
            ProxyPathModifier::ReplacePrefixMatch(value.to_owned())
        }
    }))
}
