//! Which endpoint of a backend comes next. Each worker decides for itself.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use novaedge_balance::{Full, Group, Member, Outcome, Permit, Pick, Site, hash};
use novaedge_router::Backend;
use rustc_hash::FxHashMap;
use tokio::time::Instant;

use crate::error::Error;

/// The live state of the backends, by resource name: it outlives the tables.
#[derive(Debug)]
pub(crate) struct Balance {
    backends: RefCell<FxHashMap<Arc<str>, Rc<BackendState>>>,
    /// Where the rotation starts, so that the workers don't all start at the first endpoint.
    offset: usize,
    workers: u32,
    site: Site,
}

/// What is known about a backend besides its configuration.
#[derive(Debug)]
pub(crate) struct BackendState {
    group: Group<Member>,
    /// Choices so far: chance is made of it.
    choices: Cell<u64>,
}

/// A connection to a backend: chooses its endpoint, and counts it while it lives.
#[derive(Debug)]
pub(crate) struct Slot {
    state: Rc<BackendState>,
    /// Connections that this worker may have to one endpoint.
    limit: u32,
    endpoint: Option<Rc<Member>>,
    /// Counts it for the backend.
    _permit: Permit,
}

impl Balance {
    pub(crate) fn new(offset: usize, workers: u32, site: Site) -> Self {
        Self {
            backends: RefCell::default(),
            offset,
            workers: workers.max(1),
            site,
        }
    }

    /// A connection to a backend that has no endpoint yet, if the backend may have one more.
    pub(crate) fn enter(&self, backend: &Backend) -> Result<Slot, Error> {
        let share = |all: u32| all.div_ceil(self.workers).max(1);
        let state = self.state(&backend.name);
        let limits = backend.limits.share(self.workers);
        let permit = state.group.gate().request(limits);
        Ok(Slot {
            limit: backend.max_connections.map_or(u32::MAX, share),
            endpoint: None,
            _permit: permit.map_err(|Full| Error::BackendLimit(Arc::clone(&backend.name)))?,
            state,
        })
    }

    fn state(&self, name: &Arc<str>) -> Rc<BackendState> {
        let mut backends = self.backends.borrow_mut();
        if let Some(state) = backends.get(name) {
            return Rc::clone(state);
        }
        let state = Rc::new(BackendState {
            group: Group::new(Arc::clone(name), self.offset, &self.site),
            choices: Cell::new(self.offset as u64),
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

impl Slot {
    /// The endpoints of the backend in the order to try them: the choice, then those behind it. Those
    /// that have all the connections they may have are left out, and those that are ejected come last.
    pub(crate) fn order(
        &self,
        backend: &Backend,
        client: IpAddr,
    ) -> impl Iterator<Item = Rc<Member>> + use<> {
        let now = Instant::now().into_std();
        let (state, limit) = (Rc::clone(&self.state), self.limit);
        let make = |endpoint: &_| Member::new(Clone::clone(endpoint));
        let members = state
            .group
            .update(&backend.endpoints, &backend.balancing, || now, make);
        state.choices.set(state.choices.get().wrapping_add(1));
        let pick = Pick {
            now,
            key: hash::client_key(client),
            random: state.choices.get(),
        };
        let first = state.group.choose(pick, |one| one.active() >= limit);
        let first = first.and_then(|first| members.iter().position(|one| Rc::ptr_eq(one, &first)));
        let count = members.len();
        let turns = first.map_or(0..0, |first| first..first + 2 * count);
        turns.filter_map(move |turn| {
            let member = members.get(turn % count)?;
            let usable = state.group.is_usable(member, now);
            // The first round is for those that are well, the second one for the others.
            let is_due = usable == (turn < first.unwrap_or(0) + count);
            (is_due && member.active() < limit).then(|| Rc::clone(member))
        })
    }

    /// Counts the connection for this endpoint from now on.
    pub(crate) fn settle(&mut self, endpoint: &Rc<Member>) {
        self.leave_endpoint();
        endpoint.enter();
        self.endpoint = Some(Rc::clone(endpoint));
    }

    /// Looks at how often connecting fails, when it is time to: without connections there is nothing to judge. Returns how
    /// many endpoints are left out from now on.
    pub(crate) fn judge(&self) -> u32 {
        self.state.group.sweep(Instant::now().into_std())
    }

    /// Tells whether the endpoint could be connected to. Returns for how long it is left out from now on, if it is.
    pub(crate) fn report(&self, outcome: Outcome) -> Option<Duration> {
        let now = Instant::now().into_std();
        self.state
            .group
            .record(self.endpoint.as_ref()?, outcome, now)
    }

    fn leave_endpoint(&mut self) {
        if let Some(endpoint) = self.endpoint.take() {
            endpoint.leave();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.leave_endpoint();
    }
}

#[cfg(test)]
mod tests {
    use novaedge_router::{
        Balancing, Endpoint, Host, Limits, LoadBalancing, OutlierDetection, SuccessRate,
    };

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
            balancing: Arc::new(Balancing::of(load_balancing)),
            connect_timeout: None,
            idle_timeout: None,
            max_connections: None,
            limits: Limits::default(),
            invalid: None,
            send_proxy_protocol: None,
            endpoints: (0..count).map(endpoint).collect(),
        }
    }

    fn judged(count: u8, outlier: OutlierDetection) -> Backend {
        let balancing = Balancing {
            outlier: Some(outlier),
            ..Balancing::default()
        };
        Backend {
            balancing: Arc::new(balancing),
            ..backend(count, LoadBalancing::RoundRobin)
        }
    }

    fn first(slot: &Slot, backend: &Backend, client: u8) -> Host {
        let mut order = slot.order(backend, IpAddr::from([192, 0, 2, client]));
        order.next().unwrap().endpoint().address.clone()
    }

    #[test]
    fn round_robin_walks_all_endpoints_and_wraps_within_a_try() {
        let backend = backend(3, LoadBalancing::RoundRobin);
        let balance = Balance::new(1, 1, Site::default());
        let slot = balance.enter(&backend).unwrap();
        let order: Vec<_> = slot
            .order(&backend, IpAddr::from([0, 0, 0, 0]))
            .map(|one| one.endpoint().address.clone())
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
            let slot = Balance::new(0, 1, Site::default()).enter(&backend).unwrap();
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
        let slot = Balance::new(0, 1, Site::default()).enter(&large).unwrap();
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
        let balance = Balance::new(0, 1, Site::default());
        let mut held: Vec<Slot> = Vec::new();
        for client in 0..40 {
            let mut slot = balance.enter(&backend).unwrap();
            let endpoint = slot
                .order(&backend, IpAddr::from([0, 0, 0, client]))
                .next()
                .unwrap();
            slot.settle(&endpoint);
            // Connections to endpoint 0 stay, those to endpoint 1 end at once.
            if endpoint.endpoint().address == Host::Ip(IpAddr::from([10, 0, 0, 0])) {
                held.push(slot);
            }
        }
        assert!(held.len() < 20, "{}", held.len());
    }

    #[test]
    fn an_ejected_endpoint_comes_last() {
        let outlier = OutlierDetection {
            consecutive_failures: 2,
            ..OutlierDetection::default()
        };
        let backend = judged(3, outlier);
        let balance = Balance::new(0, 1, Site::default());
        let mut slot = balance.enter(&backend).unwrap();
        let client = IpAddr::from([0, 0, 0, 0]);
        let bad = slot.order(&backend, client).next().unwrap();
        slot.settle(&bad);
        assert_eq!(slot.report(Outcome::ConnectFailure), None);
        assert!(slot.report(Outcome::ConnectFailure).is_some());
        for _ in 0..6 {
            let order: Vec<_> = slot.order(&backend, client).collect();
            assert_eq!(order.len(), 3);
            assert!(Rc::ptr_eq(&order[2], &bad));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_fails_far_more_often_than_the_others_is_left_out() {
        let rules = SuccessRate {
            interval: Duration::from_secs(10),
            min_requests: 4,
            min_endpoints: 3,
            deviations_thousandths: 1_000,
        };
        let outlier = OutlierDetection {
            consecutive_failures: 100,
            success_rate: Some(rules),
            ..OutlierDetection::default()
        };
        let backend = judged(4, outlier);
        let balance = Balance::new(0, 1, Site::default());
        let mut slot = balance.enter(&backend).unwrap();
        let client = IpAddr::from([0, 0, 0, 0]);
        let bad = slot.order(&backend, client).next().unwrap();
        assert_eq!(slot.judge(), 0);
        for _ in 0..40 {
            let endpoint = slot.order(&backend, client).next().unwrap();
            let failed = Rc::ptr_eq(&endpoint, &bad);
            slot.settle(&endpoint);
            let outcome = if failed {
                Outcome::ConnectFailure
            } else {
                Outcome::Success
            };
            assert_eq!(slot.report(outcome), None);
        }
        assert_eq!(slot.judge(), 0, "it is not time yet");
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(slot.judge(), 1);
        let order: Vec<_> = slot.order(&backend, client).collect();
        assert!(Rc::ptr_eq(&order[3], &bad), "it comes last");
    }

    #[test]
    fn a_backend_has_no_more_connections_than_it_may_have() {
        let limits = Limits {
            requests: Some(3),
            ..Limits::default()
        };
        let backend = Backend {
            limits,
            ..backend(2, LoadBalancing::RoundRobin)
        };
        let balance = Balance::new(0, 2, Site::default());
        let mut held: Vec<_> = std::iter::from_fn(|| balance.enter(&backend).ok()).collect();
        assert_eq!(held.len(), 2, "half of three, and never less than all");
        held.pop();
        assert!(balance.enter(&backend).is_ok());
    }

    #[test]
    fn the_limit_of_an_endpoint_is_shared_by_the_workers_and_given_back() {
        let backend = Backend {
            max_connections: Some(3),
            ..backend(2, LoadBalancing::RoundRobin)
        };
        let balance = Balance::new(0, 2, Site::default());
        let client = IpAddr::from([0, 0, 0, 0]);
        let take = || {
            let mut slot = balance.enter(&backend).unwrap();
            let endpoint = slot.order(&backend, client).next()?;
            slot.settle(&endpoint);
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
