//! Which endpoint of a backend comes next. Each worker decides for itself.

use std::cell::{Cell, RefCell};
use std::hash::{Hash as _, Hasher as _};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use novaedge_router::{Backend, Endpoint, Host, LoadBalancing};
use rustc_hash::{FxHashMap, FxHasher};

/// The live state of the backends, by resource name: it outlives the tables.
#[derive(Debug)]
pub(crate) struct Balance {
    backends: RefCell<FxHashMap<Arc<str>, Rc<BackendState>>>,
    /// Where the rotation starts, so that the workers don't all start at the first endpoint.
    offset: usize,
    workers: u32,
}

/// What is known about a backend besides its configuration.
#[derive(Debug)]
pub(crate) struct BackendState {
    turn: Cell<usize>,
    /// Open connections per endpoint; endpoints without one are left out.
    open_by_endpoint: RefCell<FxHashMap<(Host, u16), u32>>,
}

/// A connection to a backend: chooses its endpoint, and counts it while it lives.
#[derive(Debug)]
pub(crate) struct Slot {
    state: Rc<BackendState>,
    /// Connections that this worker may have to one endpoint.
    limit: u32,
    endpoint: Option<(Host, u16)>,
}

impl Balance {
    pub(crate) fn new(offset: usize, workers: u32) -> Self {
        Self {
            backends: RefCell::default(),
            offset,
            workers: workers.max(1),
        }
    }

    /// A connection to a backend that has no endpoint yet.
    pub(crate) fn enter(&self, backend: &Backend) -> Slot {
        let share = |all: u32| all.div_ceil(self.workers).max(1);
        Slot {
            state: self.state(&backend.name),
            limit: backend.max_connections.map_or(u32::MAX, share),
            endpoint: None,
        }
    }

    fn state(&self, name: &Arc<str>) -> Rc<BackendState> {
        let mut backends = self.backends.borrow_mut();
        if let Some(state) = backends.get(name) {
            return Rc::clone(state);
        }
        let state = Rc::new(BackendState {
            turn: Cell::new(self.offset),
            open_by_endpoint: RefCell::default(),
        });
        backends.insert(Arc::clone(name), Rc::clone(&state));
        state
    }

    /// Forgets the backends that are gone and that nobody is connected to.
    pub(crate) fn retain(&self, exists: impl Fn(&str) -> bool) {
        self.backends
            .borrow_mut()
            .retain(|name, state| Rc::strong_count(state) > 1 || exists(name));
    }

    pub(crate) fn len(&self) -> usize {
        self.backends.borrow().len()
    }
}

impl BackendState {
    /// Connections of this worker to the endpoint.
    fn open_to(&self, endpoint: &Endpoint) -> u32 {
        let open = self.open_by_endpoint.borrow();
        open.get(&key(endpoint)).copied().unwrap_or(0)
    }
}

impl Slot {
    /// The endpoints of the backend in the order to try them: the choice, then those behind it. Those
    /// that have all the connections they may have are left out.
    pub(crate) fn order<'b>(
        &self,
        backend: &'b Backend,
        client: IpAddr,
    ) -> impl Iterator<Item = &'b Endpoint> + use<'b> {
        let endpoints = &backend.endpoints;
        let first = match endpoints.len() {
            0 => 0,
            count => self.first(backend.load_balancing, endpoints, client) % count,
        };
        let (before, from) = endpoints
            .split_at_checked(first)
            .unwrap_or((&[], endpoints));
        let (state, limit) = (Rc::clone(&self.state), self.limit);
        from.iter()
            .chain(before)
            .filter(move |endpoint| limit == u32::MAX || state.open_to(endpoint) < limit)
    }

    fn first(&self, policy: LoadBalancing, endpoints: &[Endpoint], client: IpAddr) -> usize {
        let turn = self.state.turn.get();
        self.state.turn.set(turn.wrapping_add(1));
        match policy {
            LoadBalancing::RoundRobin => turn,
            LoadBalancing::Random => scatter(turn),
            LoadBalancing::LeastRequest | LoadBalancing::Ewma => {
                let (one, other) = (turn % endpoints.len(), scatter(turn) % endpoints.len());
                let open_to = |at| {
                    endpoints
                        .get(at)
                        .map(|endpoint| self.state.open_to(endpoint))
                };
                if open_to(other) < open_to(one) {
                    other
                } else {
                    one
                }
            }
            LoadBalancing::SourceHash | LoadBalancing::RingHash | LoadBalancing::Maglev => {
                rendezvous(endpoints, client)
            }
        }
    }

    /// Counts the connection for this endpoint from now on.
    pub(crate) fn settle(&mut self, endpoint: &Endpoint) {
        self.leave_endpoint();
        let key = key(endpoint);
        *self
            .state
            .open_by_endpoint
            .borrow_mut()
            .entry(key.clone())
            .or_insert(0) += 1;
        self.endpoint = Some(key);
    }

    fn leave_endpoint(&mut self) {
        if let Some(key) = self.endpoint.take() {
            let mut open = self.state.open_by_endpoint.borrow_mut();
            match open.get_mut(&key) {
                Some(count) if *count > 1 => *count -= 1,
                _ => {
                    open.remove(&key);
                }
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.leave_endpoint();
    }
}

fn key(endpoint: &Endpoint) -> (Host, u16) {
    (endpoint.address.clone(), endpoint.port)
}

/// The finalizer of splitmix64: neighbouring turns land far apart.
fn scatter(turn: usize) -> usize {
    let mut bits = (turn as u64).wrapping_add(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^= bits >> 31;
    usize::try_from(bits & 0x7FFF_FFFF).unwrap_or(0)
}

/// Highest random weight: when an endpoint comes or goes, only its own clients move.
fn rendezvous(endpoints: &[Endpoint], client: IpAddr) -> usize {
    let weight = |endpoint: &Endpoint| {
        let mut hasher = FxHasher::default();
        (client, &endpoint.address, endpoint.port).hash(&mut hasher);
        scatter(usize::try_from(hasher.finish()).unwrap_or(0))
    };
    (0..endpoints.len())
        .max_by_key(|at| endpoints.get(*at).map(weight))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(count: u8, load_balancing: LoadBalancing) -> Backend {
        let endpoint = |index: u8| Endpoint {
            address: Host::Ip(IpAddr::from([10, 0, 0, index])),
            port: 80,
            zone: None,
            node: None,
            weight: 1,
        };
        Backend {
            name: "backend/default/a".into(),
            protocol: novaedge_router::BackendProtocol::Http1,
            tls: None,
            load_balancing,
            connect_timeout: None,
            idle_timeout: None,
            max_connections: None,
            invalid: None,
            send_proxy_protocol: None,
            endpoints: (0..count).map(endpoint).collect(),
        }
    }

    fn first(slot: &Slot, backend: &Backend, client: u8) -> Host {
        let mut order = slot.order(backend, IpAddr::from([192, 0, 2, client]));
        order.next().unwrap().address.clone()
    }

    #[test]
    fn round_robin_walks_all_endpoints_and_wraps_within_a_try() {
        let backend = backend(3, LoadBalancing::RoundRobin);
        let balance = Balance::new(1, 1);
        let slot = balance.enter(&backend);
        let order: Vec<_> = slot
            .order(&backend, IpAddr::from([0, 0, 0, 0]))
            .map(|e| e.address.clone())
            .collect();
        let expect = [1, 2, 0].map(|index| Host::Ip(IpAddr::from([10, 0, 0, index])));
        assert_eq!(order, expect);
        assert_eq!(
            first(&slot, &backend, 1),
            Host::Ip(IpAddr::from([10, 0, 0, 2]))
        );
    }

    #[test]
    fn a_backend_without_endpoints_gives_none() {
        for policy in [
            LoadBalancing::RoundRobin,
            LoadBalancing::Random,
            LoadBalancing::LeastRequest,
            LoadBalancing::SourceHash,
        ] {
            let backend = backend(0, policy);
            let slot = Balance::new(0, 1).enter(&backend);
            assert_eq!(slot.order(&backend, IpAddr::from([0, 0, 0, 0])).count(), 0);
        }
    }

    #[test]
    fn source_hash_keeps_clients_and_spreads_them() {
        let large = backend(4, LoadBalancing::SourceHash);
        let small = Backend {
            endpoints: large.endpoints[..3].into(),
            ..large.clone()
        };
        let slot = Balance::new(0, 1).enter(&large);
        let mut moved = 0;
        let mut seen = std::collections::HashSet::new();
        for client in 0..200 {
            let chosen = first(&slot, &large, client);
            assert_eq!(chosen, first(&slot, &large, client));
            seen.insert(chosen.clone());
            if first(&slot, &small, client) != chosen {
                moved += 1;
                assert_eq!(chosen, Host::Ip(IpAddr::from([10, 0, 0, 3])));
            }
        }
        assert_eq!(seen.len(), 4);
        assert!((20..90).contains(&moved), "{moved}");
    }

    #[test]
    fn least_request_avoids_the_busy_endpoint() {
        let backend = backend(2, LoadBalancing::LeastRequest);
        let balance = Balance::new(0, 1);
        let mut held: Vec<Slot> = Vec::new();
        for client in 0..40 {
            let mut slot = balance.enter(&backend);
            let endpoint = slot
                .order(&backend, IpAddr::from([0, 0, 0, client]))
                .next()
                .unwrap();
            slot.settle(endpoint);
            // Connections to endpoint 0 stay, those to endpoint 1 end at once.
            if endpoint.address == Host::Ip(IpAddr::from([10, 0, 0, 0])) {
                held.push(slot);
            }
        }
        assert!(held.len() < 20, "{}", held.len());
    }

    #[test]
    fn the_limit_of_an_endpoint_is_shared_by_the_workers_and_given_back() {
        let backend = Backend {
            max_connections: Some(3),
            ..backend(2, LoadBalancing::RoundRobin)
        };
        let balance = Balance::new(0, 2);
        let client = IpAddr::from([0, 0, 0, 0]);
        let take = || {
            let mut slot = balance.enter(&backend);
            let endpoint = slot.order(&backend, client).next()?;
            slot.settle(endpoint);
            Some(slot)
        };
        let mut held: Vec<_> = std::iter::from_fn(take).collect();
        assert_eq!(held.len(), 4, "two of each endpoint");
        balance.retain(|_| false);
        assert_eq!(balance.len(), 1, "a backend in use is not forgotten");
        held.pop();
        assert!(take().is_some());
        held.clear();
        balance.retain(|_| false);
        assert_eq!(balance.len(), 0);
    }
}
