//! RequestRedirect.

use std::{fmt::Write as _, sync::Arc};

use http::StatusCode;

use super::path::{PathModifier, push_query};

/// An answer that sends the client elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The new scheme. None: the request's.
    pub scheme: Option<Scheme>,
    /// The new host. None: the request's.
    pub hostname: Option<Arc<str>>,
    /// The change of the path. None: the request's path.
    pub path: Option<PathModifier>,
    /// The new port. None: by the rules of [`Redirect::location`].
    pub port: Option<u16>,
    /// 301, 302, 303, 307 or 308.
    pub status: StatusCode,
}

/// The scheme of a request or a redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Cleartext.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// The scheme as URIs write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port that URIs of this scheme leave out.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// What a redirect needs to know about the request.
#[derive(Clone, Copy, Debug)]
pub struct RedirectContext<'a> {
    /// How the request came in.
    pub scheme: Scheme,
    /// The request's host, without a port.
    pub host: &'a str,
    /// The request's path and query.
    pub path_and_query: &'a str,
    /// The listener's port, as clients see it.
    pub listener_port: u16,
    /// [`crate::Matched::prefix`].
    pub matched_prefix: Option<&'a str>,
}

impl Redirect {
    /// The value of the `Location` header.
    ///
    /// HTTPRequestRedirectFilter.port: the port is the given one, else that of the given scheme, else the listener's. It
    /// is left out where it is the default of the resulting scheme.
    pub fn location(&self, context: &RedirectContext<'_>) -> String {
        let scheme = self.scheme.unwrap_or(context.scheme);
        let host = self.hostname.as_deref().unwrap_or(context.host);
        let port = self.port.unwrap_or_else(|| {
            self.scheme
                .map_or(context.listener_port, Scheme::default_port)
        });

        let mut location = String::with_capacity(16 + host.len() + context.path_and_query.len());
        // HTTP/1.0 requests may come without a host: then the location is relative to what the client asked for.
        if !host.is_empty() {
            location.push_str(scheme.as_str());
            location.push_str("://");
            location.push_str(host);
            if port != scheme.default_port() {
                // Writing to a string can't fail.
                let _ = write!(location, ":{port}");
            }
        }
        let (path, query) = match context.path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (context.path_and_query, None),
        };
        match &self.path {
            Some(modifier) => location.push_str(&modifier.apply(path, context.matched_prefix)),
            None => location.push_str(path),
        }
        push_query(&mut location, query);
        location
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirect(scheme: Option<Scheme>, port: Option<u16>) -> Redirect {
        Redirect {
            scheme,
            hostname: Some("example.org".into()),
            path: None,
            port,
            status: StatusCode::FOUND,
        }
    }

    #[test]
    fn the_port_follows_the_given_port_then_the_given_scheme_then_the_listener() {
        use Scheme::{Http, Https};
        // The fifteen cases of HTTPRouteRedirectPortAndScheme: listener, filter, expected.
        for (listener, scheme, port, expected) in [
            ((Http, 80), None, None, "http://example.org"),
            ((Http, 80), None, Some(80), "http://example.org"),
            ((Http, 80), None, Some(8080), "http://example.org:8080"),
            ((Http, 80), Some(Https), None, "https://example.org"),
            ((Http, 80), Some(Https), Some(443), "https://example.org"),
            (
                (Http, 80),
                Some(Https),
                Some(8443),
                "https://example.org:8443",
            ),
            ((Http, 8080), None, None, "http://example.org:8080"),
            ((Http, 8080), None, Some(80), "http://example.org"),
            ((Http, 8080), Some(Https), None, "https://example.org"),
            ((Https, 443), None, None, "https://example.org"),
            ((Https, 443), None, Some(443), "https://example.org"),
            ((Https, 443), None, Some(8443), "https://example.org:8443"),
            ((Https, 443), Some(Http), None, "http://example.org"),
            ((Https, 443), Some(Http), Some(80), "http://example.org"),
            (
                (Https, 443),
                Some(Http),
                Some(8080),
                "http://example.org:8080",
            ),
        ] {
            let context = RedirectContext {
                scheme: listener.0,
                host: "request.example.com",
                path_and_query: "/some/path",
                listener_port: listener.1,
                matched_prefix: None,
            };
            let location = redirect(scheme, port).location(&context);
            assert_eq!(
                location,
                format!("{expected}/some/path"),
                "{listener:?} {scheme:?} {port:?}"
            );
        }
    }

    #[test]
    fn the_location_keeps_host_path_and_query_unless_they_are_set() {
        let context = RedirectContext {
            scheme: Scheme::Http,
            host: "a.example.com",
            path_and_query: "/foo/bar?x=%2F&y",
            listener_port: 8080,
            matched_prefix: Some("/foo"),
        };
        let mut redirect = Redirect {
            scheme: None,
            hostname: None,
            path: None,
            port: None,
            status: StatusCode::FOUND,
        };
        assert_eq!(
            redirect.location(&context),
            "http://a.example.com:8080/foo/bar?x=%2F&y"
        );
        redirect.path = Some(PathModifier::ReplacePrefix("/xyz".into()));
        assert_eq!(
            redirect.location(&context),
            "http://a.example.com:8080/xyz/bar?x=%2F&y"
        );
        redirect.path = Some(PathModifier::ReplaceFull("/full".into()));
        assert_eq!(
            redirect.location(&context),
            "http://a.example.com:8080/full?x=%2F&y"
        );
    }

    #[test]
    fn without_any_host_the_location_is_relative() {
        let context = RedirectContext {
            scheme: Scheme::Http,
            host: "",
            path_and_query: "/a",
            listener_port: 80,
            matched_prefix: None,
        };
        let redirect = Redirect {
            scheme: None,
            hostname: None,
            path: None,
            port: None,
            status: StatusCode::FOUND,
        };
        assert_eq!(redirect.location(&context), "/a");
    }
}
