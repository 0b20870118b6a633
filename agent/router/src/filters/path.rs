//! Path modifiers of redirects and rewrites.

use std::sync::Arc;

/// How a path changes. The query is never touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathModifier {
    /// The whole path becomes this.
    ReplaceFull(Arc<str>),
    /// What the PathPrefix match matched becomes this; a trailing `/` is ignored.
    ReplacePrefix(Arc<str>),
}

impl PathModifier {
    /// The changed path. Without a matched prefix there is nothing that `ReplacePrefix` could replace.
    pub fn apply(&self, path: &str, matched_prefix: Option<&str>) -> String {
        match (self, matched_prefix) {
            (Self::ReplaceFull(full), _) => with_leading_slash(full, ""),
            (Self::ReplacePrefix(replacement), Some(prefix)) => {
                let rest = path
                    .strip_prefix(prefix.trim_end_matches('/'))
                    .unwrap_or(path);
                with_leading_slash(replacement.trim_end_matches('/'), rest)
            }
            (Self::ReplacePrefix(_), None) => path.to_owned(),
        }
    }
}

fn with_leading_slash(head: &str, tail: &str) -> String {
    let starts_with_slash = head.starts_with('/') || (head.is_empty() && tail.starts_with('/'));
    let mut path = String::with_capacity(head.len() + tail.len() + 1);
    if !starts_with_slash {
        path.push('/');
    }
    path.push_str(head);
    path.push_str(tail);
    path
}

/// Joins a path with the query that the request had.
pub(super) fn push_query(path: &mut String, query: Option<&str>) {
    if let Some(query) = query {
        path.push('?');
        path.push_str(query);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_prefix_follows_the_table_of_the_specification() {
        // HTTPPathModifier.replacePrefixMatch: request path, prefix match, replacement, modified path.
        for (path, prefix, replacement, expected) in [
            ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
            ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
            ("/foo/bar", "/foo/", "/xyz", "/xyz/bar"),
            ("/foo/bar", "/foo/", "/xyz/", "/xyz/bar"),
            ("/foo", "/foo", "/xyz", "/xyz"),
            ("/foo/", "/foo", "/xyz", "/xyz/"),
            ("/foo/bar", "/foo", "", "/bar"),
            ("/foo/", "/foo", "", "/"),
            ("/foo", "/foo", "", "/"),
            ("/foo/", "/foo", "/", "/"),
            ("/foo", "/foo", "/", "/"),
            // Not in the table: the root, and a replacement without its slash.
            ("/bar", "/", "/xyz", "/xyz/bar"),
            ("/", "/", "/xyz", "/xyz/"),
            ("/foo/bar", "/foo", "xyz", "/xyz/bar"),
        ] {
            let modifier = PathModifier::ReplacePrefix(replacement.into());
            assert_eq!(
                modifier.apply(path, Some(prefix)),
                expected,
                "{path} {prefix} {replacement:?}"
            );
        }
    }

    #[test]
    fn a_full_replacement_forgets_the_path() {
        assert_eq!(
            PathModifier::ReplaceFull("/new".into()).apply("/foo/bar", Some("/foo")),
            "/new"
        );
        assert_eq!(
            PathModifier::ReplaceFull("".into()).apply("/foo", None),
            "/"
        );
    }

    #[test]
    fn a_prefix_is_replaced_only_if_one_matched() {
        assert_eq!(
            PathModifier::ReplacePrefix("/xyz".into()).apply("/foo", None),
            "/foo"
        );
    }
}
