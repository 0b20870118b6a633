//! Pages of the current snapshot, for people.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use novaedge_proto::v1;
use prost::Message as _;

use crate::{encoded::EncodedResource, log::SnapshotLog};

const DEFAULT_PAGE: usize = 100;
const MAX_PAGE: usize = 1_000;
const MAX_PAGE_BYTES: usize = 3 << 20;

/// Why there is no page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// There is no snapshot yet.
    #[error("no snapshot has been published yet")]
    NothingPublished,
    /// The token does not belong to the prefix.
    #[error(
        "page_token does not belong to name_prefix: send the request of the page before with its next_page_token"
    )]
    WrongToken,
}

/// The page, as encoded resources. Private keys are blanked by [`Page::into_response`].
#[derive(Debug)]
pub struct Page {
    version: v1::Version,
    resources: Vec<Arc<EncodedResource>>,
    next_page_token: String,
    total: u32,
}

/// Picks a page. Only references are copied, so a lock on the log is held for a short time.
///
/// The token is the last name of the page before: pages stay in step with names when the snapshot
/// changes between them, and `version` tells that it did.
pub fn page(log: &SnapshotLog, request: &v1::FetchSnapshotRequest) -> Result<Page, FetchError> {
    if log.version().sequence == 0 {
        return Err(FetchError::NothingPublished);
    }
    let prefix = request.name_prefix.as_str();
    let token = request.page_token.as_str();
    if !token.is_empty() && !token.starts_with(prefix) {
        return Err(FetchError::WrongToken);
    }
    let total = matching(log.resources(), Bound::Included(prefix), prefix).count();
    let limit = match usize::try_from(request.page_size).unwrap_or(MAX_PAGE) {
        0 => DEFAULT_PAGE,
        size => size.min(MAX_PAGE),
    };
    let start = if token.is_empty() {
        Bound::Included(prefix)
    } else {
        Bound::Excluded(token)
    };
    let mut rest = matching(log.resources(), start, prefix).peekable();
    let mut resources: Vec<Arc<EncodedResource>> = Vec::new();
    let mut size = 0;
    while let Some(resource) = rest.peek() {
        size += resource.bytes().len();
        if resources.len() == limit || (size > MAX_PAGE_BYTES && !resources.is_empty()) {
            break;
        }
        resources.push(Arc::clone(resource));
        rest.next();
    }
    let last = resources.last().filter(|_| rest.peek().is_some());
    Ok(Page {
        version: log.version().to_wire(),
        next_page_token: last.map_or_else(String::new, |last| last.name().to_string()),
        resources,
        total: u32::try_from(total).unwrap_or(u32::MAX),
    })
}

impl Page {
    /// Decodes the page, with private keys blanked.
    pub fn into_response(self) -> Result<v1::FetchSnapshotResponse, prost::DecodeError> {
        let resources = self.resources.iter().map(|r| r.decode_for_inspection());
        let response = v1::FetchSnapshotResponse {
            version: Some(self.version),
            resources: resources.collect::<Result<_, _>>()?,
            next_page_token: self.next_page_token,
            total: self.total,
        };
        debug_assert!(response.encoded_len() < MAX_PAGE_BYTES + (64 << 10));
        Ok(response)
    }
}

fn matching<'a>(
    resources: &'a BTreeMap<Arc<str>, Arc<EncodedResource>>,
    start: Bound<&'a str>,
    prefix: &'a str,
) -> impl Iterator<Item = &'a Arc<EncodedResource>> {
    resources
        .range::<str, _>((start, Bound::Unbounded))
        .take_while(move |(name, _)| name.starts_with(prefix))
        .map(|(_, resource)| resource)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LogLimits, testing::resource};

    fn log() -> SnapshotLog {
        let mut log = SnapshotLog::new(LogLimits::default());
        let routes = (0..250).map(|n| resource(&format!("route/{n:03}"), n));
        let others = ["backend/a", "route", "routes/a"].map(|name| resource(name, 1));
        log.apply(routes.chain(others).collect(), &[]);
        log
    }

    fn request(prefix: &str, size: u32, token: &str) -> v1::FetchSnapshotRequest {
        v1::FetchSnapshotRequest {
            name_prefix: prefix.into(),
            page_size: size,
            page_token: token.into(),
        }
    }

    fn fetch(log: &SnapshotLog, prefix: &str, size: u32) -> Vec<Vec<String>> {
        let mut pages = Vec::new();
        let mut token = String::new();
        loop {
            let page = page(log, &request(prefix, size, &token)).unwrap();
            let response = page.into_response().unwrap();
            assert_eq!(response.version, Some(log.version().to_wire()));
            pages.push(response.resources.into_iter().map(|r| r.name).collect());
            token = response.next_page_token;
            if token.is_empty() {
                return pages;
            }
        }
    }

    #[test]
    fn pages_hold_every_match_once() {
        let log = log();
        let pages = fetch(&log, "route/", 0);
        assert_eq!(
            pages.iter().map(Vec::len).collect::<Vec<_>>(),
            [100, 100, 50]
        );
        assert_eq!(pages[2][49], "route/249");
        let pages = fetch(&log, "", 5_000);
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [253]);
        assert_eq!(fetch(&log, "route/1", 50).len(), 2, "no empty last page");
        assert_eq!(fetch(&log, "none", 0), [Vec::<String>::new()]);
        let total = page(&log, &request("route/", 1, "route/200"))
            .unwrap()
            .total;
        assert_eq!(total, 250);
    }

    #[test]
    fn a_page_keeps_below_the_message_limit() {
        let mut log = SnapshotLog::new(LogLimits::default());
        let large = |n: usize| {
            let bundle = v1::TrustBundle {
                ca_pem: vec![b'x'; 1 << 20].into(),
            };
            let body = Some(v1::resource::Body::TrustBundle(bundle));
            let resource = v1::Resource {
                body,
                ..v1::Resource::default()
            };
            EncodedResource::encode(&format!("trust/{n}"), resource).unwrap()
        };
        log.apply((0..6).map(large).collect(), &[]);
        let pages = fetch(&log, "", 0);
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 2]);
    }

    #[test]
    fn wrong_requests_are_told_apart() {
        let empty = SnapshotLog::new(LogLimits::default());
        let error = page(&empty, &request("", 0, "")).unwrap_err();
        assert_eq!(error, FetchError::NothingPublished);
        let error = page(&log(), &request("route/", 0, "backend/a")).unwrap_err();
        assert_eq!(error, FetchError::WrongToken);
    }
}
