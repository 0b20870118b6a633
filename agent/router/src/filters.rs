//! The pure parts of filters: what changes about a request or a response, and what is answered at once.

mod cors;
mod headers;
mod mirror;
mod path;
mod redirect;
mod rewrite;

pub use self::{
    cors::{Cors, CorsDecision, merge_cors_headers},
    headers::HeaderOps,
    mirror::Mirror,
    path::PathModifier,
    redirect::{Redirect, RedirectContext, Scheme},
    rewrite::Rewrite,
};

/// The filters of a rule or of one backend of a rule.
#[derive(Debug, Default)]
pub struct Filters {
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

impl Filters {
    /// True if there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.request_headers.is_empty()
            && self.response_headers.is_empty()
            && self.redirect.is_none()
            && self.rewrite.is_none()
            && self.mirrors.is_empty()
            && self.cors.is_none()
    }
}
