//! From steps to what the workers serve. Off the request path, on a thread of its own.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use novaedge_proto::v1;
use novaedge_proxy::{Live, Runtime};
use novaedge_router::{SocketKey, Tables, TablesBuilder};
use novaedge_subscribe::{Applier, Step, Upsert};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::metrics::Traffic;
use crate::snapshot::build_tls;
use crate::sockets::{BindError, Listening, Port, open};
use crate::worker::Command;

/// How long a worker may take to close a socket before the step goes on without its word.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// How often sockets are tried that could not be opened: another program has the port, perhaps.
const RETRY: Duration = Duration::from_secs(1);

/// Resources that are judged by what is made from the tables: sockets and TLS.
const LATE: [&str; 4] = ["listener/", "certificate/", "trust/", "backend/"];

/// Applies steps: tables, TLS, sockets, swap.
pub(crate) struct Control {
    builder: TablesBuilder,
    live: Live,
    workers: Vec<mpsc::Sender<Command>>,
    traffic: Traffic,
    open: BTreeSet<SocketKey>,
    /// Sockets of the tables in force that could not be opened.
    failed: BTreeSet<SocketKey>,
    /// Names of what was refused after the tables in force were built.
    late: BTreeSet<String>,
    /// Whether one of them is in order now, by a step that did not bring it.
    healed: bool,
    /// Versions of the resources held that may be rejected after the tables are built.
    versions: BTreeMap<String, String>,
    served: watch::Sender<Option<v1::Version>>,
}

impl Control {
    pub(crate) fn new(
        live: Live,
        workers: Vec<mpsc::Sender<Command>>,
        traffic: Traffic,
        served: watch::Sender<Option<v1::Version>>,
    ) -> Self {
        Self {
            builder: TablesBuilder::new(),
            live,
            workers,
            traffic,
            open: BTreeSet::new(),
            failed: BTreeSet::new(),
            late: BTreeSet::new(),
            healed: false,
            versions: BTreeMap::new(),
            served,
        }
    }

    async fn step(&mut self, step: Step) -> Vec<v1::RejectedResource> {
        let Step {
            version,
            upserts,
            mut removed,
            full,
            ..
        } = step;
        if full {
            let brought: HashSet<&str> = upserts.iter().map(Upsert::name).collect();
            let held = self.builder.names();
            let gone = held.filter(|one| !brought.contains(one));
            removed = gone.map(str::to_owned).collect();
        }
        let brought = self.note(&upserts, &removed);
        // Decoded one by one, and gone with the tables made of them.
        let upserts = upserts.into_iter().map(|one| one.resource());
        let (tables, mut rejected) = self.builder.apply(upserts, &removed);
        let mut late = Vec::new();
        let tls = build_tls(&tables, &self.live.load_full(), &mut late);
        for one in &mut late {
            one.version = self.versions.get(&one.name).cloned().unwrap_or_default();
        }
        // The sockets are there before the swap and before the acknowledgement: who is told that a
        // listener is programmed can connect to it.
        let opened = self.open_new(&tables, &mut late);
        self.remember(&late, &brought);
        rejected.append(&mut late);
        self.live.store(Arc::new(Runtime {
            tables: Arc::clone(&tables),
            tls,
        }));
        for (key, sockets) in opened {
            self.open.insert(key);
            for (worker, socket) in self.workers.iter().zip(sockets) {
                // A worker that is gone ends the process; there is nothing to do here.
                let _ = worker.send(Command::Open(key, socket)).await;
            }
        }
        self.close_old(&tables).await;
        self.forget(&removed);
        rejected.sort_by(|a, b| a.name.cmp(&b.name));
        tracing::info!(
            sequence = version.sequence,
            digest = %version.digest,
            sockets = self.open.len(),
            rejected = rejected.len(),
            "snapshot in force",
        );
        self.served.send_replace(Some(version));
        rejected
    }

    /// Metrics of what is gone are not shown for long.
    fn forget(&self, removed: &[String]) {
        if removed.is_empty() {
            return;
        }
        let (removed, now) = (removed.iter().map(String::as_str), Instant::now());
        let removed: HashSet<&str> = removed.collect();
        let is_gone = |name: &str| removed.contains(name);
        self.traffic.http.forget(is_gone, now);
        self.traffic.l4.forget(is_gone, now);
    }

    /// Notes the versions of what may be refused late. Returns the names of those that the step brought.
    fn note(&mut self, upserts: &[Upsert], removed: &[String]) -> BTreeSet<String> {
        for name in removed {
            self.versions.remove(name);
        }
        let late = |one: &&Upsert| LATE.iter().any(|kind| one.name().starts_with(kind));
        let late = upserts.iter().filter(late);
        let named = late.map(|one| (one.name().to_owned(), one.version().to_owned()));
        let named: BTreeMap<String, String> = named.collect();
        let brought = named.keys().cloned().collect();
        self.versions.extend(named);
        brought
    }

    /// Remembers what is refused late. What was, and is in order now although this step did not bring
    /// it, still counts as refused at the control plane, until the agent subscribes anew.
    fn remember(&mut self, late: &[v1::RejectedResource], brought: &BTreeSet<String>) {
        let late: BTreeSet<String> = late.iter().map(|one| one.name.clone()).collect();
        self.healed |= self
            .late
            .difference(&late)
            .any(|name| self.versions.contains_key(name) && !brought.contains(name));
        self.late = late;
    }

    /// Opens what is not open yet. What can't be opened is tried again, and is said of its listeners
    /// at each step.
    fn open_new(
        &mut self,
        tables: &Tables,
        rejected: &mut Vec<v1::RejectedResource>,
    ) -> Vec<(SocketKey, Vec<Listening>)> {
        self.failed.clear();
        let mut opened: Vec<(SocketKey, _)> = Vec::new();
        for (key, socket) in &tables.sockets {
            if self.open.contains(key) {
                continue;
            }
            let ours = opened.iter().map(|(other, _)| other);
            match open(*key, self.workers.len(), self.port(*key, ours)) {
                Ok(sockets) => opened.push((*key, sockets)),
                Err(error) => {
                    tracing::error!(socket = %key, %error, "socket can't be opened");
                    self.failed.insert(*key);
                    for name in socket.listener_names() {
                        rejected.push(self.refusal(name, &error));
                    }
                }
            }
        }
        opened
    }

    fn port<'k>(&'k self, key: SocketKey, more: impl Iterator<Item = &'k SocketKey>) -> Port {
        let of_key = (key.port, key.transport);
        let mut ours = self.open.iter().chain(more);
        if ours.any(|other| (other.port, other.transport) == of_key) {
            Port::Ours
        } else {
            Port::Unused
        }
    }

    fn refusal(&self, listener: &str, error: &BindError) -> v1::RejectedResource {
        v1::RejectedResource {
            name: listener.to_owned(),
            version: self.versions.get(listener).cloned().unwrap_or_default(),
            error: error.to_string(),
        }
    }

    /// Waits until a socket that could not be opened can be. Nothing is lost when the future is
    /// dropped: places at the workers are reserved before the socket is opened.
    async fn open_failed(&mut self) {
        loop {
            tokio::time::sleep(RETRY).await;
            for key in self.failed.clone() {
                let mut places = Vec::new();
                for worker in &self.workers {
                    // A worker that is gone ends the process.
                    places.extend(worker.reserve().await);
                }
                let Ok(sockets) = open(key, places.len(), self.port(key, std::iter::empty()))
                else {
                    continue;
                };
                for (place, socket) in places.into_iter().zip(sockets) {
                    place.send(Command::Open(key, socket));
                }
                tracing::info!(socket = %key, "socket is open at last");
                self.failed.remove(&key);
                self.open.insert(key);
                return;
            }
        }
    }

    async fn close_old(&mut self, tables: &Tables) {
        let old: Vec<_> = self
            .open
            .iter()
            .filter(|key| !tables.sockets.contains_key(key))
            .copied()
            .collect();
        for key in old {
            self.open.remove(&key);
            let mut closing = Vec::new();
            for worker in &self.workers {
                let (done, closed) = oneshot::channel();
                if worker.send(Command::Close(key, done)).await.is_ok() {
                    closing.push(closed);
                }
            }
            for closed in closing {
                if timeout(CLOSE_LIMIT, closed).await.is_err() {
                    tracing::warn!(socket = %key, "a worker is slow to close a socket");
                }
            }
        }
    }
}

impl Applier for Control {
    async fn apply(&mut self, step: Step) -> Vec<v1::RejectedResource> {
        self.step(step).await
    }

    async fn recover(&mut self) {
        if std::mem::take(&mut self.healed) {
            return;
        }
        if self.failed.is_empty() {
            std::future::pending::<()>().await;
        } else {
            self.open_failed().await;
        }
    }
}
