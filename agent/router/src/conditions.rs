//! What a match asks for besides the path.

use std::sync::Arc;

use regex::Regex;

use crate::{host::HostPattern, request::RequestHead};

/// A limit of a candidate to some of the hosts of its own hostname.
///
/// A route of `*.example.com` on a listener of `a.example.com` serves that host only.
#[derive(Clone, Debug, Default)]
pub(crate) enum HostLimit {
    /// The whole own hostname is served.
    #[default]
    None,
    /// Only hosts with one label before this suffix, which is that of the own hostname, a wildcard.
    OneLabel(Arc<str>),
    /// Only hosts within one of these.
    To(Arc<[HostPattern]>),
}

impl HostLimit {
    pub(crate) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    pub(crate) fn allows(&self, host: &str) -> bool {
        match self {
            Self::None => true,
            Self::OneLabel(suffix) => has_one_label_before(host, suffix),
            Self::To(patterns) => patterns.iter().any(|pattern| pattern.matches(host)),
        }
    }
}

/// Whether a host is one label and a suffix, which starts with a dot.
pub(crate) fn has_one_label_before(host: &str, suffix: &str) -> bool {
    host.strip_suffix(suffix)
        .is_some_and(|label| !label.is_empty() && !label.contains('.'))
}

/// What a request must have besides its path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    /// What the listener leaves of the route's own hostname.
    pub(crate) hosts: HostLimit,
    /// The match is one of a GRPCRoute.
    pub(crate) grpc: bool,
    pub(crate) method: Option<Box<str>>,
    pub(crate) headers: Vec<NameValue>,
    pub(crate) query_params: Vec<NameValue>,
}

/// A header or a query parameter that must have a value.
#[derive(Clone, Debug)]
pub(crate) struct NameValue {
    pub(crate) name: Box<str>,
    pub(crate) value: ValueMatch,
}

#[derive(Clone, Debug)]
pub(crate) enum ValueMatch {
    Exact(Box<str>),
    Regex(Regex),
}

impl Conditions {
    /// True if every request meets them.
    pub(crate) fn is_empty(&self) -> bool {
        !self.grpc
            && self.hosts.is_none()
            && self.method.is_none()
            && self.headers.is_empty()
            && self.query_params.is_empty()
    }

    /// Whether they ask for one header and nothing else.
    pub(crate) fn is_one_header(&self) -> bool {
        self.headers.len() == 1
            && !self.grpc
            && self.hosts.is_none()
            && self.method.is_none()
            && self.query_params.is_empty()
    }

    pub(crate) fn meets(&self, host: &str, request: &impl RequestHead) -> bool {
        (!self.grpc || request.is_grpc())
            && self.hosts.allows(host)
            && self
                .method
                .as_ref()
                .is_none_or(|method| **method == *request.method())
            && self.headers.iter().all(|condition| {
                request
                    .header(&condition.name)
                    .is_some_and(|value| condition.value.matches(&value))
            })
            && self.query_params.iter().all(|condition| {
                crate::query::meets(request.query().unwrap_or_default(), condition)
            })
    }
}

impl ValueMatch {
    pub(crate) fn matches(&self, value: &str) -> bool {
        match self {
            Self::Exact(expected) => **expected == *value,
            Self::Regex(regex) => regex.is_match(value),
        }
    }
}
