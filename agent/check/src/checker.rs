//! Who is asked, and when: one task for each endpoint of each backend that wants checks.

use std::cell::Cell;
use std::hash::{BuildHasher as _, RandomState};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use novaedge_balance::hash::endpoint_id;
use novaedge_balance::health::Record;
use novaedge_balance::{Check, Thresholds, Unhealthy, Verdicts};
use novaedge_proxy::{Live, Resolve};
use novaedge_router::{Backend, Endpoint, HealthCheck};
use rustc_hash::FxHashMap;
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::task::AbortOnDropHandle;

use crate::counters::Counters;
use crate::probe::{Failure, Question};

/// Questions under way at a time; more wait for their turn.
const CONCURRENT: usize = 64;

/// The longest wait before an endpoint is asked for the first time.
const FIRST: Duration = Duration::from_secs(1);

/// What [`run`] works with.
pub struct Checks {
    /// The backends, as they are served.
    pub live: Live,
    /// For names of endpoints.
    pub resolver: Rc<dyn Resolve>,
    /// Where the results go.
    pub verdicts: Verdicts,
    /// What is counted.
    pub counters: Arc<Counters>,
}

/// Checks endpoints until `swapped`, which tells that other tables are live, has no sender any more. Call it in a
/// runtime with local tasks.
pub async fn run<T>(checks: Checks, mut swapped: watch::Receiver<T>) {
    let mut checker = Checker {
        shared: Rc::new(Shared {
            checks,
            places: Semaphore::new(CONCURRENT),
            news: Notify::new(),
            random: Random::default(),
        }),
        watched: FxHashMap::default(),
    };
    checker.reconcile();
    loop {
        checker.publish();
        tokio::select! {
            changed = swapped.changed() => match changed {
                Ok(()) => checker.reconcile(),
                Err(_) => return,
            },
            () = checker.shared.news.notified() => {}
        }
    }
}

struct Checker {
    shared: Rc<Shared>,
    watched: FxHashMap<Arc<str>, Watched>,
}

/// What the tasks share.
struct Shared {
    checks: Checks,
    places: Semaphore,
    /// The health of an endpoint has changed.
    news: Notify,
    random: Random,
}

/// A backend whose endpoints are asked.
struct Watched {
    check: HealthCheck,
    endpoints: FxHashMap<u64, Asked>,
}

struct Asked {
    record: Rc<Record>,
    /// Ends when this goes.
    _task: AbortOnDropHandle<()>,
}

// === impl Checker ===

impl Checker {
    /// Asks exactly the endpoints that the tables have now. What is known of an endpoint is kept.
    fn reconcile(&mut self) {
        let runtime = self.shared.checks.live.load_full();
        let mut before = std::mem::take(&mut self.watched);
        for backend in runtime.tables.backends.values() {
            let Some(check) = &backend.balancing.health_check else {
                continue;
            };
            if backend.invalid.is_none() {
                let old = before.remove(&backend.name);
                let watched = self.watch(backend, check, old);
                self.watched.insert(Arc::clone(&backend.name), watched);
            }
        }
    }

    fn watch(&self, backend: &Backend, check: &HealthCheck, old: Option<Watched>) -> Watched {
        let same = old.as_ref().is_some_and(|old| old.check == *check);
        let mut old = old.map(|old| old.endpoints).unwrap_or_default();
        let mut endpoints = FxHashMap::default();
        for endpoint in &*backend.endpoints {
            let id = endpoint_id(endpoint);
            let known = old.remove(&id);
            let asked = match known {
                Some(known) if same => known,
                known => self.ask(backend, endpoint, check, known),
            };
            endpoints.insert(id, asked);
        }
        Watched {
            check: check.clone(),
            endpoints,
        }
    }

    fn ask(
        &self,
        backend: &Backend,
        endpoint: &Endpoint,
        check: &HealthCheck,
        known: Option<Asked>,
    ) -> Asked {
        let record = known.map(|known| known.record).unwrap_or_default();
        let asker = Asker {
            shared: Rc::clone(&self.shared),
            backend: Arc::clone(&backend.name),
            endpoint: endpoint.clone(),
            check: check.clone(),
            record: Rc::clone(&record),
        };
        Asked {
            record,
            _task: AbortOnDropHandle::new(tokio::task::spawn_local(asker.run())),
        }
    }

    fn publish(&self) {
        let mut unhealthy = Unhealthy::default();
        let (mut all, mut out) = (0, 0);
        for (name, watched) in &self.watched {
            all += watched.endpoints.len();
            let endpoints = watched.endpoints.iter();
            let bad = endpoints.filter(|(_, asked)| asked.record.is_unhealthy());
            let bad: rustc_hash::FxHashSet<u64> = bad.map(|(id, _)| *id).collect();
            if !bad.is_empty() {
                out += bad.len();
                unhealthy.insert(Arc::clone(name), bad);
            }
        }
        self.shared.checks.counters.state(all, out);
        self.shared.checks.verdicts.publish(unhealthy);
    }
}

/// Asks one endpoint again and again.
struct Asker {
    shared: Rc<Shared>,
    backend: Arc<str>,
    endpoint: Endpoint,
    check: HealthCheck,
    record: Rc<Record>,
}

/// What a question came to.
enum Heard {
    Answer(Result<(), Failure>),
    /// Nobody has such an endpoint any more.
    Gone,
}

// === impl Asker ===

impl Asker {
    async fn run(self) {
        // Endpoints that come together are not asked together.
        let first = self.check.interval.min(FIRST);
        tokio::time::sleep(first.mul_f64(self.shared.random.fraction())).await;
        loop {
            match self.ask().await {
                Heard::Answer(answer) => self.judge(answer),
                Heard::Gone => return,
            }
            // Agents that began together go different ways.
            let jitter = 0.9 + 0.2 * self.shared.random.fraction();
            tokio::time::sleep(self.check.interval.mul_f64(jitter)).await;
        }
    }

    async fn ask(&self) -> Heard {
        let Ok(_place) = self.shared.places.acquire().await else {
            return Heard::Gone;
        };
        let runtime = self.shared.checks.live.load_full();
        let Some(backend) = runtime.tables.backends.get(&self.backend) else {
            return Heard::Gone;
        };
        let question = Question {
            backend,
            endpoint: &self.endpoint,
            check: &self.check,
            tls: runtime.tls.backend_of_any(&self.backend),
            resolver: &*self.shared.checks.resolver,
        };
        Heard::Answer(question.ask().await)
    }

    fn judge(&self, answer: Result<(), Failure>) {
        let thresholds = Thresholds {
            healthy: self.check.healthy_threshold,
            unhealthy: self.check.unhealthy_threshold,
        };
        self.shared.checks.counters.count(answer.is_ok());
        let check = match answer {
            Ok(()) => Check::Passed,
            Err(_) => Check::Failed,
        };
        if !self.record.take(check, thresholds) {
            return;
        }
        self.shared.news.notify_one();
        let (backend, port) = (&*self.backend, self.endpoint.port);
        let address = &self.endpoint.address;
        match answer {
            Ok(()) => tracing::info!(backend, %address, port, "endpoint is well again"),
            Err(error) => tracing::warn!(
                backend,
                %address,
                port,
                error = &error as &dyn std::error::Error,
                "endpoint is not well and is left out"
            ),
        }
    }
}

// === impl Random ===

/// Different numbers in each process.
#[derive(Default)]
struct Random {
    keys: RandomState,
    drawn: Cell<u64>,
}

impl Random {
    /// From 0 to 1.
    fn fraction(&self) -> f64 {
        self.drawn.set(self.drawn.get().wrapping_add(1));
        let bits = u32::try_from(self.keys.hash_one(self.drawn.get()) >> 32).unwrap_or(0);
        f64::from(bits) / f64::from(u32::MAX)
    }
}
