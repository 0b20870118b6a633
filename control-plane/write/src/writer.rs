//! The task that writes while this process leads.

mod lane;
mod one;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use kube::Client;
use novaedge_api::meta::ObjectId;
use novaedge_store::Change;
use novaedge_translate::{Delta, DesiredStatus, Diagnostic};
use serde_json::Value;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use self::lane::{Lanes, window};
use crate::{
    book::{Book, Trouble},
    error::WriteError,
    event::{EventBook, Offer, tell},
    metrics::Metrics,
    resource::{Call, Served},
};

/// How much is written at once.
#[derive(Clone, Debug)]
pub struct WriteConfig {
    /// Requests in flight.
    pub in_flight: usize,
    /// How long one request may take.
    pub timeout: Duration,
    /// Who this process is, in events.
    pub identity: String,
}

impl Default for WriteConfig {
    fn default() -> Self {
        Self {
            in_flight: 16,
            timeout: Duration::from_secs(10),
            identity: "novaedge-control-plane".to_owned(),
        }
    }
}

/// What the writer and those who tell it share.
pub(crate) struct Shared {
    client: Client,
    timeout: Duration,
    pub(crate) identity: String,
    pub(crate) metrics: Arc<Metrics>,
    book: Mutex<Book>,
    events: Mutex<EventBook>,
    changed: Notify,
    pub(crate) event_offered: Notify,
    troubles: watch::Sender<Vec<Trouble>>,
    start: Instant,
}

/// Where everybody tells what is there and what should be there. No call waits for the API server.
#[derive(Clone)]
pub struct Intake {
    shared: Arc<Shared>,
}

/// Writes to the API server.
pub struct Writer {
    shared: Arc<Shared>,
    in_flight: usize,
}

impl Intake {
    /// Which version of each kind is served; the newest of every kind where this is never called. A kind that is
    /// missing is not written.
    pub fn serve(&self, served: Served) {
        self.shared.book().serve(served);
        self.shared.changed.notify_one();
    }

    /// What the watches told, before it is translated. An object that was never observed has no status written. All
    /// kinds with a status of ours and all native objects are of interest, the translated ones among them; the other
    /// kinds only give events their UID.
    pub fn observe(&self, changes: &[Change]) {
        let mut book = self.shared.book();
        for change in changes {
            book.observe(change);
        }
        drop(book);
        self.shared.changed.notify_one();
    }

    /// What the translation changed.
    pub fn take(&self, delta: &Delta) {
        let mut book = self.shared.book();
        for (id, status) in &delta.statuses {
            book.want_status(id, status.clone());
        }
        for change in &delta.natives {
            book.want_native(change);
        }
        drop(book);
        self.shared.changed.notify_one();
        for (id, diagnostics) in &delta.diagnostics {
            self.diagnose(id, diagnostics);
        }
    }

    /// The status that an object should have; none where it is not ours any more.
    pub fn status(&self, id: &ObjectId, status: Option<DesiredStatus>) {
        self.shared.book().want_status(id, status);
        self.shared.changed.notify_one();
    }

    /// Everything that was observed is compiled, and these native objects have these diagnostics from now on. Those that
    /// users wrote get a status by it, also when nothing was found.
    pub fn compiled(&self, diagnostics: &[(ObjectId, Vec<Diagnostic>)]) {
        self.shared.book().compiled(diagnostics);
        self.shared.changed.notify_one();
        for (id, found) in diagnostics {
            self.diagnose(id, found);
        }
    }

    /// All that is wrong with an object now. Each finding becomes an event once.
    pub fn diagnose(&self, id: &ObjectId, diagnostics: &[Diagnostic]) {
        let offers = self.shared.events().set(id, diagnostics, self.shared.now());
        self.shared.count(&offers);
    }

    /// The first translation of everything is in. Nothing is written before, since nobody could tell what is too much.
    pub fn settle(&self) {
        self.shared.book().settle();
        self.shared.changed.notify_one();
    }

    /// What could not be written, sorted by object; the first of them where there are many.
    pub fn troubles(&self) -> watch::Receiver<Vec<Trouble>> {
        self.shared.troubles.subscribe()
    }
}

impl Writer {
    /// A writer, and where it is told what to write.
    pub fn new(client: Client, config: WriteConfig, metrics: Arc<Metrics>) -> (Intake, Self) {
        let shared = Arc::new(Shared {
            client,
            timeout: config.timeout,
            identity: config.identity,
            metrics,
            book: Mutex::default(),
            events: Mutex::default(),
            changed: Notify::new(),
            event_offered: Notify::new(),
            troubles: watch::Sender::new(Vec::new()),
            start: Instant::now(),
        });
        let intake = Intake {
            shared: shared.clone(),
        };
        let in_flight = config.in_flight.max(1);
        (intake, Self { shared, in_flight })
    }

    /// Writes whenever `leads` is true, until the shutdown or until nobody can lead any more. Requests in flight are
    /// dropped when the leadership ends.
    pub async fn run(self, mut leads: watch::Receiver<bool>, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                leads = leads.wait_for(|leads| *leads) => if leads.is_err() { return },
            }
            let ended = tokio::select! {
                biased;
                () = shutdown.cancelled() => true,
                leads = leads.wait_for(|leads| !*leads) => leads.is_err(),
                () = self.lead() => false,
            };
            self.shared.book().deactivate();
            self.shared.events().deactivate();
            self.shared.show_troubles();
            self.shared.metrics.queued.set(0);
            if ended {
                return;
            }
        }
    }

    async fn lead(&self) {
        while !self.shared.book().is_settled() {
            self.shared.changed.notified().await;
        }
        self.shared.book().activate();
        let offers = self.shared.events().activate(self.shared.now());
        self.shared.count(&offers);
        tokio::join!(self.write(), tell(&self.shared));
    }

    async fn write(&self) {
        let shared = &*self.shared;
        let mut lanes = Lanes::default();
        let mut flights = FuturesUnordered::new();
        loop {
            for work in shared.book().take_changed() {
                lanes.of(&work).mark(&work, shared.now(), window(&work));
            }
            while flights.len() < self.in_flight
                && let Some(work) = lanes.pop(shared.now())
            {
                flights.push(async move { (shared.bring(&work).await, work) });
            }
            let waiting = u64::try_from(lanes.len()).unwrap_or(u64::MAX);
            shared.metrics.queued.set(waiting);
            shared.show_troubles();
            let room = flights.len() < self.in_flight;
            let due = lanes.next_due().filter(|_| room);
            tokio::select! {
                Some((outcome, work)) = flights.next(), if !flights.is_empty() => {
                    let now = shared.now();
                    lanes.of(&work).finish(&work, outcome, now, window(&work));
                }
                () = shared.changed.notified() => {}
                () = sleep_until(due.map(|due| shared.start + due)) => {}
            }
            // Thousands of objects that need nothing must not keep the thread from others.
            tokio::task::consume_budget().await;
        }
    }
}

impl Shared {
    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn events(&self) -> MutexGuard<'_, EventBook> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The monotonic clock of schedules.
    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// One request and its answer.
    pub(crate) async fn request(&self, call: &Call) -> Result<Value, WriteError> {
        let answer = self.client.request(call.request()?);
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(WriteError::Timeout),
        }
    }

    fn show_troubles(&self) {
        let troubles = self.book().take_troubles();
        if let Some(troubles) = troubles {
            self.troubles.send_replace(troubles);
        }
    }

    fn count(&self, offers: &[Offer]) {
        for offer in offers {
            match offer {
                Offer::Queued => self.event_offered.notify_one(),
                Offer::Repeated => self.metrics.events_repeated.add(1),
                Offer::Dropped => self.metrics.events_dropped.add(1),
            }
        }
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
