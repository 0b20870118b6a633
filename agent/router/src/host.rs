//! Hostnames: patterns of listeners and routes, and the hosts that requests name.

use std::{borrow::Cow, sync::Arc};

use crate::error::Fault;

/// No DNS name is longer (RFC 1035 section 2.3.4). Longer hosts are compared with no pattern but [`HostPattern::Any`],
/// which bounds the work that a hostile `Host` header can cause.
pub(crate) const MAX_HOST_LEN: usize = 253;

/// A hostname of a listener or a route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// One host, lower case.
    Exact(Arc<str>),
    /// One or more labels before this suffix, which starts with a dot: `.example.com` for `*.example.com`.
    Wildcard(Arc<str>),
    /// Every host.
    Any,
}

impl HostPattern {
    /// Parses a hostname of the Gateway API: a DNS name, possibly with `*` as its first label. Empty: any host.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text.is_empty() {
            return Ok(Self::Any);
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if let Some(suffix) = name.strip_prefix('*') {
            let rest = suffix
                .strip_prefix('.')
                .ok_or_else(|| Fault::Hostname(text.into()))?;
            check_dns_name(rest, text)?;
            Ok(Self::Wildcard(suffix.into()))
        } else {
            check_dns_name(&name, text)?;
            Ok(Self::Exact(name.into()))
        }
    }

    /// Whether a normalized host lies within this pattern.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(name) => **name == *host,
            Self::Wildcard(suffix) => host.len() > suffix.len() && host.ends_with(&**suffix),
        }
    }

    /// Whether every host of `other` is a host of this pattern.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (_, Self::Any) | (Self::Exact(_), Self::Wildcard(_)) => false,
            (_, Self::Exact(name)) => self.matches(name),
            (Self::Wildcard(wide), Self::Wildcard(narrow)) => narrow.ends_with(&**wide),
        }
    }

    /// Whether some host lies within both patterns. DNS patterns are a tree: they overlap if one covers the other.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.covers(other) || other.covers(self)
    }
}

impl std::fmt::Display for HostPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(suffix) => write!(f, "*{suffix}"),
            Self::Any => f.write_str("*"),
        }
    }
}

/// Brings the authority of a request into the form that the tables compare: without port and trailing dot, lower case.
/// Allocates only if a letter is upper case.
pub fn normalize(authority: &str) -> Cow<'_, str> {
    let host = without_trailing_dot(without_port(authority));
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

/// `example.com.` names the same host as `example.com`.
pub(crate) fn without_trailing_dot(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

fn without_port(authority: &str) -> &str {
    if authority.starts_with('[') {
        // An IPv6 literal keeps its brackets, as in RFC 3986 section 3.2.2.
        return authority
            .find(']')
            .map_or(authority, |end| authority.get(..=end).unwrap_or(authority));
    }
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

fn check_dns_name(name: &str, whole: &str) -> Result<(), Fault> {
    let label_is_valid = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_'
            })
    };
    if name.len() <= MAX_HOST_LEN && name.split('.').all(label_is_valid) {
        Ok(())
    } else {
        Err(Fault::Hostname(whole.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> HostPattern {
        HostPattern::parse(text).unwrap()
    }

    #[test]
    fn a_wildcard_matches_one_or_more_labels_but_never_the_bare_domain() {
        let wildcard = pattern("*.example.com");
        for (host, expected) in [
            ("a.example.com", true),
            ("a.b.example.com", true),
            ("example.com", false),
            (".example.com", false),
            ("badexample.com", false),
            ("a.example.org", false),
        ] {
            assert_eq!(wildcard.matches(host), expected, "{host}");
        }
    }

    #[test]
    fn hostnames_are_compared_without_case_port_and_trailing_dot() {
        for (authority, host) in [
            ("Example.COM:8080", "example.com"),
            ("example.com.", "example.com"),
            ("example.com.:80", "example.com"),
            ("[2001:DB8::1]:80", "[2001:db8::1]"),
            ("[::1]", "[::1]"),
            ("example.com:http", "example.com:http"),
            ("", ""),
        ] {
            assert_eq!(normalize(authority), host, "{authority}");
        }
        assert_eq!(pattern("*.Example.com."), pattern("*.example.com"));
    }

    #[test]
    fn what_is_no_dns_name_is_refused() {
        for text in [
            "*",
            "*example.com",
            "a.*.com",
            "*.",
            "-a.com",
            "a..com",
            "a b",
            "http://a",
            "a:80",
            ".",
        ] {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn patterns_overlap_if_one_covers_the_other() {
        let wide = pattern("*.example.com");
        assert!(wide.covers(&pattern("*.a.example.com")));
        assert!(wide.covers(&wide));
        assert!(!pattern("*.a.example.com").covers(&wide));
        assert!(pattern("*.a.example.com").overlaps(&wide));
        assert!(!wide.overlaps(&pattern("example.com")));
        assert!(HostPattern::Any.covers(&wide) && !wide.covers(&HostPattern::Any));
    }
}
