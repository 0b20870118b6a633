//! One core's part of the data path.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use http::HeaderValue;
use novaedge_http1::{HeadLimits, date::date};
use novaedge_meter::ByName;
use novaedge_router::{Backend, Limits, Tables};
use novaedge_splice::Pipes;
use novaedge_turns::Turns;
use rustc_hash::FxHashMap;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::downstream::Connections;
use crate::ending::Series;
use crate::error::ForwardError;
use crate::headers::Via;
use crate::judge::Found;
use crate::metrics::Metrics;
use crate::random::Random;
use crate::resolve::{DnsCache, Resolve};
use crate::tls::{BackendClient, TlsConfigs};
use crate::trail::Observers;
use crate::upstream::{BackendState, Connector, PoolSettings};

/// What all workers serve from: swapped as one pointer.
#[derive(Debug)]
pub struct Runtime {
    /// The routing tables.
    pub tables: Arc<Tables>,
    /// TLS on both sides, made for these tables.
    pub tls: Arc<TlsConfigs>,
}

/// The pointer that a new snapshot swaps.
pub type Live = Arc<ArcSwap<Runtime>>;

/// How many sweeps of pools fit between two looks at client connections is fixed: pools need less precision.
const TICKS_PER_SWEEP: u32 = 5;

/// How long lines of the access log wait for others.
const FLUSH: Duration = Duration::from_millis(200);

/// Serves connections on one core. Everything in it belongs to that core: no locks, nothing shared
/// but the [`Live`] pointer and the counters.
pub struct Worker {
    pub(crate) config: Arc<Config>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) connector: Rc<Connector>,
    pub(crate) random: Random,
    pub(crate) via: Via,
    pub(crate) connections: Connections,
    pub(crate) pipes: Rc<Pipes>,
    /// Turns of client connections that keep the worker busy.
    pub(crate) turns: Turns,
    pub(crate) mirrors_in_flight: Cell<usize>,
    pub(crate) quic_handshakes: Cell<usize>,
    /// The second that was written last, and how.
    date: RefCell<(u64, HeaderValue)>,
    /// Owns every task of this worker.
    pub(crate) tasks: TaskTracker,
    live: RefCell<arc_swap::Cache<Live, Arc<Runtime>>>,
    current: RefCell<Rc<Current>>,
    backends: RefCell<FxHashMap<Arc<str>, Rc<BackendState>>>,
    /// Counters of rules, which outlive the tables.
    series: ByName<Series, 2>,
    /// The counters of requests before it is known whose they are.
    nobody: OnceCell<Rc<Series>>,
    /// Who wants to know of exchanges; empty: nobody.
    pub(crate) observers: OnceCell<Rc<Observers>>,
    stop: CancellationToken,
}

/// The runtime that requests of this core use now. Cloning it touches no memory of other cores.
pub(crate) struct Current {
    pub runtime: Arc<Runtime>,
}

impl Worker {
    /// A worker, with a housekeeping task on the current `LocalSet`. Call [`Worker::shut_down`] at the end.
    #[must_use]
    pub fn new(
        config: Arc<Config>,
        live: Live,
        metrics: Arc<Metrics>,
        resolver: Rc<dyn Resolve>,
        seed: u64,
    ) -> Rc<Self> {
        let upstream = &config.upstream;
        let tasks = TaskTracker::new();
        let connector = Rc::new(Connector {
            dns: DnsCache::new(
                resolver,
                upstream.dns_ttl,
                upstream.dns_names,
                Arc::clone(&metrics),
            ),
            metrics: Arc::clone(&metrics),
            tasks: tasks.clone(),
            own: config.site.own.clone(),
            head_limits: HeadLimits {
                bytes: upstream.max_head_bytes,
                fields: upstream.max_headers,
            },
        });
        let runtime = live.load_full();
        let worker = Rc::new(Self {
            via: Via::new(config.via),
            metrics,
            connector,
            random: Random::new(seed),
            connections: Connections::default(),
            pipes: Rc::new(Pipes::new(config.pipe, config.pipes)),
            turns: Turns::new(),
            mirrors_in_flight: Cell::new(0),
            quic_handshakes: Cell::new(0),
            date: RefCell::new((0, date(0))),
            tasks,
            live: RefCell::new(arc_swap::Cache::new(live)),
            current: RefCell::new(Rc::new(Current::new(runtime))),
            backends: RefCell::default(),
            series: ByName::default(),
            nobody: OnceCell::new(),
            observers: OnceCell::new(),
            stop: CancellationToken::new(),
            config,
        });
        worker
            .tasks
            .spawn_local(Self::keep_house(Rc::clone(&worker)));
        worker
    }

    /// Tells these of the exchanges from now on. Only the first call counts.
    pub fn observe(&self, observers: Observers) {
        if let Some(log) = observers.log.clone() {
            let stop = self.stop.clone();
            self.tasks.spawn_local(async move {
                while !stop.is_cancelled() {
                    // What is left then goes with the sink.
                    let _ = tokio::time::timeout(FLUSH, stop.cancelled()).await;
                    log.flush();
                }
            });
        }
        let _ = self.observers.set(Rc::new(observers));
    }

    /// Stops housekeeping and waits for the worker's tasks until `deadline`. Client connections are
    /// ended by their [`crate::Drain`] before. Returns whether nothing was left running.
    pub async fn shut_down(&self, deadline: Instant) -> bool {
        self.stop.cancel();
        self.backends.borrow_mut().clear();
        self.tasks.close();
        tokio::time::timeout_at(deadline, self.tasks.wait())
            .await
            .is_ok()
    }

    /// Client connections open now.
    pub fn open_connections(&self) -> usize {
        self.connections.len()
    }

    /// Pipes open now, for long bodies.
    pub fn open_pipes(&self) -> usize {
        self.pipes.open()
    }

    /// The value of `Date` now. It is made anew once a second.
    pub(crate) fn date(&self) -> HeaderValue {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = since.map_or(0, |since| since.as_secs());
        let mut last = self.date.borrow_mut();
        if last.0 != now {
            *last = (now, date(now));
        }
        last.1.clone()
    }

    /// What requests use from now on: one relaxed look at the pointer.
    pub(crate) fn current(&self) -> Rc<Current> {
        let mut live = self.live.borrow_mut();
        let runtime = live.load();
        let current = self.current.borrow();
        if Arc::ptr_eq(&current.runtime, runtime) {
            return Rc::clone(&current);
        }
        drop(current);
        let fresh = Rc::new(Current::new(Arc::clone(runtime)));
        self.current.replace(Rc::clone(&fresh));
        fresh
    }

    /// The live state of a backend on this core.
    pub(crate) fn backend(&self, backend: &Backend) -> Rc<BackendState> {
        if let Some(state) = self.backends.borrow().get(&backend.name) {
            return Rc::clone(state);
        }
        // Cores start at different endpoints, so that they do not all use the first one first.
        let start = self.random.below(backend.endpoints.len());
        let name = Arc::clone(&backend.name);
        let metrics = self.metrics.backend(&name);
        let state = BackendState::new(name, start, &self.config.site, metrics);
        let state = Rc::new(state);
        self.backends
            .borrow_mut()
            .insert(Arc::clone(&backend.name), Rc::clone(&state));
        state
    }

    /// The counters of a request that nobody has taken yet.
    pub(crate) fn nobody(&self) -> Rc<Series> {
        let series = || self.series(&Found::default());
        Rc::clone(self.nobody.get_or_init(series))
    }

    /// The counters of what was found.
    pub(crate) fn series(&self, found: &Found<'_>) -> Rc<Series> {
        let names = [
            found.listener.map(|listener| &listener.info.name),
            found.rule.map(|rule| &rule.id.resource),
        ];
        self.series.get(names, || Series::new(self, *found))
    }

    /// What this worker may give a backend.
    pub(crate) fn limits(&self, backend: &Backend) -> Limits {
        backend.limits.share(self.config.workers)
    }

    /// Limits of a pool, which is one endpoint's. The limit of an endpoint is shared by the workers.
    pub(crate) fn pool_settings(&self, backend: &Backend) -> PoolSettings {
        let upstream = &self.config.upstream;
        let share = |limit: u32| limit.div_ceil(self.config.workers.max(1)).max(1) as usize;
        PoolSettings {
            connect_timeout: backend.connect_timeout.unwrap_or(upstream.connect_timeout),
            idle_timeout: backend.idle_timeout.unwrap_or(upstream.idle_timeout),
            max_connections: backend.max_connections.map_or(usize::MAX, share),
            max_idle: upstream.max_idle,
            max_waiting: upstream.max_waiting,
            limits: self.limits(backend),
            http2_streams: upstream.http2_streams,
        }
    }

    async fn keep_house(self: Rc<Self>) {
        let mut ticks = tokio::time::interval(self.config.downstream.tick);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut until_sweep = TICKS_PER_SWEEP;
        loop {
            tokio::select! {
                () = self.stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
            let pressure = self.config.pressure.level();
            self.connections
                .check(&self.config.downstream, pressure, &self.metrics);
            until_sweep -= 1;
            if until_sweep == 0 {
                until_sweep = TICKS_PER_SWEEP;
                self.sweep_backends();
            }
            self.metrics.pipes.set(self.pipes.open() as u64);
            self.metrics.turns_waiting.set(self.turns.waiting() as u64);
            let handshakes = self.quic_handshakes.get() as u64;
            self.metrics.quic_handshakes_waiting.set(handshakes);
        }
    }

    fn sweep_backends(&self) {
        let now = Instant::now();
        let current = self.current();
        let tables = &current.runtime.tables;
        let mut gone = Vec::new();
        self.backends.borrow_mut().retain(|name, state| {
            let kept = tables.backends.get(name).is_some();
            if !kept {
                gone.push(Rc::clone(state));
            }
            kept
        });
        drop(gone);
        let states: Vec<(Arc<str>, Rc<BackendState>)> = self
            .backends
            .borrow()
            .iter()
            .map(|(name, state)| (Arc::clone(name), Rc::clone(state)))
            .collect();
        for (name, state) in states {
            let ejected = state.sweep(now);
            if let Some(backend) = tables.backends.get(&name) {
                state.measure(backend, now);
            }
            if ejected > 0 {
                self.metrics.upstream_ejections.add(ejected.into());
                tracing::info!(
                    backend = %name,
                    endpoints = ejected,
                    "endpoints fail far more often than the others and are left out for a while"
                );
            }
        }
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("connections", &self.connections.len())
            .finish_non_exhaustive()
    }
}

impl Current {
    fn new(runtime: Arc<Runtime>) -> Self {
        Self { runtime }
    }

    /// The TLS client of a backend, if the backend wants TLS.
    pub(crate) fn backend_client(
        &self,
        backend: &Backend,
        certificate: Option<&Arc<str>>,
    ) -> Result<Option<Arc<BackendClient>>, ForwardError> {
        if backend.tls.is_none() {
            return Ok(None);
        }
        let client = self
            .runtime
            .tls
            .backend(&backend.name, certificate.map(|name| &**name));
        client.map(Some).ok_or(ForwardError::TlsConfiguration)
    }
}
