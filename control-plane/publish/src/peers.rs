//! Listens to the other replicas, and merges what they tell with what is known here.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use hyper_util::rt::TokioIo;
use novaedge_proto::v1::{self, snapshot_discovery_client::SnapshotDiscoveryClient};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    net::TcpStream,
    sync::{mpsc, watch},
    task::{AbortHandle, JoinSet},
    time::Instant,
};
use tokio_rustls::TlsConnector;
use tonic::{
    Status,
    codegen::Service,
    transport::{Channel, Endpoint, Uri},
};

use crate::{
    fleet::FleetAcks,
    merging::Merging,
    publisher::Publisher,
    telling::{AgentMap, Hearer},
};

/// Replicas that are listened to.
const MAX_PEERS: usize = 32;
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
const KEEPALIVE: Duration = Duration::from_secs(5);

/// How another replica is reached.
#[derive(Debug, Clone)]
pub enum PeerTransport {
    /// In plaintext.
    Plaintext,
    /// Over TLS. Replicas are called by address, and certified by name.
    Tls {
        /// The settings, with this replica's own certificate.
        settings: watch::Receiver<Option<Arc<ClientConfig>>>,
        /// A name in the certificate of every replica.
        server_name: String,
    },
}

/// Settings of [`Peers`].
#[derive(Debug, Clone)]
pub struct PeersConfig {
    /// How others are reached.
    pub transport: PeerTransport,
    /// The waits between two connections to one. Default 100 ms to 2 s.
    pub backoff: (Duration, Duration),
    /// How long an agent that has no stream any more is still told of, as not connected. Default 30 s:
    /// an agent whose replica dies has found another one by then.
    pub grace: Duration,
}

impl PeersConfig {
    /// The defaults.
    pub fn new(transport: PeerTransport) -> Self {
        Self {
            transport,
            backoff: (Duration::from_millis(100), Duration::from_secs(2)),
            grace: Duration::from_secs(30),
        }
    }
}

/// Keeps the picture of the whole fleet.
#[derive(Debug)]
pub struct Peers {
    publisher: Publisher,
    config: PeersConfig,
    fleet: watch::Sender<FleetAcks>,
}

type Word = (SocketAddr, Option<AgentMap>);

impl Peers {
    /// The picture of `publisher`'s own agents, and of those that other replicas tell of.
    pub fn new(publisher: Publisher, config: PeersConfig) -> Self {
        Self {
            publisher,
            config,
            fleet: watch::Sender::default(),
        }
    }

    /// The picture, as it changes.
    pub fn fleet_acks(&self) -> watch::Receiver<FleetAcks> {
        self.fleet.subscribe()
    }

    /// Listens until `shutdown`. `addresses` are those of the other replicas, at most 32 of them.
    pub async fn run(
        self,
        mut addresses: watch::Receiver<BTreeSet<SocketAddr>>,
        shutdown: impl Future<Output = ()> + Send,
    ) {
        futures_util::pin_mut!(shutdown);
        let mut local = self.publisher.fleet_acks();
        let mut merging = Merging::new(self.config.grace);
        let (words, mut heard) = mpsc::channel::<Word>(MAX_PEERS);
        // Dropped with this future, and its tasks with it.
        let mut tasks = JoinSet::new();
        let mut listening: BTreeMap<SocketAddr, AbortHandle> = BTreeMap::new();
        loop {
            let known = addresses.borrow_and_update().clone();
            let known: BTreeSet<_> = known.into_iter().take(MAX_PEERS).collect();
            listening.retain(|address, task| {
                let stays = known.contains(address);
                if !stays {
                    task.abort();
                }
                stays
            });
            for address in &known {
                listening.entry(*address).or_insert_with(|| {
                    tasks.spawn(listen(*address, self.config.clone(), words.clone()))
                });
            }
            while tasks.try_join_next().is_some() {}
            merging.set_peers(&known, Instant::now());
            merging.set_local(&local.borrow_and_update().agents);
            let (picture, next) = merging.picture(Instant::now());
            self.fleet.send_if_modified(|before| {
                let changed = *before != picture;
                *before = picture;
                changed
            });
            let changed_by_itself = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            let addresses_changed = async {
                if addresses.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = &mut shutdown => break,
                () = addresses_changed => {}
                // The publisher lives in `self`, so its end is not seen.
                _ = local.changed() => {}
                () = changed_by_itself => {}
                word = heard.recv() => if let Some((address, agents)) = word {
                    merging.hear(address, agents, Instant::now());
                },
            }
        }
        tasks.shutdown().await;
    }
}

/// Listens to one replica, any number of connections long.
async fn listen(address: SocketAddr, config: PeersConfig, words: mpsc::Sender<Word>) {
    let (min, max) = config.backoff;
    let mut wait = min;
    loop {
        let begin = Instant::now();
        let Err(error) = follow(address, &config, &words).await else {
            return;
        };
        tracing::info!(peer = %address, reason = error.message(), "a replica is not heard");
        if words.send((address, None)).await.is_err() {
            return;
        }
        if begin.elapsed() > max {
            wait = min;
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(max);
    }
}

/// One stream. Ends well when nobody wants to know any more.
async fn follow(
    address: SocketAddr,
    config: &PeersConfig,
    words: &mpsc::Sender<Word>,
) -> Result<(), Status> {
    let mut client = SnapshotDiscoveryClient::new(channel(address, &config.transport)?);
    let open = client.watch_agents(v1::WatchAgentsRequest {});
    let open = tokio::time::timeout(2 * CONNECT_LIMIT, open).await;
    let mut stream = open
        .map_err(|_| Status::deadline_exceeded("the stream did not open in time"))??
        .into_inner();
    let mut hearer = Hearer::default();
    loop {
        let message = stream.message().await?;
        let message = message.ok_or_else(|| Status::unavailable("the replica ended the stream"))?;
        let heard = hearer.hear(message);
        heard.map_err(|error| Status::internal(error.to_string()))?;
        if let Some(agents) = hearer.agents()
            && words.send((address, Some(agents.clone()))).await.is_err()
        {
            return Ok(());
        }
    }
}

fn channel(address: SocketAddr, transport: &PeerTransport) -> Result<Channel, Status> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"));
    let endpoint = endpoint.map_err(|error| Status::internal(error.to_string()))?;
    let connector = Connector {
        address,
        tls: match transport {
            PeerTransport::Plaintext => None,
            PeerTransport::Tls {
                settings,
                server_name,
            } => {
                let settings = settings.borrow().clone();
                let settings =
                    settings.ok_or_else(|| Status::unavailable("there is no certificate yet"))?;
                let name = ServerName::try_from(server_name.clone());
                let name = name.map_err(|error| Status::internal(error.to_string()))?;
                Some((settings, name))
            }
        },
    };
    Ok(endpoint
        .connect_timeout(CONNECT_LIMIT)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true)
        .connect_with_connector_lazy(connector))
}

#[derive(Clone)]
struct Connector {
    address: SocketAddr,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn Io>>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { address, tls } = self.clone();
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            // Changes are small and wanted at once. Failing to set it costs latency alone.
            let _ = stream.set_nodelay(true);
            let io: Box<dyn Io> = match tls {
                None => Box::new(stream),
                Some((settings, name)) => {
                    Box::new(TlsConnector::from(settings).connect(name, stream).await?)
                }
            };
            Ok(TokioIo::new(io))
        })
    }
}

/// Either connection.
trait Io: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}

impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Io for T {}
