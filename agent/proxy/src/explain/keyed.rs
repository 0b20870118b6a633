//! Which endpoint has the requests of a client, where a key decides.

use std::net::IpAddr;
use std::time::Instant;

use http::request::Parts;
use novaedge_balance::{Group, Member, Pick, Site, hash};
use novaedge_router::{Backend, Endpoint, Filters, HashKey};

use crate::hash_key;

/// Fields that the gateway writes into each request by what only it knows.
const WRITTEN: [&str; 6] = [
    "forwarded",
    "host",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];

/// A member of a group of one choice.
struct Known(Member);

impl AsRef<Member> for Known {
    fn as_ref(&self) -> &Member {
        &self.0
    }
}

/// The endpoint that has a request of `client`, as long as all endpoints are well. `filters` are those of the rule and of the
/// choice. `None`: turns, load or chance decide, or a field that the gateway writes itself.
#[must_use]
pub fn endpoint_for_request<'t>(
    backend: &'t Backend,
    filters: [&Filters; 2],
    parts: &Parts,
    client: IpAddr,
) -> Option<&'t Endpoint> {
    let balancing = &*backend.balancing;
    if let HashKey::Header(name) = &balancing.hash_key
        && WRITTEN.contains(&&**name)
    {
        return None;
    }
    // Keys are those of requests as backends get them, so filters come first.
    let mut headers = parts.headers.clone();
    for changes in filters.iter().flat_map(|one| &one.request_headers) {
        changes.apply(&mut headers);
    }
    let key = hash_key::of(balancing, &headers, parts.uri.query(), client);
    by_key(backend, key)
}

/// The same for a connection of layer 4, for which the client's address is the key.
#[must_use]
pub fn endpoint_for_connection(backend: &Backend, client: IpAddr) -> Option<&Endpoint> {
    by_key(backend, hash::client_key(client))
}

fn by_key(backend: &Backend, key: u64) -> Option<&Endpoint> {
    if !backend.balancing.policy.is_by_key() {
        return None;
    }
    let now = Instant::now();
    let group: Group<Known> = Group::new(backend.name.clone(), 0, &Site::default());
    let make = |endpoint: &Endpoint| Known(Member::new(endpoint.clone()));
    group.update(&backend.endpoints, &backend.balancing, || now, make);
    let pick = Pick {
        now,
        key,
        random: 0,
    };
    let chosen = group.choose(pick, |_| false)?;
    let mut endpoints = backend.endpoints.iter();
    endpoints.find(|endpoint| chosen.0.is_at(endpoint))
}
