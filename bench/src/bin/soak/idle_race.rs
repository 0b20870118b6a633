//! An origin closes kept connections without announcing it, just as requests go out on them.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use novaedge_bench::world;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    edge::Edge,
    flow::{http1, http2},
    job::{Finding, Job, Setup, progress},
    manifests::{Transport, documents, endpoints, route, service},
    origin::careless::{self, Seen},
    random::Random,
    site::{HOST, Listeners, SERVICE},
};

/// A request in a thousand that fails would show a thousand times.
const REQUESTS: u64 = 1_000_000;
/// Clients over HTTP/1.1, with a connection each.
const CLIENTS: u64 = 64;
/// Connections over HTTP/2, and clients that share each of them.
const CONNECTIONS: u64 = 4;
const SHARED_BY: u64 = 4;
/// Milliseconds between an answer and the next request: as long as the origin's patience with idle connections, so
/// that both often end together.
const PAUSE: (u64, u64) = (0, 12);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// Failures whose cause is kept, of each kind.
const CAUSES: usize = 4;
/// Bytes of a body.
const BODY: (u64, u64) = (1, 600);
/// How often the progress is told.
const TELL: Duration = Duration::from_secs(10);

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Get,
    Delete,
    Put,
    Post,
}

/// What came of requests of a kind.
#[derive(Debug, Default)]
struct Outcome {
    sent: AtomicU64,
    failed: Mutex<Vec<String>>,
    causes: Mutex<Vec<String>>,
}

/// What came of all.
#[derive(Debug, Default)]
struct Outcomes([Outcome; 4]);

impl Kind {
    const ALL: [Self; 4] = [Self::Get, Self::Delete, Self::Put, Self::Post];

    /// Half of the requests are GETs, a quarter POSTs.
    fn any(random: &mut Random) -> Self {
        match random.between(0, 19) {
            0..10 => Self::Get,
            10..12 => Self::Delete,
            12..15 => Self::Put,
            _ => Self::Post,
        }
    }

    fn method(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Delete => "DELETE",
            Self::Put => "PUT",
            Self::Post => "POST",
        }
    }

    fn body(self, random: &mut Random) -> Vec<u8> {
        match self {
            Self::Get | Self::Delete => Vec::new(),
            Self::Put | Self::Post => {
                let length = random.between(BODY.0, BODY.1);
                (0..length).map(|_| b'x').collect()
            }
        }
    }
}

impl Outcomes {
    fn of(&self, kind: Kind) -> &Outcome {
        let [get, delete, put, post] = &self.0;
        match kind {
            Kind::Get => get,
            Kind::Delete => delete,
            Kind::Put => put,
            Kind::Post => post,
        }
    }

    fn sent(&self) -> u64 {
        self.0.iter().map(|one| one.sent.load(Relaxed)).sum()
    }

    fn failed(&self) -> u64 {
        self.0.iter().map(|one| one.failed().len() as u64).sum()
    }
}

impl Outcome {
    fn note(&self, id: String, result: anyhow::Result<()>) {
        self.sent.fetch_add(1, Relaxed);
        if let Err(error) = result {
            let mut causes = self.causes.lock().unwrap_or_else(PoisonError::into_inner);
            let cause = format!("{error:#}");
            if causes.len() < CAUSES && !causes.contains(&cause) {
                causes.push(cause);
            }
            let failed = self.failed.lock();
            failed.unwrap_or_else(PoisonError::into_inner).push(id);
        }
    }

    fn failed(&self) -> Vec<String> {
        let failed = self.failed.lock();
        failed.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A client over either version.
enum Client {
    Http1(http1::Client),
    Http2(http2::Client),
}

impl Client {
    async fn ask(&mut self, kind: Kind, id: &str, body: &[u8]) -> anyhow::Result<()> {
        let method = kind.method();
        let answer = match self {
            Self::Http1(client) => timeout(PATIENCE, client.ask(method, id, body)).await,
            Self::Http2(client) => timeout(PATIENCE, client.ask(method, id, body)).await,
        };
        answer??.must_be_to(id)
    }
}

/// Runs the job.
pub async fn run(setup: &Setup) -> anyhow::Result<Finding> {
    let mut finding = Finding::new(Job::IdleRace);
    let at = Listeners::choose()?;
    let seen = Arc::new(Seen::default());
    let origin = careless::start(Arc::clone(&seen)).await?;
    let edge = Edge::start(
        &setup.binaries,
        &[("system.yaml".to_owned(), Some(system(&at, origin.address)?))],
    )?;
    edge.settle(at.http, HOST).await?;
    let outcomes = Arc::new(Outcomes::default());
    load(at.http, setup.scale.of(REQUESTS), &outcomes).await?;
    tell_race(&mut finding, &seen);
    tell(&mut finding, &outcomes, &seen);
    let metrics = edge.metrics().await?;
    let own = metrics.count("novaedge_http_own_answers_total", "upstream_reset");
    finding.figure("answers of the agent because of a reset", own);
    let unsent = edge.logged("endpoint did not take the request");
    finding.wanted_zero(
        "requests given up although no byte of them was sent",
        unsent,
    );
    Ok(finding)
}

fn system(at: &Listeners, origin: SocketAddr) -> anyhow::Result<String> {
    let identity = rcgen::generate_simple_self_signed(vec!["*.example.com".to_owned()])?;
    let (certificate, key) = (identity.cert.pem(), identity.signing_key.serialize_pem());
    Ok(documents([
        world::gateway(at.http.port(), at.https.port()),
        world::secret(&certificate, &key),
        route("HTTPRoute", "live", "gw", Some(HOST), SERVICE),
        service(SERVICE, Transport::Tcp),
        endpoints(SERVICE, Transport::Tcp, &[origin]),
    ]))
}

/// Sends all requests.
async fn load(to: SocketAddr, requests: u64, outcomes: &Arc<Outcomes>) -> anyhow::Result<()> {
    let mut clients: Vec<Client> = (0..CLIENTS)
        .map(|_| Client::Http1(http1::Client::new(to, HOST)))
        .collect();
    for _ in 0..CONNECTIONS {
        let connection = http2::Connection::open(to).await?;
        let client = || Client::Http2(http2::Client::new(to, HOST, &connection));
        clients.extend((0..SHARED_BY).map(|_| client()));
    }
    let left = Arc::new(AtomicU64::new(requests));
    let mut tasks = JoinSet::new();
    for (seed, client) in (0..).zip(clients) {
        let (left, outcomes) = (Arc::clone(&left), Arc::clone(outcomes));
        tasks.spawn(ask(client, left, outcomes, Random::new(seed)));
    }
    loop {
        tokio::select! {
            ended = tasks.join_next() => if ended.is_none() { return Ok(()) },
            () = sleep(TELL) => {
                let text = format!("{} requests, {} failures", outcomes.sent(), outcomes.failed());
                progress(Job::IdleRace.name(), &text);
            }
        }
    }
}

async fn ask(
    mut client: Client,
    left: Arc<AtomicU64>,
    outcomes: Arc<Outcomes>,
    mut random: Random,
) {
    let take = |left: u64| left.checked_sub(1);
    while let Ok(number) = left.fetch_update(Relaxed, Relaxed, take) {
        sleep(random.milliseconds(PAUSE.0, PAUSE.1)).await;
        let kind = Kind::any(&mut random);
        let (id, body) = (number.to_string(), kind.body(&mut random));
        let result = client.ask(kind, &id, &body).await;
        outcomes.of(kind).note(id, result);
    }
}

fn tell(finding: &mut Finding, outcomes: &Outcomes, seen: &Seen) {
    for kind in Kind::ALL {
        let (method, outcome) = (kind.method(), outcomes.of(kind));
        finding.figure(format!("{method}: requests"), outcome.sent.load(Relaxed));
        let failed = outcome.failed();
        let count = failed.len() as u64;
        let name = format!("{method}: failures");
        if kind == Kind::Post {
            // These are judged by whether it was safe to send them again.
            finding.figure(name, count);
            let acted = failed.iter().filter(|id| seen.posts_of(id) > 0).count();
            finding.figure("POST: failures that the origin had acted upon", acted);
            finding.wanted_zero("POST: acted upon more than once", seen.posts_repeated());
        } else {
            finding.wanted_zero(&name, count);
        }
        let causes = outcome.causes.lock();
        for cause in causes.unwrap_or_else(PoisonError::into_inner).iter() {
            finding.figure(format!("{method}: cause of failures"), cause);
        }
    }
}

fn tell_race(finding: &mut Finding, seen: &Seen) {
    for (name, count) in [
        ("origin: connections opened", &seen.opened),
        (
            "origin: connections closed after answers",
            &seen.closed_after_answers,
        ),
        ("origin: connections closed idle", &seen.closed_idle),
        // The system resets these.
        ("origin: connections closed with bytes unread", &seen.unread),
        // The other half, of those that are closed at once, cannot be seen from here: the system resets them.
        (
            "origin: requests after the close, in the half of closes that shows it",
            &seen.late,
        ),
        ("origin: requests acted upon", &seen.acted),
    ] {
        finding.figure(name, count.load(Relaxed));
    }
}
