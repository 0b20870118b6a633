//! The live state of a backend on one core: its endpoints, their pools, and the choice among them.

use std::cell::{Cell, RefCell};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use novaedge_router::{Backend, Endpoint as Address, Host, LoadBalancing};
use rustc_hash::FxBuildHasher;
use smallvec::SmallVec;
use tokio::time::Instant;

use super::pool::{Pool, PoolSettings};
use super::{Connector, Link, Protocol, Wanted};
use crate::error::ForwardError;
use crate::random::Random;
use crate::tls::BackendClient;

/// One backend. It survives table swaps, and keeps what it can when the endpoints change.
pub(crate) struct BackendState {
    current: RefCell<Current>,
    position: Cell<usize>,
}

struct Current {
    /// The endpoints that `endpoints` was made from.
    source: Arc<[Address]>,
    endpoints: Rc<[Rc<Endpoint>]>,
}

/// One server with its pools.
pub(crate) struct Endpoint {
    address: Address,
    /// Identifies the endpoint in session cookies: stable over restarts and replicas.
    id: u64,
    active: Cell<usize>,
    pools: RefCell<SmallVec<[Rc<Pool>; 1]>>,
}

/// Counts a request under way.
pub(super) struct Active(Rc<Endpoint>);

impl BackendState {
    pub(crate) fn new(start: usize) -> Self {
        Self {
            current: RefCell::new(Current {
                source: Arc::from([]),
                endpoints: Rc::from([]),
            }),
            position: Cell::new(start),
        }
    }

    /// The endpoints as the tables have them now.
    pub(crate) fn endpoints(&self, backend: &Backend) -> Rc<[Rc<Endpoint>]> {
        let mut current = self.current.borrow_mut();
        if !Arc::ptr_eq(&current.source, &backend.endpoints) {
            let endpoints = backend
                .endpoints
                .iter()
                .map(|address| {
                    let known = current.endpoints.iter().find(|known| known.is_at(address));
                    known
                        .cloned()
                        .unwrap_or_else(|| Rc::new(Endpoint::new(address.clone())))
                })
                .collect();
            *current = Current {
                source: Arc::clone(&backend.endpoints),
                endpoints,
            };
        }
        Rc::clone(&current.endpoints)
    }

    /// Chooses an endpoint, if possible none of `tried`.
    pub(crate) fn choose(
        &self,
        endpoints: &[Rc<Endpoint>],
        how: LoadBalancing,
        client: IpAddr,
        tried: &[Rc<Endpoint>],
        random: &Random,
    ) -> Option<Rc<Endpoint>> {
        if tried.is_empty() {
            return self.choose_any(endpoints, how, client, random);
        }
        let fresh: SmallVec<[Rc<Endpoint>; 8]> = endpoints
            .iter()
            .filter(|endpoint| !tried.iter().any(|tried| Rc::ptr_eq(tried, endpoint)))
            .cloned()
            .collect();
        let from = if fresh.is_empty() {
            endpoints
        } else {
            fresh.as_slice()
        };
        self.choose_any(from, how, client, random)
    }

    fn choose_any(
        &self,
        endpoints: &[Rc<Endpoint>],
        how: LoadBalancing,
        client: IpAddr,
        random: &Random,
    ) -> Option<Rc<Endpoint>> {
        let any = |random: &Random| endpoints.get(random.below(endpoints.len()));
        let chosen = match how {
            _ if endpoints.len() < 2 => endpoints.first(),
            LoadBalancing::RoundRobin => {
                let position = self.position.get();
                self.position.set(position.wrapping_add(1));
                endpoints.get(position % endpoints.len())
            }
            LoadBalancing::Random => any(random),
            LoadBalancing::LeastRequest | LoadBalancing::Ewma => {
                let (one, two) = (any(random)?, any(random)?);
                Some(if two.active.get() < one.active.get() {
                    two
                } else {
                    one
                })
            }
            // Rendezvous hashing: a client moves only when its own endpoint goes.
            LoadBalancing::SourceHash | LoadBalancing::RingHash | LoadBalancing::Maglev => {
                endpoints.iter().max_by_key(|endpoint| {
                    FxBuildHasher.hash_one((client.to_canonical(), endpoint.id))
                })
            }
        };
        chosen.cloned()
    }

    /// Closes connections that are dead or idle too long.
    pub(crate) fn sweep(&self, now: Instant) {
        for endpoint in self.current.borrow().endpoints.iter() {
            endpoint.sweep(now);
        }
    }
}

impl Endpoint {
    fn new(address: Address) -> Self {
        let id = id(&address);
        Self {
            address,
            id,
            active: Cell::new(0),
            pools: RefCell::default(),
        }
    }

    fn is_at(&self, address: &Address) -> bool {
        self.address.address == address.address && self.address.port == address.port
    }

    /// Identifies the endpoint by its address and port.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// A connection for one request.
    pub(crate) async fn acquire(
        self: &Rc<Self>,
        protocol: Protocol,
        tls: Option<&Arc<BackendClient>>,
        settings: PoolSettings,
        connector: &Rc<Connector>,
        wanted: Wanted,
    ) -> Result<Link, ForwardError> {
        self.active.set(self.active.get() + 1);
        let active = Active(Rc::clone(self));
        let pool = self.pool(protocol, tls, settings);
        pool.acquire(&self.address, connector, active, wanted).await
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

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.set(self.0.active.get().saturating_sub(1));
    }
}

/// FNV-1a over the address: the standard hashers promise no stability between versions.
fn id(address: &Address) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut feed = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    match &address.address {
        Host::Ip(IpAddr::V4(address)) => feed(&address.octets()),
        Host::Ip(IpAddr::V6(address)) => feed(&address.octets()),
        Host::Dns(name) => feed(name.as_bytes()),
    }
    feed(&address.port.to_be_bytes());
    hash
}
