//! The host that a request is for, checked before anything else looks at it.

use std::borrow::Cow;

use http::header::{self, HeaderValue};
use http::request::Parts;

use crate::headers::is_multiplexed;

/// A checked host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authority<'a> {
    /// Lower case, without port and trailing dot; an IPv6 literal keeps its brackets.
    pub host: Cow<'a, str>,
    /// As the client wrote it, with its port.
    pub text: &'a str,
}

/// Why a request is answered with 400 before routing (RFC 9112 section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AuthorityError {
    #[error("the request has no Host")]
    Missing,
    #[error("the request has more than one Host")]
    Duplicate,
    #[error("the Host is not valid")]
    Invalid,
    #[error("the Host differs from the request target")]
    Mismatch,
}

/// Reads and checks the host of a request.
///
/// HTTP/1.1 needs exactly one `Host`, which must agree with an absolute-form target. HTTP/2 and HTTP/3 carry
/// `:authority`; a `Host` beside it must agree, and one without it stands in for it.
pub(crate) fn authority(parts: &Parts) -> Result<Authority<'_>, AuthorityError> {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let field = hosts.next();
    if hosts.next().is_some() {
        return Err(AuthorityError::Duplicate);
    }
    let field = field.map(text).transpose()?;
    let target = parts.uri.authority().map(http::uri::Authority::as_str);
    let text = match (target, field) {
        (Some(target), Some(field)) if agree(target, field, parts) => field,
        (Some(_), Some(_)) => return Err(AuthorityError::Mismatch),
        (None, Some(field)) => field,
        (Some(target), None) if is_multiplexed(parts.version) => target,
        (_, None) => return Err(AuthorityError::Missing),
    };
    parse(text)
}

fn text(value: &HeaderValue) -> Result<&str, AuthorityError> {
    value.to_str().map_err(|_| AuthorityError::Invalid)
}

/// Equal but for case and a default port.
fn agree(target: &str, field: &str, parts: &Parts) -> bool {
    let default = match parts.uri.scheme_str() {
        Some("https") => ":443",
        _ => ":80",
    };
    let bare = |text: &'_ str| text.len() - text.strip_suffix(default).map_or(0, |_| default.len());
    let (target_bare, field_bare) = (bare(target), bare(field));
    match (target.get(..target_bare), field.get(..field_bare)) {
        (Some(target), Some(field)) => target.eq_ignore_ascii_case(field),
        _ => false,
    }
}

fn parse(text: &str) -> Result<Authority<'_>, AuthorityError> {
    let (host, port) = split_port(text).ok_or(AuthorityError::Invalid)?;
    let valid_port = port.is_empty() || (port.len() <= 5 && port.parse::<u16>().is_ok());
    let valid_host = match host.strip_prefix('[') {
        Some(rest) => rest
            .strip_suffix(']')
            .is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok()),
        None => !host.is_empty() && host.len() <= 255 && host.bytes().all(is_host_byte),
    };
    if !valid_host || !valid_port {
        return Err(AuthorityError::Invalid);
    }
    let host = host
        .strip_suffix('.')
        .filter(|rest| !rest.is_empty())
        .unwrap_or(host);
    let host = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    };
    Ok(Authority { host, text })
}

fn split_port(text: &str) -> Option<(&str, &str)> {
    if text.starts_with('[') {
        let end = text.find(']')? + 1;
        let (host, rest) = text.split_at(end);
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, port)),
            None => rest.is_empty().then_some((host, "")),
        };
    }
    Some(text.split_once(':').unwrap_or((text, "")))
}

/// Letters, digits and what else RFC 3986 allows in a registered name, without percent-encoding:
/// nothing that means a host is written so, and two spellings of one host would be two hosts.
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b';'
                | b'='
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;
    use http::Version;

    fn check(
        version: Version,
        uri: &str,
        hosts: &[&str],
    ) -> Result<(String, String), AuthorityError> {
        let mut request = Request::builder().version(version).uri(uri);
        for host in hosts {
            request = request.header(header::HOST, *host);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        authority(&parts).map(|authority| (authority.host.into_owned(), authority.text.to_owned()))
    }

    fn http1(hosts: &[&str]) -> Result<String, AuthorityError> {
        check(Version::HTTP_11, "/", hosts).map(|(host, _)| host)
    }

    #[test]
    fn http1_needs_one_valid_host() {
        assert_eq!(http1(&["A.Example:8080"]).as_deref(), Ok("a.example"));
        assert_eq!(http1(&["a.example."]).as_deref(), Ok("a.example"));
        assert_eq!(http1(&["[::1]:80"]).as_deref(), Ok("[::1]"));
        assert_eq!(http1(&["192.0.2.1"]).as_deref(), Ok("192.0.2.1"));
        assert_eq!(http1(&["a:"]).as_deref(), Ok("a"));
        assert_eq!(http1(&[]), Err(AuthorityError::Missing));
        assert_eq!(http1(&["a", "a"]), Err(AuthorityError::Duplicate));
        for bad in [
            "", ":80", "a b", "a/b", "user@a", "a:80:81", "a:x", "a:65536", "[::1", "[::1]x",
            "[zz]", "a,b", "a%41",
        ] {
            assert_eq!(http1(&[bad]), Err(AuthorityError::Invalid), "{bad}");
        }
    }

    #[test]
    fn absolute_form_agrees_with_host() {
        let absolute = |host: &[&str]| {
            check(Version::HTTP_11, "http://a.example/x", host).map(|(host, _)| host)
        };
        assert_eq!(absolute(&["a.example"]).as_deref(), Ok("a.example"));
        assert_eq!(absolute(&["A.example:80"]).as_deref(), Ok("a.example"));
        assert_eq!(absolute(&["b.example"]), Err(AuthorityError::Mismatch));
        assert_eq!(absolute(&[]), Err(AuthorityError::Missing));
    }

    #[test]
    fn http2_authority_stands_for_host() {
        let http2 = |uri: &str, hosts: &[&str]| check(Version::HTTP_2, uri, hosts);
        assert_eq!(
            http2("https://a.example:8443/", &[]),
            Ok(("a.example".into(), "a.example:8443".into()))
        );
        assert_eq!(
            http2("https://a.example/", &["a.example"]),
            Ok(("a.example".into(), "a.example".into()))
        );
        assert_eq!(
            http2("https://a.example/", &["b.example"]),
            Err(AuthorityError::Mismatch)
        );
        assert_eq!(http2("/", &[]), Err(AuthorityError::Missing));
    }
}
