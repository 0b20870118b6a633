//! A request head as matching sees it.

use std::borrow::Cow;

use http::header::HeaderValue;
use http::request::Parts;
use novaedge_router::RequestHead;

use crate::headers;

/// A request head as the tables look at it.
#[derive(Clone, Copy)]
pub(crate) struct Head<'a> {
    pub parts: &'a Parts,
    pub host: &'a str,
}

impl RequestHead for Head<'_> {
    fn method(&self) -> &str {
        self.parts.method.as_str()
    }

    fn host(&self) -> &str {
        self.host
    }

    fn path(&self) -> &str {
        self.parts.uri.path()
    }

    fn query(&self) -> Option<&str> {
        self.parts.uri.query()
    }

    fn header<'a>(&'a self, lowercase_name: &str) -> Option<Cow<'a, str>> {
        let mut values = self.parts.headers.get_all(lowercase_name).iter();
        let text = |value: &'a HeaderValue| {
            value
                .to_str()
                .map_or_else(|_| String::from_utf8_lossy(value.as_bytes()), Cow::Borrowed)
        };
        let first = text(values.next()?);
        let mut rest = values.peekable();
        if rest.peek().is_none() {
            return Some(first);
        }
        let mut joined = first.into_owned();
        for value in rest {
            joined.push(',');
            joined.push_str(&text(value));
        }
        Some(Cow::Owned(joined))
    }

    fn is_grpc(&self) -> bool {
        headers::is_grpc(&self.parts.headers)
    }
}
