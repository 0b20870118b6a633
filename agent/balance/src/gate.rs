//! Limits of a backend on one core: requests under way, requests that wait, and retries among them.

use std::cell::Cell;
use std::rc::Rc;

/// How much a backend may be given at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests under way. Absent: no limit.
    pub requests: Option<u32>,
    /// Requests that wait for a connection. Absent: no limit.
    pub pending: Option<u32>,
}

/// How many of the requests under way may be retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    /// Share of the requests under way, in percent.
    pub percent: u8,
    /// Retries that are always possible.
    pub min: u32,
}

/// There is no room: the request is refused rather than kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Counts what a backend is given.
#[derive(Debug, Default)]
pub struct Gate {
    requests: Cell<u32>,
    pending: Cell<u32>,
    retries: Cell<u32>,
}

/// Room for one request, for one that waits, or for one retry. Dropping it gives the room back.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    gate: Rc<Gate>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Request,
    Pending,
    Retry,
}

impl Limits {
    /// The part of one of `workers` in limits of a whole process: never nothing.
    #[must_use]
    pub fn share(self, workers: u32) -> Self {
        let share = |all: u32| all.div_ceil(workers.max(1)).max(1);
        Self {
            requests: self.requests.map(share),
            pending: self.pending.map(share),
        }
    }
}

impl Gate {
    /// Room for a request.
    pub fn request(self: &Rc<Self>, limits: Limits) -> Result<Permit, Full> {
        self.permit(Kind::Request, limits.requests.unwrap_or(u32::MAX))
    }

    /// Room for a request that waits for a connection.
    pub fn pending(self: &Rc<Self>, limits: Limits) -> Result<Permit, Full> {
        self.permit(Kind::Pending, limits.pending.unwrap_or(u32::MAX))
    }

    /// Room for a retry of a request that has its own permit.
    pub fn retry(self: &Rc<Self>, budget: RetryBudget) -> Result<Permit, Full> {
        let share = u64::from(self.requests.get()) * u64::from(budget.percent) / 100;
        let share = u32::try_from(share).unwrap_or(u32::MAX);
        self.permit(Kind::Retry, share.max(budget.min))
    }

    /// Requests under way.
    pub fn requests(&self) -> u32 {
        self.requests.get()
    }

    fn permit(self: &Rc<Self>, kind: Kind, limit: u32) -> Result<Permit, Full> {
        let count = self.count(kind);
        if count.get() >= limit {
            return Err(Full);
        }
        count.set(count.get() + 1);
        Ok(Permit {
            gate: Rc::clone(self),
            kind,
        })
    }

    fn count(&self, kind: Kind) -> &Cell<u32> {
        match kind {
            Kind::Request => &self.requests,
            Kind::Pending => &self.pending,
            Kind::Retry => &self.retries,
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let count = self.gate.count(self.kind);
        count.set(count.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_full_refuses_until_somebody_leaves() {
        let gate = Rc::new(Gate::default());
        let limits = Limits {
            requests: Some(2),
            pending: Some(1),
        };
        let first = gate.request(limits).unwrap();
        let _second = gate.request(limits).unwrap();
        assert_eq!(gate.request(limits).unwrap_err(), Full);
        let _waiting = gate.pending(limits).unwrap();
        assert!(gate.pending(limits).is_err());
        drop(first);
        assert!(gate.request(limits).is_ok());
    }

    #[test]
    fn retries_are_a_share_of_requests_and_a_few_are_always_possible() {
        let gate = Rc::new(Gate::default());
        let budget = RetryBudget {
            percent: 20,
            min: 3,
        };
        let take = |most| -> Vec<Permit> {
            std::iter::from_fn(|| gate.retry(budget).ok())
                .take(most)
                .collect()
        };
        assert_eq!(take(10).len(), 3);
        let requests: Vec<_> = (0..50)
            .map(|_| gate.request(Limits::default()).unwrap())
            .collect();
        let held = take(100);
        assert_eq!(held.len(), 10);
        drop(requests);
        assert!(gate.retry(budget).is_err(), "they still run");
    }

    #[test]
    fn each_worker_has_a_share_and_never_none() {
        let limits = Limits {
            requests: Some(10),
            pending: Some(1),
        };
        let share = limits.share(4);
        assert_eq!((share.requests, share.pending), (Some(3), Some(1)));
    }
}
