//! Limits of a backend on one core: requests under way, requests that wait, and retries among them.

use std::cell::Cell;
use std::rc::Rc;

use novaedge_router::{Limits, RetryBudget};

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

impl Gate {
    /// Room for a request.
    pub fn request(self: &Rc<Self>, limits: Limits) -> Result<Permit, Full> {
        self.permit(Kind::Request, limits.requests.unwrap_or(u32::MAX))
    }

    /// Room for a retry of a request that has its own permit.
    pub fn retry(self: &Rc<Self>, budget: RetryBudget) -> Result<Permit, Full> {
        let share = u64::from(self.requests.get()) * u64::from(budget.percent) / 100;
        let share = u32::try_from(share).unwrap_or(u32::MAX);
        self.permit(Kind::Retry, share.max(budget.min))
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

impl Permit {
    /// Room for this request to wait for a connection.
    pub fn wait(&self, limits: Limits) -> Result<Self, Full> {
        let limit = limits.pending.unwrap_or(u32::MAX);
        self.gate.permit(Kind::Pending, limit)
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
            ..Limits::default()
        };
        let first = gate.request(limits).unwrap();
        let _second = gate.request(limits).unwrap();
        assert_eq!(gate.request(limits).unwrap_err(), Full);
        let _waiting = first.wait(limits).unwrap();
        assert!(first.wait(limits).is_err());
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
}
