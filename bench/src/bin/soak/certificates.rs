//! A listener's certificate is replaced again and again while clients connect.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use novaedge_bench::{timing::Distribution, world};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::rustls::{ClientConfig, HandshakeKind};

use crate::{
    authority::{Authority, Identity, Memory, Version},
    edge::{Edge, File},
    flow::tls,
    job::{Finding, Job, Setup, progress},
    manifests::{Transport, documents, endpoints, route, service},
    origin,
    random::Random,
    site::{HOST, Listeners, SERVICE},
    wire::Wire,
};

/// Three years of a certificate a day.
const ROTATIONS: u64 = 1_000;
/// How soon the new one must be served.
const SOON: Duration = Duration::from_secs(1);
/// How long it is waited for.
const PATIENCE: Duration = Duration::from_secs(15);
/// Clients of each version and memory; with the pause that is 200 handshakes a second.
const CLIENTS: u64 = 5;
const PAUSE: (u64, u64) = (50, 150);
/// Milliseconds between two rotations.
const BETWEEN: (u64, u64) = (50, 250);
/// Between two looks at which certificate is shown.
const LOOK: Duration = Duration::from_millis(2);
/// Failures whose cause is kept.
const CAUSES: usize = 8;

/// What clients share.
#[derive(Default)]
struct Seen {
    /// Serial numbers by certificate.
    serials: Mutex<HashMap<Vec<u8>, u64>>,
    /// The newest that was shown to anybody.
    newest: AtomicU64,
    handshakes: [AtomicU64; 4],
    resumed: [AtomicU64; 4],
    failed: AtomicU64,
    stale: AtomicU64,
    causes: Mutex<Vec<String>>,
    stopped: AtomicBool,
}

/// The kinds of clients.
const KINDS: [(&str, Version, Memory); 4] = [
    ("TLS 1.2, full", Version::Tls12, Memory::Forgets),
    ("TLS 1.3, full", Version::Tls13, Memory::Forgets),
    ("TLS 1.2, resuming", Version::Tls12, Memory::Remembers),
    ("TLS 1.3, resuming", Version::Tls13, Memory::Remembers),
];

impl Seen {
    fn issued(&self, serial: u64, identity: &Identity) {
        let serials = self.serials.lock();
        serials
            .unwrap_or_else(PoisonError::into_inner)
            .insert(identity.der.to_vec(), serial);
    }

    fn serial(&self, certificate: &[u8]) -> Option<u64> {
        let serials = self.serials.lock();
        serials
            .unwrap_or_else(PoisonError::into_inner)
            .get(certificate)
            .copied()
    }

    fn fail(&self, error: &anyhow::Error) {
        self.failed.fetch_add(1, Relaxed);
        let mut causes = self.causes.lock().unwrap_or_else(PoisonError::into_inner);
        if causes.len() < CAUSES {
            causes.push(format!("{error:#}"));
        }
    }

    /// A handshake and a request. Tells the serial number of the certificate that a full handshake shows.
    async fn shake_hands(
        &self,
        to: SocketAddr,
        config: &Arc<ClientConfig>,
        id: &str,
    ) -> anyhow::Result<Option<u64>> {
        let newest = self.newest.load(Relaxed);
        let stream = tls::connect(to, HOST, config).await?;
        let (_, connection) = stream.get_ref();
        let full = connection.handshake_kind() != Some(HandshakeKind::Resumed);
        let certificates = connection.peer_certificates().unwrap_or_default();
        let certificate = certificates.first().context("no certificate")?;
        let serial = self
            .serial(certificate)
            .context("a certificate that nobody issued")?;
        if full && serial < newest {
            self.stale.fetch_add(1, Relaxed);
        }
        if full {
            self.newest.fetch_max(serial, Relaxed);
        }
        tls::ask(&mut Wire::new(stream), HOST, id).await?;
        Ok(full.then_some(serial))
    }
}

/// Runs the job.
pub async fn run(setup: &Setup) -> anyhow::Result<Finding> {
    let mut finding = Finding::new(Job::Certificates);
    let (at, authority) = (Listeners::choose()?, Authority::new()?);
    let seen = Arc::new(Seen::default());
    let origin = origin::http1::start().await?;
    let first = authority.issue(0)?;
    seen.issued(0, &first);
    let system = documents([
        world::gateway(at.http.port(), at.https.port()),
        route("HTTPRoute", "live", "gw", Some(HOST), SERVICE),
        service(SERVICE, Transport::Tcp),
        endpoints(SERVICE, Transport::Tcp, &[origin.address]),
    ]);
    let system = ("system.yaml".to_owned(), Some(system));
    let edge = Edge::start(&setup.binaries, &[system, secret(&first)])?;
    edge.settle(at.http, HOST).await?;
    let mut clients = clients(at.https, &authority, &seen)?;
    let rotations = setup.scale.of(ROTATIONS);
    let delays = rotate(&edge, at.https, &authority, &seen, rotations).await?;
    seen.stopped.store(true, Relaxed);
    while clients.join_next().await.is_some() {}
    tell(&mut finding, &seen, &delays);
    Ok(finding)
}

fn secret(identity: &Identity) -> File {
    let text = world::secret(&identity.certificate, &identity.key);
    ("secret.yaml".to_owned(), Some(text))
}

/// Starts all clients.
fn clients(to: SocketAddr, authority: &Authority, seen: &Arc<Seen>) -> anyhow::Result<JoinSet<()>> {
    let mut clients = JoinSet::new();
    for (kind, (_, version, memory)) in KINDS.into_iter().enumerate() {
        for client in 0..CLIENTS {
            // Each with a memory of its own.
            let config = authority.client(version, memory)?;
            let random = Random::new(client * 4 + kind as u64);
            clients.spawn(connect_again(to, config, kind, Arc::clone(seen), random));
        }
    }
    Ok(clients)
}

async fn connect_again(
    to: SocketAddr,
    config: Arc<ClientConfig>,
    kind: usize,
    seen: Arc<Seen>,
    mut random: Random,
) {
    while !seen.stopped.load(Relaxed) {
        sleep(random.milliseconds(PAUSE.0, PAUSE.1)).await;
        let id = random.next().to_string();
        let done = timeout(PATIENCE, seen.shake_hands(to, &config, &id)).await;
        match done.context("no handshake in time").flatten() {
            Ok(shown) => {
                count(&seen.handshakes, kind);
                if shown.is_none() {
                    count(&seen.resumed, kind);
                }
            }
            Err(error) => seen.fail(&error),
        }
    }
}

fn count(counts: &[AtomicU64; 4], kind: usize) {
    if let Some(count) = counts.get(kind) {
        count.fetch_add(1, Relaxed);
    }
}

/// Replaces the certificate, and tells how many milliseconds each took to be shown.
async fn rotate(
    edge: &Edge,
    to: SocketAddr,
    authority: &Authority,
    seen: &Seen,
    rotations: u64,
) -> anyhow::Result<Vec<f64>> {
    let config = authority.client(Version::Tls13, Memory::Forgets)?;
    let mut random = Random::new(3);
    let mut delays = Vec::new();
    for serial in 1..=rotations {
        sleep(random.milliseconds(BETWEEN.0, BETWEEN.1)).await;
        let identity = authority.issue(serial)?;
        seen.issued(serial, &identity);
        let begin = Instant::now();
        edge.save(&[secret(&identity)])?;
        loop {
            let id = random.next().to_string();
            let shown = timeout(PATIENCE, seen.shake_hands(to, &config, &id)).await;
            match shown.context("no handshake in time").flatten() {
                Ok(Some(shown)) if shown >= serial => break,
                Ok(_) => {}
                Err(error) => seen.fail(&error),
            }
            anyhow::ensure!(
                begin.elapsed() < PATIENCE,
                "certificate {serial} never came"
            );
            sleep(LOOK).await;
        }
        delays.push(begin.elapsed().as_secs_f64() * 1e3);
        if serial % 100 == 0 {
            let text = format!("{serial} rotations, {} failures", seen.failed.load(Relaxed));
            progress(Job::Certificates.name(), &text);
        }
    }
    Ok(delays)
}

fn tell(finding: &mut Finding, seen: &Seen, delays: &[f64]) {
    finding.figure("rotations", delays.len());
    let counts = seen.handshakes.iter().zip(&seen.resumed);
    for ((name, _, memory), (handshakes, resumed)) in KINDS.into_iter().zip(counts) {
        finding.figure(format!("{name}: handshakes"), handshakes.load(Relaxed));
        if memory == Memory::Remembers {
            finding.figure(format!("{name}: of these resumed"), resumed.load(Relaxed));
        }
    }
    finding.wanted_zero("failed handshakes or requests", seen.failed.load(Relaxed));
    finding.wanted_zero(
        "handshakes that showed an older certificate than one before them",
        seen.stale.load(Relaxed),
    );
    let spread = Distribution::of(delays);
    finding.figure(
        "ms until the new one is shown, p50",
        format!("{:.1}", spread.p50),
    );
    finding.figure(
        "ms until the new one is shown, p99",
        format!("{:.1}", spread.p99),
    );
    let kept = (spread.max <= SOON.as_secs_f64() * 1e3).into();
    finding.wanted(
        "ms until the new one is shown, max",
        format!("{:.1}", spread.max),
        "at most 1000",
        kept,
    );
    let causes = seen.causes.lock();
    for cause in causes.unwrap_or_else(PoisonError::into_inner).iter() {
        finding.broken.push(format!("{cause}."));
    }
}
