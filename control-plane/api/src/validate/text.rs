//! Shapes of texts, as the patterns of the CRD schemas give them.

use std::net::{Ipv6Addr, SocketAddr};

/// A shape that a text must have.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    /// Noun phrase with its article.
    pub(super) what: &'static str,
    /// The test.
    pub(super) fits: fn(&str) -> bool,
    /// What is expected.
    pub(super) expected: &'static str,
}

pub(super) const SUBDOMAIN: Shape = Shape {
    what: "a DNS name",
    fits: is_subdomain,
    expected: "lower-case letters, digits, '-' and '.'",
};

pub(super) const LABEL: Shape = Shape {
    what: "a DNS label",
    fits: is_label,
    expected: "lower-case letters, digits and '-'",
};

pub(super) const HOSTNAME: Shape = Shape {
    what: "a host name",
    fits: is_hostname,
    expected: "lower-case letters, digits, '-' and '.', with nothing but an optional \"*.\" in front",
};

pub(super) const GROUP: Shape = Shape {
    what: "an API group",
    fits: |text| text.is_empty() || is_subdomain(text),
    expected: "a DNS name, or nothing for the core group",
};

pub(super) const KIND: Shape = Shape {
    what: "a kind",
    fits: is_kind,
    expected: "letters, digits and '-'",
};

pub(super) const HEADER_NAME: Shape = Shape {
    what: "a header name",
    fits: |text| !text.is_empty() && text.bytes().all(is_token),
    expected: "letters, digits and !#$%&'*+-.^_`|~",
};

pub(super) const HEADER_VALUE: Shape = Shape {
    what: "a header value",
    fits: is_header_value,
    expected: "visible ASCII characters, with single spaces or tabs between them",
};

pub(super) const URL_PATH: Shape = Shape {
    what: "a path",
    fits: is_url_path,
    expected: "letters, digits, %XX and /-._~!$&'()*+,;=:@",
};

pub(super) const PATH_AND_QUERY: Shape = Shape {
    what: "a path with an optional query",
    fits: is_path_and_query,
    expected: "a '/' in front, then letters, digits, %XX and /-._~!$&'()*+,;=:@?",
};

pub(super) const AUTHORITY: Shape = Shape {
    what: "a host with an optional port",
    fits: is_authority,
    expected: "a DNS name, an IPv4 address or an IPv6 address in brackets, and perhaps ':' and a port",
};

pub(super) const CONTROLLER: Shape = Shape {
    what: "a controller name",
    fits: is_domain_path,
    expected: "a domain and a path, such as example.com/controller",
};

pub(super) const ORIGIN: Shape = Shape {
    what: "an origin",
    fits: is_origin,
    expected: "\"*\", or a scheme of http or https, a host with an optional \"*.\" in front, and an optional port",
};

pub(super) const URI: Shape = Shape {
    what: "an absolute URI",
    fits: is_uri,
    expected: "a scheme, \"://\" and an authority",
};

/// Lower-case letters, digits, and dashes inside.
pub(super) fn is_label(text: &str) -> bool {
    let edge =
        |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = text.as_bytes();
    edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
}

/// Labels with dots between them.
pub(super) fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

fn is_hostname(text: &str) -> bool {
    is_subdomain(text.strip_prefix("*.").unwrap_or(text))
}

fn is_kind(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// A token of RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_header_value(text: &str) -> bool {
    let bytes = text.as_bytes();
    let blank = |byte: u8| byte == b' ' || byte == b'\t';
    let visible = |byte: &u8| byte.is_ascii_graphic();
    bytes.first().is_some_and(visible)
        && bytes.last().is_some_and(visible)
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_graphic() || blank(*byte))
        && !bytes.windows(2).any(|pair| pair.iter().copied().all(blank))
}

fn is_url_path(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let escaped = byte == b'%'
            && bytes.next().is_some_and(|b| b.is_ascii_hexdigit())
            && bytes.next().is_some_and(|b| b.is_ascii_hexdigit());
        let plain = byte.is_ascii_alphanumeric() || b"-/._~!$&'()*+,;=:@".contains(&byte);
        if !plain && !escaped {
            return false;
        }
    }
    !text.is_empty()
}

fn is_path_and_query(text: &str) -> bool {
    let (path, query) = text.split_once('?').unwrap_or((text, "/"));
    // A query may be empty, and have further question marks.
    let query = query.replace('?', "/");
    path.starts_with('/') && is_url_path(path) && (query.is_empty() || is_url_path(&query))
}

fn is_authority(text: &str) -> bool {
    if text.parse::<SocketAddr>().is_ok() {
        return true;
    }
    if let Some(address) = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
    {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let (host, port) = text.split_once(':').unwrap_or((text, "1"));
    is_subdomain(host) && port.parse().is_ok_and(|port: u16| port > 0)
}

/// A DNS name, a slash and a path.
pub(super) fn is_domain_path(text: &str) -> bool {
    text.split_once('/').is_some_and(|(domain, path)| {
        is_subdomain(domain)
            && !path.is_empty()
            && path
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&b))
    })
}

fn is_origin(text: &str) -> bool {
    if text == "*" {
        return true;
    }
    let Some(rest) = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"))
    else {
        return false;
    };
    let (host, port) = rest.rsplit_once(':').unwrap_or((rest, "1"));
    let host = if host == "*" {
        "a"
    } else {
        host.strip_prefix("*.").unwrap_or(host)
    };
    let label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    (1..=5).contains(&port.len())
        && port.bytes().all(|b| b.is_ascii_digit())
        && host.split('.').all(label)
}

fn is_uri(text: &str) -> bool {
    text.split_once("://")
        .is_some_and(|(scheme, _)| !scheme.is_empty() && !scheme.contains([':', '/', '?', '#']))
}

/// The key of a label or an annotation: an optional DNS name with a slash, and a name of at most 63 characters.
pub(super) fn is_metadata_key(key: &str) -> bool {
    let (domain, name) = match key.split_once('/') {
        Some((domain, name)) => (Some(domain), name),
        None => (None, key),
    };
    domain.is_none_or(|domain| domain.len() < 253 && is_subdomain(domain))
        && (1..=63).contains(&name.len())
        && is_metadata_name(name)
}

/// The value of a label.
pub(super) fn is_label_value(value: &str) -> bool {
    value.is_empty() || (value.len() <= 63 && is_metadata_name(value))
}

fn is_metadata_name(name: &str) -> bool {
    let edge = |c: char| c.is_ascii_alphanumeric();
    name.starts_with(edge)
        && name.ends_with(edge)
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(shape: Shape, good: &[&str], bad: &[&str]) {
        for text in good {
            assert!((shape.fits)(text), "{text:?} is {}", shape.what);
        }
        for text in bad {
            assert!(!(shape.fits)(text), "{text:?} is not {}", shape.what);
        }
    }

    #[test]
    fn names() {
        check(
            SUBDOMAIN,
            &["a", "a.b", "a-b.c", "0"],
            &["", ".", "a.", "-a", "a-", "A", "a_b", "a..b", "*.a"],
        );
        check(LABEL, &["a", "a-b", "0"], &["", "a.b", "-a", "a-", "A"]);
        check(
            HOSTNAME,
            &["a", "*.a", "a.example"],
            &["*", "*.", "a.*", "*.*.a", "a:80", "http://a"],
        );
        check(GROUP, &["", "a.b"], &["A"]);
        check(KIND, &["Service", "a", "A-9"], &["", "9a", "a-", "a.b"]);
        check(
            CONTROLLER,
            &["a.b/c", "a.b/c/d~"],
            &["a.b", "a.b/", "/c", "A/b", "a/b c"],
        );
    }

    #[test]
    fn headers() {
        check(
            HEADER_NAME,
            &["X-A", "a`|~"],
            &["", "a b", "a:", "\u{e9}", ":path"],
        );
        check(
            HEADER_VALUE,
            &["a", "a b", "a\tb", "\"x\"; q=1"],
            &["", " a", "a ", "a  b", "a\n", "\u{e9}"],
        );
    }

    #[test]
    fn targets_of_requests() {
        check(
            PATH_AND_QUERY,
            &["/", "/a?", "/a?b=c&d=%20", "/a?b?c"],
            &[
                "",
                "a",
                "?a",
                "/a b",
                "/a#b",
                "/a?b#c",
                "/a?%2",
                "http://a/",
            ],
        );
        check(
            AUTHORITY,
            &[
                "a",
                "a.example:80",
                "10.0.0.1",
                "10.0.0.1:80",
                "[::1]",
                "[::1]:80",
            ],
            &[
                "", "a:", "a:0", "a:65536", ":80", "::1", "a b", "a/b", "u@a", "[a]",
            ],
        );
    }

    #[test]
    fn urls() {
        check(
            URL_PATH,
            &["/", "/a%2Fb", "/a;b=c@d"],
            &["", "/a b", "/%", "/%2", "/%2G", "/a?b", "/a#b", "/\u{e9}"],
        );
        check(
            ORIGIN,
            &[
                "*",
                "http://a",
                "https://a.example:8443",
                "https://*.a.example",
                "http://*",
                "http://*:80",
                "http://A",
            ],
            &[
                "",
                "a",
                "ftp://a",
                "https://",
                "https://a/",
                "https://a.*",
                "https://a:",
                "https://a:123456",
                "https://a b",
            ],
        );
        check(
            URI,
            &["spiffe://a/b", "https://a"],
            &["", "a", "://a", "urn:a:b"],
        );
    }

    #[test]
    fn metadata() {
        let keys = Shape {
            what: "a key",
            fits: is_metadata_key,
            expected: "",
        };
        check(
            keys,
            &["a", "a.b/c", "A_b.C-d"],
            &["", "a/", "/a", "A.b/c", "a/b/c", "-a", "a-"],
        );
        let values = Shape {
            what: "a value",
            fits: is_label_value,
            expected: "",
        };
        check(values, &["", "a", "A_b.C-d"], &["-a", "a-", "a b", "a/b"]);
    }
}
