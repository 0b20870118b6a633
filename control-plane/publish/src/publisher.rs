//! The handle that the pipeline publishes through.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLockReadGuard},
};

use novaedge_proto::v1;
use tokio::sync::watch;

use crate::{
    acks::Acks,
    agents::Agents,
    encoded::{EncodedResource, Refused},
    feed::{Feed, FeedSummary, Scopes, TooManyScopes},
    fleet::FleetAcks,
    log::{LogLimits, SnapshotLog, SnapshotVersion},
    metrics::Metrics,
    scope::Scope,
};

/// What an update did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Updated {
    /// The version that the update made; `None` when nothing changed.
    pub version: Option<v1::Version>,
    /// Resources that are not published. What was published of them before stays.
    pub refused: Vec<Refused>,
}

/// Publishes snapshots and tells what the agents have in force. A clone is a handle to the same.
///
/// No method but [`Publisher::wait_acknowledged`] waits for anything longer than a short lock.
#[derive(Debug, Clone)]
pub struct Publisher {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Of all Gateways.
    all: Arc<Feed>,
    /// Locked before a log is, and for the whole of an update.
    scopes: Mutex<Scopes>,
    agents: Agents,
    metrics: Metrics,
}

impl Default for Publisher {
    fn default() -> Self {
        Self::new(LogLimits::default())
    }
}

impl Publisher {
    /// A publisher with no snapshot yet.
    pub fn new(limits: LogLimits) -> Self {
        Self {
            shared: Arc::new(Shared {
                all: Arc::new(Feed::new(limits)),
                scopes: Mutex::new(Scopes::new(limits)),
                agents: Agents::default(),
                metrics: Metrics::default(),
            }),
        }
    }

    /// Publishes changes as one step: removals first, then upserts, so a name in both stays with its
    /// new content. The names are those of the tuples; `name` and `version` of the resources are
    /// overwritten. What has not changed drops out.
    ///
    /// The first call publishes a snapshot even when it is empty. Until then the agents keep what they
    /// have, so it comes when the source is loaded in full.
    pub fn update(
        &self,
        upserts: Vec<(String, v1::Resource)>,
        mut removed: Vec<String>,
    ) -> Updated {
        let mut refused: Vec<Refused> = Vec::new();
        let mut encoded = Vec::with_capacity(upserts.len());
        for (name, resource) in upserts {
            match EncodedResource::encode(&name, resource) {
                Ok(resource) => encoded.push(resource),
                Err(error) => refused.push(Refused { name, error }),
            }
        }
        // A refused resource keeps what was published of it, also when it was to be replaced.
        if !refused.is_empty() {
            let kept: HashSet<&str> = refused.iter().map(|r| r.name.as_str()).collect();
            removed.retain(|name| !kept.contains(name.as_str()));
        }
        let shared = &*self.shared;
        let mut scopes = self.scopes();
        let applied = shared.all.apply(|log| {
            let dropped = log.dropped_steps();
            let applied = log.apply(encoded, &removed);
            let truncated = log.dropped_steps() - dropped;
            shared.metrics.log_truncations.add(truncated);
            applied
        });
        if applied.version.is_some() && !scopes.is_empty() {
            scopes.follow(shared.all.log().newest_changes().collect());
        }
        drop(scopes);
        refused.extend(applied.refused);
        shared.metrics.resources_refused.add(refused.len() as u64);
        Updated {
            version: applied.version.map(SnapshotVersion::to_wire),
            refused,
        }
    }

    /// The current version; sequence 0 and no digest before the first update.
    pub fn current(&self) -> v1::Version {
        self.log().version().to_wire()
    }

    /// What the connected agents have in force, as it changes.
    pub fn acks(&self) -> watch::Receiver<Acks> {
        self.shared.agents.acks()
    }

    /// What the agents of this replica serve, as it changes.
    pub fn fleet_acks(&self) -> watch::Receiver<FleetAcks> {
        self.shared.agents.fleet()
    }

    /// Waits until at least one agent is connected and all connected ones have acknowledged
    /// `sequence` or a newer one. For fleets whose agents are given all Gateways: others count by sequences
    /// of their own.
    pub async fn wait_acknowledged(&self, sequence: u64) {
        let mut acks = self.acks();
        // The sender lives in `self`, so waiting does not fail.
        let _ = acks.wait_for(|acks| acks.all_at(sequence)).await;
    }

    /// Counters.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// How many sets of namespaces have a snapshot of their own now.
    pub fn scopes_served(&self) -> usize {
        self.scopes().len()
    }

    /// What is published: for all Gateways first, then for each set of namespaces that has its own.
    pub fn feeds(&self) -> Vec<FeedSummary> {
        let all = self.shared.all.summary(&Scope::All);
        let scopes = self.scopes();
        std::iter::once(all).chain(scopes.summaries()).collect()
    }

    /// The log of all Gateways, for as long as the guard lives. Not to be held across an await.
    pub(crate) fn log(&self) -> RwLockReadGuard<'_, SnapshotLog> {
        self.shared.all.log()
    }

    /// The current version as it changes.
    pub(crate) fn versions(&self) -> watch::Receiver<SnapshotVersion> {
        self.shared.all.versions()
    }

    /// What the agents of a scope follow.
    pub(crate) fn feed(&self, scope: &Scope) -> Result<Arc<Feed>, TooManyScopes> {
        if *scope == Scope::All {
            return Ok(Arc::clone(&self.shared.all));
        }
        let feed = self.scopes().feed(scope, &self.shared.all);
        feed.inspect_err(|_| self.shared.metrics.scopes_refused.add(1))
    }

    fn scopes(&self) -> MutexGuard<'_, Scopes> {
        let scopes = self.shared.scopes.lock();
        scopes.unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn agents(&self) -> &Agents {
        &self.shared.agents
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RefusedError, testing::wire};

    #[test]
    fn one_refused_resource_does_not_hold_back_the_rest() {
        let publisher = Publisher::default();
        publisher.update(vec![("b".into(), wire(1))], Vec::new());
        let updated = publisher.update(
            vec![
                ("a".into(), wire(1)),
                ("b".into(), v1::Resource::default()),
                ("b".into(), wire(1)),
            ],
            vec!["b".into()],
        );
        assert_eq!(updated.version.map(|version| version.sequence), Some(2));
        assert_eq!(updated.refused[0].error, RefusedError::NoBody);
        assert_eq!(
            updated.refused[0].to_string(),
            "resource b: the resource has no body"
        );
        assert_eq!(publisher.log().len(), 2);
        assert_eq!(publisher.current().sequence, 2);
        assert_eq!(publisher.metrics().resources_refused(), 1);
    }

    #[test]
    fn truncations_are_counted() {
        let publisher = Publisher::new(LogLimits {
            max_steps: 1,
            ..LogLimits::default()
        });
        for content in 0..4 {
            publisher.update(vec![("a".into(), wire(content))], Vec::new());
        }
        assert_eq!(publisher.metrics().log_truncations(), 3);
    }
}
