//! Paths of Ingresses.

use novaedge_api::native::{ProxyPathMatch, ProxyPathMatchType, ProxyPathModifier};

use super::settings::Expressions;
use crate::route::regex;

/// How a path is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PathKind {
    /// Byte for byte.
    Exact,
    /// By path elements.
    Prefix,
    /// By a regular expression that the path begins with.
    Expression,
}

/// A path that can be served.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Path {
    pub(crate) kind: PathKind,
    /// Without a slash at the end of a prefix.
    pub(crate) value: String,
}

/// What captures the rest of the path behind a prefix, as the documentation of ingress-nginx teaches it.
const REST: &str = "(/|$)(.*)";
/// The longest path; the native kinds take no longer ones.
const LONGEST: usize = 1024;

impl Path {
    /// Every path.
    pub(super) fn root() -> Self {
        Self {
            kind: PathKind::Prefix,
            value: "/".to_owned(),
        }
    }

    /// Reads a path of a type; an error is what is wrong, and the fix.
    pub(super) fn read(
        type_: &str,
        path: Option<&str>,
        expressions: Expressions,
    ) -> Result<Self, String> {
        let path = path.unwrap_or_default();
        match (type_, expressions) {
            ("Exact", _) => Ok(Self {
                kind: PathKind::Exact,
                value: plain(path)?.to_owned(),
            }),
            ("ImplementationSpecific", _) if path.is_empty() => Ok(Self::root()),
            ("ImplementationSpecific", Expressions::On) => Self::expression(path),
            ("Prefix" | "ImplementationSpecific", _) => Self::prefix(path),
            _ => Err(format!(
                "\"{type_}\" is no type of path; write Exact, Prefix or ImplementationSpecific"
            )),
        }
    }

    fn prefix(path: &str) -> Result<Self, String> {
        let path = plain(path)?.trim_end_matches('/');
        let value = if path.is_empty() { "/" } else { path };
        Ok(Self {
            kind: PathKind::Prefix,
            value: value.to_owned(),
        })
    }

    fn expression(path: &str) -> Result<Self, String> {
        if !path.starts_with('/') {
            return Err(format!(
                "\"{path}\" does not begin with /; write \"/{path}\""
            ));
        }
        if path.len() > LONGEST {
            return Err(format!("it is longer than {LONGEST} bytes; shorten it"));
        }
        // Alone first: `/a)(b` is no expression, though one can be made of it.
        regex::check(path)
            .and_then(|()| regex::check(&native_expression(path)))
            .map_err(|error| format!("\"{path}\" is no regular expression: {error}; correct it"))?;
        Ok(Self {
            kind: PathKind::Expression,
            value: path.to_owned(),
        })
    }

    /// The prefix of an expression that says the same as a prefix and captures the rest.
    fn as_prefix(&self) -> Option<&str> {
        if self.kind != PathKind::Expression {
            return None;
        }
        let prefix = self.value.strip_suffix(REST)?.trim_end_matches('/');
        let is_plain = prefix
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"/-_~".contains(&byte));
        is_plain.then_some(prefix)
    }

    /// The match.
    pub(super) fn native(&self, rewrite: Option<&Rewrite>) -> ProxyPathMatch {
        let (type_, value) = match self.kind {
            PathKind::Exact => (ProxyPathMatchType::Exact, self.value.clone()),
            PathKind::Prefix => (ProxyPathMatchType::PathPrefix, self.value.clone()),
            PathKind::Expression => match (self.as_prefix(), rewrite) {
                (Some(prefix), Some(Rewrite::Prefix(_))) => {
                    let prefix = if prefix.is_empty() { "/" } else { prefix };
                    (ProxyPathMatchType::PathPrefix, prefix.to_owned())
                }
                _ => (
                    ProxyPathMatchType::RegularExpression,
                    native_expression(&self.value),
                ),
            },
        };
        ProxyPathMatch { type_, value }
    }

    /// What `rewrite-target` makes of the path: all of it is replaced, or what stands before the second group of
    /// `/prefix(/|$)(.*)`. An error is what is wrong, and the fix.
    pub(super) fn rewrite(&self, target: &str) -> Result<Rewrite, String> {
        if !target.contains('$') {
            plain_target(target)?;
            return Ok(Rewrite::Whole(target.to_owned()));
        }
        let before = target.strip_suffix("$2").filter(|rest| !rest.contains('$'));
        match (before, self.as_prefix()) {
            (Some(before), Some(_)) if before.ends_with('/') => {
                let before = before.trim_end_matches('/');
                let before = if before.is_empty() { "/" } else { before };
                plain_target(before)?;
                Ok(Rewrite::Prefix(before.to_owned()))
            }
            _ => Err(format!(
                "\"{target}\" refers to groups of path \"{}\", which is possible for paths like /prefix{REST} of type \
                 ImplementationSpecific with novaedge.io/use-regex, and targets like /other/$2; write both like that",
                self.value
            )),
        }
    }
}

/// What becomes of a path on its way to a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rewrite {
    /// All of it is replaced.
    Whole(String),
    /// The prefix is.
    Prefix(String),
}

impl Rewrite {
    pub(super) fn native(&self) -> ProxyPathModifier {
        match self {
            Self::Whole(path) => ProxyPathModifier::ReplaceFullPath(path.clone()),
            Self::Prefix(prefix) => ProxyPathModifier::ReplacePrefixMatch(prefix.clone()),
        }
    }
}

/// The expression over the whole path: nginx compares without regard to case, and from the beginning only.
fn native_expression(path: &str) -> String {
    format!("(?is:{path}).*")
}

fn plain_target(path: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_graphic() && byte != b'?' && byte != b'#';
    let fits = path.bytes().all(allowed) && path.len() <= LONGEST;
    fits.then_some(())
        .ok_or_else(|| format!("\"{path}\" is no path; write one without query, such as /other"))
}

/// A path that is compared as it is written.
fn plain(path: &str) -> Result<&str, String> {
    if !path.starts_with('/') {
        return Err(format!(
            "\"{path}\" does not begin with /; write \"/{path}\""
        ));
    }
    if path.len() > LONGEST {
        return Err(format!("it is longer than {LONGEST} bytes; shorten it"));
    }
    // As the API server has it.
    let odd = ["//", "/./", "/../", "%2f", "%2F"];
    let odd = odd.iter().find(|part| path.contains(**part));
    let odd = odd.or_else(|| ["/..", "/."].iter().find(|end| path.ends_with(**end)));
    if let Some(part) = odd {
        return Err(format!(
            "\"{path}\" contains {part}, which no request's path does; remove it"
        ));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::{Expressions, Path, PathKind, Rewrite};

    fn read(type_: &str, path: &str) -> Result<(PathKind, String), String> {
        let path = Path::read(type_, Some(path), Expressions::Off);
        path.map(|path| (path.kind, path.value))
    }

    #[test]
    fn prefixes_end_without_a_slash_and_exact_paths_as_written() {
        let prefix = |path: &str| Ok((PathKind::Prefix, path.to_owned()));
        assert_eq!(read("Prefix", "/"), prefix("/"));
        assert_eq!(read("Prefix", "/foo/"), prefix("/foo"));
        assert_eq!(read("ImplementationSpecific", "/foo/"), prefix("/foo"));
        assert_eq!(read("ImplementationSpecific", ""), prefix("/"));
        let exact = Ok((PathKind::Exact, "/foo/".to_owned()));
        assert_eq!(read("Exact", "/foo/"), exact);
    }

    #[test]
    fn paths_that_no_request_has_are_refused() {
        for (type_, path) in [
            ("Exact", ""),
            ("Prefix", ""),
            ("Prefix", "foo"),
            ("Prefix", "/a//b"),
            ("Exact", "/a/../b"),
            ("Exact", "/a%2Fb"),
            ("Regex", "/a"),
        ] {
            assert!(read(type_, path).is_err(), "{type_} {path}");
        }
    }

    #[test]
    fn a_rewrite_replaces_the_whole_path_or_the_prefix_before_the_rest() {
        let path = |text: &str| {
            Path::read("ImplementationSpecific", Some(text), Expressions::On).expect("a path")
        };
        let check = |text: &str, target: &str, expect: Option<Rewrite>| {
            assert_eq!(path(text).rewrite(target).ok(), expect, "{text} {target}");
        };
        check("/foo", "/", Some(Rewrite::Whole("/".into())));
        check("/foo(/|$)(.*)", "/$2", Some(Rewrite::Prefix("/".into())));
        check(
            "/foo(/|$)(.*)",
            "/bar/$2",
            Some(Rewrite::Prefix("/bar".into())),
        );
        check("/foo(/|$)(.*)", "/bar$2", None);
        check("/foo(/|$)(.*)", "/$1/$2", None);
        check("/f[o]o(/|$)(.*)", "/$2", None);
        check("/foo/(.*)", "/$1", None);
        check("/foo", "/bar?x=1", None);
    }
}
