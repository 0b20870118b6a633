//! All metrics, in the OpenMetrics text format: the counters of the workers are added up when somebody
//! asks for them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use novaedge_meter::{Description, Exposition, ResourceName};
use novaedge_proto::v1;
use novaedge_proxy::{Live, Runtime};
use tokio::sync::watch;

use crate::config::MoreMetrics;
use crate::observing::Observed;
use crate::pressure::Memory;
use crate::worker::WorkerCounters;

use self::workers::{CHECK_COUNTERS, CHECK_GAUGES, COUNTERS, GAUGES};

pub(crate) use self::subscription::Subscription;

mod http;
mod l4;
mod observed;
mod subscription;
mod workers;

/// What one worker, or the subscription, has counted.
type Read<S> = fn(&S) -> u64;

/// What it is, and where it stands.
type Metric<S> = (Description, Read<S>);

const NONE: &[&str] = &[];

/// Where the metrics come from.
pub(crate) struct Sources {
    pub(crate) workers: Vec<Arc<WorkerCounters>>,
    /// What the workers count by name.
    pub(crate) traffic: Traffic,
    /// What is in force.
    pub(crate) live: Live,
    /// Of health checks.
    pub(crate) checked: Arc<novaedge_check::Counters>,
    pub(crate) memory: Arc<Memory>,
    /// The snapshot in force.
    pub(crate) served: watch::Receiver<Option<v1::Version>>,
    /// `None`: the agent is fed by hand.
    pub(crate) subscription: Option<Subscription>,
    /// The limit of the process.
    pub(crate) open_files: Option<u64>,
    /// The access log and traces.
    pub(crate) observed: Observed,
    /// What shares the process.
    pub(crate) more: Option<Arc<dyn MoreMetrics>>,
}

/// What all workers count by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) http: Arc<novaedge_proxy::metrics::Traffic>,
    pub(crate) l4: Arc<novaedge_l4::Traffic>,
}

/// Tables and certificates before the first snapshot.
pub(crate) fn nothing() -> Live {
    Arc::new(ArcSwap::from_pointee(Runtime {
        tables: Arc::default(),
        tls: Arc::default(),
    }))
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("workers", &self.workers.len())
            .finish_non_exhaustive()
    }
}

/// All metrics as text.
pub(crate) fn render(sources: &Sources) -> String {
    let mut all = Exposition::default();
    sources.expose(&mut all);
    all.finish()
}

/// All metrics that an agent has, in the order of their names.
#[must_use]
pub fn catalog() -> Vec<Description> {
    fn described<S>(metrics: &[Metric<S>]) -> impl Iterator<Item = Description> + '_ {
        metrics.iter().map(|(what, _)| *what)
    }
    let mut all: Vec<Description> = described(&COUNTERS)
        .chain(described(&GAUGES))
        .chain(described(&CHECK_COUNTERS))
        .chain(described(&CHECK_GAUGES))
        .chain(subscription::descriptions())
        .chain(observed::descriptions())
        .chain(OTHERS)
        .chain(http::ALL)
        .chain(l4::ALL)
        .collect();
    all.sort_unstable();
    all
}

const SEQUENCE: Description = Description::gauge(
    "novaedge_snapshot_sequence",
    NONE,
    "The snapshot in force, as its control plane counts",
);
const MEMORY_LIMIT: Description = Description::gauge(
    "novaedge_memory_limit_bytes",
    NONE,
    "Memory that may be used",
);
const MEMORY_USED: Description =
    Description::gauge("novaedge_memory_used_bytes", NONE, "Memory in use of that");
const MEMORY_PRESSURE: Description = Description::gauge(
    "novaedge_memory_pressure",
    NONE,
    "0: none; 1: no more connections are taken; 2: requests are refused, too",
);
const OPEN_FILES: Description =
    Description::gauge("novaedge_open_files_limit", NONE, "Files that may be open");
const FOLDED: Description = Description::counter(
    "novaedge_metrics_folded_sets",
    NONE,
    "Names that a worker met when enough were counted by name already, and that count as `other`",
);
const PROXY_REFUSED: Description = Description::counter(
    "novaedge_proxy_protocol_refused_connections",
    &["reason"],
    "Connections ended for want of a header of the PROXY protocol",
);
const HANDSHAKES: Description = Description::counter(
    "novaedge_tls_handshakes",
    &["transport", "version", "result"],
    "TLS handshakes with clients; those that failed have no version",
);

const EXPIRY: Description = Description::gauge(
    "novaedge_certificate_expiry_timestamp_seconds",
    &["namespace", "secret"],
    "When a certificate in use expires, in seconds since 1970",
);

/// Those that are not in a table of their own.
const OTHERS: [Description; 9] = [
    EXPIRY,
    SEQUENCE,
    MEMORY_LIMIT,
    MEMORY_USED,
    MEMORY_PRESSURE,
    OPEN_FILES,
    FOLDED,
    PROXY_REFUSED,
    HANDSHAKES,
];

impl Sources {
    fn expose(&self, all: &mut Exposition) {
        for (what, read) in COUNTERS.iter().chain(&GAUGES) {
            let sum: u64 = self.workers.iter().map(|one| read(one)).sum();
            all.single(what, sum);
        }
        self.expose_http(all);
        self.expose_l4(all);
        self.expose_refused_headers(all);
        self.expose_handshakes(all);
        self.expose_certificates(all);
        let folded = self.traffic.http.folded() + self.traffic.l4.flows.folded();
        all.single(&FOLDED, folded);
        singles(all, &CHECK_COUNTERS, &*self.checked);
        singles(all, &CHECK_GAUGES, &*self.checked);
        if let Some(subscription) = &self.subscription {
            subscription.expose(all);
        }
        self.observed.expose(all);
        let served = self.served.borrow();
        let sequence = served.as_ref().map(|version| version.sequence);
        all.single(&SEQUENCE, sequence.unwrap_or(0));
        drop(served);
        self.expose_limits(all);
        if let Some(more) = &self.more {
            more.expose(all);
        }
    }

    fn expose_limits(&self, all: &mut Exposition) {
        if let Some(limit) = self.memory.limit() {
            all.single(&MEMORY_LIMIT, limit);
            all.single(&MEMORY_USED, self.memory.used());
        }
        all.single(&MEMORY_PRESSURE, self.memory.pressure.level() as u64);
        if let Some(limit) = self.open_files {
            all.single(&OPEN_FILES, limit);
        }
    }

    fn expose_refused_headers(&self, all: &mut Exposition) {
        let mut sums = BTreeMap::new();
        let samples = self.workers.iter();
        for (reason, number) in samples.flat_map(|one| one.proxy_headers_refused.samples()) {
            *sums.entry(reason).or_insert(0) += number;
        }
        let mut family = all.family(&PROXY_REFUSED);
        for (reason, sum) in sums {
            family.sample(&[reason], sum);
        }
    }

    fn expose_certificates(&self, all: &mut Exposition) {
        let runtime = self.live.load_full();
        let mut family = all.family(&EXPIRY);
        for (name, expiry) in runtime.tls.expiries() {
            family.sample(&ResourceName::new(name).labels(), expiry);
        }
    }

    fn expose_handshakes(&self, all: &mut Exposition) {
        let mut sums = BTreeMap::new();
        for worker in &self.workers {
            let tcp = [&worker.http.handshakes, &worker.l4.handshakes];
            let tcp = tcp.into_iter().map(|handshakes| ("tcp", handshakes));
            for (transport, handshakes) in tcp.chain([("quic", &worker.http.quic_handshakes)]) {
                for (version, result, number) in handshakes.samples() {
                    *sums.entry((transport, version, result)).or_insert(0) += number;
                }
            }
        }
        let mut family = all.family(&HANDSHAKES);
        for ((transport, version, result), sum) in sums {
            if (transport, version) != ("quic", "1.2") {
                family.sample(&[transport, version, result], sum);
            }
        }
    }
}

fn singles<S>(all: &mut Exposition, metrics: &[Metric<S>], source: &S) {
    for (what, read) in metrics {
        all.single(what, read(source));
    }
}

#[cfg(test)]
mod tests;
