//! Who leads: one holder of a Lease, as client-go elects it.
//!
//! Clocks of machines differ, so nobody compares `renewTime` with his own clock: a lease is alive as long as it keeps
//! changing, by the clock of the observer.

mod elector;

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::LeaseSpec, apimachinery::pkg::apis::meta::v1::MicroTime, jiff::Timestamp,
};

pub use self::elector::{Elector, LeaseConfig};

/// How long things take in an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// How long a lease that does not change is left to its holder.
    pub duration: Duration,
    /// How long a holder that cannot renew goes on to lead. Shorter than the duration.
    pub renew_deadline: Duration,
    /// Between two attempts.
    pub retry: Duration,
}

impl Default for Timings {
    /// Those of client-go: 15, 10 and 2 seconds.
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// A lease as it was read: its spec and `metadata.resourceVersion`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Record {
    pub(crate) spec: LeaseSpec,
    pub(crate) version: String,
}

/// What to do about the lease.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// Create it.
    Create(LeaseSpec),
    /// Replace the record of that version.
    Replace(LeaseSpec, String),
    /// Leave it to its holder.
    Wait,
}

/// One candidate's view of the election. Times are those of a monotonic clock since some start.
#[derive(Debug)]
pub(crate) struct Election {
    identity: String,
    timings: Timings,
    /// The record that was seen last, and when it was seen first.
    seen: Option<(Record, Duration)>,
    /// When the last successful write of ours was sent.
    held: Option<Duration>,
}

impl Election {
    pub(crate) fn new(identity: String, timings: Timings) -> Self {
        Self {
            identity,
            timings,
            seen: None,
            held: None,
        }
    }

    /// Until when this candidate leads if it renews no more; none when it does not lead.
    pub(crate) fn leads_until(&self) -> Option<Duration> {
        Some(self.held? + self.timings.renew_deadline)
    }

    pub(crate) fn leads(&self, now: Duration) -> bool {
        self.leads_until().is_some_and(|until| now < until)
    }

    /// Takes in what was read: none where there is no lease.
    pub(crate) fn see(&mut self, record: Option<Record>, now: Duration) {
        let Some(record) = record else {
            self.seen = None;
            self.held = None;
            return;
        };
        if record.spec.holder_identity.as_deref() != Some(self.identity.as_str()) {
            self.held = None;
        }
        let same = matches!(&self.seen, Some((seen, _)) if *seen == record);
        if !same {
            self.seen = Some((record, now));
        }
    }

    /// What to write; `wall` is the time of day.
    pub(crate) fn step(&self, now: Duration, wall: Timestamp) -> Step {
        let Some((record, since)) = &self.seen else {
            return Step::Create(self.claim(None, wall));
        };
        let spec = &record.spec;
        let holder = spec.holder_identity.as_deref().unwrap_or_default();
        if holder == self.identity {
            let renewed = LeaseSpec {
                acquire_time: spec.acquire_time.clone(),
                lease_transitions: spec.lease_transitions,
                ..self.claim(Some(spec), wall)
            };
            return Step::Replace(renewed, record.version.clone());
        }
        let promised = spec
            .lease_duration_seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map_or(self.timings.duration, Duration::from_secs);
        if !holder.is_empty() && now < *since + promised {
            return Step::Wait;
        }
        Step::Replace(self.claim(Some(spec), wall), record.version.clone())
    }

    /// The write that was sent at `sent` succeeded, and gave this record.
    pub(crate) fn wrote(&mut self, record: Record, sent: Duration, now: Duration) {
        let ours = record.spec.holder_identity.as_deref() == Some(self.identity.as_str());
        self.held = ours.then_some(sent);
        self.seen = Some((record, now));
    }

    /// The record of ours that may be replaced without reading it first.
    pub(crate) fn is_ours(&self) -> bool {
        self.held.is_some()
    }

    /// Leads no more; what the lease says from then on is to be read again.
    pub(crate) fn lose(&mut self) {
        self.held = None;
    }

    /// What to write so that others need not wait; none where the lease is not ours.
    pub(crate) fn release(&mut self, wall: Timestamp) -> Option<(LeaseSpec, String)> {
        self.held.take()?;
        let (record, _) = self.seen.as_ref()?;
        let spec = LeaseSpec {
            holder_identity: Some(String::new()),
            lease_duration_seconds: Some(1),
            renew_time: Some(MicroTime(wall)),
            ..record.spec.clone()
        };
        Some((spec, record.version.clone()))
    }

    fn claim(&self, before: Option<&LeaseSpec>, wall: Timestamp) -> LeaseSpec {
        let transitions = before.map(|spec| spec.lease_transitions.unwrap_or(0).saturating_add(1));
        LeaseSpec {
            acquire_time: Some(MicroTime(wall)),
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(self.timings.duration.as_secs()).ok(),
            lease_transitions: Some(transitions.unwrap_or(0)),
            renew_time: Some(MicroTime(wall)),
            ..before.cloned().unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests;
