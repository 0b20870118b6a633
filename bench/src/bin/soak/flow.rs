//! What clients do, again and again.

pub mod http1;
pub mod http2;
pub mod stream;
pub mod tls;
pub mod udp;
pub mod websocket;

use std::{
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::time::{sleep, timeout};

use crate::random::Random;

/// How long an exchange may take: anything longer is a failure, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(15);
/// Failures whose cause is kept.
const CAUSES: usize = 8;
/// Latencies that are kept between two looks at them.
const LATENCIES: usize = 100_000;

/// Something that can be asked again and again, and whose answer can be told right from wrong.
pub trait Flow: Send + 'static {
    /// Sends something, waits for the answer and judges it.
    fn exchange(&mut self, random: &mut Random) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Whether it is over after a failure; others begin anew.
    fn lasts(&self) -> Lasting;
}

/// What a failure means to a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// It is one connection, which must not break.
    Connection,
    /// It makes another connection.
    Client,
}

/// How often a flow does something.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Milliseconds between two exchanges, at least.
    pub least: u64,
    /// Milliseconds between two exchanges, at most.
    pub most: u64,
}

/// What came of flows of a kind.
#[derive(Debug, Default)]
pub struct Tally {
    done: AtomicU64,
    failed: AtomicU64,
    stopped: AtomicBool,
    causes: Mutex<Vec<String>>,
    latencies: Mutex<Vec<f64>>,
}

impl Tally {
    /// Exchanges that went well.
    pub fn done(&self) -> u64 {
        self.done.load(Relaxed)
    }

    /// Exchanges that did not.
    pub fn failed(&self) -> u64 {
        self.failed.load(Relaxed)
    }

    /// The first causes of failures.
    pub fn causes(&self) -> Vec<String> {
        let causes = self.causes.lock();
        causes.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The latencies in milliseconds since this was asked last.
    pub fn take_latencies(&self) -> Vec<f64> {
        let latencies = self.latencies.lock();
        std::mem::take(&mut latencies.unwrap_or_else(PoisonError::into_inner))
    }

    /// No flow begins another exchange.
    pub fn stop(&self) {
        self.stopped.store(true, Relaxed);
    }

    /// Notes a failure.
    pub fn fail(&self, error: &anyhow::Error) {
        self.failed.fetch_add(1, Relaxed);
        let mut causes = self.causes.lock().unwrap_or_else(PoisonError::into_inner);
        if causes.len() < CAUSES {
            causes.push(format!("{error:#}"));
        }
    }

    /// Notes an exchange that went well.
    pub fn succeed(&self, took: Duration) {
        self.done.fetch_add(1, Relaxed);
        let latencies = self.latencies.lock();
        let mut latencies = latencies.unwrap_or_else(PoisonError::into_inner);
        if latencies.len() < LATENCIES {
            latencies.push(took.as_secs_f64() * 1e3);
        }
    }
}

/// Lets a flow go on until its tally is stopped, or its connection is broken.
pub async fn repeat(mut flow: impl Flow, pace: Pace, tally: Arc<Tally>, mut random: Random) {
    // Not all at the same moment.
    sleep(random.milliseconds(0, pace.most)).await;
    while !tally.stopped.load(Relaxed) {
        let begin = Instant::now();
        let exchanged = timeout(PATIENCE, flow.exchange(&mut random)).await;
        match exchanged.context("no answer in time").flatten() {
            Ok(()) => tally.succeed(begin.elapsed()),
            Err(error) => {
                tally.fail(&error);
                if flow.lasts() == Lasting::Connection {
                    return;
                }
            }
        }
        sleep(random.milliseconds(pace.least, pace.most)).await;
    }
}

/// Some bytes to be sent and recognised.
pub fn payload(random: &mut Random, longest: u64) -> Vec<u8> {
    let length = random.between(16, longest);
    let bytes = (0..length.div_ceil(8)).flat_map(|_| random.next().to_be_bytes());
    bytes.collect()
}
