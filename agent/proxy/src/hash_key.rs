//! What a request is hashed by when its backend's policy goes by a key.

use std::net::IpAddr;

use http::header::{self, HeaderMap};
use novaedge_balance::hash;
use novaedge_router::{Balancing, HashKey};

/// The key of a request, as the backend would see it. A request without the header, cookie or parameter goes by its
/// client's address.
pub(crate) fn of(
    balancing: &Balancing,
    headers: &HeaderMap,
    query: Option<&str>,
    client: IpAddr,
) -> u64 {
    if !balancing.policy.is_by_key() {
        return 0;
    }
    let value = match &balancing.hash_key {
        HashKey::Client => None,
        HashKey::Header(name) => headers.get(&**name).map(http::HeaderValue::as_bytes),
        HashKey::Cookie(name) => cookie(headers, name),
        HashKey::Query(name) => query.and_then(|query| parameter(query, name)),
    };
    value.map_or_else(|| hash::client_key(client), hash::bytes_key)
}

fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    let fields = headers.get_all(header::COOKIE).into_iter();
    let mut pairs = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b';'));
    pairs.find_map(|pair| {
        let rest = pair.trim_ascii().strip_prefix(name.as_bytes())?;
        rest.strip_prefix(b"=")
    })
}

/// The first value as it stands there: whoever encodes it in two ways has two keys.
fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q [u8]> {
    let mut pairs = query.split('&');
    pairs.find_map(|pair| {
        let rest = pair.strip_prefix(name)?;
        rest.strip_prefix('=').map(str::as_bytes)
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use novaedge_router::LoadBalancing;

    use super::*;

    const CLIENT: &str = "192.0.2.1";

    fn key(hash_key: HashKey, fields: &[(&'static str, &'static str)], query: Option<&str>) -> u64 {
        let balancing = Balancing {
            hash_key,
            ..Balancing::of(LoadBalancing::Maglev)
        };
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        of(&balancing, &headers, query, CLIENT.parse().unwrap())
    }

    #[test]
    fn a_request_goes_by_what_it_has() {
        let by = hash::bytes_key;
        let header = || HashKey::Header("x-user".into());
        let cookie = || HashKey::Cookie("sid".into());
        let query = || HashKey::Query("u".into());
        assert_eq!(
            key(header(), &[("x-user", "a"), ("x-user", "b")], None),
            by(b"a")
        );
        assert_eq!(
            key(cookie(), &[("cookie", "xsid=1; sid=2; sid=3")], None),
            by(b"2")
        );
        assert_eq!(
            key(cookie(), &[("cookie", "a=1"), ("cookie", "sid=4")], None),
            by(b"4")
        );
        assert_eq!(key(query(), &[], Some("uu=1&u=5&u=6")), by(b"5"));
    }

    #[test]
    fn what_it_has_not_is_made_up_for_by_its_client() {
        let client = hash::client_key(CLIENT.parse().unwrap());
        assert_eq!(key(HashKey::Client, &[("x-user", "a")], None), client);
        assert_eq!(key(HashKey::Header("x-user".into()), &[], None), client);
        assert_eq!(
            key(HashKey::Cookie("sid".into()), &[("cookie", "a=sid")], None),
            client
        );
        assert_eq!(key(HashKey::Query("u".into()), &[], Some("v=u")), client);
        assert_eq!(key(HashKey::Query("u".into()), &[], None), client);
    }
}
