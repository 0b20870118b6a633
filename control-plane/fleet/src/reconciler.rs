//! Watches what there is, plans what is to be, and as leader writes the difference.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, FuturesUnordered, SelectAll};
use futures_util::{FutureExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use novaedge_api::meta::{ObjectKey, is_namespace_ending};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cache::{Cache, News};
use crate::change::{Write, writes};
use crate::gateway::Gateways;
use crate::name::{GATEWAY_NAME, MANAGED_BY, MANAGER, SLICE_MANAGED_BY};
use crate::patience::Patience;
use crate::plan::plan;
use crate::service::gateway_of;
use crate::settings::Settings;
use crate::state::{Agents, FleetState, Problem};
use crate::writing::{Written, write};

/// Writes under way at a time.
const MAX_IN_FLIGHT: usize = 16;
/// How long a write may take.
const WRITE_DEADLINE: Duration = Duration::from_secs(15);
/// Pause after the first failure of a write; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// How often one object is tried in a namespace that ends and takes nothing new.
const ENDING_PAUSE: Duration = Duration::from_secs(5);

/// Where the reconciler hears what it cannot see in the cluster.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// The Gateways that want Services. Nothing is done before the first value is told.
    pub gateways: watch::Receiver<Gateways>,
    /// What the connected agents of all replicas say.
    pub agents: watch::Receiver<Agents>,
    /// Whether this replica leads.
    pub leads: watch::Receiver<bool>,
}

/// Kind, namespace and name of an object.
type Target = (&'static str, ObjectKey);

/// Keeps the Services and EndpointSlices of the fleet.
pub struct Reconciler {
    client: Client,
    settings: Settings,
    inputs: Inputs,
    state: watch::Sender<FleetState>,
    cache: Cache,
    in_flight: FuturesUnordered<BoxFuture<'static, (Write, Result<Written, Failure>)>>,
    targets: BTreeMap<Target, Attempt>,
    /// Namespaces that take nothing new, and when one object is tried in each.
    ending: BTreeMap<String, Instant>,
    loaded: bool,
    jitter: RandomState,
}

/// Why a write failed.
#[derive(Debug)]
struct Failure {
    message: String,
    /// Whether the namespace takes nothing new.
    ending: bool,
}

impl Failure {
    fn of(error: &kube::Error) -> Self {
        Self {
            message: error.to_string(),
            ending: matches!(error, kube::Error::Api(status) if is_namespace_ending(status)),
        }
    }

    fn late() -> Self {
        Self {
            message: "the API server did not answer in time".to_owned(),
            ending: false,
        }
    }
}

/// How a write of one object goes.
#[derive(Debug, Default)]
struct Attempt {
    under_way: bool,
    failures: u32,
    /// Not to be tried before.
    after: Option<Instant>,
    /// What failed, and the Gateway that it was for.
    problem: Option<(ObjectKey, String)>,
}

impl Reconciler {
    /// A reconciler, and where the state of the fleet can be watched.
    pub fn new(
        client: Client,
        settings: Settings,
        inputs: Inputs,
    ) -> (Self, watch::Receiver<FleetState>) {
        let (state, watched) = watch::channel(FleetState::default());
        let reconciler = Self {
            cache: Cache::new(&settings),
            client,
            settings,
            inputs,
            state,
            in_flight: FuturesUnordered::new(),
            targets: BTreeMap::new(),
            ending: BTreeMap::new(),
            loaded: false,
            jitter: RandomState::new(),
        };
        (reconciler, watched)
    }

    /// Runs until `drain` is cancelled or an input is gone; writes under way are waited for, each at most for its
    /// deadline.
    pub async fn run(mut self, drain: CancellationToken) {
        let mut news = watches(&self.client, &self.settings);
        self.loaded = !self.inputs.gateways.borrow().is_empty();
        loop {
            let due = self.next_due();
            tokio::select! {
                () = drain.cancelled() => break,
                Some(first) = news.next() => {
                    let mut changed = self.cache.take(first);
                    while let Some(Some(more)) = news.next().now_or_never() {
                        changed |= self.cache.take(more);
                    }
                    if !changed {
                        continue;
                    }
                }
                Some((write, result)) = self.in_flight.next() => self.finish(&write, result),
                changed = self.inputs.gateways.changed() => {
                    if changed.is_err() { break }
                    self.loaded = true;
                }
                changed = self.inputs.agents.changed() => if changed.is_err() { break },
                changed = self.inputs.leads.changed() => if changed.is_err() { break },
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
            if self.loaded && self.cache.is_complete() {
                self.step();
            }
        }
        while self.in_flight.next().await.is_some() {}
    }

    /// Plans anew, tells what there is and starts what is to be written.
    fn step(&mut self) {
        let observed = self.cache.observed();
        let gateways = self.inputs.gateways.borrow_and_update();
        let agents = self.inputs.agents.borrow_and_update();
        let mut plan = plan(&self.settings, &gateways, &agents, &observed);
        drop((gateways, agents));
        let due = if *self.inputs.leads.borrow_and_update() {
            writes(&plan, &observed)
        } else {
            Vec::new()
        };
        for (gateway, message) in self.targets.values().filter_map(|a| a.problem.as_ref()) {
            if let Some(state) = plan.state.gateways.get_mut(gateway) {
                state.problems.push(Problem {
                    field: String::new(),
                    reason: "NotWritten",
                    message: message.clone(),
                });
            }
        }
        self.state.send_if_modified(|before| {
            let changed = *before != plan.state;
            if changed {
                *before = plan.state;
            }
            changed
        });
        self.start(due);
    }

    /// Starts writes, as many as may be under way.
    fn start(&mut self, due: Vec<Write>) {
        let now = Instant::now();
        // A failure of what is no longer to be written is no failure.
        let targets: BTreeSet<Target> = due.iter().map(Write::object).collect();
        self.targets
            .retain(|target, attempt| attempt.under_way || targets.contains(target));
        self.ending
            .retain(|namespace, _| targets.iter().any(|(_, key)| key.namespace == *namespace));
        for write in due {
            if self.in_flight.len() >= MAX_IN_FLIGHT {
                return;
            }
            let attempt = self.targets.entry(write.object()).or_default();
            if attempt.under_way || attempt.after.is_some_and(|after| after > now) {
                continue;
            }
            if write.is_creation()
                && let Some(next) = self.ending.get_mut(&write.object().1.namespace)
            {
                if *next > now {
                    attempt.after = Some(*next);
                    continue;
                }
                *next = now + ENDING_PAUSE;
            }
            attempt.under_way = true;
            attempt.after = None;
            let client = self.client.clone();
            self.in_flight.push(
                async move {
                    let done = self::write(client, write.clone());
                    let result = match tokio::time::timeout(WRITE_DEADLINE, done).await {
                        Ok(result) => result.map_err(|error| Failure::of(&error)),
                        Err(_) => Err(Failure::late()),
                    };
                    (write, result)
                }
                .boxed(),
            );
        }
    }

    /// Takes in how a write ended.
    fn finish(&mut self, write: &Write, result: Result<Written, Failure>) {
        let target = write.object();
        let (kind, key) = &target;
        let failure = match result {
            Ok(written) => {
                tracing::info!(kind, object = %key, write = write.verb(), "written");
                self.targets.remove(&target);
                if write.is_creation() {
                    self.ending.remove(&key.namespace);
                }
                self.take(write, written);
                return;
            }
            Err(failure) => failure,
        };
        let Failure {
            message: error,
            ending,
        } = failure;
        tracing::warn!(kind, object = %key, write = write.verb(), %error, "not written; trying again");
        let now = Instant::now();
        let attempt = self.targets.entry(target.clone()).or_default();
        attempt.under_way = false;
        let next = if ending {
            let next = now + ENDING_PAUSE;
            self.ending.insert(key.namespace.clone(), next);
            next
        } else {
            attempt.failures = attempt.failures.saturating_add(1);
            now + pause(attempt.failures, self.jitter.hash_one((key, now)))
        };
        attempt.after = Some(next);
        attempt.problem = match write {
            Write::CreateService(service) | Write::ApplyService(service) => gateway_of(service)
                .map(|gateway| (gateway, format!("Service {key} cannot be written: {error}"))),
            _ => None,
        };
    }

    fn take(&mut self, write: &Write, written: Written) {
        let (_, key) = write.object();
        match (write, written) {
            (_, Written::Service(service)) => self.cache.put_service(*service),
            (_, Written::Slice(slice)) => self.cache.put_slice(*slice),
            (_, Written::Taken) => {
                tracing::warn!(service = %key, "the name is somebody else's; taking another");
                self.cache.taken.insert(key);
            }
            (Write::DeleteSlice(..), Written::Gone) => self.cache.remove_slice(&key),
            (_, Written::Gone) => self.cache.remove_service(&key),
        }
    }

    /// When a write that failed is to be tried again.
    fn next_due(&self) -> Option<Instant> {
        let waiting = self.targets.values().filter(|attempt| !attempt.under_way);
        waiting.filter_map(|attempt| attempt.after).min()
    }
}

/// The pause after so many failures in a row, up to a quarter more by chance.
fn pause(failures: u32, chance: u64) -> Duration {
    let pause = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let pause = pause.min(MAX_PAUSE);
    let chance = u32::try_from(chance % 256).unwrap_or(0);
    pause + pause * chance / 1024
}

/// What the watches tell, for good: each begins anew after a pause when it fails.
fn watches(client: &Client, settings: &Settings) -> SelectAll<BoxStream<'static, News>> {
    let services =
        watcher::Config::default().labels(&format!("{MANAGED_BY}={MANAGER},{GATEWAY_NAME}"));
    let slices = watcher::Config::default().labels(&format!("{SLICE_MANAGED_BY}={MANAGER}"));
    let app = format!("app.kubernetes.io/name={}", settings.agent_app);
    let pods = watcher::Config::default().labels(&app);
    let mut all = SelectAll::new();
    all.push(told(
        watcher(Api::<Service>::all(client.clone()), services),
        News::Service,
    ));
    all.push(told(
        watcher(Api::<EndpointSlice>::all(client.clone()), slices),
        News::Slice,
    ));
    let namespaces = settings
        .agent_namespaces
        .iter()
        .chain([&settings.namespace]);
    let namespaces: BTreeSet<&String> = namespaces.collect();
    for namespace in namespaces {
        let agents: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let namespace = namespace.clone();
        let news = move |event| News::Pod(namespace.clone(), event);
        all.push(told(watcher(agents, pods.clone()), news));
    }
    all
}

fn told<K, S, N>(stream: S, news: N) -> BoxStream<'static, News>
where
    N: Fn(Box<watcher::Event<K>>) -> News + Send + 'static,
    K: Send + 'static,
    S: futures_util::Stream<Item = Result<watcher::Event<K>, watcher::Error>> + Send + 'static,
{
    let told = stream
        .backoff(Patience::default())
        .filter_map(move |event| {
            let event = event
                .inspect_err(|error| tracing::warn!(%error, "a watch of the fleet begins anew"))
                .ok();
            std::future::ready(event.map(Box::new).map(&news))
        });
    told.boxed()
}
