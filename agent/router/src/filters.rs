//! The pure parts of filters: what changes about a request or a response, and what is answered at once.

mod cors;
mod headers;
mod mirror;
mod path;
mod redirect;
mod rewrite;

use std::ops::Deref;

pub use self::{
    cors::{Cors, CorsDecision, merge_cors_headers},
    headers::HeaderOps,
    mirror::Mirror,
    path::PathModifier,
    redirect::{Redirect, RedirectContext, Scheme},
    rewrite::Rewrite,
};

/// The filters of a rule or of one backend of a rule. Most have none, and then this is a null pointer.
#[derive(Debug, Default)]
pub struct Filters(Option<Box<FilterSet>>);

/// What [`Filters`] say.
#[derive(Debug, Default)]
pub struct FilterSet {
    /// Changes to the request's headers, in the order of the rule.
    pub request_headers: Vec<HeaderOps>,
    /// Changes to the response's headers, in the order of the rule.
    pub response_headers: Vec<HeaderOps>,
    /// Answers the request; excludes `rewrite`.
    pub redirect: Option<Redirect>,
    /// Changes host or path of the request that the backend sees.
    pub rewrite: Option<Rewrite>,
    /// Backends that get a copy of the request.
    pub mirrors: Vec<Mirror>,
    /// Answers preflight requests, and marks responses.
    pub cors: Option<Cors>,
}

static NONE: FilterSet = FilterSet {
    request_headers: Vec::new(),
    response_headers: Vec::new(),
    redirect: None,
    rewrite: None,
    mirrors: Vec::new(),
    cors: None,
};

impl Filters {
    /// True if there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl Deref for Filters {
    type Target = FilterSet;

    fn deref(&self) -> &FilterSet {
        self.0.as_deref().unwrap_or(&NONE)
    }
}

impl From<FilterSet> for Filters {
    fn from(set: FilterSet) -> Self {
        let is_empty = set.request_headers.is_empty()
            && set.response_headers.is_empty()
            && set.redirect.is_none()
            && set.rewrite.is_none()
            && set.mirrors.is_empty()
            && set.cors.is_none();
        Self((!is_empty).then(|| Box::new(set)))
    }
}
