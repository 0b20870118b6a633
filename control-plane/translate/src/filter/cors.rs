//! Cross-origin resource sharing.

use novaedge_api::gateway::HttpCorsFilter;
use novaedge_api::native::ProxyCors;

use super::is_token;
use crate::route::fault::Fault;

/// A CORS filter.
pub(crate) fn convert(given: &HttpCorsFilter, field: &str) -> Result<ProxyCors, Fault> {
    for (index, origin) in given.allow_origins.iter().enumerate() {
        if let Some(fault) = origin_fault(origin) {
            let text = format!("origin \"{origin}\" cannot be used: {fault}");
            return Err(Fault::unsupported(
                format!("{field}.allowOrigins[{index}]"),
                text,
            ));
        }
    }
    for (list, names) in [
        ("allowHeaders", &given.allow_headers),
        ("exposeHeaders", &given.expose_headers),
    ] {
        if let Some((index, name)) = names.iter().enumerate().find(|(_, name)| !is_token(name)) {
            let text = format!("\"{name}\" is no header name; correct it");
            return Err(Fault::unsupported(format!("{field}.{list}[{index}]"), text));
        }
    }
    if given.max_age == 0 {
        let text = "0 seconds cannot be cached; use at least 1, or leave it out for 5";
        return Err(Fault::unsupported(format!("{field}.maxAge"), text));
    }
    Ok(ProxyCors {
        allow_origins: given.allow_origins.clone(),
        allow_methods: given
            .allow_methods
            .iter()
            .map(|m| m.as_str().to_owned())
            .collect(),
        allow_headers: given.allow_headers.clone(),
        expose_headers: given.expose_headers.clone(),
        allow_credentials: given.allow_credentials.unwrap_or_default(),
        max_age: given.max_age,
    })
}

/// `*`, or `scheme://host` with an optional port, where the host may contain `*`.
fn origin_fault(origin: &str) -> Option<&'static str> {
    if origin == "*" {
        return None;
    }
    let Some((scheme, authority)) = origin.split_once("://") else {
        return Some("it has no scheme; write it as https://example.com");
    };
    if scheme != "http" && scheme != "https" {
        return Some("its scheme is neither http nor https");
    }
    // An IPv6 address holds colons itself, inside brackets.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    if port.is_some_and(|port| !matches!(port.parse(), Ok(1..=u16::MAX))) {
        return Some("its port is not a number from 1 to 65535");
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~*[]:".contains(&byte);
    if host.is_empty() || !host.bytes().all(allowed) {
        return Some("it must be a scheme, a host and perhaps a port, without a path");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::origin_fault;

    #[test]
    fn origins_are_scheme_host_and_port() {
        let good = [
            "*",
            "https://a.com",
            "http://a.com:8080",
            "https://*.a.com",
            "https://*",
            "http://[::1]:80",
            "http://[::1]",
        ];
        for good in good {
            assert_eq!(origin_fault(good), None, "{good}");
        }
        for bad in [
            "",
            "a.com",
            "ftp://a.com",
            "https://",
            "https://a.com/",
            "https://a.com:0",
            "https://a.com:x",
            "https://a b",
        ] {
            assert!(origin_fault(bad).is_some(), "{bad}");
        }
    }
}
