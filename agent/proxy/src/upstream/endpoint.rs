//! The live state of a backend on one core: its endpoints, their pools, and the choice among them.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use novaedge_balance::{Census, Full, Group, Member, Outcome, Permit, Pick, Site};
use novaedge_router::{Backend, Endpoint as Address, Host, Limits};
use smallvec::SmallVec;
use tokio::time::Instant;

use super::pool::{Pool, PoolSettings};
use super::{Connector, Link, Protocol, Wanted};
use crate::error::ForwardError;
use crate::metrics::BackendMetrics;
use crate::random::Random;
use crate::tls::BackendClient;

/// One backend. It survives table swaps, and keeps what it can when the endpoints change.
pub(crate) struct BackendState {
    group: Group<Endpoint>,
    metrics: Arc<BackendMetrics>,
}

/// One server with its pools.
pub(crate) struct Endpoint {
    member: Member,
    pools: RefCell<SmallVec<[Rc<Pool>; 1]>>,
}

/// The response time that a failure counts as, at least.
const FAILURE: Duration = Duration::from_secs(1);

/// What followed from how a try ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Learned {
    Nothing,
    /// The endpoint is left out for a while.
    Ejection,
}

/// Counts a request under way, at its endpoint and at its backend.
pub(super) struct Active {
    endpoint: Rc<Endpoint>,
    permit: Permit,
}

impl BackendState {
    /// The backend of this name. Round robin begins with the endpoint at `start`.
    pub(crate) fn new(
        name: Arc<str>,
        start: usize,
        site: &Site,
        metrics: Arc<BackendMetrics>,
    ) -> Self {
        Self {
            group: Group::new(name, start, site),
            metrics,
        }
    }

    /// What is counted of it.
    pub(crate) fn metrics(&self) -> &BackendMetrics {
        &self.metrics
    }

    /// The endpoints as the tables have them now.
    pub(crate) fn endpoints(&self, backend: &Backend) -> Rc<[Rc<Endpoint>]> {
        let now = || Instant::now().into_std();
        self.group
            .update(&backend.endpoints, &backend.balancing, now, |address| {
                Endpoint::new(address.clone())
            })
    }

    /// Chooses one of the endpoints, if possible none of `tried`. `key` is what policies by hash go by.
    pub(crate) fn choose(
        &self,
        now: Instant,
        key: u64,
        tried: &[Rc<Endpoint>],
        random: &Random,
    ) -> Option<Rc<Endpoint>> {
        let pick = Pick {
            now: now.into_std(),
            key,
            random: random.next(),
        };
        let is_tried = |endpoint: &Endpoint| {
            tried
                .iter()
                .any(|one| std::ptr::eq(Rc::as_ptr(one), endpoint))
        };
        let fresh = self.group.choose(pick, is_tried);
        if fresh.is_none() && !tried.is_empty() {
            return self.group.choose(pick, |_| false);
        }
        fresh
    }

    /// Room for one more request.
    pub(crate) fn admit(&self, limits: Limits) -> Result<Permit, ForwardError> {
        let gate = self.group.gate();
        gate.request(limits).map_err(|Full| ForwardError::Full)
    }

    /// Room for one more retry.
    pub(crate) fn admit_retry(&self, limits: Limits) -> Option<Permit> {
        self.group.gate().retry(limits.retries).ok()
    }

    /// Whether nothing speaks against the endpoint, or it is all the same.
    pub(crate) fn is_usable(&self, endpoint: &Endpoint) -> bool {
        self.group.is_usable(endpoint, Instant::now().into_std())
    }

    /// A try that began and ended then ended so; `None` if that says nothing of the endpoint.
    pub(crate) fn learn(
        &self,
        endpoint: &Endpoint,
        outcome: Option<Outcome>,
        [began, now]: [Instant; 2],
    ) -> Learned {
        let Some(outcome) = outcome else {
            return Learned::Nothing;
        };
        let took = now - began;
        // An endpoint that fails at once must not look fast.
        let cost = match outcome {
            Outcome::Success => took,
            Outcome::ServerError | Outcome::ConnectFailure => took.max(FAILURE),
        };
        endpoint.member.observe(cost, now.into_std());
        match self.group.record(endpoint, outcome, now.into_std()) {
            Some(_) => Learned::Ejection,
            None => Learned::Nothing,
        }
    }

    /// Closes connections that are dead or idle too long. Returns how many endpoints fail too often, and are left out for a
    /// while from now on.
    pub(crate) fn sweep(&self, now: Instant) -> u32 {
        let ejected = self.group.sweep(now.into_std());
        for endpoint in self.group.members().iter() {
            endpoint.sweep(now);
        }
        ejected
    }

    /// Notes what connections and endpoints there are.
    pub(crate) fn measure(&self, backend: &Backend, now: Instant) {
        let mut loads = [0; 3];
        for endpoint in self.endpoints(backend).iter() {
            for pool in endpoint.pools.borrow().iter() {
                for (sum, load) in loads.iter_mut().zip(pool.load()) {
                    *sum += load as u64;
                }
            }
        }
        let pool = &self.metrics.pool;
        let [open, idle, pending] = loads;
        pool.open.set(open);
        pool.idle.set(idle);
        pool.pending.set(pending);
        self.note(self.group.census(now.into_std()));
    }

    fn note(&self, census: Census) {
        let pool = &self.metrics.pool;
        pool.endpoints.set(census.endpoints as u64);
        pool.unhealthy.set(census.unhealthy as u64);
        pool.ejected.set(census.ejected as u64);
    }
}

impl Drop for BackendState {
    fn drop(&mut self) {
        let pool = &self.metrics.pool;
        for gauge in [&pool.open, &pool.idle, &pool.pending] {
            gauge.set(0);
        }
        self.note(Census::default());
    }
}

impl Endpoint {
    fn new(address: Address) -> Self {
        Self {
            member: Member::new(address),
            pools: RefCell::default(),
        }
    }

    /// Identifies the endpoint by its address and port, in session cookies: stable over restarts and replicas.
    pub(crate) fn id(&self) -> u64 {
        self.member.id()
    }

    /// Where it is.
    pub(crate) fn address(&self) -> (&Host, u16) {
        let endpoint = self.member.endpoint();
        (&endpoint.address, endpoint.port)
    }

    /// A connection for one request, which has its permit.
    pub(crate) async fn acquire(
        self: &Rc<Self>,
        protocol: Protocol,
        tls: Option<&Arc<BackendClient>>,
        settings: PoolSettings,
        connector: &Rc<Connector>,
        permit: Permit,
        wanted: Wanted,
    ) -> Result<Link, ForwardError> {
        self.member.enter();
        let active = Active {
            endpoint: Rc::clone(self),
            permit,
        };
        let pool = self.pool(protocol, tls, settings);
        pool.acquire(self.member.endpoint(), connector, active, wanted)
            .await
    }

    fn pool(
        &self,
        protocol: Protocol,
        tls: Option<&Arc<BackendClient>>,
        settings: PoolSettings,
    ) -> Rc<Pool> {
        let mut pools = self.pools.borrow_mut();
        if let Some(pool) = pools.iter().find(|pool| pool.serves(protocol, tls)) {
            pool.configure(settings);
            return Rc::clone(pool);
        }
        let pool = Pool::new(protocol, tls.cloned(), settings);
        pools.push(Rc::clone(&pool));
        pool
    }

    fn sweep(&self, now: Instant) {
        let pools = self.pools.borrow().clone();
        for pool in &pools {
            pool.sweep(now);
        }
        // An identity that has been replaced has no connections after a while; its pool goes.
        let mut kept = self.pools.borrow_mut();
        if kept.len() > 1 {
            kept.retain(|pool| pool.open() > 0);
        }
    }
}

impl AsRef<Member> for Endpoint {
    fn as_ref(&self) -> &Member {
        &self.member
    }
}

impl Active {
    /// Room for the request to wait for a connection.
    pub(super) fn wait(&self, limits: Limits) -> Result<Permit, ForwardError> {
        let waiting = self.permit.wait(limits);
        waiting.map_err(|Full| ForwardError::Full)
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.endpoint.member.leave();
    }
}
