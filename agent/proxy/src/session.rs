//! Session persistence: a client comes back to the endpoint that it was given first.
//!
//! The cookie or header carries a hash of the endpoint's address, so any replica understands it and
//! nothing is stored. It holds within one backend: the choice by weight comes before it. An absolute
//! timeout ends a permanent cookie in the client; there is no idle timeout.

use std::fmt::Write as _;

use http::header::{self, HeaderMap, HeaderValue};
use novaedge_router::{SessionCarrier, SessionPersistence};

/// The endpoint that the request names.
pub(crate) fn find(config: &SessionPersistence, headers: &HeaderMap) -> Option<u64> {
    match &config.carrier {
        SessionCarrier::Header(name) => parse(headers.get(name)?.to_str().ok()?),
        SessionCarrier::Cookie { name, .. } => headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(key, _)| *key == &**name)
            .and_then(|(_, value)| parse(value)),
    }
}

/// Tells the client the endpoint that answered, unless it knows it already.
pub(crate) fn remember(
    config: &SessionPersistence,
    known: Option<u64>,
    endpoint: u64,
    headers: &mut HeaderMap,
) {
    match &config.carrier {
        SessionCarrier::Header(name) => {
            if let Ok(value) = HeaderValue::try_from(format!("{endpoint:016x}")) {
                headers.insert(name, value);
            }
        }
        SessionCarrier::Cookie { .. } if known == Some(endpoint) => {}
        SessionCarrier::Cookie { name, permanent } => {
            let mut cookie = format!("{name}={endpoint:016x}; Path=/; HttpOnly");
            if let (true, Some(age)) = (*permanent, config.absolute_timeout) {
                // Writing to a string cannot fail.
                let _ = write!(cookie, "; Max-Age={}", age.as_secs());
            }
            if let Ok(value) = HeaderValue::try_from(cookie) {
                headers.append(header::SET_COOKIE, value);
            }
        }
    }
}

fn parse(text: &str) -> Option<u64> {
    (text.len() == 16)
        .then(|| u64::from_str_radix(text, 16).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn cookie(permanent: bool) -> SessionPersistence {
        SessionPersistence {
            carrier: SessionCarrier::Cookie {
                name: "sid".into(),
                permanent,
            },
            absolute_timeout: Some(Duration::from_mins(1)),
            idle_timeout: None,
        }
    }

    #[test]
    fn a_cookie_names_the_endpoint_until_it_changes() {
        let config = cookie(true);
        let mut headers = HeaderMap::new();
        remember(&config, None, 0xab, &mut headers);
        assert_eq!(
            headers[header::SET_COOKIE],
            "sid=00000000000000ab; Path=/; HttpOnly; Max-Age=60"
        );
        let mut request = HeaderMap::new();
        request.insert(
            header::COOKIE,
            HeaderValue::from_static("a=b; sid=00000000000000ab"),
        );
        assert_eq!(find(&config, &request), Some(0xab));
        let mut headers = HeaderMap::new();
        remember(&config, Some(0xab), 0xab, &mut headers);
        assert!(headers.is_empty());
        request.insert(header::COOKIE, HeaderValue::from_static("sid=junk"));
        assert_eq!(find(&config, &request), None);
    }
}
