//! Load by the clock: each request has its time, whatever became of the ones before.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::{JoinError, JoinHandle, JoinSet};

use crate::clients::Http1;

/// Most requests that may be on their way; more would tell of this machine and not of the gateway.
const IN_FLIGHT: usize = 2000;
/// A client gives up a connection earlier than the server may.
const IDLE: Duration = Duration::from_secs(20);

/// GET by HTTP/1.1 at a fixed rate, on kept connections.
pub struct OpenLoop {
    over: Arc<AtomicBool>,
    task: JoinHandle<Measured>,
}

/// What came of an [`OpenLoop`].
#[derive(Debug, Default)]
pub struct Measured {
    /// Requests that were due.
    pub requests: usize,
    /// Answers with status 200.
    pub good: usize,
    /// Answers with another status; ended connections; no answer in time: the first hundred.
    pub failures: Vec<String>,
    /// From the time when a request was due to the end of its answer, sorted.
    pub latencies: Vec<Duration>,
}

impl Measured {
    /// The latency that this share of all answers, in thousandths, does not exceed.
    pub fn latency(&self, share: usize) -> Duration {
        let index = self.latencies.len() * share / 1000;
        let last = self.latencies.len().saturating_sub(1);
        self.latencies
            .get(index.min(last))
            .copied()
            .unwrap_or_default()
    }

    /// Panics unless every request was answered with 200, and tells the numbers.
    pub fn assert_all_good(&self) {
        eprintln!(
            "{} requests, {} answers with 200; p50 {:?}, p99 {:?}, p99.9 {:?}, max {:?}",
            self.requests,
            self.good,
            self.latency(500),
            self.latency(990),
            self.latency(999),
            self.latency(1000),
        );
        assert_eq!(self.failures, Vec::<String>::new());
        assert_eq!(self.good, self.requests);
    }
}

impl OpenLoop {
    /// Starts `rate` requests per second.
    pub fn start(address: SocketAddr, host: &'static str, rate: u32) -> Self {
        let over = Arc::<AtomicBool>::default();
        let client = Arc::new(Client {
            address,
            host,
            begin: Instant::now(),
            idle: Mutex::default(),
            in_flight: AtomicUsize::default(),
            measured: Mutex::default(),
        });
        let task = tokio::spawn(run(client, Duration::from_secs(1) / rate, over.clone()));
        Self { over, task }
    }

    /// Ends the load, waits for the answers that are due, and gives the result.
    pub async fn finish(self) -> Measured {
        self.over.store(true, Ordering::Relaxed);
        self.task.await.expect("it does not panic")
    }
}

async fn run(client: Arc<Client>, interval: Duration, over: Arc<AtomicBool>) -> Measured {
    let mut requests = JoinSet::new();
    let mut due = client.begin;
    while !over.load(Ordering::Relaxed) {
        // A late wake-up makes up for all that was due meanwhile; latency counts from when it was due.
        while due <= Instant::now() {
            requests.spawn(Arc::clone(&client).request(due));
            due += interval;
        }
        while let Some(ended) = requests.try_join_next() {
            client.ended(ended);
        }
        tokio::time::sleep_until(due.into()).await;
    }
    while let Some(ended) = requests.join_next().await {
        client.ended(ended);
    }
    let mut measured = std::mem::take(&mut *client.measured.lock().expect("nobody panics"));
    measured.latencies.sort_unstable();
    measured
}

struct Client {
    address: SocketAddr,
    host: &'static str,
    begin: Instant,
    /// Connections without a request, and since when.
    idle: Mutex<Vec<(Http1, Instant)>>,
    in_flight: AtomicUsize,
    measured: Mutex<Measured>,
}

impl Client {
    async fn request(self: Arc<Self>, due: Instant) {
        let others = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let result = if others < IN_FLIGHT {
            // Http1 has a deadline of its own for the answer.
            self.ask().await
        } else {
            Err("too many requests are on their way".to_owned())
        };
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        match result {
            Ok(()) => {
                let mut measured = self.measured.lock().expect("nobody panics");
                measured.good += 1;
                measured.latencies.push(due.elapsed());
            }
            Err(error) => {
                let when = due.duration_since(self.begin).as_millis();
                self.failed(format!("{when} ms: {error}"));
            }
        }
    }

    fn ended(&self, request: Result<(), JoinError>) {
        self.measured.lock().expect("nobody panics").requests += 1;
        // The deadline of a client is a panic.
        if let Err(error) = request {
            self.failed(error.to_string());
        }
    }

    fn failed(&self, error: String) {
        let mut measured = self.measured.lock().expect("nobody panics");
        if measured.failures.len() < 100 {
            measured.failures.push(error);
        }
    }

    async fn ask(&self) -> Result<(), String> {
        let mut client = match self.idle() {
            Some(client) => client,
            None => tokio::time::timeout(Duration::from_secs(10), Http1::try_connect(self.address))
                .await
                .map_err(|_| "no connection in time".to_owned())?
                .map_err(|error| format!("cannot connect: {error}"))?,
        };
        match client.get(self.host, "/").await {
            Ok(answer) if answer.status == 200 => {
                if client.is_open() {
                    let mut idle = self.idle.lock().expect("nobody panics");
                    idle.push((client, Instant::now()));
                }
                Ok(())
            }
            Ok(answer) => Err(answer.status.to_string()),
            Err(error) => Err(format!("{error:?}")),
        }
    }

    /// The connection that was used last and may be used again.
    fn idle(&self) -> Option<Http1> {
        let mut idle = self.idle.lock().expect("nobody panics");
        while let Some((client, since)) = idle.pop() {
            if client.is_open() && since.elapsed() < IDLE {
                return Some(client);
            }
        }
        None
    }
}
