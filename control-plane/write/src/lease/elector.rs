//! The part of an election that talks to the API server.

use std::{sync::Arc, time::Duration};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
    jiff::Timestamp,
};
use kube::Client;
use novaedge_api::meta::{ObjectKey, Scope};
use serde_json::json;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{Election, Record, Step, Timings};
use crate::{
    error::{WriteError, is_conflict, is_not_found},
    metrics::Metrics,
    resource::{Call, Resource},
};

/// Which lease, and who asks for it.
#[derive(Clone, Debug)]
pub struct LeaseConfig {
    /// Namespace of the lease.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Who this process is: unlike every other process, and unlike its own earlier life.
    pub identity: String,
    /// How long things take.
    pub timings: Timings,
}

/// A candidate for leadership.
pub struct Elector {
    client: Client,
    config: LeaseConfig,
    election: Election,
    metrics: Arc<Metrics>,
    leads: watch::Sender<bool>,
    /// Where the monotonic clock starts.
    start: Instant,
}

impl Elector {
    /// A candidate. It stands for election while it runs.
    pub fn new(client: Client, config: LeaseConfig, metrics: Arc<Metrics>) -> Self {
        Self {
            client,
            election: Election::new(config.identity.clone(), config.timings),
            config,
            metrics,
            leads: watch::Sender::new(false),
            start: Instant::now(),
        }
    }

    /// Whether this process leads. Who sees `false` may write nothing from then on.
    pub fn leads(&self) -> watch::Receiver<bool> {
        self.leads.subscribe()
    }

    /// Stands for election until the shutdown, then lets go of the lease.
    pub async fn run(mut self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            let retry = self.config.timings.retry;
            let late = async {
                shutdown.cancelled().await;
                // A write that is on its way tells whether there is something to let go of.
                tokio::time::sleep(retry).await;
            };
            tokio::select! {
                () = self.attempt() => {}
                () = late => break,
            }
            self.tell();
            let pause = self.pause();
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.deadline() => self.tell(),
                () = tokio::time::sleep(pause) => {}
            }
        }
        let release = self.election.release(Timestamp::now());
        self.tell();
        let Some((spec, version)) = release else {
            return;
        };
        let written = self.write(Step::Replace(spec, version));
        match tokio::time::timeout(self.config.timings.retry, written).await {
            Ok(Ok(_)) => tracing::info!("let go of the lease"),
            Ok(Err(error)) => tracing::warn!(%error, "the lease could not be let go of"),
            Err(_) => tracing::warn!("the lease could not be let go of in time"),
        }
    }

    /// One attempt to get or keep the lease. It ends when the leadership does.
    async fn attempt(&mut self) {
        let until = self.election.leads_until();
        let limit = self.config.timings.renew_deadline;
        let end = until.map_or_else(|| Instant::now() + limit, |until| self.start + until);
        match tokio::time::timeout_at(end, self.exchange()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                self.metrics.lease_errors.add(1);
                tracing::warn!(%error, "the lease could not be read or written");
            }
            Err(_) => {
                self.metrics.lease_errors.add(1);
                tracing::warn!("the API server does not answer about the lease");
            }
        }
    }

    async fn exchange(&mut self) -> Result<(), WriteError> {
        if !self.election.is_ours() {
            let record = self.read().await?;
            self.election.see(record, self.now());
        }
        let step = self.election.step(self.now(), Timestamp::now());
        if step == Step::Wait {
            return Ok(());
        }
        let replaces = matches!(step, Step::Replace(..));
        let sent = self.now();
        match self.write(step).await {
            Ok(record) => {
                self.metrics.lease_renewals.add(1);
                let now = self.now();
                self.election.wrote(record, sent, now);
                Ok(())
            }
            // Somebody else was faster, or the lease was deleted: read it again before anything is done.
            Err(error) if is_conflict(&error) || (replaces && is_not_found(&error)) => {
                let record = self.read().await?;
                self.election.see(record, self.now());
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn read(&self) -> Result<Option<Record>, WriteError> {
        match self.call(&resource().get(&self.key())).await {
            Ok(record) => Ok(Some(record)),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn write(&self, step: Step) -> Result<Record, WriteError> {
        let key = self.key();
        let lease = |spec: LeaseSpec, version: Option<String>| {
            let metadata = ObjectMeta {
                name: Some(key.name.clone()),
                namespace: Some(key.namespace.clone()),
                resource_version: version,
                ..ObjectMeta::default()
            };
            json!(Lease {
                metadata,
                spec: Some(spec),
            })
        };
        let call = match step {
            Step::Create(spec) => resource().create(&key.namespace, lease(spec, None)),
            Step::Replace(spec, version) => resource().replace(&key, lease(spec, Some(version))),
            Step::Wait => resource().get(&key),
        };
        self.call(&call).await
    }

    async fn call(&self, call: &Call) -> Result<Record, WriteError> {
        let lease: Lease = self.client.request(call.request()?).await?;
        Ok(Record {
            spec: lease.spec.unwrap_or_default(),
            version: lease.metadata.resource_version.unwrap_or_default(),
        })
    }

    fn key(&self) -> ObjectKey {
        ObjectKey::new(&self.config.namespace, &self.config.name)
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// When the leadership ends unless it is renewed; never when there is none.
    async fn deadline(&self) {
        match self.election.leads_until() {
            Some(until) => tokio::time::sleep_until(self.start + until).await,
            None => std::future::pending().await,
        }
    }

    /// Says whether this process leads, where that changed.
    fn tell(&mut self) {
        let leads = self.election.leads(self.now());
        if !leads {
            self.election.lose();
        }
        let changed = self.leads.send_if_modified(|before| {
            let changed = *before != leads;
            *before = leads;
            changed
        });
        if !changed {
            return;
        }
        self.metrics.leading.set(u64::from(leads));
        if leads {
            self.metrics.leaderships.add(1);
            tracing::info!(identity = self.config.identity, "leads");
        } else {
            tracing::warn!(identity = self.config.identity, "leads no more");
        }
    }

    /// The time to the next attempt. Those who wait for the lease do so for different times.
    fn pause(&self) -> Duration {
        let retry = self.config.timings.retry;
        if self.election.is_ours() {
            return retry;
        }
        retry + retry.mul_f64(0.2 * crate::schedule::jitter(&self.config.identity, 0))
    }
}

fn resource() -> Resource {
    Resource::new(
        "coordination.k8s.io/v1",
        "Lease",
        "leases",
        Scope::Namespaced,
    )
}

#[cfg(test)]
mod tests;
