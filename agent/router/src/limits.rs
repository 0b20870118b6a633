//! How much a backend is given at a time: what is configured.

/// Limits of a backend. Those of one agent are shared by its workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests, or connections of layer 4, under way. Absent: no limit.
    pub requests: Option<u32>,
    /// Requests that wait for a connection. Absent: no limit for the backend, but one for each endpoint.
    pub pending: Option<u32>,
    /// How many of the requests may be retries.
    pub retries: RetryBudget,
}

/// How many of the requests under way may be retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    /// Share of the requests under way, in percent.
    pub percent: u8,
    /// Retries that are always possible.
    pub min: u32,
}

impl Limits {
    /// The part of one of `workers` in limits of a whole agent: never nothing, unless the whole is nothing.
    #[must_use]
    pub fn share(self, workers: u32) -> Self {
        let share = |all: u32| all.div_ceil(workers.max(1));
        Self {
            requests: self.requests.map(share),
            pending: self.pending.map(share),
            retries: RetryBudget {
                min: share(self.retries.min),
                ..self.retries
            },
        }
    }
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self {
            percent: 20,
            min: 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_worker_has_a_share_and_never_none() {
        let limits = Limits {
            requests: Some(10),
            pending: Some(1),
            retries: RetryBudget {
                percent: 20,
                min: 0,
            },
        };
        let share = limits.share(4);
        assert_eq!((share.requests, share.pending), (Some(3), Some(1)));
        assert_eq!(share.retries, limits.retries);
    }
}
