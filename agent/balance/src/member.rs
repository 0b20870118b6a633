//! What is known of one endpoint besides its configuration.

use std::cell::Cell;
use std::time::{Duration, Instant};

use novaedge_router::Endpoint;

use crate::hash::endpoint_id;
use crate::latency::Latency;
use crate::outlier::Record;

/// Units of a member's weight per unit of the endpoint's: slow start needs parts of one.
pub(crate) const WEIGHT_UNIT: u32 = 256;

/// Largest weight of an endpoint.
pub const MAX_WEIGHT: u32 = 1 << 16;

/// The live state of an endpoint. It lives as long as the endpoint's address and port are in the group, or somebody uses it.
#[derive(Debug)]
pub struct Member {
    endpoint: Endpoint,
    id: u64,
    active: Cell<u32>,
    pub(crate) latency: Latency,
    /// Checks of it fail.
    pub(crate) unhealthy: Cell<bool>,
    pub(crate) record: Record,
    /// When it came, unless it was there from the beginning.
    pub(crate) since: Cell<Option<Instant>>,
    /// Its share of the requests at the last look, in [`WEIGHT_UNIT`]s of the endpoint's weight.
    pub(crate) weight: Cell<u32>,
    /// Whether it might be chosen at the last look.
    pub(crate) usable: Cell<bool>,
    /// Its next turn, in the time of the group's round robin.
    pub(crate) turn: Cell<u64>,
}

impl Member {
    /// A member of which nothing is known yet.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            id: endpoint_id(&endpoint),
            weight: Cell::new(full_weight(&endpoint)),
            endpoint,
            active: Cell::new(0),
            latency: Latency::default(),
            unhealthy: Cell::new(false),
            record: Record::default(),
            since: Cell::new(None),
            usable: Cell::new(true),
            turn: Cell::new(0),
        }
    }

    /// The endpoint as it was when it came.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Identifies the endpoint by its address and port: stable over restarts and replicas.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Whether this is the endpoint's state.
    pub fn is_at(&self, endpoint: &Endpoint) -> bool {
        self.endpoint.port == endpoint.port && self.endpoint.address == endpoint.address
    }

    /// Requests or connections under way.
    pub fn active(&self) -> u32 {
        self.active.get()
    }

    /// A request or a connection begins. [`Member::leave`] ends it.
    pub fn enter(&self) {
        self.active.set(self.active.get().saturating_add(1));
    }

    /// A request or a connection has ended.
    pub fn leave(&self) {
        self.active.set(self.active.get().saturating_sub(1));
    }

    /// A request took this long to its response.
    pub fn observe(&self, took: Duration, now: Instant) {
        self.latency.observe(took, now);
    }

    /// When its ejection ends, if it is ejected.
    pub fn ejected_until(&self, now: Instant) -> Option<Instant> {
        self.record.until().filter(|until| now < *until)
    }

    /// What one more request would cost, by the time that requests take.
    pub(crate) fn cost(&self, now: Instant) -> f64 {
        let weight = f64::from(self.weight.get().max(1)) / f64::from(WEIGHT_UNIT);
        self.latency.cost(f64::from(self.active()) / weight, now)
    }

    /// Open requests for its weight: what least request compares.
    pub(crate) fn is_busier_than(&self, other: &Self) -> bool {
        let load = |one: &Self, other: &Self| {
            u64::from(one.active()) * u64::from(other.weight.get().max(1))
        };
        load(self, other) > load(other, self)
    }
}

impl AsRef<Self> for Member {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// The endpoint's weight in units of members.
pub(crate) fn full_weight(endpoint: &Endpoint) -> u32 {
    endpoint.weight.clamp(1, MAX_WEIGHT) * WEIGHT_UNIT
}
