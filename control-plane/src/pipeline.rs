//! The one way that data flows: source, translation, compilation, publication; and back, what the
//! agents acknowledge, as one more input of the translation.

pub mod cluster;
mod engine;
mod journey;
mod rejection;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use novaedge_api::{
    gateway::{AddressType, GatewayStatusAddress},
    meta::{ObjectId, ObjectKey},
};
use novaedge_compile::CompileDelta;
use novaedge_publish::{Acks, Publisher};
use novaedge_store::Change;
use novaedge_telemetry::{TraceSpan, Tracer};
use novaedge_translate::{
    Delta, Diagnostic, GatewayFleet, Generations, RejectedRules, TranslateConfig,
};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use self::cluster::Cluster;
use self::engine::{Engine, Step};
use self::journey::{Journeys, Stages};
pub(crate) use self::rejection::rejections;
use self::rejection::{Culprit, culprit, problem};
pub use crate::findings::Findings;
use crate::{
    metrics::PipelineMetrics,
    problem::{Problem, ProblemBook, Scope},
    source::Batch,
};

/// Batches that may wait for the pipeline.
pub const QUEUE: usize = 16;
/// How often the clock is read at least, for the addresses of the machine change and its clock may be
/// set; more often when a certificate begins or ends.
const TICK: Duration = Duration::from_mins(1);
const MIN_TICK: Duration = Duration::from_secs(1);

/// Translates, compiles and publishes what a source sends.
pub struct Pipeline {
    engine: Engine,
    publisher: Publisher,
    /// Tells the addresses of the machine.
    addresses: Box<dyn Fn() -> Vec<IpAddr> + Send>,
    assigned: Vec<GatewayStatusAddress>,
    findings: watch::Sender<Findings>,
    problems: ProblemBook,
    /// Where to tell what the cluster should hear.
    cluster: Option<Cluster>,
    /// Gateways that the fleet has problems with.
    fleet_problems: BTreeSet<ObjectKey>,
    /// The time of the last tick, in seconds since 1970.
    now: i64,
    ticked: Instant,
    /// Whether the source has told of everything there is.
    loaded: bool,
    /// What the newest snapshot serves, and its sequence.
    serves: (u64, BTreeMap<ObjectKey, Generations>),
    /// The same for the last snapshot that all agents acknowledged.
    acknowledged: BTreeMap<ObjectKey, Generations>,
    /// What the agents refuse, by resource.
    rejected: BTreeMap<String, String>,
    /// Follows changes as traces.
    journeys: Option<Journeys>,
}

impl Pipeline {
    /// A pipeline into `publisher`, and where its findings can be watched. `addresses` tells where
    /// Gateways can be reached that ask for no address, and is asked again now and then.
    pub fn new(
        config: TranslateConfig,
        publisher: Publisher,
        addresses: impl Fn() -> Vec<IpAddr> + Send + 'static,
    ) -> (Self, watch::Receiver<Findings>) {
        let (findings, watched) = watch::channel(Findings::default());
        let pipeline = Self {
            engine: Engine::new(config),
            publisher,
            assigned: addresses().into_iter().map(address).collect(),
            addresses: Box::new(addresses),
            findings,
            problems: ProblemBook::default(),
            cluster: None,
            fleet_problems: BTreeSet::new(),
            now: 0,
            ticked: Instant::now(),
            loaded: false,
            serves: (0, BTreeMap::new()),
            acknowledged: BTreeMap::new(),
            rejected: BTreeMap::new(),
            journeys: None,
        };
        (pipeline, watched)
    }

    /// The same for a cluster, where the fleet tells the addresses; `namespace` is that of the system.
    pub fn in_cluster(
        publisher: Publisher,
        cluster: Cluster,
        namespace: &str,
    ) -> (Self, watch::Receiver<Findings>) {
        let config = TranslateConfig::cluster(BTreeSet::new()).in_namespace(namespace);
        let (mut pipeline, findings) = Self::new(config, publisher, Vec::new);
        pipeline.cluster = Some(cluster);
        pipeline.tick_now();
        (pipeline, findings)
    }

    /// What the pipeline counts.
    pub fn metrics(&self) -> Arc<PipelineMetrics> {
        Arc::clone(self.engine.metrics())
    }

    /// The same, with traces of some changes.
    #[must_use]
    pub fn traced(mut self, tracer: Option<Tracer>) -> Self {
        self.journeys = tracer.map(Journeys::new);
        self
    }

    /// Runs until the source is gone.
    pub async fn run(mut self, mut batches: mpsc::Receiver<Batch>) {
        let mut acks = self.publisher.acks();
        self.tick_now();
        loop {
            tokio::select! {
                batch = batches.recv() => {
                    let Some(mut batch) = batch else { return };
                    self.engine.metrics().queued.set(batches.len() as u64);
                    while let Ok(later) = batches.try_recv() {
                        batch.merge(later);
                    }
                    self.take(batch);
                }
                changed = acks.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                () = self.next_tick() => self.tick_now(),
            }
            let now = acks.borrow_and_update().clone();
            self.hear(&now);
        }
    }

    /// Takes one batch through to the agents.
    pub fn take(&mut self, mut batch: Batch) {
        self.loaded = true;
        if let Some(cluster) = &mut self.cluster {
            cluster.observe(&mut batch);
        }
        let mut news = false;
        for (place, problems) in batch.problems {
            news |= self.problems.set(Scope::Source(place), problems);
        }
        let ids: Vec<ObjectId> = batch.changes.iter().map(Change::id).collect();
        let journeys = self.journeys.as_mut();
        let root = journeys.and_then(|journeys| journeys.begin(&batch.changes));
        let told = stages(self.journeys.as_ref(), root.as_ref());
        let result = self.engine.update(batch.changes, told);
        for id in ids {
            let problem = result.left_out.contains(&id).then(|| left_out(&id));
            let problems = problem.into_iter().collect();
            news |= self.problems.set(Scope::LeftOut(id), problems);
        }
        let mut steps = result.steps;
        if let Some(bundles) = batch.bundles {
            steps.push(self.engine.set_bundles(bundles));
        }
        if steps.is_empty() {
            // Agents wait for the first snapshot, whatever is in it.
            steps.push(Step::default());
        }
        let before = self.publisher.current().sequence;
        for step in steps {
            let publishing = stages(self.journeys.as_ref(), root.as_ref()).enter("publish");
            news |= self.publish(step.compiled);
            drop(publishing);
            self.tell(&step.delta, std::mem::take(&mut news));
        }
        let sequence = self.publisher.current().sequence;
        if let (Some(journeys), Some(root)) = (&mut self.journeys, root)
            && sequence > before
        {
            let acks = self.publisher.acks().borrow().clone();
            journeys.published(root, sequence, &acks);
        }
    }

    /// Waits until the clock should be read.
    fn next_tick(&self) -> impl Future<Output = ()> + use<> {
        tokio::time::sleep_until(self.ticked + self.pause())
    }

    fn tick_now(&mut self) {
        self.ticked = Instant::now();
        self.tick(unix_seconds(SystemTime::now()));
    }

    /// How long after the last tick the next one is due.
    fn pause(&self) -> Duration {
        if self.cluster.as_ref().is_some_and(Cluster::is_beginning) {
            return MIN_TICK;
        }
        let next = self.engine.translator().next_clock();
        let pause = next.and_then(|next| u64::try_from(next - self.now).ok());
        let pause = pause.map_or(TICK, Duration::from_secs);
        pause.clamp(MIN_TICK, TICK)
    }

    /// Takes in the time, in seconds since 1970.
    pub fn tick(&mut self, seconds: i64) {
        self.now = seconds;
        self.assigned = (self.addresses)().into_iter().map(address).collect();
        let Step { delta, compiled } = self.engine.set_clock(seconds);
        if !delta.is_empty() {
            let news = self.publish(compiled);
            self.tell(&delta, news);
        }
    }

    /// Takes in what the agents say; before the first batch there is nothing to say it of.
    pub fn hear(&mut self, acks: &Acks) {
        if let Some(journeys) = &mut self.journeys {
            journeys.hear(acks);
        }
        // An agent that is away, or has just come back, refuses what it refused: to believe otherwise for
        // the moment that a new subscription takes would make statuses flicker.
        let all_have_spoken = acks.agents.values().all(|agent| agent.version.is_some());
        if !self.loaded || acks.agents.is_empty() || !all_have_spoken {
            return;
        }
        if acks.all_at(self.serves.0) {
            self.acknowledged.clone_from(&self.serves.1);
        }
        let agents = acks.agents.iter();
        let rejected = rejections(agents.map(|(node, ack)| (&**node, ack.rejected.as_slice())));
        let fleet = self.engine.set_fleet(self.fleet(&rejected));
        let rules = self.engine.set_rejected_rules(rules(&rejected));
        let mut news = self.set_rejected(rejected);
        for Step { delta, compiled } in [fleet, rules] {
            // Statuses follow the agents; what is served does not.
            if !compiled.is_empty() {
                news |= self.publish(compiled);
            }
            if news || !delta.is_empty() {
                self.tell(&delta, std::mem::take(&mut news));
            }
        }
    }

    /// Publishes what was compiled. Returns whether problems came or went.
    fn publish(&mut self, compiled: CompileDelta) -> bool {
        let compiled = match &mut self.cluster {
            Some(cluster) => cluster.hold(compiled),
            None => Some(compiled),
        };
        let Some(compiled) = compiled else {
            return false;
        };
        let CompileDelta {
            upserts,
            removed,
            diagnostics,
        } = compiled;
        let mut news = false;
        for (id, diagnostics) in diagnostics {
            let problems = problems_of(&diagnostics);
            news |= self.problems.set(Scope::Compiled(id), problems);
        }
        let names = upserts.iter().map(|(name, _)| name).chain(&removed);
        let names: BTreeSet<String> = names.cloned().collect();
        let updated = self.publisher.update(upserts, removed);
        let mut refused: BTreeMap<String, Problem> = updated
            .refused
            .iter()
            .map(|refused| {
                let error = refused.error.to_string();
                let problem = self.problem(&refused.name, "NotPublished", &error);
                (refused.name.clone(), problem)
            })
            .collect();
        for name in names {
            let problems = refused.remove(&name).into_iter().collect();
            news |= self.problems.set(Scope::Published(name), problems);
        }
        let translator = self.engine.translator();
        let serves = translator
            .gateways()
            .filter_map(|key| Some((key.clone(), translator.generations(key)?)))
            .collect();
        self.serves = (self.publisher.current().sequence, serves);
        news
    }

    /// What the agents say about each Gateway.
    fn fleet(&self, rejected: &BTreeMap<String, String>) -> BTreeMap<ObjectKey, GatewayFleet> {
        let state = |generations: &Generations| GatewayFleet {
            acknowledged_generation: Some(generations.gateway),
            acknowledged_listener_sets: generations.listener_sets.clone(),
            addresses: self.assigned.clone(),
            ..GatewayFleet::default()
        };
        let acknowledged = self.acknowledged.iter();
        let mut fleet: BTreeMap<ObjectKey, GatewayFleet> = acknowledged
            .map(|(key, generations)| (key.clone(), state(generations)))
            .collect();
        for (resource, error) in rejected {
            if let Some(Culprit::Listener(gateway, listener)) = culprit(resource) {
                let rejected = &mut fleet.entry(gateway).or_default().rejected_listeners;
                rejected.insert(listener, error.clone());
            }
        }
        fleet
    }

    /// Returns whether problems came or went.
    fn set_rejected(&mut self, rejected: BTreeMap<String, String>) -> bool {
        if rejected == self.rejected {
            return false;
        }
        let before = std::mem::replace(&mut self.rejected, rejected.clone());
        for name in before
            .into_keys()
            .filter(|name| !rejected.contains_key(name))
        {
            self.problems.set(Scope::Rejected(name), Vec::new());
        }
        for (name, error) in rejected {
            // Statuses and findings of the translation name listeners and rules already.
            if !matches!(
                culprit(&name),
                Some(Culprit::Listener(..) | Culprit::Rule(..))
            ) {
                let problem = self.problem(&name, "Rejected", &error);
                self.problems.set(Scope::Rejected(name), vec![problem]);
            }
        }
        true
    }

    /// The object that a ProxyGateway is made for: a Gateway, or an IngressClass.
    fn owner_of_gateway(&self, key: &ObjectKey) -> String {
        let natives = &self.engine.translator().output().natives;
        rejection::owner_of_gateway(key, |id| natives.get(id))
    }

    /// A problem of the object behind a resource.
    fn problem(&self, resource: &str, reason: &str, error: &str) -> Problem {
        let natives = &self.engine.translator().output().natives;
        problem(resource, reason, error, |id| natives.get(id))
    }

    fn tell(&mut self, delta: &Delta, mut news: bool) {
        if let Some(cluster) = &mut self.cluster {
            cluster.take(delta, self.engine.translator());
        }
        for (id, diagnostics) in &delta.diagnostics {
            let problems = problems_of(diagnostics);
            news |= self.problems.set(Scope::Translated(id.clone()), problems);
        }
        self.findings.send_modify(|findings| {
            findings.take(delta);
            if news {
                findings.list(&self.problems);
            }
        });
    }
}

fn stages<'a>(journeys: Option<&'a Journeys>, root: Option<&'a TraceSpan>) -> Stages<'a> {
    journeys.map_or_else(Stages::default, |journeys| journeys.stages(root))
}

/// The rules among the resources that agents refuse.
fn rules(rejected: &BTreeMap<String, String>) -> RejectedRules {
    let mut rules = RejectedRules::new();
    for (resource, error) in rejected {
        if let Some(Culprit::Rule(route, rule)) = culprit(resource) {
            rules.entry(route).or_default().insert(rule, error.clone());
        }
    }
    rules
}

fn left_out(id: &ObjectId) -> Problem {
    let message = "makes the translation fail, so it is left as it was before; \
                   this is a defect of NovaEdge: please report it with the object";
    Problem::of_object(id.to_string(), "Internal", message)
}

fn problems_of(diagnostics: &[Diagnostic]) -> Vec<Problem> {
    diagnostics.iter().map(Problem::from).collect()
}

fn address(ip: IpAddr) -> GatewayStatusAddress {
    GatewayStatusAddress {
        type_: AddressType::IpAddress,
        value: ip.to_string(),
        routability: None,
    }
}

/// Seconds since 1970.
pub(crate) fn unix_seconds(time: SystemTime) -> i64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .ok()
        .and_then(|elapsed| i64::try_from(elapsed.as_secs()).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests;
