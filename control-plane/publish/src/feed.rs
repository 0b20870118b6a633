//! The logs that streams read: one of the whole snapshot, and one for each scope that is less.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Instant,
};

use tokio::sync::watch;

use crate::{
    closure::{Changed, Graph, Members, Update},
    log::{Applied, LogLimits, SnapshotLog, SnapshotVersion},
    metrics::Counter,
    scope::Scope,
};

/// Scopes that have a log of their own.
pub(crate) const MAX_SCOPES: usize = 64;

/// A log, and its version as it changes.
#[derive(Debug)]
pub(crate) struct Feed {
    log: RwLock<SnapshotLog>,
    version: watch::Sender<SnapshotVersion>,
    /// When the current version was published.
    published: Mutex<Option<Instant>>,
    /// Answers of agents, with and without rejections.
    pub(crate) acks: Counter,
    pub(crate) nacks: Counter,
}

/// What is published for a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedSummary {
    /// The scope: its namespaces, or `all`; those that it has not begin with `!`.
    pub scope: String,
    /// Resources of the snapshot.
    pub resources: usize,
    /// Encoded bytes of them.
    pub bytes: usize,
    /// Answers of agents that refuse nothing.
    pub acks: u64,
    /// Answers of agents that refuse something.
    pub nacks: u64,
}

/// Why there is no log for a scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_SCOPES} different sets of namespaces are served already, which is the limit")]
pub(crate) struct TooManyScopes;

/// The feeds of all scopes but that of all Gateways. Without one, nothing is kept.
#[derive(Debug)]
pub(crate) struct Scopes {
    limits: LogLimits,
    graph: Graph,
    scoped: BTreeMap<Scope, (Members, Arc<Feed>)>,
}

impl Feed {
    pub(crate) fn new(limits: LogLimits) -> Self {
        Self {
            log: RwLock::new(SnapshotLog::new(limits)),
            version: watch::Sender::new(SnapshotVersion::default()),
            published: Mutex::default(),
            acks: Counter::default(),
            nacks: Counter::default(),
        }
    }

    /// When the current version was published; `None` before the first.
    pub(crate) fn published(&self) -> Option<Instant> {
        *self
            .published
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn summary(&self, scope: &Scope) -> FeedSummary {
        let log = self.log();
        let resources = log.resources().values();
        FeedSummary {
            scope: scope.label(),
            resources: log.len(),
            bytes: resources.map(|resource| resource.bytes().len()).sum(),
            acks: self.acks.get(),
            nacks: self.nacks.get(),
        }
    }

    /// The log, for as long as the guard lives. Not to be held across an await.
    pub(crate) fn log(&self) -> RwLockReadGuard<'_, SnapshotLog> {
        self.log.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The version as it changes.
    pub(crate) fn versions(&self) -> watch::Receiver<SnapshotVersion> {
        self.version.subscribe()
    }

    /// Changes the log, and tells of its new version.
    pub(crate) fn apply(
        &self,
        change: impl FnOnce(&mut RwLockWriteGuard<'_, SnapshotLog>) -> Applied,
    ) -> Applied {
        let mut log = self.log.write().unwrap_or_else(PoisonError::into_inner);
        let applied = change(&mut log);
        if let Some(version) = applied.version {
            let published = self.published.lock();
            *published.unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            self.version.send_replace(version);
        }
        applied
    }

    fn follow(&self, update: Update) {
        self.apply(|log| log.apply_shared(update.upserts, &update.removed));
    }
}

impl Scopes {
    pub(crate) fn new(limits: LogLimits) -> Self {
        Self {
            limits,
            graph: Graph::default(),
            scoped: BTreeMap::new(),
        }
    }

    /// Whether no scope follows the changes.
    pub(crate) fn is_empty(&self) -> bool {
        self.scoped.is_empty()
    }

    /// How many scopes have a log of their own.
    pub(crate) fn len(&self) -> usize {
        self.scoped.len()
    }

    /// What is published for each scope.
    pub(crate) fn summaries(&self) -> impl Iterator<Item = FeedSummary> + '_ {
        let scoped = self.scoped.iter();
        scoped.map(|(scope, (_, feed))| feed.summary(scope))
    }

    /// The feed of a scope; the first time it is made from `all`. It stays, so that agents which come back
    /// get the difference.
    pub(crate) fn feed(&mut self, scope: &Scope, all: &Feed) -> Result<Arc<Feed>, TooManyScopes> {
        if self.scoped.is_empty() {
            let log = all.log();
            let resources = log.resources().iter();
            let resources = resources.map(|(name, r)| (Arc::clone(name), Some(Arc::clone(r))));
            self.graph = Graph::default();
            self.graph.apply(resources.collect());
        }
        let is_full = self.scoped.len() >= MAX_SCOPES;
        match self.scoped.entry(scope.clone()) {
            Entry::Occupied(entry) => Ok(Arc::clone(&entry.get().1)),
            Entry::Vacant(_) if is_full => Err(TooManyScopes),
            Entry::Vacant(entry) => {
                let (members, update) = Members::of(scope.clone(), &self.graph);
                let feed = Arc::new(Feed::new(self.limits));
                // Before the first snapshot of all there is none of a part.
                if all.log().version().sequence > 0 {
                    feed.follow(update);
                }
                entry.insert((members, Arc::clone(&feed)));
                Ok(feed)
            }
        }
    }

    /// Follows a step of the whole snapshot.
    pub(crate) fn follow(&mut self, changes: Vec<Changed>) {
        let moves = self.graph.apply(changes);
        for (members, feed) in self.scoped.values_mut() {
            feed.follow(members.apply(&self.graph, &moves));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoded::EncodedResource;
    use crate::testing::gateway_resource;

    fn only(namespace: &str) -> Scope {
        Scope::only([namespace.to_owned()].into())
    }

    #[test]
    fn scopes_are_bounded_and_begin_with_the_whole() {
        let all = Feed::new(LogLimits::default());
        let mut scopes = Scopes::new(LogLimits::default());
        let early = scopes.feed(&only("n0"), &all).unwrap();
        assert_eq!(early.log().version().sequence, 0);
        let gateway = EncodedResource::encode("gateway/n0/g", gateway_resource(1)).unwrap();
        all.apply(|log| log.apply(vec![gateway], &[]));
        scopes.follow(all.log().newest_changes().collect());
        assert_eq!(early.log().len(), 1);
        for n in 1..MAX_SCOPES {
            let feed = scopes.feed(&only(&format!("n{n}")), &all).unwrap();
            assert_eq!(feed.log().version().sequence, 1, "an empty snapshot");
            assert!(feed.log().is_empty());
        }
        assert_eq!(scopes.feed(&only("more"), &all).unwrap_err(), TooManyScopes);
        let known = scopes.feed(&only("n0"), &all).unwrap();
        assert!(Arc::ptr_eq(&known, &early));
        let digest = all.log().version().digest;
        assert_eq!(
            known.log().version().digest,
            digest,
            "equal content, equal digest"
        );
    }
}
