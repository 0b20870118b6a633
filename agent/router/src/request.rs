//! What matching may know about a request.

use std::borrow::Cow;

/// The head of an HTTP request, as matching sees it.
///
/// The tables ask for what a candidate needs and nothing more, so an implementation over a parsed request should not
/// prepare anything in advance.
pub trait RequestHead {
    /// The method, as sent: methods are case-sensitive.
    fn method(&self) -> &str;
    /// The host of `:authority` or `Host`: lower case, without a port. [`crate::host::normalize`] makes one.
    fn host(&self) -> &str;
    /// The path, without the query.
    fn path(&self) -> &str;
    /// The query, without the question mark.
    fn query(&self) -> Option<&str>;
    /// The value of a header. The values of several lines are joined by `,` (RFC 9110 section 5.2).
    fn header<'a>(&'a self, lowercase_name: &str) -> Option<Cow<'a, str>>;
    /// True for `application/grpc` and its `+` variants: the rules of GRPCRoutes match nothing else.
    fn is_grpc(&self) -> bool;
}
