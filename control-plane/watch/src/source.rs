//! The source: one task with all watches, requests and caches.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{AbortHandle, BoxStream, FuturesUnordered, SelectAll, abortable};
use futures_util::{FutureExt as _, StreamExt as _};
use kube::Client;
use kube::core::ApiResource;
use novaedge_api::meta::{Kind, ObjectId};
use novaedge_api::native;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::batch::{Batch, Health};
use crate::failure::Failure;
use crate::metrics::Metrics;
use crate::raw::{Raw, RawMeta};
use crate::request;
use crate::schedule::Schedule;
use crate::served::{NARROW, Served, definitions, narrow};
use crate::state::{Again, Answered, State, Step};
use crate::watch::{Event, watch};

/// Requests for Secrets and ConfigMaps at a time.
const MAX_REQUESTS: usize = 16;
/// Events that are taken in before it is looked at whether they can be sent.
const MAX_EVENTS: usize = 1_000;
/// How long the first batch waits for definitions to be served that are there: an API server that has just started
/// does not serve them yet.
const PATIENCE: Duration = Duration::from_secs(10);
/// What failures of discovery are told of.
const DISCOVERY: &str = "discovery";
/// The longest wait before something is asked for again that was refused.
const RARELY: Duration = Duration::from_mins(1);
/// Label of an EndpointSlice that names who writes it.
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";

/// What the source is told about its surroundings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// EndpointSlices whose label `endpointslice.kubernetes.io/managed-by` has this value are left out: the system
    /// writes them itself.
    pub slice_manager: String,
    /// Which ProxyGateways, ProxyRoutes and ProxyBackends are read.
    pub natives: Natives,
}

/// Which native objects are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Natives {
    /// All of them.
    #[default]
    All,
    /// Those that were not made from Gateway API objects: they lack the label [`native::OWNER`].
    HandWritten,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            slice_manager: "novaedge".to_owned(),
            natives: Natives::default(),
        }
    }
}

/// The objects of a cluster.
pub struct ClusterSource {
    client: Client,
    settings: Settings,
    health: watch::Sender<Health>,
    metrics: Arc<Metrics>,
}

impl ClusterSource {
    /// A source over the cluster that `client` speaks to.
    pub fn new(client: Client, settings: Settings) -> Self {
        Self {
            client,
            settings,
            health: watch::Sender::default(),
            metrics: Arc::default(),
        }
    }

    /// What the watches count.
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    /// How the watches are, now and from now on.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    /// Sends everything there is in the first batch, even when that is nothing, then changes. Returns soon after
    /// `shutdown`, or when nobody listens. No fault of the cluster ends it: watches that fail are tried again, and what
    /// was read before stays.
    pub async fn run(self, batches: mpsc::Sender<Batch>, shutdown: CancellationToken) {
        let now = Instant::now();
        let mut running = Running {
            client: self.client,
            settings: self.settings,
            health: self.health,
            state: State::default(),
            watches: SelectAll::new(),
            stops: BTreeMap::new(),
            jobs: FuturesUnordered::new(),
            requests: 0,
            schedule: Schedule::new(now),
            retries: BTreeMap::new(),
            failing: BTreeMap::new(),
            complete_by: None,
            in_sync: false,
            metrics: self.metrics,
            waiting_since: None,
        };
        running.begin();
        running.run(batches, shutdown).await;
    }
}

/// Something that a watch tells.
enum Told {
    Object(Kind, Event<Raw>),
    Metadata(Kind, Event<RawMeta>),
    Definition(Event<RawMeta>),
}

/// Something that was waited for.
enum Done {
    Discovered(Result<Served, Failure>),
    Answered(ObjectId, Answered),
    Retry(ObjectId),
}

struct Running {
    client: Client,
    settings: Settings,
    health: watch::Sender<Health>,
    state: State,
    watches: SelectAll<BoxStream<'static, Told>>,
    stops: BTreeMap<Kind, AbortHandle>,
    jobs: FuturesUnordered<BoxFuture<'static, Done>>,
    /// Requests under way.
    requests: usize,
    schedule: Schedule,
    /// Objects whose requests failed, until one succeeds.
    retries: BTreeMap<ObjectId, Backoff>,
    failing: BTreeMap<String, Failure>,
    /// When the first batch no longer waits for definitions to be served.
    complete_by: Option<Instant>,
    /// Whether the first batch may be sent.
    in_sync: bool,
    metrics: Arc<Metrics>,
    /// Since when there is a batch to send.
    waiting_since: Option<Instant>,
}

impl Running {
    /// Begins the watches that every cluster allows for.
    fn begin(&mut self) {
        for kind in NARROW {
            let events = watch::<RawMeta>(self.client.clone(), &narrow(kind), None);
            let told = events.map(move |event| Told::Metadata(kind, event));
            self.watches.push(told.boxed());
        }
        let events = watch::<RawMeta>(self.client.clone(), &definitions(), None);
        self.watches.push(events.map(Told::Definition).boxed());
    }

    async fn run(mut self, batches: mpsc::Sender<Batch>, shutdown: CancellationToken) {
        loop {
            let wake = self.settle(Instant::now());
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                permit = batches.reserve(), if self.in_sync && self.state.has_batch() => {
                    let Ok(permit) = permit else { return };
                    permit.send(self.state.take_batch());
                    if let Some(since) = self.waiting_since.take() {
                        self.metrics.lag.observe(since.elapsed());
                    }
                    self.health.send_if_modified(|health| !std::mem::replace(&mut health.in_sync, true));
                }
                () = batches.closed() => return,
                Some(told) = self.watches.next() => self.hear(told, Instant::now()),
                Some(done) = self.jobs.next(), if !self.jobs.is_empty() => self.finish(done, Instant::now()),
                () = sleep_until(wake) => {}
            }
            self.hear_more();
            if self.state.has_batch() {
                self.waiting_since.get_or_insert_with(Instant::now);
            } else {
                self.waiting_since = None;
            }
        }
    }

    /// Takes in what else has come already, so that it is sent together.
    fn hear_more(&mut self) {
        for _ in 0..MAX_EVENTS {
            if let Some(Some(told)) = self.watches.next().now_or_never() {
                self.hear(told, Instant::now());
            } else if let Some(Some(done)) = self.jobs.next().now_or_never() {
                self.finish(done, Instant::now());
            } else {
                return;
            }
            self.ask();
        }
    }

    /// Does what is due; returns when to look again.
    fn settle(&mut self, now: Instant) -> Instant {
        if self.schedule.due().is_some_and(|due| due <= now) {
            self.schedule.begin();
            let discovery = request::discover(self.client.clone());
            self.jobs.push(discovery.map(Done::Discovered).boxed());
        }
        self.ask();
        let late = self.state.release_late(now);
        if !self.in_sync {
            self.wait_for_sync(now);
        }
        let times = [late, self.schedule.due(), self.complete_by];
        let next = times.into_iter().flatten().filter(|time| *time > now).min();
        next.unwrap_or(now + PATIENCE)
    }
}

// === impl Running: what comes in ===

impl Running {
    fn hear(&mut self, told: Told, now: Instant) {
        match told {
            Told::Object(kind, event) => {
                self.note(kind.as_str(), &event, now);
                self.state.object(kind, event, now);
            }
            Told::Metadata(kind, event) => {
                self.note(kind.as_str(), &event, now);
                self.state.metadata(kind, event);
            }
            Told::Definition(event) => {
                self.note(&definitions().kind, &event, now);
                if self.state.definition(&event) {
                    self.schedule.changed(now);
                }
            }
        }
    }

    /// Keeps account of which watches fail.
    fn note<K>(&mut self, name: &str, event: &Event<K>, now: Instant) {
        self.metrics.note(name, event);
        match event {
            Event::Restarted => {}
            Event::Failed(failure) => {
                // The kind may not be served any more.
                if failure.is_not_found() {
                    self.schedule.changed(now);
                }
                self.fails(name, failure);
            }
            Event::Complete
            | Event::Following
            | Event::Listed(_)
            | Event::Applied(_)
            | Event::Deleted(_) => {
                self.works(name);
            }
        }
    }

    fn fails(&mut self, name: &str, failure: &Failure) {
        let before = self.failing.insert(name.to_owned(), failure.clone());
        if before.as_ref() == Some(failure) {
            return;
        }
        tracing::warn!(
            watch = name,
            reason = failure.message,
            "cannot be read; what was read before stays"
        );
        let was_forbidden = before.is_some_and(|before| before.is_forbidden());
        if failure.is_forbidden() || was_forbidden {
            let forbidden = Some(failure).filter(|failure| failure.is_forbidden());
            self.state.watch_is(name, forbidden);
        }
        self.health.send_modify(|health| {
            health
                .failing
                .insert(name.to_owned(), failure.message.clone());
        });
    }

    fn works(&mut self, name: &str) {
        let Some(failure) = self.failing.remove(name) else {
            return;
        };
        tracing::info!(watch = name, "can be read again");
        if failure.is_forbidden() {
            self.state.watch_is(name, None);
        }
        self.health.send_modify(|health| {
            health.failing.remove(name);
        });
    }

    fn finish(&mut self, done: Done, now: Instant) {
        match done {
            Done::Discovered(Ok(served)) => {
                for step in self.state.discovered(served, now) {
                    self.step(step);
                }
                self.schedule.succeeded(now, self.state.knows_definitions());
                self.works(DISCOVERY);
            }
            Done::Discovered(Err(failure)) => {
                self.schedule.failed(now);
                self.fails(DISCOVERY, &failure);
            }
            Done::Answered(id, answer) => {
                self.requests -= 1;
                let again = self.state.answer(&id, answer);
                if again == Again::No {
                    self.retries.remove(&id);
                    return;
                }
                let backoff = self.retries.entry(id.clone()).or_default();
                match again {
                    Again::Rarely => backoff.fail_up_to(RARELY),
                    Again::Soon | Again::No => backoff.fail(),
                }
                let wait = backoff.take().unwrap_or(PATIENCE);
                let retry = tokio::time::sleep(wait).map(|()| Done::Retry(id));
                self.jobs.push(retry.boxed());
            }
            Done::Retry(id) => {
                if !self.state.retry(&id) {
                    self.retries.remove(&id);
                }
            }
        }
    }

    fn step(&mut self, step: Step) {
        let (Step::Watch(kind, _) | Step::Leave(kind)) = &step;
        if let Some(stop) = self.stops.remove(kind) {
            stop.abort();
        }
        match step {
            Step::Watch(kind, resource) => {
                tracing::info!(%kind, version = resource.api_version, "watched");
                self.watch_kind(kind, &resource);
            }
            Step::Leave(kind) => {
                tracing::info!(%kind, "no longer served");
                self.works(kind.as_str());
            }
        }
    }

    fn watch_kind(&mut self, kind: Kind, resource: &ApiResource) {
        let selector = match kind {
            kind if kind.group() == native::GROUP => match self.settings.natives {
                Natives::All => None,
                Natives::HandWritten => Some(format!("!{}", native::OWNER)),
            },
            Kind::EndpointSlice => Some(format!("{MANAGED_BY}!={}", self.settings.slice_manager)),
            _ => None,
        };
        let events = watch::<Raw>(self.client.clone(), resource, selector);
        let (told, stop) = abortable(events.map(move |event| Told::Object(kind, event)));
        self.stops.insert(kind, stop);
        self.watches.push(told.boxed());
    }

    /// Asks for Secrets and ConfigMaps.
    fn ask(&mut self) {
        while self.requests < MAX_REQUESTS {
            let Some(id) = self.state.next_request() else {
                return;
            };
            self.requests += 1;
            let client = self.client.clone();
            let request = async move {
                let answer = request::get(client, &id).await;
                Done::Answered(id, answer)
            };
            self.jobs.push(request.boxed());
        }
    }

    fn wait_for_sync(&mut self, now: Instant) {
        let mut waiting = self.state.waiting();
        let unserved = self.state.unserved();
        if waiting.is_empty() && !unserved.is_empty() {
            let complete_by = *self.complete_by.get_or_insert(now + PATIENCE);
            if now < complete_by {
                waiting.extend(unserved);
            } else {
                tracing::warn!(
                    ?unserved,
                    "defined, but not served in a version that can be read"
                );
            }
        }
        if waiting.is_empty() {
            self.in_sync = true;
            self.complete_by = None;
        }
        self.health.send_if_modified(|health| {
            let changed = health.waiting != waiting;
            health.waiting = waiting;
            changed
        });
    }
}
