//! URLRewrite.

use std::sync::Arc;

use super::path::{PathModifier, push_query};

/// What a backend sees instead of the request's host and path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewrite {
    /// The new host, if there is one.
    pub hostname: Option<Arc<str>>,
    /// The change of the path, if there is one.
    pub path: Option<PathModifier>,
}

impl Rewrite {
    /// The host that the backend sees. None: the request's.
    pub fn host(&self) -> Option<&str> {
        self.hostname.as_deref()
    }

    /// The path and query that the backend sees.
    pub fn path(&self, path: &str, query: Option<&str>, matched_prefix: Option<&str>) -> String {
        let mut target = match &self.path {
            Some(modifier) => modifier.apply(path, matched_prefix),
            None => path.to_owned(),
        };
        push_query(&mut target, query);
        target
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rewrite_keeps_the_query() {
        let rewrite = Rewrite {
            hostname: None,
            path: Some(PathModifier::ReplacePrefix("/".into())),
        };
        assert_eq!(
            rewrite.path("/strip/me", Some("a=1&b=%20"), Some("/strip")),
            "/me?a=1&b=%20"
        );
        assert_eq!(rewrite.path("/strip", None, Some("/strip")), "/");
    }

    #[test]
    fn a_rewrite_of_the_host_leaves_the_path_alone() {
        let rewrite = Rewrite {
            hostname: Some("one.example.org".into()),
            path: None,
        };
        assert_eq!(rewrite.host(), Some("one.example.org"));
        assert_eq!(rewrite.path("/x", Some(""), Some("/")), "/x?");
    }
}
