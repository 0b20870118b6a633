//! How the endpoints of a backend are chosen, and when one is left out: what is configured. What happens is the
//! balancer's, whose state outlives the tables.

use std::{sync::Arc, time::Duration};

use crate::health_check::HealthCheck;

/// How endpoints are chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balancing {
    /// The rule of choice.
    pub policy: LoadBalancing,
    /// What policies by key go by.
    pub hash_key: HashKey,
    /// Fewer usable endpoints than this share of all, in percent: all are used. 0: never.
    pub panic_percent: u8,
    /// Whether endpoints of the agent's own zone come first.
    pub zone: ZonePreference,
    /// An endpoint that is new or back gets its full share after this time.
    pub slow_start: Option<Duration>,
    /// Set: endpoints that fail are left out for a while.
    pub outlier: Option<OutlierDetection>,
    /// Set: endpoints are asked whether they are well, and those that are not are left out.
    pub health_check: Option<HealthCheck>,
}

/// How an endpoint is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoadBalancing {
    /// One after the other, by weight.
    #[default]
    RoundRobin,
    /// The one with the fewest open requests for its weight, of two taken at random.
    LeastRequest,
    /// The one that answers faster and has less to do, of two taken at random.
    Ewma,
    /// Any, by weight.
    Random,
    /// By the key: the endpoint with the highest hash of key and endpoint.
    SourceHash,
    /// By the key, on a ring of points.
    RingHash,
    /// By the key, in Maglev's table.
    Maglev,
}

/// What policies by key go by. A request that has no such thing, or a connection of layer 4, goes by the client's address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HashKey {
    /// The client's address.
    #[default]
    Client,
    /// The first value of this header, in lower case.
    Header(Arc<str>),
    /// The value of this cookie.
    Cookie(Arc<str>),
    /// The first value of this parameter of the query.
    Query(Arc<str>),
}

/// Whether endpoints of the agent's own zone come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ZonePreference {
    /// All zones are alike.
    #[default]
    None,
    /// The own zone gets as much as its endpoints are worth; what is too much for them goes to others.
    Own,
}

/// When an endpoint that fails is left out, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlierDetection {
    /// Failures in a row, each a response of 500 to 599 or a connection that could not be made.
    pub consecutive_failures: u32,
    /// Time of the first ejection; the n-th in a row takes n times as long.
    pub base_ejection: Duration,
    /// Longest time of an ejection.
    pub max_ejection: Duration,
    /// Largest share of the endpoints that may be out at a time. One may always be, but never all.
    pub max_ejected_percent: u8,
    /// Set: endpoints that fail far more often than the others are left out, too.
    pub success_rate: Option<SuccessRate>,
}

/// When an endpoint's share of successes is too far below that of the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuccessRate {
    /// Time between two looks.
    pub interval: Duration,
    /// Requests in this time below which an endpoint is not judged.
    pub min_requests: u32,
    /// Endpoints to judge below which none is.
    pub min_endpoints: u32,
    /// Distance below the mean, in thousandths of the standard deviation.
    pub deviations_thousandths: u32,
}

impl Balancing {
    /// Share of usable endpoints below which all are used, unless said otherwise.
    pub const PANIC_PERCENT: u8 = 50;

    /// This policy, and nothing else out of the ordinary.
    #[must_use]
    pub fn of(policy: LoadBalancing) -> Self {
        Self {
            policy,
            ..Self::default()
        }
    }

    /// Whether it matters how requests end and how long they take.
    #[must_use]
    pub fn learns(&self) -> bool {
        self.outlier.is_some() || self.policy == LoadBalancing::Ewma
    }
}

impl LoadBalancing {
    /// Whether a key decides.
    #[must_use]
    pub const fn is_by_key(self) -> bool {
        matches!(self, Self::SourceHash | Self::RingHash | Self::Maglev)
    }
}

impl Default for Balancing {
    fn default() -> Self {
        Self {
            policy: LoadBalancing::default(),
            hash_key: HashKey::default(),
            panic_percent: Self::PANIC_PERCENT,
            zone: ZonePreference::default(),
            slow_start: None,
            outlier: None,
            health_check: None,
        }
    }
}

impl Default for OutlierDetection {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            base_ejection: Duration::from_secs(30),
            max_ejection: Duration::from_mins(5),
            max_ejected_percent: 10,
            success_rate: None,
        }
    }
}

impl Default for SuccessRate {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            min_requests: 100,
            min_endpoints: 5,
            deviations_thousandths: 1900,
        }
    }
}
