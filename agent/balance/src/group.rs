//! The endpoints of one backend on one core.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use novaedge_router::{Balancing, Endpoint, LoadBalancing};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::gate::Gate;
use crate::hash::{Bits, endpoint_id};
use crate::health::{Verdicts, Watched};
use crate::member::{Member, full_weight};
use crate::outlier::{self, Outcome};
use crate::own::OwnPorts;
use crate::selection::{Candidates, Look, Selection};
use crate::table::{Entry, Table, Weights, rendezvous};

/// The endpoints of a backend, and the choice among them. `E` holds a [`Member`] and what the caller keeps beside it.
#[derive(Debug)]
pub struct Group<E> {
    state: RefCell<State<E>>,
    gate: Rc<Gate>,
}

#[derive(Debug)]
struct State<E> {
    endpoints: Arc<[Endpoint]>,
    balancing: Arc<Balancing>,
    zone: Option<Arc<str>>,
    health: Watched,
    members: Rc<[Rc<E>]>,
    /// Members that left with the last update, or that somebody still uses: they may come back, for instance when a
    /// request that began before the update brings the endpoints of its tables.
    departed: Vec<Rc<E>>,
    table: Table,
    selection: Selection,
    /// When rates of success are looked at again.
    next_rates: Option<Instant>,
    begun: bool,
}

/// What the groups of an agent have in common.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// The agent's own zone.
    pub zone: Option<Arc<str>>,
    /// What the agent's checks say.
    pub verdicts: Verdicts,
    /// What is no endpoint, because it is the agent itself.
    pub own: OwnPorts,
}

/// What one choice depends on besides the group.
#[derive(Clone, Copy, Debug)]
pub struct Pick {
    /// The time.
    pub now: Instant,
    /// What policies by key go by, such as [`crate::hash::client_key`].
    pub key: u64,
    /// A random number.
    pub random: u64,
}

/// How many endpoints a group has, and how many of them it leaves out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// All of them.
    pub endpoints: usize,
    /// Those whose checks fail.
    pub unhealthy: usize,
    /// The others that are left out for a while because they failed.
    pub ejected: usize,
}

// === impl Group ===

impl<E: AsRef<Member>> Group<E> {
    /// The backend of this name, without endpoints yet. Round robin begins with the one at `start`, so that cores can begin
    /// at different ones.
    #[must_use]
    pub fn new(backend: Arc<str>, start: usize, site: &Site) -> Self {
        Self {
            state: RefCell::new(State {
                endpoints: Arc::from([]),
                balancing: Arc::default(),
                zone: site.zone.clone(),
                health: site.verdicts.watch(backend),
                members: Rc::from([]),
                departed: Vec::new(),
                table: Table::None,
                selection: Selection::starting_at(start),
                next_rates: None,
                begun: false,
            }),
            gate: Rc::default(),
        }
    }

    /// Takes the endpoints of the tables, unless it has them already, and returns what is known of each, in their order.
    ///
    /// What is known is kept for endpoints whose address and port were there before this update or the last one, or that are
    /// in use; the others are made.
    pub fn update(
        &self,
        endpoints: &Arc<[Endpoint]>,
        balancing: &Arc<Balancing>,
        now: impl FnOnce() -> Instant,
        make: impl FnMut(&Endpoint) -> E,
    ) -> Rc<[Rc<E>]> {
        let state = &mut *self.state.borrow_mut();
        let same = Arc::ptr_eq(&state.endpoints, endpoints);
        if same && Arc::ptr_eq(&state.balancing, balancing) {
            return Rc::clone(&state.members);
        }
        if !same {
            state.replace(endpoints, now(), make);
        }
        state.configure(balancing);
        Rc::clone(&state.members)
    }

    /// What is known of each endpoint, in the order of the last update.
    pub fn members(&self) -> Rc<[Rc<E>]> {
        Rc::clone(&self.state.borrow().members)
    }

    /// Limits of the backend.
    pub fn gate(&self) -> &Rc<Gate> {
        &self.gate
    }

    /// The endpoint for one request or connection, if possible none that is ejected, unhealthy or draining. `skip` names
    /// those that won't do for it: `None` when there are no others.
    pub fn choose(&self, pick: Pick, skip: impl Fn(&E) -> bool) -> Option<Rc<E>> {
        let state = &mut *self.state.borrow_mut();
        state.look(pick.now);
        let at = state.choose(pick, skip)?;
        state.members.get(at as usize).cloned()
    }

    /// Whether an endpoint would be chosen now, if its turn came.
    pub fn is_usable(&self, endpoint: &E, now: Instant) -> bool {
        self.state.borrow_mut().look(now);
        endpoint.as_ref().usable.get()
    }

    /// Tells how a request or connection ended. Returns for how long the endpoint is left out from now on, if it is.
    pub fn record(&self, endpoint: &E, outcome: Outcome, now: Instant) -> Option<Duration> {
        let state = &mut *self.state.borrow_mut();
        let balancing = Arc::clone(&state.balancing);
        let outlier = balancing.outlier.as_ref()?;
        let member = endpoint.as_ref();
        let failed = member.record.note(outcome, outlier);
        if failed {
            state.eject(member, outlier, now)
        } else {
            None
        }
    }

    /// Looks at rates of success, when it is time to. Call it every now and then. Returns how many endpoints are left out
    /// for a while because of that.
    pub fn sweep(&self, now: Instant) -> u32 {
        let state = &mut *self.state.borrow_mut();
        state.departed.retain(|member| Rc::strong_count(member) > 1);
        let balancing = Arc::clone(&state.balancing);
        let Some(outlier) = &balancing.outlier else {
            return 0;
        };
        let Some(rules) = &outlier.success_rate else {
            return 0;
        };
        let due = *state.next_rates.get_or_insert(now + rules.interval);
        if now < due {
            return 0;
        }
        state.next_rates = Some(now + rules.interval);
        let members = Rc::clone(&state.members);
        let all = members.iter().map(|member| (**member).as_ref());
        let mut ejected = 0;
        if let Some(lowest) = outlier::lowest_rate(all.clone(), rules) {
            for member in all.clone() {
                if outlier::is_below(member, rules, lowest) {
                    ejected += u32::from(state.eject(member, outlier, now).is_some());
                }
            }
        }
        outlier::begin_interval(all);
        ejected
    }

    /// How many endpoints are ejected.
    pub fn ejected(&self, now: Instant) -> usize {
        self.state.borrow().ejected(now)
    }

    /// How many endpoints there are, and how they are.
    pub fn census(&self, now: Instant) -> Census {
        let state = &mut *self.state.borrow_mut();
        state.look(now);
        let mut census = Census::default();
        for member in state.members.iter().map(|member| (**member).as_ref()) {
            census.endpoints += 1;
            if member.unhealthy.get() {
                census.unhealthy += 1;
            } else if member.ejected_until(now).is_some() {
                census.ejected += 1;
            }
        }
        census
    }

    /// Whether so few endpoints are usable that all are used.
    pub fn is_panicking(&self, now: Instant) -> bool {
        let state = &mut *self.state.borrow_mut();
        state.look(now);
        state.selection.panicking
    }
}

// === impl State ===

impl<E: AsRef<Member>> State<E> {
    fn replace(
        &mut self,
        endpoints: &Arc<[Endpoint]>,
        now: Instant,
        mut make: impl FnMut(&Endpoint) -> E,
    ) {
        let known = self.members.iter().chain(&self.departed);
        let known: FxHashMap<u64, &Rc<E>> = known
            .map(|member| ((**member).as_ref().id(), member))
            .collect();
        let kept = |endpoint: &Endpoint| {
            let member = *known.get(&endpoint_id(endpoint))?;
            let is_same = (**member).as_ref().is_at(endpoint);
            is_same.then(|| Rc::clone(member))
        };
        let began = self.begun;
        let members = endpoints.iter().map(|endpoint| {
            kept(endpoint).unwrap_or_else(|| {
                let made = make(endpoint);
                // Those that are there from the beginning need no slow start: all have the same share of nothing.
                made.as_ref().since.set(began.then_some(now));
                Rc::new(made)
            })
        });
        let members: Rc<[Rc<E>]> = members.collect();
        let here: FxHashSet<u64> = members.iter().map(|one| (**one).as_ref().id()).collect();
        let before = std::mem::replace(&mut self.members, members);
        self.departed.retain(|member| Rc::strong_count(member) > 1);
        self.departed.extend(before.iter().cloned());
        self.departed
            .retain(|member| !here.contains(&(**member).as_ref().id()));
        self.endpoints = Arc::clone(endpoints);
        self.begun |= !endpoints.is_empty();
        self.health.forget();
    }

    fn configure(&mut self, balancing: &Arc<Balancing>) {
        self.balancing = Arc::clone(balancing);
        let entries: Vec<Entry> = match balancing.policy {
            LoadBalancing::RingHash | LoadBalancing::Maglev => {
                let entries = self.endpoints.iter().map(|endpoint| Entry {
                    id: endpoint_id(endpoint),
                    weight: full_weight(endpoint),
                });
                entries.collect()
            }
            _ => Vec::new(),
        };
        self.table = Table::new(balancing.policy, &entries);
        self.selection.outdate();
        if balancing.health_check.is_none() {
            self.health.forget();
            for member in self.members.iter() {
                (**member).as_ref().unhealthy.set(false);
            }
        }
    }

    fn look(&mut self, now: Instant) {
        if self.balancing.health_check.is_some()
            && let Some(unhealthy) = self.health.news()
        {
            self.judge(&unhealthy, now);
        }
        if self.selection.is_outdated(now) {
            self.selection.refresh(&Look {
                members: &self.members,
                endpoints: &self.endpoints,
                balancing: &self.balancing,
                zone: self.zone.as_deref(),
                now,
            });
        }
    }

    /// Takes what checks say. An endpoint that was unhealthy starts slowly, if the backend wants that.
    fn judge(&mut self, unhealthy: &FxHashSet<u64>, now: Instant) {
        for member in self.members.iter().map(|member| (**member).as_ref()) {
            let after = unhealthy.contains(&member.id());
            let before = member.unhealthy.replace(after);
            if before && !after {
                member.since.set(Some(now));
            }
        }
        self.selection.outdate();
    }

    fn ejected(&self, now: Instant) -> usize {
        let ejected = self.members.iter().filter(|member| {
            let member: &Member = (***member).as_ref();
            member.ejected_until(now).is_some()
        });
        ejected.count()
    }

    fn choose(&mut self, pick: Pick, skip: impl Fn(&E) -> bool) -> Option<u32> {
        let members = &*self.members;
        let skip = |at: u32| members.get(at as usize).is_none_or(|member| skip(member));
        let mut bits = Bits::new(pick.random);
        let policy = self.balancing.policy;
        let from = |candidates: &mut Candidates, bits: &mut Bits| match policy {
            LoadBalancing::RoundRobin => candidates.in_turn(members, skip),
            LoadBalancing::LeastRequest => {
                candidates.better(bits, members, skip, |one, other| other.is_busier_than(one))
            }
            LoadBalancing::Ewma => candidates.better(bits, members, skip, |one, other| {
                one.cost(pick.now) < other.cost(pick.now)
            }),
            _ => candidates.any(bits, skip),
        };
        match policy {
            _ if policy.is_by_key() => self.by_key(pick.key, skip),
            _ => {
                let [first, then] = self.selection.order(&mut bits);
                from(first, &mut bits).or_else(|| from(then, &mut bits))
            }
        }
    }

    fn by_key(&self, key: u64, skip: impl Fn(u32) -> bool) -> Option<u32> {
        let may = |at: u32| {
            let member = self.members.get(at as usize);
            member.is_some_and(|member| (**member).as_ref().usable.get()) && !skip(at)
        };
        self.table.find(key, may).or_else(|| {
            let weight_of = |at: u32| self.endpoints.get(at as usize).map_or(1, full_weight);
            let first = weight_of(0);
            let equal = self.endpoints.iter().all(|one| full_weight(one) == first);
            let weights = if equal {
                Weights::Equal
            } else {
                Weights::Of(&weight_of)
            };
            rendezvous(&self.members, key, weights, may)
        })
    }

    fn eject(
        &mut self,
        member: &Member,
        outlier: &novaedge_router::OutlierDetection,
        now: Instant,
    ) -> Option<Duration> {
        let room = outlier::has_room(self.ejected(now), self.members.len(), outlier);
        if !room || member.ejected_until(now).is_some() {
            return None;
        }
        let until = member.record.eject(outlier, now);
        self.selection.outdate();
        Some(until - now)
    }
}
