//! Heads as the gateway passes them on: requests to backends, responses to clients.

use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Response, StatusCode, Version};
use novaedge_router::{Filters, Rewrite};

use super::Exchange;
use crate::body::Body;
use crate::client::Requester;
use crate::forward::Outgoing;
use crate::headers::{self, Forwarded};
use crate::websocket;

impl Exchange<'_> {
    /// The head for the backend: connection fields go, forwarding fields come, filters have the last word.
    pub(super) fn outgoing(
        &self,
        parts: Parts,
        host: HeaderValue,
        filters: [&Filters; 2],
        prefix: Option<&str>,
        upgrade: Option<HeaderValue>,
        requester: Requester,
    ) -> Box<Outgoing> {
        let Parts {
            method,
            uri,
            version,
            mut headers,
            ..
        } = parts;
        headers::remove_hop_by_hop(&mut headers);
        headers::set_forwarded(
            &mut headers,
            Forwarded {
                client: &self.client.address,
                scheme: &self.client.scheme_text,
                host: Some(&host),
                trusted: requester.trusted,
            },
        );
        headers::append_via(&mut headers, &self.worker.via, version);
        if headers::is_multiplexed(version) {
            headers.insert(header::HOST, host.clone());
        }
        let mut changes = filters.iter().flat_map(|filters| &filters.request_headers);
        if let Some(first) = changes.next() {
            first.apply(&mut headers);
            changes.for_each(|ops| ops.apply(&mut headers));
            // A filter may have added another `Host`, or removed it: neither would be a valid request.
            let host = headers.remove(header::HOST).unwrap_or(host);
            headers.insert(header::HOST, host);
        }
        let mut target = uri
            .into_parts()
            .path_and_query
            .unwrap_or(PathAndQuery::from_static("/"));
        for rewrite in filters
            .iter()
            .filter_map(|filters| filters.rewrite.as_ref())
        {
            apply_rewrite(rewrite, &mut headers, &mut target, prefix);
        }
        Box::new(Outgoing {
            method,
            target,
            headers,
            upgrade,
        })
    }
}

/// Makes the head of a backend's response one of the gateway's. `key` is that of a client that wants a WebSocket.
pub(super) fn finish_head(
    response: &mut Response<Body>,
    filters: [&Filters; 2],
    version: Version,
    key: Option<&HeaderValue>,
) {
    let switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    let upgrade = if switched {
        headers.get(header::UPGRADE).cloned()
    } else {
        None
    };
    headers::remove_hop_by_hop(headers);
    let multiplexed = headers::is_multiplexed(version);
    if multiplexed {
        // What it means there has no other way to be said (RFC 8441 section 5).
        headers.remove(header::SEC_WEBSOCKET_ACCEPT);
    } else if let Some(upgrade) = upgrade {
        headers.insert(header::UPGRADE, upgrade);
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        // A backend of HTTP/2 has seen no key, so it has proved nothing.
        let proof = key.and_then(websocket::proof);
        if let (Some(proof), false) = (proof, headers.contains_key(header::SEC_WEBSOCKET_ACCEPT)) {
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, proof);
        }
    }
    for ops in filters.iter().flat_map(|filters| &filters.response_headers) {
        ops.apply(headers);
    }
    if multiplexed && switched {
        *response.status_mut() = StatusCode::OK;
    }
    *response.version_mut() = if multiplexed {
        version
    } else {
        Version::HTTP_11
    };
}

fn apply_rewrite(
    rewrite: &Rewrite,
    headers: &mut HeaderMap,
    target: &mut PathAndQuery,
    prefix: Option<&str>,
) {
    if let Some(value) = rewrite
        .host()
        .and_then(|host| HeaderValue::from_str(host).ok())
    {
        headers.insert(header::HOST, value);
    }
    if rewrite.path.is_some()
        && let Ok(path) =
            PathAndQuery::try_from(rewrite.path(target.path(), target.query(), prefix))
    {
        *target = path;
    }
}
