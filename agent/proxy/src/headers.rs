//! Header fields that a gateway removes, adds and rewrites between its two sides.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Version};
use novaedge_http1::decimal;

/// Fields that concern one connection, beside `Connection` and `TE`.
const OF_CONNECTION: [&str; 7] = [
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
    "proxy-authenticate",
    "proxy-authorization",
    "http2-settings",
];
pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Who asks, and through what: the source of the `X-Forwarded-*` fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forwarded<'a> {
    /// The client's address as text.
    pub client: &'a HeaderValue,
    /// `http` or `https`.
    pub scheme: &'a HeaderValue,
    /// The host that the client asked for, with its port.
    pub host: Option<&'a HeaderValue>,
    /// Whether fields that came with the request are believed.
    pub trusted: bool,
}

/// Whether a message is of a version that carries many at a time on a connection, and has no fields of connections.
pub(crate) fn is_multiplexed(version: Version) -> bool {
    matches!(version, Version::HTTP_2 | Version::HTTP_3)
}

/// Whether a message has fields that HTTP/2 and HTTP/3 do not know (RFC 9114 section 4.2).
pub(crate) fn has_connection_fields(headers: &HeaderMap) -> bool {
    let not_trailers = |value: &HeaderValue| value != "trailers";
    headers.contains_key(header::CONNECTION)
        || [
            "keep-alive",
            "proxy-connection",
            "transfer-encoding",
            "upgrade",
        ]
        .iter()
        .any(|name| headers.contains_key(*name))
        || headers.get_all(header::TE).iter().any(not_trailers)
}

/// Bytes of a header list, as HTTP/2 counts them (RFC 9113 section 6.5.2).
pub(crate) fn size(headers: &HeaderMap) -> usize {
    const OF_EACH: usize = 32;
    let field =
        |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + OF_EACH;
    headers.iter().map(field).sum()
}

/// The length of a body is said twice, or is none.
#[derive(Debug)]
pub(crate) struct BadLength;

/// What a message says of the length of its body, if it says anything.
pub(crate) fn content_length(headers: &HeaderMap) -> Result<Option<u64>, BadLength> {
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    match decimal(value.as_bytes()) {
        Some(length) if values.next().is_none() => Ok(Some(length)),
        _ => Err(BadLength),
    }
}

/// Removes the fields that concern one connection only (RFC 9110 section 7.6.1): those that
/// `Connection` lists, and those that are known to. `TE: trailers` in a request stays, because
/// gRPC needs it and HTTP/2 allows it.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        remove_listed(headers);
        headers.remove(header::CONNECTION);
    }
    // Few messages have any of them, and to look at the names that are there costs less than to look for each.
    if headers
        .keys()
        .any(|name| OF_CONNECTION.contains(&name.as_str()))
    {
        for name in OF_CONNECTION {
            headers.remove(name);
        }
    }
    if headers.contains_key(header::TE) {
        let trailers = wants_trailers(headers);
        headers.remove(header::TE);
        if trailers {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
        }
    }
}

/// Removes what `Connection` lists. Fields that a peer must not be able to take away stay: without
/// them a request would be read differently by the next hop.
fn remove_listed(headers: &mut HeaderMap) {
    let listed: smallvec::SmallVec<[HeaderName; 4]> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        // What is said most often names no field, or one that goes anyway.
        .filter(|name| {
            !["keep-alive", "close"]
                .iter()
                .any(|own| name.eq_ignore_ascii_case(own))
        })
        .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
        .filter(|name| {
            ![
                header::HOST,
                header::CONTENT_LENGTH,
                header::TE,
                header::TRANSFER_ENCODING,
                header::COOKIE,
            ]
            .contains(name)
                && !name.as_str().starts_with("x-forwarded-")
        })
        .collect();
    for name in listed {
        headers.remove(name);
    }
}

/// Whether the sender takes trailers (RFC 9110 section 10.1.4).
pub(crate) fn wants_trailers(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::TE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            coding
                .split(';')
                .next()
                .is_some_and(|name| name.trim().eq_ignore_ascii_case("trailers"))
        })
}

/// Whether a request body has no transfer coding but `chunked`. Another one would get lost with the
/// field on the way to the backend, which would take the coded bytes for the content (RFC 9112
/// section 6.1).
pub(crate) fn is_plainly_coded(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::TRANSFER_ENCODING)
        .iter()
        .all(|value| value.as_bytes().eq_ignore_ascii_case(b"chunked"))
}

/// The protocol that an HTTP/1.1 request asks to switch to, if it is one that may be tunnelled.
/// `h2c` never is: the gateway itself is the HTTP/2 peer (RFC 9113 section 3.1 retired it).
pub(crate) fn upgrade_protocol(version: Version, headers: &HeaderMap) -> Option<HeaderValue> {
    if version != Version::HTTP_11 || !headers.contains_key(header::UPGRADE) {
        return None;
    }
    let asked = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|option| option.trim().eq_ignore_ascii_case("upgrade"));
    let mut protocols = headers
        .get_all(header::UPGRADE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("h2c"));
    let first = protocols.next()?;
    if !asked {
        return None;
    }
    let mut value = first.to_owned();
    for other in protocols {
        value.push_str(", ");
        value.push_str(other);
    }
    HeaderValue::from_str(&value).ok()
}

/// Sets `X-Forwarded-For`, `-Proto` and `-Host`. What an untrusted client claims is replaced.
pub(crate) fn set_forwarded(headers: &mut HeaderMap, forwarded: Forwarded<'_>) {
    if forwarded.trusted && headers.contains_key(X_FORWARDED_FOR) {
        let mut chain: Vec<u8> = Vec::new();
        for value in headers.get_all(X_FORWARDED_FOR) {
            chain.extend_from_slice(value.as_bytes());
            chain.extend_from_slice(b", ");
        }
        chain.extend_from_slice(forwarded.client.as_bytes());
        let value = HeaderValue::from_bytes(&chain).unwrap_or_else(|_| forwarded.client.clone());
        headers.insert(X_FORWARDED_FOR, value);
    } else {
        headers.insert(X_FORWARDED_FOR, forwarded.client.clone());
    }
    if !forwarded.trusted {
        // RFC 7239 says the same in other words; nobody here writes it, so what comes is a claim.
        headers.remove(header::FORWARDED);
    }
    if !forwarded.trusted || !headers.contains_key(X_FORWARDED_PROTO) {
        headers.insert(X_FORWARDED_PROTO, forwarded.scheme.clone());
    }
    if !forwarded.trusted || !headers.contains_key(X_FORWARDED_HOST) {
        match forwarded.host {
            Some(host) => {
                headers.insert(X_FORWARDED_HOST, host.clone());
            }
            None => {
                headers.remove(X_FORWARDED_HOST);
            }
        }
    }
}

/// Appends this gateway to `Via` (RFC 9110 section 7.6.3) with the version that the message came by.
pub(crate) fn append_via(headers: &mut HeaderMap, values: &Via, version: Version) {
    let own = match version {
        Version::HTTP_3 => &values.http3,
        Version::HTTP_2 => &values.http2,
        Version::HTTP_10 => &values.http10,
        _ => &values.http11,
    };
    headers.append(header::VIA, own.clone());
}

/// `Via` entries, made once per worker.
#[derive(Clone, Debug)]
pub(crate) struct Via {
    http10: HeaderValue,
    http11: HeaderValue,
    http2: HeaderValue,
    http3: HeaderValue,
}

impl Via {
    /// Entries with this pseudonym; one that is no token is replaced by `gateway`.
    pub(crate) fn new(pseudonym: &str) -> Self {
        let entry = |version: &str| {
            HeaderValue::from_str(&format!("{version} {pseudonym}"))
                .unwrap_or(HeaderValue::from_static("1.1 gateway"))
        };
        Self {
            http10: entry("1.0"),
            http11: entry("1.1"),
            http2: entry("2"),
            http3: entry("3"),
        }
    }
}

/// HTTP/2 splits `Cookie` into several fields; HTTP/1.1 peers expect one (RFC 9113 section 8.2.3).
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    let mut values = headers.get_all(header::COOKIE).iter();
    let (Some(first), Some(second)) = (values.next(), values.next()) else {
        return;
    };
    let mut joined = first.as_bytes().to_vec();
    for value in std::iter::once(second).chain(values) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(value.as_bytes());
    }
    if let Ok(value) = HeaderValue::from_bytes(&joined) {
        headers.insert(header::COOKIE, value);
    }
}

/// Whether a request may be sent again although the first may have been acted on (RFC 9110
/// section 9.2.2).
pub(crate) fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    )
}

/// Whether the client speaks gRPC, which wants errors as a status in trailers.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| {
        let value = value.as_bytes();
        value.starts_with(b"application/grpc")
            && matches!(value.get(16), None | Some(b'+' | b';' | b' '))
    })
}

#[cfg(test)]
mod tests;
