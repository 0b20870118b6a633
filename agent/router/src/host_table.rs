//! The HTTP and gRPC routes of one own hostname.

use std::{cmp::Reverse, sync::Arc};

use regex::Regex;
use smallvec::SmallVec;

use crate::{
    bucket::{Bucket, Candidate, MatchedBy},
    conditions::Conditions,
    host_index::Table,
    listener::Matched,
    request::RequestHead,
    shard_map::ShardMap,
};

/// The candidates of one own hostname, indexed by path.
///
/// Paths come before all else in the precedence, so the index visits them from the best to the worst: the exact path,
/// regular expressions, prefixes from the longest, methods of any gRPC service, the root. One visit costs the same with
/// one route as with ten thousand; only regular expressions are tried one by one, and what a [`Bucket`] can't tell apart.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostTable {
    /// None: every route is at the root, as most are where each tenant has a host of its own.
    paths: Option<Arc<Paths>>,
    root: Bucket,
}

/// The candidates of all paths but the root.
#[derive(Clone, Debug, Default)]
struct Paths {
    exact: PathMap,
    /// Best first.
    regexes: Arc<[RegexCandidate]>,
    prefixes: PathMap,
    /// How many keys of `prefixes` have this many segments, less one: `/a` counts at 0.
    prefix_depths: SmallVec<[u32; 4]>,
    grpc_methods: PathMap,
}

/// The path that a match asks for.
#[derive(Clone, Debug)]
pub(crate) enum PathKey {
    /// The whole path.
    Exact(Arc<str>),
    /// The whole path, by an expression.
    Regex(Arc<PathRegex>),
    /// Leading segments; no trailing `/`, never empty.
    Prefix(Arc<str>),
    /// A method of whatever gRPC service.
    GrpcMethod(Arc<str>),
    /// Every path.
    Root,
}

/// Longer expressions win, then the rank of the match. The spec leaves the order of expressions open; for gRPC it puts the characters
/// of the service before those of the method.
pub(crate) type RegexRank = (Reverse<usize>, Reverse<usize>);

/// An expression for a path.
#[derive(Debug)]
pub(crate) struct PathRegex {
    pub(crate) rank: RegexRank,
    pub(crate) expression: Expression,
}

/// What a path must be.
#[derive(Debug)]
pub(crate) enum Expression {
    /// For the whole path.
    Http(Regex),
    /// For service and method; None: any.
    Grpc {
        service: Option<Regex>,
        method: Option<Regex>,
    },
}

#[derive(Clone, Debug)]
struct RegexCandidate {
    path: Arc<PathRegex>,
    candidate: Candidate,
}

/// Buckets by path.
#[derive(Clone, Debug, Default)]
struct PathMap {
    buckets: ShardMap<Bucket>,
    /// No key was ever longer, so longer paths need not be hashed: this bounds what a hostile path costs.
    longest: usize,
}

impl Table for HostTable {
    fn is_empty(&self) -> bool {
        self.paths.is_none() && self.root.is_empty()
    }
}

impl HostTable {
    /// The best candidate that accepts a request.
    pub(crate) fn route<'t>(
        &'t self,
        host: &str,
        request: &impl RequestHead,
    ) -> Option<Matched<'t>> {
        if let Some(paths) = &self.paths
            && let Some(found) = paths.route(host, request)
        {
            return Some(found);
        }
        let candidate = self.root.find(host, request)?;
        Some(candidate.matched(MatchedBy::Prefix("/")))
    }

    /// Adds a match.
    pub(crate) fn insert(&mut self, path: &PathKey, candidate: Candidate) {
        match path {
            PathKey::Root => self.root.insert(candidate),
            _ => Arc::make_mut(self.paths.get_or_insert_default()).insert(path, candidate),
        }
    }

    /// Removes what a resource has under a path with these conditions.
    pub(crate) fn remove(
        &mut self,
        path: &PathKey,
        conditions: Option<&Conditions>,
        resource: &str,
    ) {
        if let PathKey::Root = path {
            self.root.remove(conditions, resource);
        } else if let Some(paths) = &mut self.paths {
            Arc::make_mut(paths).remove(path, conditions, resource);
            if paths.is_empty() {
                self.paths = None;
            }
        }
    }
}

impl Paths {
    fn is_empty(&self) -> bool {
        self.exact.buckets.is_empty()
            && self.regexes.is_empty()
            && self.prefixes.buckets.is_empty()
            && self.grpc_methods.buckets.is_empty()
    }

    fn route<'t>(&'t self, host: &str, request: &impl RequestHead) -> Option<Matched<'t>> {
        let path = request.path();
        let find = |bucket: &'t Bucket, by| {
            let candidate = bucket.find(host, request)?;
            Some(candidate.matched(by))
        };
        if let Some((key, bucket)) = self.exact.get(path)
            && let Some(found) = find(bucket, MatchedBy::Exact(key))
        {
            return Some(found);
        }
        if let Some(regex) = self
            .regexes
            .iter()
            .find(|regex| regex.path.is_match(path) && regex.candidate.accepts(host, request))
        {
            return Some(regex.candidate.matched(MatchedBy::Other));
        }
        for prefix in Prefixes::of(path, &self.prefix_depths) {
            if let Some((key, bucket)) = self.prefixes.get(prefix)
                && let Some(found) = find(bucket, MatchedBy::Prefix(key))
            {
                return Some(found);
            }
        }
        if self.grpc_methods.buckets.is_empty() {
            return None;
        }
        let (_, method) = grpc_target(path)?;
        let (_, bucket) = self.grpc_methods.get(method)?;
        find(bucket, MatchedBy::Other)
    }

    fn insert(&mut self, path: &PathKey, candidate: Candidate) {
        match path {
            PathKey::Exact(path) => _ = self.exact.insert(path, candidate),
            PathKey::Regex(path) => {
                let mut regexes = self.regexes.to_vec();
                let at = regexes.partition_point(|other| {
                    let by_path = other.path.rank.cmp(&path.rank);
                    let order = by_path.then_with(|| other.candidate.compare(&candidate));
                    order.is_le()
                });
                regexes.insert(
                    at,
                    RegexCandidate {
                        path: Arc::clone(path),
                        candidate,
                    },
                );
                self.regexes = regexes.into();
            }
            PathKey::Prefix(path) => {
                if self.prefixes.insert(path, candidate) == Change::Key {
                    let depth = depth(path);
                    if self.prefix_depths.len() <= depth {
                        self.prefix_depths.resize(depth + 1, 0);
                    }
                    if let Some(count) = self.prefix_depths.get_mut(depth) {
                        *count += 1;
                    }
                }
            }
            PathKey::GrpcMethod(method) => _ = self.grpc_methods.insert(method, candidate),
            PathKey::Root => {}
        }
    }

    fn remove(&mut self, path: &PathKey, conditions: Option<&Conditions>, resource: &str) {
        match path {
            PathKey::Exact(path) => _ = self.exact.remove(path, conditions, resource),
            PathKey::Regex(..) => {
                let kept = self.regexes.iter();
                let kept = kept.filter(|regex| !regex.candidate.is_of(resource));
                self.regexes = kept.cloned().collect();
            }
            PathKey::Prefix(path) => {
                if self.prefixes.remove(path, conditions, resource) == Change::Key {
                    if let Some(count) = self.prefix_depths.get_mut(depth(path)) {
                        *count -= 1;
                    }
                    while self.prefix_depths.last() == Some(&0) {
                        self.prefix_depths.pop();
                    }
                }
            }
            PathKey::GrpcMethod(method) => {
                _ = self.grpc_methods.remove(method, conditions, resource);
            }
            PathKey::Root => {}
        }
    }
}

impl PathRegex {
    fn is_match(&self, path: &str) -> bool {
        let meets =
            |regex: &Option<Regex>, text| regex.as_ref().is_none_or(|regex| regex.is_match(text));
        match &self.expression {
            Expression::Http(regex) => regex.is_match(path),
            Expression::Grpc { service, method } => {
                grpc_target(path).is_some_and(|(own_service, own_method)| {
                    meets(service, own_service) && meets(method, own_method)
                })
            }
        }
    }
}

/// Whether a change touched the set of keys.
#[derive(PartialEq, Eq)]
enum Change {
    Key,
    Bucket,
}

impl PathMap {
    fn get(&self, path: &str) -> Option<(&str, &Bucket)> {
        if path.len() > self.longest {
            return None;
        }
        self.buckets
            .get_key_value(path)
            .map(|(key, bucket)| (&**key, bucket))
    }

    fn insert(&mut self, path: &Arc<str>, candidate: Candidate) -> Change {
        self.longest = self.longest.max(path.len());
        if let Some(bucket) = self.buckets.get_mut(path) {
            bucket.insert(candidate);
            return Change::Bucket;
        }
        let mut bucket = Bucket::default();
        bucket.insert(candidate);
        self.buckets.insert(Arc::clone(path), bucket);
        Change::Key
    }

    fn remove(&mut self, path: &str, conditions: Option<&Conditions>, resource: &str) -> Change {
        if let Some(bucket) = self.buckets.get_mut(path) {
            bucket.remove(conditions, resource);
            if bucket.is_empty() {
                self.buckets.remove(path);
                return Change::Key;
            }
        }
        Change::Bucket
    }
}

/// The number of segments of a prefix, less one.
fn depth(prefix: &str) -> usize {
    prefix.matches('/').count().saturating_sub(1)
}

/// Service and method of `/service/method`.
fn grpc_target(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix('/')?
        .split_once('/')
        .filter(|(service, method)| !service.is_empty() && !method.contains('/'))
}

/// The prefixes of a path that end with an element, from the longest, of depths that have keys.
struct Prefixes<'p, 'd> {
    rest: &'p str,
    /// Number of keys by depth; the last one is the depth of `rest`.
    depths: &'d [u32],
}

impl<'p, 'd> Prefixes<'p, 'd> {
    fn of(path: &'p str, depths: &'d [u32]) -> Self {
        // The slash behind the deepest element that any key has, or the end of the path.
        let mut slashes = path
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'/')
            .map(|(at, _)| at);
        let mut deepest = 0;
        let end = loop {
            match slashes.next() {
                Some(at) if deepest == depths.len() => break at,
                Some(_) => deepest += 1,
                None => break path.len(),
            }
        };
        Self {
            rest: path.get(..end).unwrap_or(path),
            depths: depths.get(..deepest).unwrap_or(depths),
        }
    }
}

impl<'p> Iterator for Prefixes<'p, '_> {
    type Item = &'p str;

    fn next(&mut self) -> Option<&'p str> {
        while let Some((keys, shallower)) = self.depths.split_last() {
            let prefix = self.rest;
            self.rest = prefix
                .rfind('/')
                .and_then(|slash| prefix.get(..slash))
                .unwrap_or_default();
            self.depths = shallower;
            if *keys > 0 {
                return Some(prefix);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes<'p>(path: &'p str, depths: &[u32]) -> Vec<&'p str> {
        Prefixes::of(path, depths).collect()
    }

    #[test]
    fn prefixes_end_with_an_element_and_come_longest_first() {
        assert_eq!(prefixes("/a/b/c", &[1, 1, 1, 1]), ["/a/b/c", "/a/b", "/a"]);
        assert_eq!(prefixes("/a/b/c", &[1, 1]), ["/a/b", "/a"]);
        assert_eq!(prefixes("/a/b/c", &[1, 0, 1]), ["/a/b/c", "/a"]);
        assert_eq!(prefixes("/a/", &[1, 1]), ["/a/", "/a"]);
        assert_eq!(prefixes("/a/", &[1]), ["/a"]);
        assert_eq!(prefixes("/", &[1]), ["/"]);
        assert_eq!(prefixes("*", &[1]), [""; 0]);
        assert_eq!(prefixes("", &[1]), [""; 0]);
        assert_eq!(prefixes("/a", &[]), [""; 0]);
    }

    #[test]
    fn a_grpc_path_has_a_service_and_a_method() {
        assert_eq!(
            grpc_target("/pkg.Service/Method"),
            Some(("pkg.Service", "Method"))
        );
        assert_eq!(grpc_target("/pkg.Service/Method/x"), None);
        assert_eq!(grpc_target("//Method"), None);
        assert_eq!(grpc_target("/Service"), None);
    }
}
